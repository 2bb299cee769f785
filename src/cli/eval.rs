//! `kar eval`: one text, its value on standard output.

use super::args::Eval;
use super::exit::Exit;
use super::host::{Interrupts, on_host};
use super::repl::show::{Screen, value_text};
use crate::script::{Library, Session};

pub fn eval(eval: Eval) -> Exit {
    let interrupts = Interrupts::default();
    on_host(&eval.host, &interrupts, |host, _| {
        let mut session = Session::new(host, Library::new(eval.host.lib.clone()), "eval")?;
        interrupts.during(host, |cancel| {
            let value = session.run(&eval.text, &cancel)?;
            let text = value_text(&session, &value, &Screen::of_stdout(), &cancel);
            if !text.is_empty() {
                host.console().print(&text);
            }
            // Closed in the order of their opening, newest first, before the variables go.
            host.end().set();
            host.release_all();
            Ok(())
        })
    })
}
