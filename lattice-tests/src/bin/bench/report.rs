//! The report: figures beside their baselines, as a table for people and as JSON for programs.
//!
//! Owns what "met" means. Knows nothing of how a figure came about. Invariant: a baseline that could not be measured
//! is shown as missing, never left out.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    machine::{self, Machine},
    measure::{Plan, Samples},
};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds for one thing.
    Seconds,
    /// Things in a second.
    PerSecond,
    /// Size.
    Bytes,
    /// Hundredths of a processor core.
    Percent,
}

/// What ours over theirs, or a figure itself, may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// Something ours is compared with.
#[derive(Debug)]
pub struct Baseline {
    /// Its name.
    pub name: &'static str,
    /// Its figures, or why there are none.
    pub samples: Result<Samples, String>,
    /// What ours over it must be; none for what is only shown.
    pub budget: Option<Budget>,
}

/// One row: a path of the product, beside its baselines.
#[derive(Debug)]
pub struct Row {
    /// Short, stable.
    pub name: &'static str,
    /// What someone waits for.
    pub title: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// Ours.
    pub samples: Samples,
    /// What ours itself must be.
    pub limit: Option<Budget>,
    /// What it is compared with.
    pub baselines: Vec<Baseline>,
    /// What else the reader should know.
    pub notes: Vec<String>,
}

/// All rows.
pub struct Report {
    machine: Machine,
    plan: Plan,
    /// In the order they were measured.
    pub rows: Vec<Row>,
}

const MET: &str = "met";
const MISSED: &str = "MISSED";
const MISSING: &str = "baseline missing";

impl Budget {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    fn verdict(self, value: f64) -> &'static str {
        if self.holds(value) { MET } else { MISSED }
    }

    fn shown(self, value: impl Fn(f64) -> String) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {}", value(limit)),
            Self::AtLeast(limit) => format!("≥ {}", value(limit)),
        }
    }
}

impl Unit {
    /// A value of this unit, as people write it.
    pub fn shown(self, value: f64) -> String {
        match self {
            Self::Seconds if value < 1e-3 => format!("{:.2} µs", value * 1e6),
            Self::Seconds if value < 1.0 => format!("{:.2} ms", value * 1e3),
            Self::Seconds => format!("{value:.2} s"),
            Self::PerSecond if value < 100.0 => format!("{value:.1}/s"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Percent => format!("{value:.3} %"),
            Self::Bytes if value < f64::from(1 << 20) => format!("{:.1} KiB", value / 1024.0),
            Self::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::PerSecond => "per_second",
            Self::Bytes => "bytes",
            Self::Percent => "percent",
        }
    }
}

impl Baseline {
    /// Ours over it.
    fn ratios(&self, ours: &Samples) -> Option<Samples> {
        self.samples.as_ref().ok().map(|theirs| ours.ratios(theirs))
    }

    fn verdict(&self, ours: &Samples) -> Option<&'static str> {
        let budget = self.budget?;
        Some(self.ratios(ours).map_or(MISSING, |ratios| budget.verdict(ratios.median())))
    }
}

impl Row {
    fn verdicts(&self) -> impl Iterator<Item = &'static str> {
        let own = self.limit.map(|limit| limit.verdict(self.samples.median()));
        own.into_iter().chain(self.baselines.iter().filter_map(|baseline| baseline.verdict(&self.samples)))
    }

    fn json(&self) -> Value {
        let baselines: Vec<Value> = self
            .baselines
            .iter()
            .map(|baseline| {
                json!({
                    "name": baseline.name,
                    "figures": baseline.samples.as_ref().ok().map(figures),
                    "missing": baseline.samples.as_ref().err(),
                    "ratio": baseline.ratios(&self.samples).as_ref().map(figures),
                    "budget": baseline.budget.map(|budget| budget.shown(|value| value.to_string())),
                    "verdict": baseline.verdict(&self.samples),
                })
            })
            .collect();
        json!({
            "name": self.name, "title": self.title, "unit": self.unit.name(), "figures": figures(&self.samples),
            "budget": self.limit.map(|limit| limit.shown(|value| value.to_string())),
            "verdict": self.limit.map(|limit| limit.verdict(self.samples.median())),
            "baselines": baselines, "notes": self.notes,
        })
    }
}

fn figures(samples: &Samples) -> Value {
    json!({"median": samples.median(), "min": samples.min(), "max": samples.max(), "samples": samples.0})
}

impl Report {
    /// Nothing measured yet.
    pub fn new(machine: Machine, plan: Plan) -> Self {
        Self { machine, plan, rows: Vec::new() }
    }

    /// The machine and the plan.
    pub fn header(&self) -> String {
        let Plan { samples, time } = self.plan;
        let profile = if cfg!(debug_assertions) { "\nDEBUG BUILD: these figures mean nothing" } else { "" };
        format!(
            "{}\n{samples} samples of each figure, {} s for each group of rows; ratio = ours / baseline, round by round{profile}\n",
            self.machine.shown(),
            time.as_secs(),
        )
    }

    /// How many budgets were met.
    pub fn closing_line(&self) -> String {
        let count = |wanted| self.rows.iter().flat_map(Row::verdicts).filter(|verdict| *verdict == wanted).count();
        let (met, missed, missing) = (count(MET), count(MISSED), count(MISSING));
        format!(
            "\n{met} budgets met, {missed} missed, {missing} without a baseline; load average after {}",
            machine::load()
        )
    }

    /// Everything.
    pub fn json(&self) -> Value {
        json!({
            "machine": self.machine.json(), "samples": self.plan.samples, "seconds": self.plan.time.as_secs(),
            "debug_build": cfg!(debug_assertions), "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        })
    }
}

/// A row as text.
pub fn table(row: &Row) -> String {
    const HEAD: [&str; 7] = ["", "median", "min", "max", "ratio", "budget", ""];
    let unit = row.unit;
    let figures = |samples: &Samples| [samples.median(), samples.min(), samples.max()].map(|value| unit.shown(value));
    let mut lines = vec![HEAD.map(str::to_owned)];
    let [median, min, max] = figures(&row.samples);
    let limit = row.limit.map(|limit| limit.shown(|value| unit.shown(value))).unwrap_or_default();
    let verdict = row.limit.map_or("", |limit| limit.verdict(row.samples.median()));
    lines.push(["ours".to_owned(), median, min, max, String::new(), limit, verdict.to_owned()]);
    for baseline in &row.baselines {
        let [median, min, max] = match &baseline.samples {
            Ok(samples) => figures(samples),
            Err(_) => ["–"; 3].map(str::to_owned),
        };
        let ratio = baseline.ratios(&row.samples).map_or("–".to_owned(), |ratios| {
            format!("{:.2} ({:.2}–{:.2})", ratios.median(), ratios.min(), ratios.max())
        });
        let budget = baseline.budget.map(|budget| budget.shown(|value| format!("{value}"))).unwrap_or_default();
        let verdict = baseline.verdict(&row.samples).unwrap_or_default().to_owned();
        lines.push([baseline.name.to_owned(), median, min, max, ratio, budget, verdict]);
    }
    let mut text = format!("\n{}: {}\n{}", row.name, row.title, aligned(&lines));
    let missing = row.baselines.iter().filter_map(|baseline| Some((baseline.name, baseline.samples.as_ref().err()?)));
    let missing = missing.map(|(name, reason)| format!("{name}: {reason}"));
    for note in missing.chain(row.notes.iter().cloned()) {
        let _ = writeln!(text, "  · {note}"); // into a string: cannot fail
    }
    text
}

/// The first column to the left, the others to the right.
fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines {
        let cell = |column: usize| match column {
            0 => format!("  {:<width$}", line[0], width = widths[0]),
            _ => format!("{:>width$}", line[column], width = widths[column]),
        };
        let cells: Vec<String> = (0..N).map(cell).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let baseline =
            |name, samples: Result<Samples, String>| Baseline { name, samples, budget: Some(Budget::AtMost(1.3)) };
        Row {
            name: "call",
            title: "a call",
            unit: Unit::Seconds,
            samples: Samples(vec![2e-6, 4e-6, 3e-6]),
            limit: Some(Budget::AtMost(1e-6)),
            baselines: vec![
                baseline("raw", Ok(Samples(vec![2e-6, 4e-6, 3e-6]))),
                baseline("other", Err("it is not installed".to_owned())),
            ],
            notes: vec!["a remark".to_owned()],
        }
    }

    #[test]
    fn a_row_shows_figures_ratios_verdicts_and_what_is_missing() {
        let expected = "
call: a call
          median      min      max             ratio     budget
  ours   3.00 µs  2.00 µs  4.00 µs                    ≤ 1.00 µs            MISSED
  raw    3.00 µs  2.00 µs  4.00 µs  1.00 (1.00–1.00)      ≤ 1.3               met
  other        –        –        –                 –      ≤ 1.3  baseline missing
  · other: it is not installed
  · a remark
";
        assert_eq!(table(&row()), expected);
    }

    #[test]
    fn json_has_every_sample_and_the_verdicts() {
        let json = row().json();
        assert_eq!(json["figures"]["samples"].as_array().map(Vec::len), Some(3));
        assert_eq!(json["verdict"], "MISSED");
        assert_eq!(json["baselines"][0]["verdict"], "met");
        assert_eq!(json["baselines"][1]["missing"], "it is not installed");
    }
}
