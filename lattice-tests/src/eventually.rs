//! Waiting for a condition: asked again and again until a deadline, which then tells what was seen last.

use std::{
    fmt::Display,
    future::Future,
    time::{Duration, Instant},
};

const INTERVAL: Duration = Duration::from_millis(10);
/// Long enough for a loaded machine; a condition that holds is seen within [`INTERVAL`].
const LIMIT: Duration = Duration::from_secs(20);

/// Asks until there is an answer. `Err` of the question is what was seen.
///
/// # Panics
/// When there is no answer in 20 s; the message has `what` and what was seen last.
pub async fn eventually<T, E: Display, F: Future<Output = Result<T, E>>>(what: &str, ask: impl FnMut() -> F) -> T {
    eventually_within(LIMIT, what, ask).await
}

/// [`eventually`] with a limit that is part of what is tested.
///
/// # Panics
/// When there is no answer within `limit`.
pub async fn eventually_within<T, E: Display, F: Future<Output = Result<T, E>>>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) if started.elapsed() >= limit => panic!("{what}: not within {limit:?}; last seen: {seen}"),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_asks_until_there_is_an_answer() {
        let mut asked = 0;
        let answer = eventually("three", || {
            asked += 1;
            std::future::ready(if asked == 3 { Ok("yes") } else { Err(asked.to_string()) })
        });
        assert_eq!(answer.await, "yes");
    }

    #[tokio::test]
    #[should_panic(expected = "never: not within 0ns; last seen: a cat")]
    async fn it_tells_what_it_saw_last() {
        eventually_within(Duration::ZERO, "never", || std::future::ready(Err::<(), _>("a cat"))).await;
    }
}
