//! The simulator of "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015; aws-samples/aws-arch-backoff-simulator):
//! clients that write one row under optimistic concurrency control, over a network of N(10, 2) ms a message. A client
//! reads the version, writes with it, and on a conflict backs off and begins again. Counted are the writes, and the time
//! until the last client has written.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use donjon_budget::{Backoff, Entropy, Step};

#[derive(Clone, Copy, Default)]
struct Client {
    attempt: u32,
    version: u64,
    began: u64,
    previous: Duration,
    failed_before: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Message {
    Read,
    Version(u64),
    Write,
    Written(bool),
}

/// Who knows of whom: all clients share a layer, or each has its own.
#[derive(Clone, Copy)]
enum Layers {
    One,
    OneEach,
}

/// Writes and nanoseconds until all are done.
fn run(clients: usize, backoff: &Backoff, layers: Layers, seed: u64) -> (u64, u64) {
    let entropy = Entropy::seeded(seed);
    let network = || {
        // Box and Muller; never less than nothing.
        let uniform = || (entropy.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let normal = (-2.0 * (1.0 - uniform()).ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
        ((10.0 + 2.0 * normal).max(0.0) * 1e6) as u64
    };
    let mut states = vec![Client::default(); clients];
    let mut queue: BinaryHeap<_> = (0..clients).map(|client| Reverse((network(), client, Message::Read))).collect();
    let (mut row, mut writes, mut retrying, mut now) = (0, 0, 0_u32, 0);
    while let Some(Reverse((at, client, message))) = queue.pop() {
        now = at;
        let state = &mut states[client];
        let (delay, next) = match message {
            Message::Read => (network(), Message::Version(row)),
            Message::Version(version) => {
                state.version = version;
                (network(), Message::Write)
            }
            Message::Write => {
                writes += 1;
                let success = state.version == row;
                row += u64::from(success);
                (network(), Message::Written(success))
            }
            Message::Written(true) => {
                retrying -= u32::from(state.failed_before);
                continue;
            }
            Message::Written(false) => {
                retrying += u32::from(!state.failed_before);
                state.failed_before = true;
                state.attempt += 1;
                let step = Step::new(state.attempt)
                    .previous(state.previous)
                    .rtt(Duration::from_nanos(at - state.began))
                    .retrying(match layers {
                        Layers::One => retrying,
                        Layers::OneEach => 1,
                    });
                state.previous = backoff.delay(&step, entropy.next_u64());
                let wait = u64::try_from(state.previous.as_nanos()).expect("under 584 years");
                state.began = at + wait;
                (wait + network(), Message::Read)
            }
        };
        queue.push(Reverse((at + delay, client, next)));
    }
    (writes, now)
}

/// Mean writes and seconds over so many seeds.
fn mean(clients: usize, backoff: &Backoff) -> (f64, f64) {
    mean_of(clients, backoff, Layers::One)
}

fn mean_of(clients: usize, backoff: &Backoff, layers: Layers) -> (f64, f64) {
    const SEEDS: u64 = 24;
    let (writes, nanos) =
        (0..SEEDS).map(|seed| run(clients, backoff, layers, seed)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    (writes as f64 / SEEDS as f64, nanos as f64 / SEEDS as f64 / 1e9)
}

/// Base 5 ms, cap 2 s, as published; the simulator's first wait is up to twice its base.
fn full_jitter() -> Backoff {
    Backoff::exponential(Duration::from_millis(10), Duration::from_secs(2))
}

#[test]
fn full_jitter_reproduces_the_published_figures() {
    // Published, as reproduced elsewhere: 796 calls, 4.8 s.
    let (writes, seconds) = mean(100, &full_jitter());
    assert!((770.0..830.0).contains(&writes), "{writes}");
    assert!((4.6..5.2).contains(&seconds), "{seconds}");
}

#[test]
fn rtt_scaled_backoff_beats_full_jitter_where_many_contend() {
    let (writes, seconds) = mean(100, &Backoff::rtt_scaled());
    assert!(writes <= 560.0 && seconds <= 4.4, "{writes} {seconds}");
    for clients in [50, 200] {
        let (full, scaled) = (mean(clients, &full_jitter()), mean(clients, &Backoff::rtt_scaled()));
        assert!(scaled.0 <= 0.75 * full.0 && scaled.1 <= full.1, "{clients} clients: {scaled:?}, full jitter {full:?}");
    }
    // The price, where there is hardly any contention: each waits longer than it would have to.
    let (full, scaled) = (mean(2, &full_jitter()), mean(2, &Backoff::rtt_scaled()));
    assert!(scaled.1 < 2.2 * full.1, "{scaled:?}, full jitter {full:?}");
}

#[test]
fn rtt_shared_backoff_beats_full_jitter_in_calls_and_time_however_many_contend() {
    let (writes, seconds) = mean(100, &Backoff::rtt_shared());
    assert!(writes <= 560.0 && seconds <= 4.4, "{writes} {seconds}");
    for clients in [10, 20, 50, 100, 200] {
        let (full, shared) = (mean(clients, &full_jitter()), mean(clients, &Backoff::rtt_shared()));
        assert!(shared.0 <= 0.75 * full.0 && shared.1 <= full.1, "{clients} clients: {shared:?}, full jitter {full:?}");
    }
    let (full, shared) = (mean(2, &full_jitter()), mean(2, &Backoff::rtt_shared()));
    assert!(shared.1 < 1.1 * full.1, "{shared:?}, full jitter {full:?}");
}

/// Each caller has a layer of its own: what the places in the queue would do together, the jitter has to do alone.
#[test]
fn rtt_shared_backoff_is_as_good_as_full_jitter_where_nothing_is_shared() {
    for clients in [10, 100, 200] {
        let full = mean(clients, &full_jitter());
        let shared = mean_of(clients, &Backoff::rtt_shared(), Layers::OneEach);
        assert!(shared.0 <= 1.08 * full.0 && shared.1 <= full.1, "{clients} clients: {shared:?}, full jitter {full:?}");
    }
}
