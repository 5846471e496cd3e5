//! One run of one target: until its processor time is used up, or an input breaks it.

use std::{
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::paths::Paths;

/// How often the processor time is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long a fuzzer that was told to stop may take to say what it did.
const GRACE: Duration = Duration::from_secs(10);
/// What libFuzzer answers when it was told to stop.
const INTERRUPTED: i32 = 72;

/// What one run found.
pub(super) struct Outcome {
    processor_time: Duration,
    executions: Option<u64>,
    edges: Option<u64>,
    /// The input that broke the target.
    pub(super) failure: Option<Failure>,
}

/// An input that broke a target.
pub(super) struct Failure {
    pub(super) input: PathBuf,
    status: ExitStatus,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = |figure: Option<u64>| figure.map_or_else(|| "?".to_owned(), grouped);
        let verdict = match &self.failure {
            None => "no failure".to_owned(),
            Some(failure) => format!("FAILED ({})", failure.status),
        };
        let seconds = self.processor_time.as_secs_f64();
        let (executions, edges) = (figure(self.executions), figure(self.edges));
        write!(f, "{seconds:>6.0} s of processor, {executions:>15} executions, {edges:>6} edges, {verdict}")
    }
}

/// Runs a target for so much processor time.
pub(super) fn run(paths: &Paths, time: Duration) -> Result<Outcome> {
    let (corpus, failed) = (paths.work.join("corpus"), paths.work.join("failed"));
    // Failures of an earlier run were reported then.
    let _ = fs::remove_dir_all(&failed);
    for dir in [&corpus, &failed] {
        fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    }
    let log_path = paths.work.join("log");
    let log = File::create(&log_path).with_context(|| format!("cannot write `{}`", log_path.display()))?;
    let mut fuzzer = Command::new(&paths.binary);
    fuzzer.arg(&corpus).arg(&paths.seeds).args(["-print_final_stats=1", "-timeout=20", "-rss_limit_mb=1024"]);
    fuzzer.args(["-max_len=8192"]).arg(format!("-artifact_prefix={}/", failed.display())).current_dir(&paths.work);
    fuzzer.stdout(log.try_clone().context("cannot share the log")?).stderr(log);
    let mut child = fuzzer.spawn().with_context(|| format!("cannot run `{}`", paths.binary.display()))?;
    let (status, processor_time) = watch(&mut child, time, GRACE)?;

    let said = String::from_utf8_lossy(&fs::read(&log_path).context("cannot read the log")?).into_owned();
    let failure = match status.code() {
        Some(INTERRUPTED) if processor_time < time => bail!("interrupted"),
        Some(0 | INTERRUPTED) => None,
        _ => Some(Failure { input: first_file(&failed).unwrap_or(log_path), status }),
    };
    Ok(Outcome { processor_time, executions: executions(&said), edges: edges(&said), failure })
}

/// Waits until the child ends or has used up its time; then it is told to stop, so that it says what it did, and killed
/// when it does not. By SIGTERM: whoever runs us in the background of a script, or under `nohup`, has SIGINT ignored.
fn watch(child: &mut Child, time: Duration, grace: Duration) -> Result<(ExitStatus, Duration)> {
    let started = Instant::now();
    let mut used = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the fuzzer")? {
            return Ok((status, used));
        }
        // Without `/proc` the clock must do.
        used = processor_time(child.id()).unwrap_or_else(|| started.elapsed());
        if used >= time {
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
            return Ok((end(child, grace)?, used));
        }
        thread::sleep(LOOK);
    }
}

/// Waits for a child that was told to stop, and kills it when its grace is over.
fn end(child: &mut Child, grace: Duration) -> Result<ExitStatus> {
    let until = Instant::now() + grace;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().context("cannot wait for the fuzzer")? {
            return Ok(status);
        }
        thread::sleep(LOOK.min(grace));
    }
    child.kill().context("cannot kill the fuzzer")?;
    child.wait().context("cannot wait for the fuzzer")
}

/// Time a process has spent on the processor, its own and the kernel's.
fn processor_time(pid: u32) -> Option<Duration> {
    let ticks = ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_millis(ticks * 1000 / per_second))
}

/// Fields 14 and 15 of `/proc/<pid>/stat`, counted behind the name, which may contain anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

fn first_file(dir: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    // Inputs that are only slow are kept too, and are no failure.
    files.filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("slow-"))).min()
}

fn executions(log: &str) -> Option<u64> {
    let line = log.lines().rev().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

/// The last figure of a line like `#1024  NEW    cov: 433 ft: 634 corp: …`.
fn edges(log: &str) -> Option<u64> {
    let (_, rest) = log.lines().rev().find_map(|line| line.split_once(" cov: "))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn grouped(figure: u64) -> String {
    let digits = figure.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: seed corpus: files: 18\n#2\tINITED cov: 300 ft: 301 corp: 1/1b exec/s: 0\n\
        #524288\tpulse  cov: 433 ft: 634 corp: 77/3174b lim: 5140 exec/s: 131072 rss: 28Mb\n\
        ==1== libFuzzer: run interrupted; exiting\nstat::number_of_executed_units: 638280\nstat::peak_rss_mb: 28\n";

    #[test]
    fn figures_are_taken_from_what_libfuzzer_says() {
        assert_eq!((executions(LOG), edges(LOG)), (Some(638_280), Some(433)));
        assert_eq!((executions("nothing"), edges("nothing")), (None, None));
    }

    #[test]
    fn processor_time_is_found_behind_a_hostile_name() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 12345";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn our_own_processor_time_grows() {
        let Some(before) = processor_time(std::process::id()) else { return }; // no `/proc` here
        let deadline = Instant::now() + Duration::from_secs(60);
        while processor_time(std::process::id()).is_some_and(|now| now <= before) {
            assert!(Instant::now() < deadline, "no time passed on the processor");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_fuzzer_that_ends_by_itself_found_a_failure_and_one_that_does_not_is_stopped() {
        let dir = tempfile::tempdir().expect("a directory");
        let paths =
            Paths { binary: dir.path().join("fuzzer"), seeds: dir.path().into(), work: dir.path().join("work") };
        let fuzzer = |script: &str| {
            // Written by another process: a file open here may be inherited by a sibling test, and is then busy.
            let mut writer = Command::new("sh");
            writer.args(["-c", r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 755 "$2""#, "sh", script]);
            assert!(writer.arg(&paths.binary).status().expect("a shell").success());
            run(&paths, Duration::from_millis(300)).expect("it runs")
        };
        let broken = fuzzer(
            "echo stat::number_of_executed_units: 7 >&2; echo x > failed/slow-unit-1; echo x > failed/z; exit 77",
        );
        assert_eq!(broken.executions, Some(7));
        assert_eq!(broken.failure.map(|failure| failure.input), Some(paths.work.join("failed/z")));
        let endless = fuzzer("trap 'exit 72' TERM; while :; do :; done");
        assert!(endless.failure.is_none());
        assert!(endless.processor_time >= Duration::from_millis(300));
    }

    #[test]
    fn a_fuzzer_that_does_not_listen_is_killed() {
        let mut deaf =
            Command::new("sh").args(["-c", "trap '' TERM INT; while :; do :; done"]).spawn().expect("a shell");
        let (status, _) = watch(&mut deaf, Duration::ZERO, Duration::from_millis(300)).expect("it ends");
        assert_eq!(status.code(), None, "{status}");
    }

    #[test]
    fn an_outcome_reads_like_a_line_of_a_table() {
        let outcome = Outcome {
            processor_time: Duration::from_secs(600),
            executions: Some(12_345_678),
            edges: None,
            failure: None,
        };
        let line = "   600 s of processor,      12,345,678 executions,      ? edges, no failure";
        assert_eq!(outcome.to_string(), line);
    }
}
