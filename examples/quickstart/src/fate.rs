//! What becomes of one call that reaches the upstream.

use std::time::Duration;

use crate::seed::{self, Stream};

/// How the upstream answers one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// After how long.
    pub(crate) latency: Duration,
    /// With what.
    pub(crate) reply: Reply,
}

/// With what the upstream answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// 200 and the whole body.
    Good,
    /// 500.
    Error,
    /// 503 with `Retry-After: 1`.
    Unavailable,
    /// 200, and half of the body that the head promises; then the connection ends.
    Truncated,
}

/// The source of fates: each call that reaches the upstream has a draw of its own, independent of all others.
///
/// The draw belongs to the id of the call and to how often the upstream has seen that id, not to the order in which
/// calls happen to arrive. So both ways meet the same fates on their first attempts, and a run can be repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fates {
    pub(crate) seed: u64,
    /// The share of bad replies, 0 to 1: a third each of the three kinds.
    pub(crate) fail_rate: f64,
}

impl Fates {
    /// The fate of the `nth` time (from 0) that the call `id` is seen.
    pub(crate) fn of(&self, id: u64, nth: u32) -> Fate {
        let mut rng = seed::rng_of(self.seed, Stream::Fates, id.rotate_left(16) ^ u64::from(nth));
        let reply = if rng.f64() < self.fail_rate {
            match rng.u8(0..3) {
                0 => Reply::Error,
                1 => Reply::Unavailable,
                _ => Reply::Truncated,
            }
        } else {
            Reply::Good
        };
        // 2 ms in the median, one in a hundred 50 ms. A timer ends at a whole millisecond, half a millisecond late on
        // average, which the range anticipates.
        let latency =
            if rng.f64() < 0.01 { Duration::from_millis(50) } else { Duration::from_micros(rng.u64(500..2_500)) };
        Fate { latency, reply }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate, Fates, Reply};

    fn bad(fate: Fate) -> bool {
        fate.reply != Reply::Good
    }

    #[test]
    fn the_share_of_bad_replies_is_kept_and_the_kinds_are_even() {
        for seed in 0..20 {
            let fates = Fates { seed, fail_rate: 0.3 };
            let all: Vec<_> = (0..20_000).map(|id| fates.of(id, 0)).collect();
            let share = |f: &dyn Fn(&Fate) -> bool| all.iter().filter(|fate| f(fate)).count() as f64 / 20_000.0;
            // Four standard deviations.
            assert!((share(&|f| bad(*f)) - 0.3).abs() < 0.013, "seed {seed}");
            for reply in [Reply::Error, Reply::Unavailable, Reply::Truncated] {
                assert!((share(&|f| f.reply == reply) - 0.1).abs() < 0.0085, "seed {seed}: {reply:?}");
            }
            assert!((share(&|f| f.latency.as_millis() == 50) - 0.01).abs() < 0.003, "seed {seed}");
        }
    }

    #[test]
    fn attempts_of_one_call_are_independent_of_each_other_and_of_neighbours() {
        let fates = Fates { seed: 3, fail_rate: 0.3 };
        let both = |f: &dyn Fn(u64) -> (Fate, Fate)| {
            (0..40_000).filter(|&id| matches!(f(id), (a, b) if bad(a) && bad(b))).count() as f64 / 40_000.0
        };
        // 0.09 when independent; 0.006 is four standard deviations.
        for nth in 1..4 {
            assert!((both(&|id| (fates.of(id, 0), fates.of(id, nth))) - 0.09).abs() < 0.006, "attempt {nth}");
        }
        assert!((both(&|id| (fates.of(id, 0), fates.of(id + 1, 0))) - 0.09).abs() < 0.006);
        let other = Fates { seed: 4, ..fates };
        assert!((both(&|id| (fates.of(id, 0), other.of(id, 0))) - 0.09).abs() < 0.006);
    }

    #[test]
    fn the_ends_mean_what_they_say() {
        assert!((0..1_000).all(|id| !bad(Fates { seed: 1, fail_rate: 0.0 }.of(id, 0))));
        assert!((0..1_000).all(|id| bad(Fates { seed: 1, fail_rate: 1.0 }.of(id, 0))));
    }
}
