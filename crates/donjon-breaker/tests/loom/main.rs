//! What must hold in every interleaving: a result counts in the epoch in which its call was let in and in no other, the
//! circuit opens once, and the number of probes is bounded.
//!
//! The files of the circuit are compiled in here with loom's primitives, which `--cfg donjon_loom` chooses:
//! `RUSTFLAGS="--cfg donjon_loom" cargo test --profile loom -p donjon-breaker --test loom`.

#![cfg(donjon_loom)]
#![allow(dead_code, unreachable_pub, reason = "parts of a library: the models do not need all of it")]

#[path = "../../src/circuit.rs"]
mod circuit;
#[path = "../../src/gate.rs"]
mod gate;
#[path = "../../src/settings.rs"]
mod settings;
#[path = "../../src/sync.rs"]
mod sync;
#[path = "../../src/tally.rs"]
mod tally;
#[path = "../../src/throttle.rs"]
mod throttle;
#[path = "../../src/trip.rs"]
mod trip;
#[path = "../../src/window.rs"]
mod window;
#[path = "../../src/word.rs"]
mod word;

use std::{sync::Arc, time::Duration};

use donjon_core::Ratio;
use loom::thread;
use tokio::time::Instant;

use crate::{
    circuit::{Circuit, Ticket},
    gate::{Command, Verdict},
    settings::Settings,
    tally::Tally,
    trip::{Trip, Window},
    word::Kind,
};

const FAILURE: Verdict = Verdict::Failure { retry_after: None };
const HOUR: Duration = Duration::from_secs(3600);

fn circuit(trip: Trip, probes: u32) -> Arc<Circuit> {
    let settings = Settings { probes, ..Settings::new() };
    Arc::new(Circuit::new(Tally::new(trip.0), settings, Some(1)))
}

fn spawn<T: 'static>(circuit: &Arc<Circuit>, run: impl FnOnce(&Circuit) -> T + 'static) -> thread::JoinHandle<T> {
    let circuit = Arc::clone(circuit);
    thread::spawn(move || run(&circuit))
}

/// Lets a call through, which ends like this.
fn call(circuit: &Circuit, verdict: Verdict, now: Instant) -> bool {
    match circuit.admit(|| now) {
        Ok(ticket) => {
            circuit.finish(ticket, verdict, None, || now);
            true
        }
        Err(_) => false,
    }
}

/// Open, and its time is over: the next call probes.
fn about_to_probe(probes: u32) -> (Arc<Circuit>, Instant) {
    let circuit = circuit(Trip::consecutive(1), probes);
    let now = Instant::now();
    assert!(call(&circuit, FAILURE, now));
    assert_eq!(circuit.kind(), Kind::Open);
    (circuit, now + HOUR)
}

#[test]
fn failures_that_race_open_it_once_and_none_is_lost() {
    loom::model(|| {
        let circuit = circuit(Trip::consecutive(2), 1);
        let now = Instant::now();
        let threads = [(); 2].map(|()| spawn(&circuit, move |circuit| call(circuit, FAILURE, now)));
        let admitted = threads.map(|thread| thread.join().expect("no panic"));
        assert_eq!(admitted, [true, true], "it opens with the second");
        assert_eq!(circuit.kind(), Kind::Open);
        assert_eq!(circuit.figures(|| now).counters.opened, 1);
    });
}

#[test]
fn the_furthest_retry_after_counts_whichever_failure_opens_it() {
    for seconds in [[60, 90], [90, 60]] {
        loom::model(move || {
            let circuit = circuit(Trip::consecutive(2), 1);
            let now = Instant::now();
            let tickets = [(); 2].map(|()| circuit.admit(|| now).expect("closed"));
            let threads = [0, 1].map(|at| {
                let hinted = Verdict::Failure { retry_after: Some(Duration::from_secs(seconds[at])) };
                spawn(&circuit, move |circuit| circuit.finish(tickets[at], hinted, None, || now))
            });
            for thread in threads {
                thread.join().expect("no panic");
            }
            let Err(refused) = circuit.admit(|| now) else { panic!("it is open") };
            let left = refused.0.expect("it knows when");
            assert!(left >= Duration::from_secs(90) && left <= Duration::from_secs(108), "{left:?}");
        });
    }
}

#[test]
fn a_late_retry_after_extends_the_opening_that_it_finds_and_no_other() {
    loom::model(|| {
        let circuit = circuit(Trip::consecutive(1), 1);
        let now = Instant::now();
        let [ticket, late] = [(); 2].map(|()| circuit.admit(|| now).expect("closed"));
        circuit.finish(ticket, FAILURE, None, || now);
        let hinted = Verdict::Failure { retry_after: Some(Duration::from_secs(60)) };
        let late = spawn(&circuit, move |circuit| circuit.finish(late, hinted, None, || now));
        circuit.command(Command::Reset);
        late.join().expect("no panic");
        assert!(call(&circuit, FAILURE, now), "it is closed");
        let Err(refused) = circuit.admit(|| now) else { panic!("it is open") };
        let left = refused.0.expect("it knows when");
        assert!(left <= Duration::from_secs(6), "{left:?}");
    });
}

#[test]
fn a_late_result_changes_nothing_even_in_a_race() {
    loom::model(|| {
        let circuit = circuit(Trip::consecutive(2), 1);
        let now = Instant::now();
        let ticket = circuit.admit(|| now).expect("closed");
        let late = spawn(&circuit, move |circuit| circuit.finish(ticket, FAILURE, None, || now));
        circuit.command(Command::Reset);
        // One more failure: together with a late one that counted they would be two.
        assert!(call(&circuit, FAILURE, now));
        late.join().expect("no panic");
        assert_eq!(circuit.kind(), Kind::Closed);
        assert_eq!(circuit.figures(|| now).score, 1, "{:?}", circuit.counts);
    });
}

#[test]
fn no_more_probes_are_out_than_may_be() {
    loom::model(|| {
        let (circuit, now) = about_to_probe(1);
        let threads = [(); 2].map(|()| spawn(&circuit, move |circuit| circuit.admit(|| now)));
        let admitted = threads.map(|thread| thread.join().expect("no panic"));
        assert_eq!(admitted.iter().filter(|it| matches!(it, Ok(Ticket::Probe { .. }))).count(), 1);
    });
}

#[test]
fn whatever_becomes_of_a_probe_the_next_call_has_a_chance() {
    for verdict in [Verdict::Nothing, Verdict::Dropped, Verdict::Success, FAILURE] {
        loom::model(move || {
            let (circuit, now) = about_to_probe(1);
            let threads = [(); 2].map(|()| spawn(&circuit, move |circuit| call(circuit, verdict, now)));
            let admitted = threads.map(|thread| thread.join().expect("no panic"));
            assert!(admitted.contains(&true));
            let later = now + HOUR;
            assert!(call(&circuit, Verdict::Success, later));
            assert_eq!(circuit.kind(), Kind::Closed);
        });
    }
}

#[test]
fn a_window_of_calls_counts_no_more_and_no_less_than_it_holds() {
    loom::model(|| {
        let never = Trip::failure_rate(Window::calls(2), Ratio::ONE).min_calls(3);
        // The least number of calls is at most what the window holds: a share of all must fail.
        let circuit = circuit(never, 1);
        let now = Instant::now();
        assert!(call(&circuit, Verdict::Success, now));
        let failed = spawn(&circuit, move |circuit| call(circuit, FAILURE, now));
        assert!(call(&circuit, Verdict::Success, now));
        failed.join().expect("no panic");
        let sums = circuit.figures(|| now).sums;
        assert_eq!((sums.calls, sums.failures), (2, 1));
        for _ in 0..2 {
            assert!(call(&circuit, Verdict::Success, now));
        }
        let sums = circuit.figures(|| now).sums;
        assert_eq!((sums.calls, sums.failures), (2, 0), "what has left the window is not counted any more");
    });
}

#[test]
fn a_window_of_calls_takes_nothing_from_another_epoch() {
    loom::model(|| {
        let circuit = circuit(Trip::failure_rate(Window::calls(1), Ratio::ONE), 1);
        let now = Instant::now();
        let ticket = circuit.admit(|| now).expect("closed");
        let late = spawn(&circuit, move |circuit| circuit.finish(ticket, Verdict::Success, None, || now));
        circuit.command(Command::Reset);
        assert!(call(&circuit, Verdict::Success, now));
        late.join().expect("no panic");
        assert!(call(&circuit, Verdict::Success, now));
        let sums = circuit.figures(|| now).sums;
        assert_eq!((sums.calls, sums.failures), (1, 0));
    });
}
