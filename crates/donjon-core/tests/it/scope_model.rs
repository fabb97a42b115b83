//! Random nestings of scopes beside a plain model, on a clock that only the test moves.

use std::time::Duration;

use donjon_core::{Deadline, Scope};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

/// What one scope asks for, in milliseconds.
#[derive(Clone, Copy, Debug)]
enum Want {
    Nothing,
    Timeout(u64),
    /// After the start of the test.
    At(u64),
    /// A timeout that no instant can say.
    Forever,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    want: Want,
    /// Whether the deadline is read right inside of it, in each round.
    read: bool,
}

/// The clock moves, then the first `depth` scopes are entered one inside of the other.
#[derive(Clone, Debug)]
struct Round {
    advance: u64,
    depth: usize,
    /// Innermost a scope that is derived from the current one, with this timeout.
    derived: Option<u64>,
}

/// The limit of one scope: an instant is in milliseconds after the start.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    Never,
    Open(Option<u64>),
    At(u64),
}

impl Model {
    fn fix(&mut self, now: u64) {
        if let Self::Open(timeout) = *self {
            *self = timeout.map_or(Self::Never, |timeout| Self::At(now + timeout));
        }
    }
}

/// The model of entering scope `depth`: two limits are compared, and so both are fixed.
fn model_enter(models: &mut [Model], depth: usize, now: u64) {
    let compared = models[..=depth].iter().filter(|model| **model != Model::Never).count() > 1;
    if models[depth] != Model::Never && compared {
        models[..=depth].iter_mut().for_each(|model| model.fix(now));
    }
}

/// The model of reading the deadline inside of scope `depth`.
fn model_read(models: &mut [Model], now: u64) -> Option<u64> {
    models.iter_mut().for_each(|model| model.fix(now));
    models.iter().filter_map(|model| if let Model::At(at) = model { Some(*at) } else { None }).min()
}

struct Run<'a> {
    start: Instant,
    now: u64,
    levels: &'a [Level],
    round: &'a Round,
}

impl Run<'_> {
    fn read(&self) -> Option<u64> {
        Deadline::current().instant().map(|at| (at - self.start).as_millis() as u64)
    }

    fn descend(&self, depth: usize, scopes: &mut [Scope], models: &mut [Model]) -> Result<(), TestCaseError> {
        let Some((scope, inner)) = scopes.split_first_mut() else {
            let Some(timeout) = self.round.derived else { return Ok(()) };
            let seen = Scope::current().with_timeout(Duration::from_millis(timeout)).enter(|| self.read());
            let outside = model_read(models, self.now).unwrap_or(u64::MAX);
            prop_assert_eq!(seen, Some(outside.min(self.now + timeout)));
            // Deriving fixes what is around only where there is a limit to compare with, and it was compared above.
            return Ok(());
        };
        model_enter(models, depth, self.now);
        scope.enter(|| {
            if self.levels[depth].read {
                prop_assert_eq!(self.read(), model_read(&mut models[..=depth], self.now));
            }
            self.descend(depth + 1, inner, models)
        })
    }
}

fn want() -> impl Strategy<Value = Want> {
    prop_oneof![
        2 => Just(Want::Nothing),
        3 => (0..5_000_u64).prop_map(Want::Timeout),
        2 => (0..20_000_u64).prop_map(Want::At),
        1 => Just(Want::Forever),
    ]
}

fn level() -> impl Strategy<Value = Level> {
    (want(), any::<bool>()).prop_map(|(want, read)| Level { want, read })
}

fn round() -> impl Strategy<Value = Round> {
    (0..3_000_u64, 0..7_usize, prop::option::of(0..9_000_u64)).prop_map(|(advance, depth, derived)| Round {
        advance,
        depth,
        derived,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nestings_do_as_the_model(
        levels in prop::collection::vec(level(), 1..7),
        rounds in prop::collection::vec(round(), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let start = Instant::now();
            let (mut scopes, mut models): (Vec<_>, Vec<_>) = levels
                .iter()
                .map(|level| match level.want {
                    Want::Nothing => (Scope::root(), Model::Never),
                    Want::Timeout(ms) => {
                        (Scope::root().with_timeout(Duration::from_millis(ms)), Model::Open(Some(ms)))
                    }
                    Want::At(ms) => {
                        let at = Deadline::at(start + Duration::from_millis(ms));
                        (Scope::root().with_deadline(at), Model::At(ms))
                    }
                    Want::Forever => (Scope::root().with_timeout(Duration::MAX), Model::Open(None)),
                })
                .unzip();
            let mut now = 0;
            for round in &rounds {
                advance(Duration::from_millis(round.advance)).await;
                now += round.advance;
                let depth = round.depth.min(levels.len());
                let run = Run { start, now, levels: &levels, round };
                run.descend(0, &mut scopes[..depth], &mut models[..depth])?;
                prop_assert!(!Scope::current().has_deadline(), "nothing is left behind");
                for (scope, model) in scopes.iter().zip(&models) {
                    prop_assert_eq!(scope.has_deadline(), *model != Model::Never);
                }
            }
            for (scope, model) in scopes.iter_mut().zip(&mut models) {
                let expected = model_read(std::slice::from_mut(model), now);
                let seen = scope.deadline().instant().map(|at| (at - start).as_millis() as u64);
                prop_assert_eq!(seen, expected);
            }
            Ok(())
        })?;
    }
}
