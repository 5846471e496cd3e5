//! Waiting for a condition, with a deadline and with what was seen last.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

const INTERVAL: Duration = Duration::from_millis(20);

/// Asks until there is an answer; `Err` of the question is what was seen, and is told when time runs out.
pub(super) fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<T, String>) -> Result<T> {
    let started = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(seen) if started.elapsed() >= limit => {
                bail!("{what}: not within {:.0} s; last seen: {seen}", limit.as_secs_f64())
            }
            Err(_) => thread::sleep(INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_again_and_tells_what_it_saw_last() {
        let mut asked = 0;
        let mut count = || {
            asked += 1;
            if asked == 3 { Ok(asked) } else { Err(format!("{asked}")) }
        };
        assert_eq!(until("three", Duration::from_secs(5), &mut count).expect("the third time"), 3);

        let error = until("never", Duration::ZERO, || Err::<(), _>("nothing".to_owned())).expect_err("no answer");
        assert_eq!(error.to_string(), "never: not within 0 s; last seen: nothing");
    }
}
