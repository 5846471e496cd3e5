//! The signals that end a program in the foreground.
//!
//! Invariant: a signal that was ignored when this program began stays ignored, as those who used `nohup` or `trap ''` want it.

use std::{fs, future::Future, io, pin::Pin};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the first signal to end: interrupt, terminate, hang up, each unless it was ignored at the start.
///
/// # Errors
/// The system does not let us listen for them.
pub fn until_signal() -> io::Result<impl Future<Output = ()>> {
    let ignored = ignored();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut heard = FuturesUnordered::<Pin<Box<dyn Future<Output = ()> + Send>>>::new();
    for kind in kinds.into_iter().filter(|kind| !is_in(ignored, kind.as_raw_value())) {
        let mut signal = signal(kind)?;
        heard.push(Box::pin(async move {
            signal.recv().await;
        }));
    }
    Ok(async move {
        if heard.next().await.is_none() {
            std::future::pending::<()>().await; // all are ignored: something else ends this program
        }
    })
}

/// The set of ignored signals of this process, as Linux tells it; elsewhere none is known to be.
fn ignored() -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| mask(&status)).unwrap_or_default()
}

fn mask(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Signals are numbered from one, bits from zero.
fn is_in(mask: u64, signal: i32) -> bool {
    u32::try_from(signal - 1).is_ok_and(|bit| mask.checked_shr(bit).is_some_and(|rest| rest & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\twash\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\nSigCgt:\t0\n";
        let mask = mask(status).expect("a mask");
        assert!(is_in(mask, 1) && is_in(mask, 2) && is_in(mask, 13));
        assert!(!is_in(mask, 15) && !is_in(mask, 64) && !is_in(mask, 0));
        assert_eq!(super::mask("Name:\twash\n"), None);
    }
}
