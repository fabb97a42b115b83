//! What must hold in every interleaving: never more is admitted than the rate allows, and no call is charged by terms
//! that are over.
//!
//! The files of the bucket are compiled in here with loom's primitives, which `--cfg donjon_loom` chooses:
//! `RUSTFLAGS="--cfg donjon_loom" cargo test --profile loom -p donjon-rate-limit --test loom`.

#![cfg(donjon_loom)]
#![allow(dead_code, unreachable_pub, reason = "parts of a library: the models do not need all of it")]

#[path = "../../src/cell.rs"]
mod cell;
#[path = "../../src/gcra.rs"]
mod gcra;
#[path = "../../src/rate.rs"]
mod rate;
#[path = "../../src/sync.rs"]
mod sync;

use loom::{sync::Arc, thread};

use crate::{cell::Cell, gcra::Turn, rate::Rate};

const SECOND: u64 = 1_000_000_000;

/// Takes one token at this time, if there is one.
fn take(cell: &Cell, nanos: u64) -> bool {
    loop {
        let view = cell.read(nanos);
        match view.terms.turn(view.word.full_at(), view.now, 1) {
            Turn::Now { full_at } => {
                if cell.replace(&view, full_at) {
                    return true;
                }
            }
            Turn::Later { .. } | Turn::Never => {
                if cell.holds(&view) {
                    return false;
                }
            }
        }
    }
}

/// Two takers of the last token: one gets it.
#[test]
fn a_token_is_given_once() {
    loom::model(|| {
        let cell = Arc::new(Cell::new(Rate::per_second(1)));
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || take(&other, 0));
        let mine = take(&cell, 0);
        let others = thread.join().expect("no panic");
        assert!(mine != others, "one of the two, and not none");
        assert!(!take(&cell, SECOND - 1));
        assert!(take(&cell, SECOND));
    });
}

/// A taker while the terms change: what it has taken is missing afterwards, in the terms that hold then.
#[test]
fn a_change_of_terms_loses_no_token_and_makes_none() {
    loom::model(|| {
        let cell = Arc::new(Cell::new(Rate::per_second(2)));
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || take(&other, 0));
        cell.change(0, Some(Rate::per_hour(3)));
        let taken = thread.join().expect("no panic");
        assert!(taken, "there was one under either terms");
        let left = (0..5).filter(|_| take(&cell, 0)).count();
        assert_eq!(left, 2, "of three, one was missing");
        assert!(!take(&cell, 1199 * SECOND));
        assert!(take(&cell, 1200 * SECOND));
    });
}

/// One refuses everything while another one takes, on a base that is too old for both: the taker is admitted before that, or not at all.
#[test]
fn nobody_is_admitted_after_a_rate_of_nought() {
    loom::model(|| {
        let cell = Arc::new(Cell::new(Rate::per_second(1)));
        let other = Arc::clone(&cell);
        // So late that the base is moved first, by whoever sees it.
        let later = 3 * 365 * 86_400 * SECOND;
        let thread = thread::spawn(move || take(&other, later));
        cell.change(later, Some(Rate::per_second(0)));
        assert!(!take(&cell, later));
        thread.join().expect("no panic");
        assert!(!take(&cell, later + SECOND));
    });
}

/// When the next turn is, given now; nobody gets one while everything is refused.
fn wait(cell: &Cell, nanos: u64) -> Option<u64> {
    loop {
        let view = cell.read(nanos);
        match view.terms.turn(view.word.full_at(), view.now, 1) {
            Turn::Now { .. } => panic!("the bucket is empty"),
            Turn::Later { full_at, at } => {
                if cell.replace(&view, full_at) {
                    return Some(view.nanos_of(at));
                }
            }
            Turn::Never => {
                if cell.holds(&view) {
                    return None;
                }
            }
        }
    }
}

/// One waits before a pause, in it or after it: whoever comes then is behind it.
#[test]
fn a_turn_outlasts_a_pause() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let cell = Arc::new(Cell::new(Rate::per_second(1)));
        assert!(take(&cell, 0));
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || wait(&other, 0));
        cell.change(0, Some(Rate::per_second(0)));
        cell.change(0, Some(Rate::per_second(1)));
        let turns = thread.join().expect("no panic").map_or(0, |at| at / SECOND);
        assert!(turns <= 1);
        assert_eq!(wait(&cell, 0), Some((turns + 1) * SECOND));
    });
}
