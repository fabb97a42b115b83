//! Any sequence of what can happen, beside a plain list of keys in the order of their use.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready};

use crate::support::{Call, call, held, keys, one_each, running};

const IDLE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call of this key, which goes on.
    Begin(u64),
    /// The first of the running calls of this key ends.
    End(u64),
    Advance(u64),
    Forget(u64),
    Bound(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..8_u64;
    prop_oneof![
        6 => key.clone().prop_map(Step::Begin),
        6 => key.clone().prop_map(Step::End),
        2 => (1..12_u64).prop_map(Step::Advance),
        1 => key.prop_map(Step::Forget),
        1 => (0..6_usize).prop_map(Step::Bound),
    ]
}

struct Known {
    key: u64,
    calls: Vec<Call>,
    used: Instant,
}

/// The longest unused first.
#[derive(Default)]
struct Model {
    known: Vec<Known>,
    max: usize,
}

impl Model {
    /// Whoever is in use was used now; whoever was not for so long leaves.
    fn tidy(&mut self) {
        let now = Instant::now();
        let (expired, rest): (Vec<_>, Vec<_>) = self.known.drain(..).partition(|it| now - it.used >= IDLE);
        self.known = rest;
        self.known.extend(expired.into_iter().filter(|it| !it.calls.is_empty()).map(|it| Known { used: now, ..it }));
        while self.known.len() > self.max && self.evict() {}
    }

    fn evict(&mut self) -> bool {
        // Those that are passed over are in use now.
        let now = Instant::now();
        let Some(at) = self.known.iter().position(|it| it.calls.is_empty()) else {
            self.known.iter_mut().for_each(|it| it.used = now);
            return false;
        };
        self.known.remove(at);
        let mut passed: Vec<_> = self.known.drain(..at).collect();
        passed.iter_mut().for_each(|it| it.used = now);
        self.known.extend(passed);
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_keys_are_those_of_the_model(steps in prop::collection::vec(step(), 1..80)) {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
            let layer = one_each().max_keys(4).idle(IDLE);
            let (service, probe) = held(&layer);
            let mut model = Model { known: Vec::new(), max: 4 };
            for step in steps {
                match step {
                    Step::Begin(key) => {
                        layer.handle().each(|_, limit| limit.handle().set_max(1000).unwrap());
                        let at = model.known.iter().position(|it| it.key == key);
                        let room = at.is_some() || model.max > model.known.len() || (model.max > 0 && {
                            while model.known.len() >= model.max && model.evict() {}
                            model.known.len() < model.max
                        });
                        if room {
                            let mut known = match at {
                                Some(at) => model.known.remove(at),
                                None => Known { key, calls: Vec::new(), used: Instant::now() },
                            };
                            known.calls.push(running(&service, key));
                            known.used = Instant::now();
                            model.known.push(known);
                        } else {
                            prop_assert!(assert_ready!(call(&service, key).poll()).is_err());
                        }
                    }
                    Step::End(key) => {
                        let found = model.known.iter_mut().find(|it| it.key == key && !it.calls.is_empty());
                        if let Some(known) = found {
                            drop(known.calls.remove(0));
                            known.calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
                        }
                    }
                    Step::Advance(seconds) => advance(Duration::from_secs(seconds)).await,
                    Step::Forget(key) => {
                        let at = model.known.iter().position(|it| it.key == key && it.calls.is_empty());
                        prop_assert_eq!(layer.handle().forget(&key), at.is_some());
                        at.map(|at| model.known.remove(at));
                    }
                    Step::Bound(max) => {
                        layer.handle().set_max_keys(max).unwrap();
                        model.max = max;
                    }
                }
                // Looking tidies up, on both sides.
                model.tidy();
                let mut expected: Vec<_> = model.known.iter().map(|it| it.key).collect();
                expected.sort_unstable();
                prop_assert_eq!(keys(&layer), expected, "{:?}", step);
                let busy = model.known.iter().filter(|it| !it.calls.is_empty()).count();
                prop_assert_eq!(layer.handle().stats().busy, busy);
                prop_assert_eq!(probe.violations(), []);
            }
            Ok(())
        })?;
    }
}
