//! A page of the documentation as a sequence of steps: what its fences say is done, in order.
//!
//! Reads; runs nothing. A fence marked `sh` is a block of commands, one per line. A fence of `toml` or `rust` after a
//! paragraph that begins with the name of a file in backticks, or that ends in one, is that file's text. What a reader knows
//! and a test cannot guess is said in a comment right before the fence, `<!-- page: KEY: … -->`, with several values parted by
//! semicolons:
//!
//! | key | meaning |
//! | --- | --- |
//! | `not run` | commands that begin so are passed over, counted and named |
//! | `fails` | the next command that begins so ends with exit code 1 |
//! | `stays until ready` | the last command of the block goes on beside what follows; it is ready when this one succeeds |
//! | `interrupted when ready` | the same, and Ctrl-C ends it then |
//! | `needs` | a program without which the block is skipped, visibly |
//! | `without NATS` | from here on no NATS server is looked for: none is where readers have theirs |

use std::collections::BTreeMap;

/// One thing that the reader does.
#[derive(Debug)]
pub enum Step {
    /// Runs these.
    Commands(Block),
    /// Puts this text into a file: adds it to a manifest, replaces anything else.
    File {
        /// Its path.
        path: String,
        /// The text.
        text: String,
    },
}

/// A fence of commands with what is said about it.
#[derive(Debug, Default)]
pub struct Block {
    /// Its lines, without what a shell takes for comments.
    pub lines: Vec<String>,
    said: BTreeMap<String, Vec<String>>,
}

impl Block {
    /// What is said under a key.
    pub fn values(&self, key: &str) -> &[String] {
        self.said.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether the key is there at all.
    pub fn says(&self, key: &str) -> bool {
        self.said.contains_key(key)
    }
}

const KEYS: [&str; 6] = ["not run", "fails", "stays until ready", "interrupted when ready", "needs", "without NATS"];

/// Takes a page apart.
///
/// # Panics
/// When a comment says something unknown, or a fence has no end.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines();
    let (mut said, mut paragraph, mut is_over) = (BTreeMap::new(), String::new(), true);
    while let Some(line) = lines.next() {
        if let Some(comment) = line.trim().strip_prefix("<!-- page: ") {
            let (key, values) = directive(comment);
            said.insert(key, values);
        } else if let Some(language) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            steps.extend(step(language, &text, std::mem::take(&mut said), &paragraph));
        } else {
            assert!(said.is_empty(), "a comment that no fence follows: {said:?}");
            // A paragraph stays known over the empty line behind it.
            let is_text = !line.trim().is_empty();
            if is_text && is_over {
                paragraph.clear();
            }
            if is_text {
                paragraph.push_str(line);
                paragraph.push(' ');
            }
            is_over = !is_text;
        }
    }
    steps
}

fn directive(comment: &str) -> (String, Vec<String>) {
    let comment = comment.strip_suffix("-->").expect("a comment of one line").trim();
    let (key, values) = comment.split_once(": ").unwrap_or((comment, ""));
    assert!(KEYS.contains(&key), "a page says `{key}`, which no test knows");
    let values = values.split("; ").filter(|value| !value.is_empty()).map(str::to_owned).collect();
    (key.to_owned(), values)
}

fn step(language: &str, text: &[&str], said: BTreeMap<String, Vec<String>>, paragraph: &str) -> Option<Step> {
    if language == "sh" {
        return Some(Step::Commands(Block { lines: text.iter().map(|line| command(line)).collect(), said }));
    }
    let is_file = language == "toml" || language.starts_with("rust");
    let path = file_named(paragraph).filter(|_| is_file)?;
    Some(Step::File { path, text: text.join("\n") })
}

/// Without the remark at the end.
fn command(line: &str) -> String {
    line.split("    #").next().unwrap_or(line).trim().to_owned()
}

/// The file that a paragraph is about: named at its beginning, or in its last sentence.
fn file_named(paragraph: &str) -> Option<String> {
    let last = paragraph.trim().rsplit(". ").next()?;
    let name = last.strip_prefix('`')?.split('`').next()?;
    let is_source = name.ends_with(".rs") || name.ends_with(".toml");
    is_source.then(|| name.to_owned())
}

#[test]
fn a_page_is_taken_apart() {
    let page = "# Title\n\nText.\n\n<!-- page: fails: b; c d -->\n```sh\na    # remark\nb\n```\n\nMore. `Cargo.toml` needs this:\n\n\
                ```toml\n[lib]\n```\n\n`src/lib.rs`, whole:\n\n```rust,ignore\nfn a() {}\n```\n\n```text\nx\n```\n";
    let steps = steps(page);
    let [Step::Commands(block), Step::File { path: manifest, .. }, Step::File { path: source, text }] =
        steps.as_slice()
    else {
        panic!("{steps:?}")
    };
    assert_eq!(
        (block.lines.as_slice(), block.values("fails")),
        (&["a".to_owned(), "b".to_owned()][..], &["b".to_owned(), "c d".to_owned()][..])
    );
    assert_eq!((manifest.as_str(), source.as_str(), text.as_str()), ("Cargo.toml", "src/lib.rs", "fn a() {}"));
}
