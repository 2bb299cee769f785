//! What stands inside a step file.

/// How a word is written; every form is read, whatever is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// `ready`: BpBatch looks for the word anywhere in the file (`if "ready" in-file ..`), people read it.
    #[default]
    Word,
    /// `set "ready" $step`: a ka-boot script that `run` executes.
    Kaboot,
}

impl Form {
    /// The whole file, with its line end.
    pub fn print(self, word: &str) -> String {
        match self {
            Form::Word => format!("{word}\n"),
            Form::Kaboot => format!("set \"{word}\" $step\n"),
        }
    }
}

/// A step file longer than this is not one.
pub const LIMIT: usize = 4096;

/// The word of a step file in either form: the last `set WORD $step` where there is one, else the first word of the
/// first line that is neither empty nor a comment (`#`). `None` where there is no usable word.
pub fn parse(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    let first = *lines.peek()?;
    let word = match lines.filter_map(set_step).next_back() {
        Some(word) => word,
        None => first.split_whitespace().next()?.trim_matches('"'),
    };
    super::check_word(word).ok().map(|()| word.to_string())
}

/// WORD of `set WORD $step`, quoted or not.
fn set_step(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("set")?.trim_start();
    let value = rest.strip_suffix("$step")?.trim_end();
    Some(value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_old_forms_are_read() {
        for text in ["ready", "ready\n", "\"ready\"\r\n", "# by install\n\nready now\n", "\tset \"ready\" $step\n"] {
            assert_eq!(parse(text).as_deref(), Some("ready"), "{text:?}");
        }
        assert_eq!(parse("set \"install\" $step\nset \"lilo\" $step\necho $step\n").as_deref(), Some("lilo"));
        assert_eq!(parse("set ready $step").as_deref(), Some("ready"));
        for text in ["", "\n \n", "# nothing\n", "\"\"", "set \"\" $step", "set \"a b\" $step"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(word in "[a-zA-Z0-9][a-zA-Z0-9_.:+-]{0,63}") {
            prop_assert_eq!(parse(&Form::Word.print(&word)), Some(word.clone()));
            prop_assert_eq!(parse(&Form::Kaboot.print(&word)), Some(word));
        }

        #[test]
        fn anything_is_a_valid_word_or_none(text in "\\PC{0,80}|(set|\\$step|\"| |\n|#|[a-z]){0,20}") {
            if let Some(word) = parse(&text) {
                prop_assert!(super::super::check_word(&word).is_ok());
            }
        }
    }
}
