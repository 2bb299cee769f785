//! `kar eval`: one text, its value on standard output.

use super::args::Eval;
use super::exit::Exit;
use super::host::{Interrupts, close, on_host};
use super::repl::show::{Screen, value_text};
use super::report;
use crate::script::{Library, Session};

pub fn eval(eval: Eval) -> Exit {
    let interrupts = Interrupts::default();
    on_host(&eval.host, &interrupts, |host, _| {
        let (mut session, broken) = Session::new(host, Library::new(eval.host.lib.clone()), "eval");
        broken.iter().for_each(report::show);
        let ended = interrupts.during(host, |cancel| {
            let value = session.run(&eval.text, &cancel)?;
            let text = value_text(&session, &value, &Screen::of_stdout(), &cancel);
            if !text.is_empty() {
                host.console().print(&text);
            }
            Ok(())
        });
        close(host);
        ended
    })
}
