//! The feed path under virtual time: a simulated exchange and network, and between them the real sessions, back-off,
//! arbitration, ingest, books and rings, with faults that a seed decides.
//!
//! One seed is one run, whatever machine it runs on. A failing one is printed with the command that replays it.
//!
//! * `TICKLANE_SIM_SEEDS`: how many seeds to run, 1,000 by default.
//! * `TICKLANE_SIM_SEED`: the only seed to run, with everything that happens in it.

mod books;
#[path = "../common/mod.rs"]
mod common;
mod exchange;
mod lane;
mod reader;
mod schedule;
mod story;
mod tcp;
mod trust;
mod udp;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of an ordinary run of all tests; CI asks for more.
const SEEDS: u64 = 1_000;
/// Failures after which no further seed is begun.
const FAILURES_MAX: usize = 5;

thread_local! {
    static PANICKED: RefCell<String> = const { RefCell::new(String::new()) };
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} = {text:?}: expected a number")))
}

fn run(seed: u64, verbose: bool) -> u64 {
    match seed % 2 {
        0 => tcp::run(seed, verbose),
        _ => udp::run(seed, verbose),
    }
}

/// Runs a seed. The error is what went wrong.
fn outcome(seed: u64) -> Result<u64, String> {
    catch_unwind(AssertUnwindSafe(|| run(seed, false))).map_err(|_| PANICKED.with(RefCell::take))
}

fn keep_panics() {
    set_hook(Box::new(|info| PANICKED.with(|said| *said.borrow_mut() = info.to_string())));
}

#[test]
fn every_seed_is_safe_and_live() {
    if let Some(seed) = number("TICKLANE_SIM_SEED") {
        run(seed, true);
        return;
    }
    let count = number("TICKLANE_SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    keep_panics();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failures.lock().expect("never poisoned").len() < FAILURES_MAX {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        return;
                    }
                    if let Err(why) = outcome(seed) {
                        failures.lock().expect("never poisoned").push((seed, why));
                    }
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let mut failures = failures.into_inner().expect("never poisoned");
    failures.sort_unstable();
    for (seed, why) in &failures {
        println!("seed {seed}: {why}");
        println!("  TICKLANE_SIM_SEED={seed} cargo test -p ticklane-market --test simulation -- --nocapture");
    }
    assert!(failures.is_empty(), "{} of {} seeds failed", failures.len(), next.into_inner().min(count));
}

#[test]
fn a_seed_is_one_run() {
    if number("TICKLANE_SIM_SEED").is_some() {
        return;
    }
    for seed in 0..20 {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}
