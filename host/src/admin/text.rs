//! The text that Prometheus reads (exposition format 0.0.4).
//!
//! Knows no metric. Invariant: a label value cannot end its line or its quotes, whatever it holds.

use std::fmt::{Display, Write as _};

use crate::meters::Snapshot;

/// Media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Label names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page under construction.
#[derive(Debug, Default)]
pub struct Page(String);

/// The lines of one metric.
pub struct Family<'a> {
    page: &'a mut String,
    name: &'static str,
}

impl Page {
    /// Something that only grows while the host runs. The name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Something that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// A distribution of durations. The name ends in `_seconds`.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        put(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { page: &mut self.0, name }
    }
}

impl Family<'_> {
    /// One value.
    pub fn value(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// One distribution.
    pub fn distribution(&mut self, labels: Labels<'_>, snapshot: &Snapshot) {
        for (bound, count) in &snapshot.at_most {
            self.line("_bucket", labels, Some(&Seconds(*bound * 1000).to_string()), count);
        }
        self.line("_bucket", labels, Some("+Inf"), snapshot.count);
        self.line("_sum", labels, None, Seconds(snapshot.nanos));
        self.line("_count", labels, None, snapshot.count);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        put(self.page, format_args!("{}{suffix}", self.name));
        let mut opening = '{';
        for (name, value) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
            put(self.page, format_args!("{opening}{name}=\"{}\"", Escaped(value)));
            opening = ',';
        }
        if opening == ',' {
            self.page.push('}');
        }
        put(self.page, format_args!(" {value}\n"));
    }
}

/// Nanoseconds, shown as seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if nanos == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{nanos:09}").trim_end_matches('0'))
    }
}

struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_the_format_wants_it() {
        let mut page = Page::default();
        let mut calls = page.counter("calls_total", "Calls.");
        calls.value(&[("actor", "M"), ("outcome", "ok")], 3);
        page.gauge("up", "Whether.").value(&[], 1);
        let snapshot = Snapshot { at_most: vec![(50, 1), (2_500_000, 2)], count: 3, nanos: 4_000_010_001 };
        page.histogram("call_seconds", "How long.").distribution(&[("actor", "M")], &snapshot);
        let expected = "\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{actor=\"M\",outcome=\"ok\"} 3
# HELP up Whether.
# TYPE up gauge
up 1
# HELP call_seconds How long.
# TYPE call_seconds histogram
call_seconds_bucket{actor=\"M\",le=\"0.00005\"} 1
call_seconds_bucket{actor=\"M\",le=\"2.5\"} 2
call_seconds_bucket{actor=\"M\",le=\"+Inf\"} 3
call_seconds_sum{actor=\"M\"} 4.000010001
call_seconds_count{actor=\"M\"} 3
";
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn a_label_value_stays_in_its_quotes() {
        let mut page = Page::default();
        page.gauge("g", "G.").value(&[("a", "x\"} 9\nevil 1\\")], 0);
        let text = page.into_text();
        assert_eq!(text.lines().last(), Some("g{a=\"x\\\"} 9\\nevil 1\\\\\"} 0"));
        assert_eq!(text.lines().count(), 3);
    }
}
