//! Every shape of request and answer, and what everybody is to say about it.

use std::fmt::Write as _;

use contracts::{
    codec,
    httpserver::{Headers, HttpResponse},
};
use http::Method;

/// One request, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub method: Method2,
    /// The path for a component, the name for a module.
    pub path: &'static str,
    /// The status of the answer as a stream.
    pub status: u16,
    /// The code of the outcome; `ok` for an answer.
    pub code: &'static str,
    /// Whether its answer breaks off, where it is a stream.
    pub is_cut: bool,
    /// The status where the answer is held in memory: another host, a provider process.
    pub held_status: u16,
    /// Whether the guest fails after its caller had all of the answer.
    pub is_late: bool,
    /// Limits that the actor is started with, by name. The call breaks the first.
    pub limits: &'static [(&'static str, &'static str)],
}

impl Shape {
    /// The limit of the actor that the call breaks.
    pub fn broken(&self) -> Option<&'static str> {
        self.limits.first().map(|(limit, _)| *limit)
    }
}

/// The methods that are asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method2 {
    Get,
    Head,
    Post,
}

impl Method2 {
    pub fn http(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Post => Method::POST,
        }
    }
}

const fn fine(method: Method2, path: &'static str, status: u16) -> Shape {
    Shape { method, path, status, code: "ok", is_cut: false, held_status: status, is_late: false, limits: &[] }
}

const fn fails(path: &'static str, status: u16, code: &'static str) -> Shape {
    Shape { method: Method2::Get, path, status, code, is_cut: false, held_status: status, is_late: false, limits: &[] }
}

const fn cut(path: &'static str, code: &'static str, held_status: u16) -> Shape {
    Shape { is_cut: true, held_status, ..fails(path, 200, code) }
}

const fn breaks(
    path: &'static str,
    status: u16,
    code: &'static str,
    limits: &'static [(&'static str, &'static str)],
) -> Shape {
    Shape { limits, ..fails(path, status, code) }
}

/// What the component `hello` does.
pub const OF_COMPONENT: &[Shape] = &[
    fine(Method2::Get, "/x", 200),
    fine(Method2::Head, "/x", 200),
    fine(Method2::Post, "/x", 200),
    fine(Method2::Get, "/status/404", 404),
    fine(Method2::Get, "/status/204", 204),
    fine(Method2::Get, "/status/205", 205),
    fine(Method2::Get, "/status/304", 304),
    fine(Method2::Get, "/ticks?3", 200),
    fails("/trap", 500, "trap"),
    fails("/cut", 500, "trap"),
    cut("/cut-late", "trap", 500),
    Shape { is_late: true, ..fails("/late", 200, "trap") },
    fails("/unfinished", 500, "malformed"),
    fails("/short", 500, "malformed"),
    fails("/long", 500, "malformed"),
    cut("/stall", "deadline_exceeded", 504),
    fails("/spin", 504, "deadline_exceeded"),
];

/// What modules do, by their names.
pub const OF_MODULES: &[Shape] = &[
    fine(Method2::Get, "fine", 200),
    fine(Method2::Head, "fine", 200),
    fine(Method2::Get, "no-content", 204),
    fine(Method2::Get, "reset", 205),
    fine(Method2::Get, "unchanged", 304),
    fails("switching", 500, "malformed"),
    fails("no-status", 500, "malformed"),
    fails("garbage", 500, "malformed"),
    fails("names-40000", 500, "limit_exceeded"),
    fails("trap", 500, "trap"),
    fails("error", 500, "reported"),
    breaks("large", 500, "limit_exceeded", &[("response", "64KiB")]),
    breaks("slow", 504, "deadline_exceeded", &[("call-time", "300ms")]),
    breaks("asked-for-little", 500, "limit_exceeded", &[("payload", "16")]),
];

/// The module of a name.
pub fn module(name: &str) -> Vec<u8> {
    let answer = |status_code: u16, header: Headers| {
        codec::encode(&HttpResponse { status_code, header, body: b"body".to_vec() }).expect("plain data")
    };
    let none = Headers::new;
    let names = || (0..40_000).map(|number| (format!("x-{number}"), vec![String::new()])).collect();
    match name {
        "large" => responding(&vec![0; 100_000]),
        "slow" => guest("(loop $on (br $on)) (i32.const 1)", b""),
        "fine" | "asked-for-little" => responding(&answer(200, none())),
        "no-content" => responding(&answer(204, none())),
        "reset" => responding(&answer(205, none())),
        "unchanged" => responding(&answer(304, none())),
        "switching" => responding(&answer(101, none())),
        "no-status" => responding(&answer(42, none())),
        "garbage" => responding(b"\xc3\xc3"),
        "names-40000" => responding(&answer(200, names())),
        "trap" => guest("unreachable", b""),
        "error" => guest("(call $error (i32.const 65536) (i32.const 4)) (i32.const 0)", b"mine"),
        other => panic!("no module is called `{other}`"),
    }
}

fn responding(answer: &[u8]) -> Vec<u8> {
    let body = format!("(call $response (i32.const 65536) (i32.const {})) (i32.const 1)", answer.len());
    guest(&body, answer)
}

fn guest(body: &str, data: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(data.len() * 3);
    for byte in data {
        write!(text, "\\{byte:02x}").expect("memory");
    }
    let pages = 2 + data.len() / 65536;
    let module = format!(
        r#"(module
            (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
            (import "wasmbus" "__guest_error" (func $error (param i32 i32)))
            (memory (export "memory") {pages})
            (data (i32.const 65536) "{text}")
            (func (export "__guest_call") (param i32 i32) (result i32) {body}))"#
    );
    wat::parse_str(module).expect("valid text")
}
