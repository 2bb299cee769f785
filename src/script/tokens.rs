//! A line of script cut into words and signs, complete or not: for a line editor, which sees a script while it is
//! typed. What the script means is the engine's parser's business.

use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Word,
    Number,
    /// With its quotes; in backticks with all that stands in `${..}`.
    Text,
    Comment,
    /// One sign, or one of `::`, `..`, `?.` and `#{`.
    Sign,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub at: usize,
    /// A text or comment whose end has not come yet.
    pub open: bool,
}

impl Token<'_> {
    pub fn range(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    pub fn is(&self, sign: &str) -> bool {
        matches!(self.kind, Kind::Sign | Kind::Word) && self.text == sign
    }
}

/// All but the blanks.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (kind, length, open) = token(&text[at..], c);
        found.push(Token { kind, text: &text[at..at + length], at, open });
        at += length;
    }
    found
}

/// Kind and bytes of the token that `rest` begins with, and whether its end is missing.
fn token(rest: &str, first: char) -> (Kind, usize, bool) {
    let run = |member: fn(char) -> bool| rest.find(|c| !member(c)).unwrap_or(rest.len());
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return ended(Kind::Comment, rest, block_comment(rest));
    }
    match first {
        '"' | '\'' => ended(Kind::Text, rest, quoted(rest, first)),
        '`' => ended(Kind::Text, rest, backticks(rest)),
        c if c.is_ascii_digit() => (Kind::Number, run(|c| c.is_ascii_alphanumeric() || c == '_'), false),
        c if is_word(c) => (Kind::Word, run(is_word), false),
        c => {
            let two = ["::", "..", "?.", "#{"].iter().any(|sign| rest.starts_with(sign));
            (Kind::Sign, if two { 2 } else { c.len_utf8() }, false)
        }
    }
}

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn ended(kind: Kind, rest: &str, end: Option<usize>) -> (Kind, usize, bool) {
    (kind, end.unwrap_or(rest.len()), end.is_none())
}

/// Where a text in quotes ends; `None` while it is open.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A text in backticks; the code in `${..}` may hold texts of its own.
fn backticks(rest: &str) -> Option<usize> {
    let mut at = 1;
    while let Some(c) = rest[at..].chars().next() {
        if c == '`' {
            return Some(at + 1);
        }
        at += match rest[at..].starts_with("${") {
            true => 2 + interpolated(&rest[at + 2..])?,
            false => c.len_utf8(),
        };
    }
    None
}

/// Bytes up to and with the `}` that closes an interpolation.
fn interpolated(rest: &str) -> Option<usize> {
    let (mut depth, mut at) = (1, 0);
    while let Some(c) = rest[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (kind, length, open) = token(&rest[at..], c);
        if open {
            return None;
        }
        at += length;
        match &rest[at - length..at] {
            "{" | "#{" if kind == Kind::Sign => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Block comments stand in each other.
fn block_comment(rest: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let (step, change) = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The brackets that are open at the end, outermost first.
pub fn open_brackets<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<(usize, &'t Token<'a>)> {
    let mut open = Vec::new();
    for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Sign) {
        match token.text {
            "(" | "[" | "{" | "#{" => open.push((index, token)),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<&str> {
        tokens(line).iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_signs_and_texts() {
        assert_eq!(
            texts(r#"fs::write("a\"b", #{ x: 1_0 }) // end"#),
            ["fs", "::", "write", "(", r#""a\"b""#, ",", "#{", "x", ":", "1_0", "}", ")", "// end"]
        );
        assert_eq!(texts("`a ${ f(\"}\", #{}) } b`.len"), ["`a ${ f(\"}\", #{}) } b`", ".", "len"]);
        assert_eq!(texts("/* a /* b */ c */ d"), ["/* a /* b */ c */", "d"]);
    }

    #[test]
    fn what_is_open_is_known() {
        for line in ["\"abc", "`abc ${x}", "`a ${ x", "/* a", "/* /* */", "'", "`${`"] {
            assert!(tokens(line).last().is_some_and(|token| token.open), "{line}");
        }
        let found = tokens("f(a[1], #{ b: [");
        let open: Vec<&str> = open_brackets(&found).iter().map(|(_, token)| token.text).collect();
        assert_eq!(open, ["(", "#{", "["]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_panics(line in "[ -~äß☃\n`\"'${}#/*]{0,40}") {
            let found = tokens(&line);
            let kept: String = found.iter().map(|token| token.text).collect();
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            proptest::prop_assert_eq!(bare(&kept), bare(&line));
        }
    }
}
