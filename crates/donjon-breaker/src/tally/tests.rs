//! The figures of the score: exact, from the distribution of scores, and again over seeds.

use super::*;
use crate::trip::Trip;

fn score() -> Score {
    let Rule::Score(score) = Trip::score().0 else { panic!("it is one") };
    score
}

/// The share of failures in a spell of good health before.
const HEALTHY: f64 = 0.01;

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

/// The median of the number of calls until it opens, after a healthy spell.
fn median(failing: f64) -> u32 {
    let score = score();
    let mut scores = vec![0.0; score.opens_at as usize];
    scores[0] = 1.0;
    for _ in 0..1000 {
        scores = call(&score, &scores, HEALTHY);
    }
    let mut calls = 0;
    while scores.iter().sum::<f64>() > 0.5 {
        scores = call(&score, &scores, failing);
        calls += 1;
    }
    calls
}

#[test]
fn requests_until_it_opens_after_a_healthy_spell() {
    assert_eq!([1.0, 0.5, 0.3, 0.2].map(median), [7, 17, 42, 152]);
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

/// How many calls it takes on the average until it opens falsely.
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
    let per_ten_million = 1e7 / calls_until_open(&score(), 0.05);
    assert!((0.6..0.72).contains(&per_ten_million), "{per_ten_million}");
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
