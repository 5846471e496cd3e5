//! A verdict of `wash why`, for people and for programs.

use serde_json::{Value, json};

use super::diagnosis::{Diagnosis, State};
use crate::terminal::output::Output;

/// The result of the command: exit code 1 when something is broken.
pub fn output(diagnosis: &Diagnosis) -> Output {
    let steps: Vec<Value> = diagnosis
        .steps
        .iter()
        .map(|step| json!({ "step": step.name, "state": word(step.state), "text": step.text }))
        .collect();
    let cause = diagnosis
        .cause
        .as_ref()
        .map(|cause| json!({ "code": cause.code.as_str(), "sentence": cause.sentence, "next_step": cause.next }));
    Output::text(text(diagnosis))
        .with("question", diagnosis.question.clone())
        .with("broken", diagnosis.cause.is_some())
        .with("cause", cause.unwrap_or(Value::Null))
        .with("chain", steps)
        .with("remarks", diagnosis.remarks.clone())
        .with_exit_code(u8::from(diagnosis.cause.is_some()))
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = format!("{}\n", diagnosis.question);
    for step in &diagnosis.steps {
        let mark = match step.state {
            State::Ok => "ok",
            State::Broken => "BROKEN",
            State::Unknown => "?",
        };
        text.push_str(&format!("  {mark:<7} {:<12} {}\n", step.name, step.text));
    }
    for remark in &diagnosis.remarks {
        text.push_str(&format!("  note: {remark}\n"));
    }
    match &diagnosis.cause {
        Some(cause) => text.push_str(&format!("\n{}: {}\nnext: {}\n", cause.code.as_str(), cause.sentence, cause.next)),
        None => text.push_str("\nnothing is broken that the lattice knows of\n"),
    }
    text
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Broken => "broken",
        State::Unknown => "unknown",
    }
}
