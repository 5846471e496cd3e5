//! Waits with the standard library, and computes enough to be looked at by the host's clock.
//!! stdout: 6857\n
use std::{thread, time::{Duration, Instant}};

fn main() {
    let began = Instant::now();
    thread::sleep(Duration::from_millis(20));
    assert!(began.elapsed() >= Duration::from_millis(20));
    let (mut number, mut factor) = (600_851_475_143u64, 2);
    while number > 1 {
        if number % factor == 0 { number /= factor } else { factor += 1 }
    }
    println!("{factor}");
}
