//! The words of a Rust file, with their lines: enough to see `use` lines and paths, and nothing that only looks like one.
//!
//! Comments are gone, a literal is one token without its text. Knows no grammar: that is [`super::source`].

/// One word or sign. A literal is `"`, a lifetime `'`; a path separator is one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
}

impl Token<'_> {
    pub(super) fn is_name(&self) -> bool {
        self.text.starts_with(begins_name)
    }
}

pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut reader = Reader { rest: text, line: 1 };
    let mut tokens = Vec::new();
    while let Some(token) = reader.next() {
        tokens.push(token);
    }
    without_tests(tokens)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let line = self.line;
        let first = self.rest.chars().next()?;
        let text = match first {
            '"' => self.string(),
            '\'' => self.quote(),
            _ if begins_name(first) => self.name(),
            _ if first.is_ascii_digit() => self.take_while(|c| c.is_ascii_alphanumeric() || c == '_', "\""),
            _ if self.rest.starts_with("::") => self.take(2),
            _ => self.take(first.len_utf8()),
        };
        Some(Token { text, line })
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool, stands_for: &'a str) -> &'a str {
        self.take(self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len()));
        stands_for
    }

    fn skip_blank(&mut self) {
        loop {
            self.take_while(char::is_whitespace, "");
            match self.rest.get(..2) {
                Some("//") => drop(self.take_while(|c| c != '\n', "")),
                Some("/*") => self.block_comment(),
                _ => return,
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while !self.rest.is_empty() {
            match self.rest.get(..2) {
                Some("/*") => (depth, _) = (depth + 1, self.take(2)),
                Some("*/") => (depth, _) = (depth - 1, self.take(2)),
                _ => drop(self.take(self.rest.chars().next().map_or(0, char::len_utf8))),
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A string with escapes, from its quote on.
    fn string(&mut self) -> &'a str {
        let mut escaped = false;
        let mut bytes = 1;
        for c in self.rest.chars().skip(1) {
            bytes += c.len_utf8();
            match c {
                '"' if !escaped => break,
                _ => escaped = c == '\\' && !escaped,
            }
        }
        self.take(bytes);
        "\""
    }

    /// A character, or a lifetime.
    fn quote(&mut self) -> &'a str {
        let mut after = self.rest.chars().skip(1);
        let (first, second) = (after.next(), after.next());
        if first.is_some_and(begins_name) && second != Some('\'') {
            self.take(1);
            return self.take_while(belongs_to_name, "'");
        }
        let escape = usize::from(first == Some('\\')) + first.map_or(0, char::len_utf8);
        let end =
            self.rest.get(1 + escape..).and_then(|rest| rest.find('\'')).map_or(self.rest.len(), |at| at + 2 + escape);
        self.take(end);
        "\""
    }

    /// A name, or a literal that begins like one: `r"…"`, `b'…'`, `r#"…"#`.
    fn name(&mut self) -> &'a str {
        let length = self.rest.find(|c| !belongs_to_name(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(length);
        let prefix = matches!(name, "r" | "b" | "br" | "c" | "cr");
        match rest.as_bytes().first() {
            Some(b'"') if prefix && name.ends_with('r') => self.raw_string(length, 0),
            Some(b'"') if prefix => {
                self.take(length);
                self.string()
            }
            Some(b'\'') if name == "b" => {
                self.take(length);
                self.quote()
            }
            Some(b'#') if prefix && name.ends_with('r') => {
                let hashes = rest.len() - rest.trim_start_matches('#').len();
                if rest[hashes..].starts_with('"') {
                    return self.raw_string(length, hashes);
                }
                self.take(length + 1); // a raw name: `r#type`
                self.name()
            }
            _ => self.take(length),
        }
    }

    fn raw_string(&mut self, prefix: usize, hashes: usize) -> &'a str {
        self.take(prefix + hashes + 1);
        let end = format!("\"{}", "#".repeat(hashes));
        self.take(self.rest.find(&end).map_or(self.rest.len(), |at| at + end.len()));
        "\""
    }
}

fn begins_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn belongs_to_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What is compiled for tests only is no import of the product: a test may stand on any floor.
fn without_tests(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut rest = tokens.as_slice();
    while let Some(token) = rest.first() {
        if rest.len() >= MARK.len() && rest.iter().zip(MARK).all(|(token, mark)| token.text == mark) {
            rest = &rest[MARK.len()..];
            rest = &rest[item_length(rest)..];
        } else {
            kept.push(*token);
            rest = &rest[1..];
        }
    }
    kept
}

/// How many tokens the item at the beginning has: to its `;`, or to the end of its block.
fn item_length(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" if depth == 0 => return index, // a field or an arm: the block around it ends
            "}" if depth == 1 => return index + 1,
            "}" | ")" | "]" => depth -= 1,
            ";" if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_hide_what_looks_like_code() {
        let text = "a // use b;\n/* c /* d */ e */ \"use f; \\\" g\" r#\"h \" i\"# b'\\'' 'j' br\"k\\\" l";
        assert_eq!(words(text), ["a", "\"", "\"", "\"", "\"", "\"", "l"]);
    }

    #[test]
    fn lifetimes_raw_names_and_separators_are_told_apart() {
        assert_eq!(words("&'a r#type::b '\\u{41}' 1_u8"), ["&", "'", "type", "::", "b", "\"", "\""]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let found = tokens("/* \n */ \"\n\"\nhere");
        assert_eq!(found.last().map(|token| (token.text, token.line)), Some(("here", 4)));
    }

    #[test]
    fn what_is_compiled_for_tests_only_is_left_out_and_nothing_behind_it() {
        let text = "#[cfg(test)]\nmod tests { use super::*; }\nuse a; #[cfg(test)] use b; #[cfg(test)] fn c(d: (E, F)) { g; } h";
        assert_eq!(words(text), ["use", "a", ";", "h"]);
    }
}
