//! Samples and how they are taken: contenders in turns, the first of each round changing.
//!
//! Knows nothing of what is measured. Invariant: sample number n of every contender was taken in the same round, so
//! ratios are formed round by round.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::BoxFuture;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Samples of each contender.
    pub samples: u32,
    /// Time for all samples of all contenders of a group.
    pub time: Duration,
}

/// Shortest useful sample of a rate.
const SHORTEST: Duration = Duration::from_millis(50);

impl Plan {
    /// Time of one sample when there are so many contenders. One round more is for warming up.
    pub fn slice(self, contenders: usize) -> Duration {
        let samples = (self.samples + 1).saturating_mul(u32::try_from(contenders).unwrap_or(u32::MAX));
        (self.time / samples.max(1)).max(SHORTEST)
    }
}

/// Values of one figure, in the order they were taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        }
    }

    /// The lowest.
    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::min)
    }

    /// The highest.
    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::max)
    }

    /// Ours over theirs, round by round.
    pub fn ratios(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect())
    }
}

/// Takes one sample that lasts about as long as it is told.
pub type Sampler = Box<dyn FnMut(Duration) -> BoxFuture<'static, Result<f64>> + Send>;

/// Something that is measured.
pub struct Contender {
    /// Its name in the report.
    pub name: &'static str,
    /// How it is measured.
    pub sample: Sampler,
}

impl Contender {
    /// A contender from an async closure without borrows.
    pub fn new<F>(name: &'static str, mut sample: impl FnMut(Duration) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<f64>> + Send + 'static,
    {
        Self { name, sample: Box::new(move |slice| Box::pin(sample(slice))) }
    }
}

/// Samples all contenders in turns, after one round that is thrown away. The result has their order.
pub async fn in_turns(plan: Plan, contenders: &mut [Contender]) -> Result<Vec<Samples>> {
    let slice = plan.slice(contenders.len());
    let mut taken = vec![Vec::new(); contenders.len()];
    for round in 0..=plan.samples as usize {
        for turn in 0..contenders.len() {
            let index = (round + turn) % contenders.len();
            let contender = &mut contenders[index];
            let value = (contender.sample)(slice).await.with_context(|| format!("measuring {}", contender.name))?;
            if round > 0 {
                taken[index].push(value);
            }
        }
    }
    Ok(taken.into_iter().map(Samples).collect())
}

/// Calls one after the other for `slice`: seconds for each, on average.
pub async fn seconds_per_call<F: Future<Output = Result<()>>>(
    slice: Duration,
    mut call: impl FnMut() -> F,
) -> Result<f64> {
    let started = Instant::now();
    let mut calls = 0_u32;
    loop {
        // Looking at the clock costs as much as a part of the shortest call.
        for _ in 0..16 {
            call().await?;
        }
        calls += 16;
        let elapsed = started.elapsed();
        if elapsed >= slice {
            return Ok(elapsed.as_secs_f64() / f64::from(calls));
        }
    }
}

/// Calls one after the other for `slice`: the median of their times in seconds.
pub async fn median_seconds<F: Future<Output = Result<()>>>(
    slice: Duration,
    mut call: impl FnMut() -> F,
) -> Result<f64> {
    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed() < slice {
        let call_started = Instant::now();
        call().await?;
        times.push(call_started.elapsed().as_secs_f64());
    }
    Ok(Samples(times).median())
}

/// Keeps `in_flight` calls going for `slice`: how many ended in a second.
pub async fn calls_per_second<F>(
    slice: Duration,
    in_flight: usize,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> Result<f64>
where
    F: Future<Output = Result<()>> + Send,
{
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..in_flight {
        let call = call.clone();
        tasks.spawn(async move {
            let mut calls = 0_u32;
            while started.elapsed() < slice {
                call().await?;
                calls += 1;
            }
            anyhow::Ok(calls)
        });
    }
    let mut calls = 0;
    while let Some(ended) = tasks.join_next().await {
        calls += ended.context("a task of the load ended early")??;
    }
    Ok(f64::from(calls) / started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_ratios_are_of_the_same_round() {
        assert_eq!(Samples(vec![5.0, 1.0, 3.0]).median(), 3.0);
        assert_eq!(Samples(vec![5.0, 1.0, 3.0, 2.0]).median(), 2.5);
        let (ours, theirs) = (Samples(vec![2.0, 20.0]), Samples(vec![1.0, 10.0]));
        assert_eq!(ours.ratios(&theirs), Samples(vec![2.0, 2.0]));
        assert_eq!((ours.min(), ours.max()), (2.0, 20.0));
    }

    #[tokio::test]
    async fn contenders_take_turns_and_the_first_round_does_not_count() {
        let order = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let contender = |name: &'static str| {
            let order = order.clone();
            let mut round = 0.0;
            Contender::new(name, move |_| {
                order.lock().expect("no panic while it was held").push_str(name);
                round += 1.0;
                std::future::ready(Ok(round))
            })
        };
        let plan = Plan { samples: 2, time: Duration::from_secs(1) };
        let samples = in_turns(plan, &mut [contender("a"), contender("b")]).await.expect("samples");
        assert_eq!(samples, [Samples(vec![2.0, 3.0]), Samples(vec![2.0, 3.0])]);
        assert_eq!(*order.lock().expect("no panic while it was held"), "abbaab");
    }
}
