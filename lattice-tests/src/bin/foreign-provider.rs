//! A provider of another maker: written from the protocol alone (sections 4.1, 7.1 to 7.5), with nothing of this workspace in
//! it and a NATS client of its own. It takes links and never acknowledges one, as all providers of 0.82 do.
//!
//! What it is told it repeats on the subject `foreign.{its key}`, one line of JSON each, for the test that started it.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

/// MessagePack: `{"healthy": true}`.
const WELL: &[u8] = b"\x81\xa7healthy\xc3";

fn main() -> io::Result<()> {
    let host_data = host_data()?;
    let text = |name: &str| host_data[name].as_str().unwrap_or_default().to_owned();
    let (key, own_host) = (text("provider_key"), text("host_id"));
    let subject = format!("wasmbus.rpc.{}.{key}.{}", text("lattice_rpc_prefix"), text("link_name"));
    let mut nats = Nats::connect(&text("lattice_rpc_url"))?;
    let reports = format!("foreign.{key}");
    for link in host_data["link_definitions"].as_array().into_iter().flatten() {
        nats.publish(&reports, &json!({ "what": "initial", "actor": link["actor_id"] }).to_string())?;
    }
    for (number, tail) in ["linkdefs.put", "linkdefs.del", "health", "shutdown"].into_iter().enumerate() {
        nats.subscribe(&format!("{subject}.{tail}"), number)?;
    }
    loop {
        let message = nats.next()?;
        match message.subject.strip_prefix(&subject).unwrap_or_default() {
            ".linkdefs.put" => nats.publish(&reports, &link("put", &message.payload))?,
            ".linkdefs.del" => nats.publish(&reports, &link("del", &message.payload))?,
            ".health" => nats.send(message.reply.as_deref().unwrap_or(&reports), WELL)?,
            ".shutdown" => {
                let asks: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
                if asks["host_id"].as_str() == Some(&own_host) {
                    nats.publish(message.reply.as_deref().unwrap_or(&reports), "shutting down")?;
                    return Ok(());
                }
            }
            _ => {}
        }
    }
}

/// One line on standard input: JSON in base64.
fn host_data() -> io::Result<Value> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let text = data_encoding::BASE64.decode(line.trim().as_bytes()).map_err(io::Error::other)?;
    Ok(serde_json::from_slice(&text)?)
}

/// A report about a link. It is a map in MessagePack; the id of an actor is a text of 56 bytes in it.
fn link(what: &str, link: &[u8]) -> String {
    const MEMBER: &[u8] = b"\xa8actor_id\xd9\x38";
    let found = link.windows(MEMBER.len()).position(|bytes| bytes == MEMBER).map(|at| &link[at + MEMBER.len()..]);
    let actor = found.and_then(|rest| std::str::from_utf8(rest.get(..56)?).ok());
    json!({ "what": what, "actor": actor }).to_string()
}

/// A connection to a NATS server.
struct Nats {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

struct Message {
    subject: String,
    reply: Option<String>,
    payload: Vec<u8>,
}

impl Nats {
    fn connect(url: &str) -> io::Result<Self> {
        let address = url.trim_start_matches("nats://");
        let writer = TcpStream::connect(if address.is_empty() { "127.0.0.1:4222" } else { address })?;
        let mut nats = Self { reader: BufReader::new(writer.try_clone()?), writer };
        nats.line()?; // INFO
        nats.writer.write_all(b"CONNECT {\"verbose\":false,\"headers\":true,\"name\":\"foreign\"}\r\n")?;
        Ok(nats)
    }

    fn subscribe(&mut self, subject: &str, number: usize) -> io::Result<()> {
        write!(self.writer, "SUB {subject} {number}\r\n")
    }

    fn publish(&mut self, subject: &str, text: &str) -> io::Result<()> {
        self.send(subject, text.as_bytes())
    }

    fn send(&mut self, subject: &str, payload: &[u8]) -> io::Result<()> {
        let head = format!("PUB {subject} {}\r\n", payload.len());
        self.writer.write_all(&[head.as_bytes(), payload, b"\r\n"].concat())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// The next message; the server is answered meanwhile.
    fn next(&mut self) -> io::Result<Message> {
        loop {
            let line = self.line()?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["PING"] => self.writer.write_all(b"PONG\r\n")?,
                ["MSG", subject, _, ref rest @ .., length] => return self.message(subject, rest.first(), "0", length),
                ["HMSG", subject, _, ref rest @ .., head, length] => {
                    return self.message(subject, rest.first(), head, length);
                }
                ["-ERR", ..] => return Err(io::Error::other(line)),
                _ => {}
            }
        }
    }

    fn message(&mut self, subject: &str, reply: Option<&&str>, head: &str, length: &str) -> io::Result<Message> {
        let number = |text: &str| text.parse::<usize>().map_err(io::Error::other);
        let mut bytes = vec![0; number(length)? + 2];
        self.reader.read_exact(&mut bytes)?;
        bytes.truncate(bytes.len() - 2);
        let payload = bytes.split_off(number(head)?);
        Ok(Message { subject: subject.to_owned(), reply: reply.map(|reply| (*reply).to_owned()), payload })
    }
}
