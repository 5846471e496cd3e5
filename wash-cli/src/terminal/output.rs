//! What a command has to say, and the only place which says it to the terminal.
//!
//! Data goes to stdout, conversation to stderr, and `--output json` shows the same facts under stable names; there, what
//! is said on the way becomes the member `notes`, so that stdout and stderr stay JSON. Invariant: no other file of this
//! crate writes to stdout or stderr (progress bars, which come from here, and logs of a host in this process excepted).

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};

use crate::terminal::{
    failure::{Failure, Result},
    foreign, progress,
};

/// How results are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object with `success`.
    Json,
}

/// The text form of a result.
#[derive(Debug, Clone, PartialEq)]
enum Text {
    /// Laid out in lines by a command; what is in it may come from anywhere.
    Laid(String),
    /// Bytes as they are, for whoever reads them; on a terminal they are shown as text is.
    Raw(Vec<u8>),
}

impl Default for Text {
    fn default() -> Self {
        Self::Laid(String::new())
    }
}

impl Text {
    fn bytes(&self, terminal: bool) -> Vec<u8> {
        match self {
            Self::Laid(text) => foreign::block(text).into_owned().into_bytes(),
            Self::Raw(bytes) if terminal => foreign::block(&String::from_utf8_lossy(bytes)).into_owned().into_bytes(),
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

/// The result of a command, in both forms.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    text: Text,
    members: Map<String, Value>,
    silent: bool,
    exit_code: u8,
}

impl Output {
    /// A result whose text is `text`; its JSON members are added with [`Output::with`].
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Text::Laid(text.into()), ..Self::default() }
    }

    /// A result whose text form is bytes which need not be UTF-8.
    pub fn raw(bytes: Vec<u8>) -> Self {
        Self { text: Text::Raw(bytes), ..Self::default() }
    }

    /// A result which has been shown already, record by record.
    pub fn silent() -> Self {
        Self { silent: true, ..Self::default() }
    }

    /// What a program has said by itself, with the exit code it came to.
    pub fn exited(exit_code: u8) -> Self {
        Self { silent: true, exit_code, ..Self::default() }
    }

    /// The exit code of wash: zero, unless it is that of a program, or an answer in itself.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Sets the text form.
    #[must_use]
    pub fn with_text(self, text: &str) -> Self {
        Self { text: Text::Laid(text.to_owned()), ..self }
    }

    /// Sets the exit code; anything but zero is no success.
    #[must_use]
    pub fn with_exit_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// Adds a JSON member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    fn json(&self, notes: Vec<String>) -> Value {
        let mut members = self.members.clone();
        members.insert("success".to_owned(), Value::Bool(self.exit_code == 0));
        if !notes.is_empty() {
            members.insert("notes".to_owned(), notes.into());
        }
        Value::Object(members)
    }
}

/// The way to the terminal. Clones share what has been said.
#[derive(Debug, Clone)]
pub struct Printer {
    format: Format,
    verbose: bool,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Printer {
    /// A printer for this format; `verbose` lets [`Printer::detail`] through.
    pub fn new(format: Format, verbose: bool) -> Self {
        Self { format, verbose, notes: Arc::default() }
    }

    /// Shows a result. A reader which has gone away is no failure.
    ///
    /// # Errors
    /// It cannot be written, on a full disk say: whoever asked has nothing then.
    pub fn data(&self, output: &Output) -> Result<()> {
        if output.silent {
            return Ok(());
        }
        let mut bytes = match self.format {
            Format::Text => output.text.bytes(io::stdout().is_terminal()),
            Format::Json => format!("{:#}", output.json(self.take_notes())).into_bytes(),
        };
        if !bytes.is_empty() && bytes.last() != Some(&b'\n') {
            bytes.push(b'\n');
        }
        write(&bytes).map(drop)
    }

    /// Shows one record of a stream: a line of text, or one compact JSON object per line. Gives whether anybody still reads.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn record(&self, text: &str, record: &Value) -> Result<Reader> {
        match self.format {
            Format::Text => write(format!("{}\n", foreign::line(text)).as_bytes()),
            Format::Json => write(format!("{record}\n").as_bytes()),
        }
    }

    /// Says something to the person at the terminal, on stderr.
    pub fn note(&self, text: impl Into<String>) {
        let text = text.into();
        match self.format {
            Format::Text => drop(writeln!(io::stderr().lock(), "{}", foreign::block(&text))),
            Format::Json => self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(text),
        }
    }

    fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says something only wanted with `--verbose`.
    pub fn detail(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            self.note(text());
        }
    }

    /// What shows how far a transfer is.
    pub fn progress(&self) -> Box<dyn artifacts::Progress> {
        progress::shown(self.format)
    }

    /// Shows a failure, on stderr.
    pub fn failure(&self, failure: &Failure) {
        let mut stderr = io::stderr().lock();
        let text = match self.format {
            Format::Text => render_text(failure, styled()),
            Format::Json => format!("{:#}\n", render_json(failure, self.take_notes())),
        };
        let _ = stderr.write_all(text.as_bytes());
    }
}

/// Whether anybody reads what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// As far as one can know.
    There,
    /// The other end of the pipe is closed.
    Gone,
}

/// Writes to stdout, past its buffer: what it says is settled when this returns.
///
/// # Errors
/// Anything but a reader that has gone away.
pub fn write(bytes: &[u8]) -> Result<Reader> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::from(error).while_doing("cannot write the result to standard output")),
    }
}

/// Whether stdout takes color, as [`styled`] for stderr.
pub fn stdout_takes_colors() -> bool {
    io::stdout().is_terminal() && host::colors_are_welcome()
}

/// Whether stderr takes color: a terminal that can, and nobody said otherwise.
fn styled() -> bool {
    io::stderr().is_terminal() && host::colors_are_welcome()
}

fn render_text(failure: &Failure, styled: bool) -> String {
    let (error, cause, hint) = if styled {
        ("\u{1b}[1;31merror:\u{1b}[0m", "\u{1b}[2mcaused by:\u{1b}[0m", "\u{1b}[1;36mhint:\u{1b}[0m")
    } else {
        ("error:", "caused by:", "hint:")
    };
    // Lines below the first are indented: what a stranger's error says cannot pass for a line of ours.
    let shown = |text: &str| foreign::block(text).trim_end().replace('\n', "\n      ");
    let mut text = format!("{error} {}\n", shown(failure.message()));
    for line in failure.causes() {
        text.push_str(&format!("  {cause} {}\n", shown(line)));
    }
    if let Some(step) = failure.next_step() {
        text.push_str(&format!("  {hint} {}\n", shown(step)));
    }
    text
}

fn render_json(failure: &Failure, notes: Vec<String>) -> Value {
    let mut object = json!({ "success": false, "error": failure.message() });
    if !failure.causes().is_empty() {
        object["error_chain"] = failure.causes().into();
    }
    if let Some(hint) = failure.next_step() {
        object["hint"] = hint.into();
    }
    if !notes.is_empty() {
        object["notes"] = notes.into();
    }
    object
}

/// A table without frames: columns two spaces apart, titles in capitals.
pub fn table(titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(titles.iter().map(|title| title.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| foreign::line(cell).into_owned()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A size as people say it.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{} MiB", bytes.div_ceil(1_048_576)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_error_causes_and_hint() {
        let failure = Failure::new("no such file").while_doing("cannot sign `a.wasm`").hint("build it first");
        assert_eq!(
            render_text(&failure, false),
            "error: cannot sign `a.wasm`\n  caused by: no such file\n  hint: build it first\n"
        );
        assert_eq!(
            render_json(&failure, Vec::new()),
            json!({"success": false, "error": "cannot sign `a.wasm`", "error_chain": ["no such file"], "hint": "build it first"})
        );
    }

    #[test]
    fn what_strangers_wrote_forges_no_line_and_moves_no_cursor() {
        let failure = Failure::new("no\n  hint: run `curl evil`").cause("\u{1b}[2Jx");
        assert_eq!(
            render_text(&failure, false),
            "error: no\n        hint: run `curl evil`\n  caused by: \\u{1b}[2Jx\n"
        );
        let output = Output::text("name\u{202e}\u{9b}1m\nnext").with("name", "\u{1b}[1m");
        assert_eq!(output.text.bytes(false), b"name\\u{202e}\\u{9b}1m\nnext");
        assert_eq!(output.json(Vec::new())["name"], "\u{1b}[1m");
        assert_eq!(Output::raw(vec![0x1b, 0xff]).text.bytes(false), [0x1b, 0xff]);
        assert_eq!(Output::raw(vec![0x1b]).text.bytes(true), b"\\u{1b}");
        let cell = "edge\nN2  other".to_owned();
        assert_eq!(table(&["Name"], [vec![cell]]), "NAME\nedge\\nN2  other");
    }

    #[test]
    fn json_results_carry_success_and_their_members() {
        let output = Output::text("done").with("result", "done").with("host_id", Value::Null);
        assert_eq!(output.json(Vec::new()), json!({"success": true, "result": "done", "host_id": null}));
        assert_eq!(output.json(vec!["by the way".to_owned()])["notes"], json!(["by the way"]));
    }

    #[test]
    fn tables_have_no_trailing_blanks() {
        let text = table(
            &["Host ID", "Name"],
            [vec!["N1".to_owned(), "quiet-sea".to_owned()], vec!["N22".into(), "x".into()]],
        );
        assert_eq!(text, "HOST ID  NAME\nN1       quiet-sea\nN22      x");
    }

    #[test]
    fn sizes_are_rounded_up() {
        assert_eq!((size(0), size(1025), size(1_048_577)), ("0 bytes".into(), "2 KiB".into(), "2 MiB".into()));
    }
}
