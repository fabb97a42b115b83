use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::word::Kind;

const OK: Sample = Sample { failure: false, slow: false, took: Duration::ZERO };
const ERR: Sample = Sample { failure: true, slow: false, took: Duration::ZERO };

fn closed(epoch: u32) -> AtomicU64 {
    AtomicU64::new(Word::new(Kind::Closed, epoch).0)
}

fn rate(failures: u32, calls: u32) -> f32 {
    100.0 * failures as f32 / calls as f32
}

#[test]
fn t8_a_count_window_of_four() {
    let (word, window) = (closed(0), CallWindow::new(4));
    let rates = [ERR, OK, OK, OK, OK].map(|sample| {
        let counts = window.record(&word, 0, sample).expect("not late");
        rate(counts.failures, counts.calls)
    });
    assert_eq!(rates, [100.0, 50.0, 33.333_332, 25.0, 0.0]);
}

/// Two calls of 10 s and three of 100 ms.
fn t8_slow_calls() -> impl Iterator<Item = Sample> {
    let second = Duration::from_secs(1);
    let times = [10 * second, 10 * second, second / 10, second / 10, second / 10];
    times.into_iter().map(move |took| Sample::new(false, Some(took), Some(second)))
}

#[test]
fn t8_slow_calls_in_a_count_window() {
    let (word, window) = (closed(0), CallWindow::new(10));
    let last = t8_slow_calls().map(|sample| window.record(&word, 0, sample).expect("not late")).last().expect("five");
    assert_eq!(window.took(0) / last.calls, Duration::from_millis(4060));
    assert_eq!(rate(last.slow, last.calls), 40.0);
}

#[test]
fn t8_slow_calls_in_a_time_window() {
    let window = TimeWindow::new(Duration::from_secs(5));
    let last = t8_slow_calls().map(|sample| window.record(0, Duration::ZERO, sample)).last().expect("five");
    assert_eq!(last.took / 5, Duration::from_millis(4060));
    assert_eq!((last.slow, last.calls), (2, 5));
}

#[test]
fn t8_a_time_window_of_five_seconds() {
    let window = TimeWindow::new(Duration::from_secs(5));
    let at = Duration::from_secs;
    for _ in 0..3 {
        window.record(0, at(100), OK);
    }
    assert_eq!(window.sums(0, at(104)).calls, 3);
    assert_eq!(window.sums(0, at(105)).calls, 0);
}

#[test]
fn a_window_of_nothing_holds_nothing() {
    let (word, window) = (closed(7), CallWindow::new(0));
    assert_eq!(window.record(&word, 7, ERR), Some(Counts::default()));
    assert_eq!(window.record(&word, 6, ERR), None, "late all the same");
    let window = TimeWindow::new(Duration::from_nanos(9));
    assert_eq!(window.record(0, Duration::from_secs(1), ERR), Sums::default());
}

#[test]
fn an_epoch_finds_nothing_of_another_in_its_windows() {
    let (calls, time) = (CallWindow::new(3), TimeWindow::new(Duration::from_secs(10)));
    for epoch in [0, 1, 2, Word::EPOCHS - 1, 0, 1] {
        let word = closed(epoch);
        // Time goes on only between the epochs that have the same numbers again.
        let now = Duration::from_secs(if epoch == 0 { 1000 } else { 1001 });
        let counts = calls.record(&word, epoch, ERR).expect("not late");
        assert_eq!((counts.calls, counts.failures), (1, 1), "epoch {epoch}");
        assert_eq!(calls.record(&word, epoch.wrapping_sub(1) % Word::EPOCHS, ERR), None);
        time.record(epoch, now, ERR);
        assert_eq!(time.sums(epoch + 1, now).calls, 0);
        // Begins where the slots are used again: clear them with what is no longer wanted.
        for _ in 0..3 {
            calls.record(&word, epoch, OK);
        }
        let word = closed(epoch + 5);
        for _ in 0..3 {
            calls.record(&word, (epoch + 5) % Word::EPOCHS, OK);
        }
    }
}

#[test]
fn a_late_result_in_a_race_does_not_reach_the_buckets_of_a_later_epoch() {
    let window = TimeWindow::new(Duration::from_secs(10));
    let now = Duration::from_secs(77);
    for _ in 0..5 {
        window.record(4, now, ERR);
    }
    // It was not late when it looked, and is now.
    for bucket in 0..10 {
        window.record(3, now + Duration::from_secs(bucket), ERR);
    }
    let sums = window.sums(4, now);
    assert_eq!((sums.calls, sums.failures), (5, 5));
}

#[test]
fn the_numbers_of_steps_may_begin_anew() {
    let window = TimeWindow::new(Duration::from_nanos(10));
    let wraps = u64::from(u32::MAX) - u64::from(TimeWindow::EPOCH_STEPS);
    for nanos in (wraps - 5000..wraps - 4990).chain(wraps - 30..wraps + 30) {
        let sums = window.record(0, Duration::from_nanos(nanos), OK);
        assert!(sums.calls >= 1 && sums.calls <= 10, "{sums:?} at {nanos}");
    }
    // And long after, what is found there is not taken for something new.
    let sums = window.record(0, Duration::from_nanos(wraps + (1 << 31) + 5), OK);
    assert_eq!(sums.calls, 1);
}

#[test]
fn threads_that_race_lose_no_call() {
    let (word, calls) = (closed(0), CallWindow::new(64));
    let time = TimeWindow::new(Duration::from_secs(10));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (word, calls, time) = (&word, &calls, &time);
            scope.spawn(move || {
                for n in 0..1000_u64 {
                    let sample = if (n + thread) % 2 == 0 { ERR } else { OK };
                    calls.record(word, 0, sample).expect("not late");
                    time.record(0, Duration::from_secs(3), sample);
                }
            });
        }
    });
    let slots = calls.slots.iter().map(|slot| slot.load(Relaxed));
    let failures = slots.filter(|slot| slot & CallWindow::FAILURE != 0).count() as u32;
    let counts = Counts::from_data(Word(word.load(Relaxed)).data());
    assert_eq!(counts, Counts { calls: 64, failures, slow: 0 }, "the counts are those of what is in the slots");
    let sums = time.sums(0, Duration::from_secs(3));
    assert_eq!((sums.calls, sums.failures), (4000, 2000));
}

fn sample() -> impl Strategy<Value = Sample> {
    (any::<bool>(), any::<bool>(), 0..5000_u64).prop_map(|(failure, slow, millis)| Sample {
        failure,
        slow,
        took: Duration::from_millis(millis),
    })
}

fn model<'a>(samples: impl Iterator<Item = &'a Sample>) -> Sums {
    samples.fold(Sums::default(), |sums, sample| Sums {
        calls: sums.calls + 1,
        failures: sums.failures + u64::from(sample.failure),
        slow: sums.slow + u64::from(sample.slow),
        took: sums.took + sample.took,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The last so many calls, kept in a queue and counted over and over.
    #[test]
    fn a_count_window_is_as_in_a_plain_model(
        size in 1..20_usize, epochs in prop::collection::vec(prop::collection::vec(sample(), 0..50), 1..5),
    ) {
        let window = CallWindow::new(size as u32);
        for (epoch, samples) in epochs.into_iter().enumerate() {
            let word = closed(epoch as u32);
            let mut last = VecDeque::new();
            for sample in samples {
                last.push_back(sample);
                if last.len() > size {
                    last.pop_front();
                }
                let counts = window.record(&word, epoch as u32, sample).expect("not late");
                let sums = Sums {
                    calls: counts.calls.into(),
                    failures: counts.failures.into(),
                    slow: counts.slow.into(),
                    took: window.took(epoch as u32),
                };
                prop_assert_eq!(sums, model(last.iter()));
            }
        }
    }

    /// Each call with its time, of which those of the last ten steps are counted over and over.
    #[test]
    fn a_time_window_is_as_in_a_plain_model(
        step in 1..2000_u64, calls in prop::collection::vec((sample(), 0..4000_u64, prop::bool::weighted(0.05)), 0..100),
    ) {
        let window = TimeWindow::new(Duration::from_millis(step) * 10);
        let (mut now, mut epoch) = (0, 0);
        let mut all = Vec::new();
        for (sample, later, new_epoch) in calls {
            now += later;
            if new_epoch {
                epoch += 1;
                all.clear();
            }
            all.push((now / step, sample));
            let sums = window.record(epoch, Duration::from_millis(now), sample);
            let within = all.iter().filter(|(at, _)| now / step - at < 10).map(|(_, sample)| sample);
            prop_assert_eq!(sums, model(within));
        }
    }
}
