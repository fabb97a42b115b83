//! The figures of the score: exact, from the Markov chain that its transition function makes of calls that fail
//! independently; and again over seeds.

use super::*;
use crate::trip::Trip;

fn score() -> Score {
    let Rule::Score(score) = Trip::score().0 else { panic!("it is one") };
    score
}

/// The share of failures in a spell of good health before.
const HEALTHY: f64 = 0.01;

/// The scores of a circuit that is as new, by probability.
fn as_new(score: &Score) -> Vec<f64> {
    let mut scores = vec![0.0; score.opens_at as usize];
    scores[0] = 1.0;
    scores
}

/// One call more: what the scores were, to what they are, by probability. Those that open are gone.
fn call(score: &Score, before: &[f64], failing: f64) -> Vec<f64> {
    let mut after = vec![0.0; before.len()];
    for (at, &probability) in before.iter().enumerate() {
        for (failure, share) in [(true, failing), (false, 1.0 - failing)] {
            let next = score.next(at as u64, failure) as usize;
            if next < after.len() {
                after[next] += probability * share;
            }
        }
    }
    after
}

/// The median of the number of calls until it opens, from these scores on.
fn median(score: &Score, mut scores: Vec<f64>, failing: f64) -> u32 {
    let mut calls = 0;
    while scores.iter().sum::<f64>() > 0.5 {
        scores = call(score, &scores, failing);
        calls += 1;
    }
    calls
}

#[test]
fn the_median_of_calls_until_it_opens_from_a_score_of_0() {
    let score = score();
    let medians = [1.0, 0.5, 0.3, 0.2].map(|failing| median(&score, as_new(&score), failing));
    assert_eq!(medians, [7, 17, 42, 152]);
}

#[test]
fn a_healthy_spell_before_changes_no_median() {
    let score = score();
    let healthy = (0..1000).fold(as_new(&score), |scores, _| call(&score, &scores, HEALTHY));
    let medians = [1.0, 0.5, 0.3, 0.2].map(|failing| median(&score, healthy.clone(), failing));
    assert_eq!(medians, [7, 17, 42, 152]);
}

/// The share of calls that open it, in the stationary state: whenever it has opened it begins anew.
fn openings(score: &Score, failing: f64) -> f64 {
    let mut scores = as_new(score);
    let mut opened = 0.0;
    for _ in 0..2000 {
        scores = call(score, &scores, failing);
        opened = 1.0 - scores.iter().sum::<f64>();
        scores[0] += opened;
    }
    opened
}

#[test]
fn false_openings_in_ten_million_calls_in_the_stationary_state() {
    for (failing, exact) in [(0.04, 0.0999), (0.05, 0.663), (0.06, 3.19)] {
        let openings = 1e7 * openings(&score(), failing);
        assert!((openings / exact - 1.0).abs() < 0.01, "{openings} where {failing} fail");
        // The mean time until the first one says the same.
        let mean = 1e7 / calls_until_open(&score(), failing);
        assert!((openings / mean - 1.0).abs() < 1e-3, "{openings}, and {mean}");
    }
}

#[test]
fn a_failure_is_the_first_when_none_before_counts_beside_it() {
    use crate::{trip::Window, word::Kind};

    let half = donjon_core::Ratio::new(0.5).expect("0.5 is from 0 to 1");
    let rate = |window| Trip::failure_rate(window, half).min_calls(100);
    for trip in [Trip::score(), Trip::consecutive(9), rate(Window::calls(9)), rate(Window::time(Duration::MAX))] {
        let (tally, word) = (Tally::new(trip.0), AtomicU64::new(Word::new(Kind::Closed, 0).0));
        let firsts = [false, true, true, false].map(|failure| {
            let tallied = tally.record(&word, 0, failure, None, || Duration::ZERO);
            matches!(tallied, Tallied::Counted { first: true, trips: false })
        });
        assert_eq!(firsts, [false, true, false, false], "{trip:?}");
    }
}

#[test]
fn requests_until_it_opens_over_seeds() {
    let score = score();
    for (failing, at_most) in [(1.0, 7), (0.5, 20), (0.3, 50)] {
        let mut counts: Vec<u32> = (0..1001)
            .map(|seed| {
                let mut random = fastrand::Rng::with_seed(seed);
                let mut now = 0;
                for _ in 0..200 {
                    now = score.next(now, random.f64() < HEALTHY);
                }
                (1..)
                    .find(|_| {
                        now = score.next(now, random.f64() < failing);
                        now >= score.opens_at.into()
                    })
                    .expect("it opens some time")
            })
            .collect();
        counts.sort_unstable();
        assert!(counts[500] <= at_most, "{failing}: {}", counts[500]);
    }
}

/// How many calls it takes on the average until it opens falsely, from a score of 0.
fn calls_until_open(score: &Score, failing: f64) -> f64 {
    // expected(i) = 1 + failing * expected(i up) + (1 - failing) * expected(i down), where opened is 0: by elimination.
    let size = score.opens_at as usize;
    let mut rows: Vec<Vec<f64>> = (0..size)
        .map(|at| {
            let mut row = vec![0.0; size + 1];
            row[at] += 1.0;
            row[size] = 1.0;
            for (failure, share) in [(true, failing), (false, 1.0 - failing)] {
                let next = score.next(at as u64, failure) as usize;
                if next < size {
                    row[next] -= share;
                }
            }
            row
        })
        .collect();
    for pivot in 0..size {
        let own = rows[pivot].clone();
        for (at, row) in rows.iter_mut().enumerate() {
            if at != pivot {
                let factor = row[pivot] / own[pivot];
                row.iter_mut().zip(&own).for_each(|(cell, own)| *cell -= factor * own);
            }
        }
    }
    rows[0][size] / rows[0][0]
}

#[test]
fn it_opens_falsely_less_than_once_in_ten_million_calls_at_5_percent() {
    assert!(openings(&score(), 0.05) < 1e-7);
    // And a lower threshold would do so more often than that.
    let lower = 1e7 / calls_until_open(&Score { opens_at: 22, ..score() }, 0.05);
    assert!(lower > 5.0, "{lower}");
}

#[test]
fn failures_in_a_row_are_counted_and_a_success_ends_them() {
    let Rule::Score(row) = Trip::consecutive(3).0 else { panic!("it is one") };
    let mut now = 0;
    let scores = [true, true, false, true, true, true, true].map(|failure| {
        now = row.next(now, failure);
        now
    });
    assert_eq!(scores, [1, 2, 0, 1, 2, 3, 3]);
}
