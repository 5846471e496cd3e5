//! Example program: a WASI 0.3 command. It writes its arguments, then its input in capitals; with the argument `fail` it
//! fails.

use wasip3::{
    cli::{environment, stdin, stdout},
    exports::cli::run::Guest,
    wit_bindgen::rt::async_support::StreamResult,
    wit_stream,
};

/// Most bytes moved by one read.
const CHUNK: usize = 64 * 1024;

struct Program;

wasip3::cli::command::export!(Program);

impl Guest for Program {
    async fn run() -> Result<(), ()> {
        let arguments = environment::get_arguments();
        let (mut out, shown) = wit_stream::new();
        let written = stdout::write_via_stream(shown);
        out.write_all(format!("{}\n", arguments[1..].join(" ")).into_bytes()).await;
        let (mut input, _ended) = stdin::read_via_stream();
        loop {
            let (result, mut bytes) = input.read(Vec::with_capacity(CHUNK)).await;
            bytes.make_ascii_uppercase();
            out.write_all(bytes).await;
            if !matches!(result, StreamResult::Complete(_)) {
                break;
            }
        }
        drop(out);
        written.await.map_err(|_| ())?;
        if arguments.iter().any(|argument| argument == "fail") { Err(()) } else { Ok(()) }
    }
}
