//! The kernel command line: words separated by blanks, `name=value`, double quotes around blanks (the kernel's
//! Documentation/admin-guide/kernel-parameters.rst).

use std::collections::BTreeMap;

/// The words, quotes taken off: `a="b c"` and `"a=b c"` both are `a=b c`. An open quote runs to the end.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// One word, quoted where it holds blanks. A double quote has no form on a kernel command line; the caller refuses it.
pub fn quote(word: &str) -> String {
    match word.split_once('=') {
        _ if !word.is_empty() && !word.contains(char::is_whitespace) => word.to_string(),
        Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => format!("{name}=\"{value}\""),
        _ => format!("\"{word}\""),
    }
}

/// Names with their values; a bare word has the value "". The last of a name counts, as for the kernel's own.
pub fn arguments(text: &str) -> BTreeMap<String, String> {
    let pair = |word: String| match word.split_once('=') {
        Some((name, value)) => (name.to_string(), value.to_string()),
        None => (word, String::new()),
    };
    words(text).into_iter().map(pair).collect()
}

/// Blanks outside quotes made single, at the ends taken off.
pub fn tidy(text: &str) -> String {
    let mut tidy = String::new();
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        match c {
            c if c.is_whitespace() && !quoted => {
                if !tidy.is_empty() && !tidy.ends_with(' ') {
                    tidy.push(' ');
                }
            }
            c => tidy.push(c),
        }
    }
    if !quoted {
        tidy.truncate(tidy.trim_end_matches(' ').len());
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            words(" root=LABEL=root  ro append=\"a  b\" \"c=d e\" "),
            ["root=LABEL=root", "ro", "append=a  b", "c=d e"]
        );
        let args = arguments("root=LABEL=root ro x=1 x=2");
        assert_eq!(args["root"], "LABEL=root");
        assert_eq!((args["ro"].as_str(), args["x"].as_str()), ("", "2"));
        assert_eq!(tidy("  a \t b=\"c  d\"\n e "), "a b=\"c  d\" e");
    }

    proptest! {
        #[test]
        fn quoted_words_read_back(list in prop::collection::vec("[a-z=. ]{0,8}", 0..5)) {
            let line = list.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(&line), list);
        }
    }
}
