//! What must hold in every interleaving: nobody waits while there is room, no permit is lost, and never more than the
//! maximum is in flight.
//!
//! The files of the limiter are compiled in here with loom's primitives, which `--cfg donjon_loom` chooses:
//! `RUSTFLAGS="--cfg donjon_loom" cargo test --profile loom -p donjon-concurrency-limit --test loom`.

#![cfg(donjon_loom)]
#![allow(dead_code, unreachable_pub, reason = "parts of a library: the models do not need all of it")]

#[path = "../../src/permit.rs"]
mod permit;
#[path = "../../src/queue.rs"]
mod queue;
#[path = "../../src/state.rs"]
mod state;
#[path = "../../src/sync.rs"]
mod sync;
#[path = "../../src/two_lane.rs"]
mod two_lane;
#[path = "../../src/word.rs"]
mod word;

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{
            AtomicUsize as StdAtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, Waker},
};

use loom::{future::block_on, sync::atomic::AtomicUsize, thread};

use crate::{
    permit::{Asked, Permit, Place},
    state::Limiter,
};

/// A limit, and what is really in flight under it.
struct Model {
    limiter: Arc<Limiter>,
    running: AtomicUsize,
    /// The highest maximum of the model.
    max: usize,
}

impl Model {
    fn new(max: usize, highest: usize) -> Arc<Self> {
        let limiter = Arc::new(Limiter::new(max, 8));
        Arc::new(Self { limiter, running: AtomicUsize::new(0), max: highest })
    }

    fn ask(&self) -> Asked {
        match Permit::try_from(&self.limiter) {
            Some(permit) => Asked::Granted(permit),
            None => Place::ask(&self.limiter, true),
        }
    }

    /// A caller that waits for its turn, runs and leaves.
    fn call(&self) {
        match self.ask() {
            Asked::Granted(permit) => self.run(permit),
            Asked::Queued(mut place, _) => {
                let permit = block_on(poll_fn(|cx| place.poll(cx))).expect("the limit is not 0");
                self.run(permit);
            }
            Asked::Refused => panic!("the queue is long enough"),
        }
    }

    fn run(&self, permit: Permit) {
        assert!(self.running.fetch_add(1, SeqCst) < self.max, "more than the maximum in flight");
        assert!(self.running.fetch_sub(1, SeqCst) > 0);
        drop(permit);
    }

    /// A caller that asks, looks at most once, and leaves: its place, its permit, or the permit that it was granted and
    /// never saw.
    fn come_and_go(&self, look: bool) {
        match self.ask() {
            Asked::Granted(permit) => drop(permit),
            Asked::Queued(mut place, _) => {
                if look && let Poll::Ready(permit) = place.poll(&Context::from_waker(Waker::noop())) {
                    self.run(permit.expect("the limit is not 0"));
                }
            }
            Asked::Refused => panic!("the queue is long enough"),
        }
    }

    /// The limit admits what a new one does.
    fn is_idle(&self, max: usize) {
        let word = self.limiter.word();
        assert_eq!((word.in_flight(), word.queued()), (0, 0));
        let permits: Vec<_> = (0..max).map(|_| Permit::try_from(&self.limiter).expect("room")).collect();
        assert!(Permit::try_from(&self.limiter).is_none());
        drop(permits);
        assert_eq!(self.limiter.word().in_flight(), 0);
    }
}

fn spawn(model: &Arc<Model>, f: impl FnOnce(&Model) + 'static) -> thread::JoinHandle<()> {
    let model = Arc::clone(model);
    thread::spawn(move || f(&model))
}

fn join<const N: usize>(threads: [thread::JoinHandle<()>; N]) {
    for thread in threads {
        thread.join().expect("the thread has not panicked");
    }
}

/// Bounded, so that the models run in seconds; two preemptions find every fault that was planted.
fn check(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(f);
}

#[test]
fn one_permit_serves_three_in_turn() {
    check(|| {
        let model = Model::new(1, 1);
        let others = [spawn(&model, Model::call), spawn(&model, Model::call)];
        model.call();
        join(others);
        model.is_idle(1);
        assert_eq!(model.limiter.admitted(), 4);
    });
}

#[test]
fn two_permits_serve_three() {
    check(|| {
        let model = Model::new(2, 2);
        let others = [spawn(&model, Model::call), spawn(&model, Model::call)];
        model.call();
        join(others);
        assert!(model.limiter.peak() <= 2);
        model.is_idle(2);
    });
}

#[test]
fn a_newcomer_does_not_pass_those_who_wait() {
    check(|| {
        let model = Model::new(1, 1);
        let permit = Permit::try_from(&model.limiter).expect("room");
        let Asked::Queued(mut place, _) = model.ask() else { panic!("the permit is taken") };
        let newcomer = spawn(&model, |model| {
            if let Some(permit) = Permit::try_from(&model.limiter) {
                model.run(permit);
            }
        });
        drop(permit);
        let Poll::Ready(granted) = place.poll(&Context::from_waker(Waker::noop())) else {
            panic!("the permit was somebody else's");
        };
        model.run(granted.expect("the limit is not 0"));
        newcomer.join().unwrap();
        model.is_idle(1);
    });
}

#[test]
fn a_caller_that_leaves_does_not_take_the_turn_of_another_with_it() {
    for look in [false, true] {
        check(move || {
            let model = Model::new(1, 1);
            let permit = Permit::try_from(&model.limiter).expect("room");
            let leaves = spawn(&model, move |model| model.come_and_go(look));
            let stays = spawn(&model, Model::call);
            drop(permit);
            leaves.join().unwrap();
            stays.join().unwrap();
            model.is_idle(1);
        });
    }
}

#[test]
fn a_wait_that_ends_as_the_permit_is_granted_takes_it_or_leaves_it_to_the_next() {
    check(|| {
        let model = Model::new(1, 1);
        let permit = Permit::try_from(&model.limiter).expect("room");
        let times_out = spawn(&model, |model| match model.ask() {
            Asked::Granted(permit) => model.run(permit),
            Asked::Queued(place, _) => {
                if let Some(permit) = place.time_out() {
                    model.run(permit);
                }
            }
            Asked::Refused => panic!("the queue is long enough"),
        });
        let stays = spawn(&model, Model::call);
        model.run(permit);
        times_out.join().unwrap();
        stays.join().unwrap();
        model.is_idle(1);
    });
}

#[test]
fn a_higher_maximum_wakes_those_who_wait() {
    check(|| {
        let model = Model::new(1, 2);
        let permit = Permit::try_from(&model.limiter).expect("room");
        let waits = spawn(&model, |model| match model.ask() {
            Asked::Granted(permit) => drop(permit),
            Asked::Queued(mut place, _) => drop(block_on(poll_fn(|cx| place.poll(cx))).expect("the limit is not 0")),
            Asked::Refused => panic!("the queue is long enough"),
        });
        // The one permit of before is never given back: the second one has to serve.
        model.limiter.set_max(2);
        waits.join().unwrap();
        drop(permit);
        model.is_idle(2);
    });
}

#[test]
fn a_changing_maximum_loses_no_permit_and_exceeds_no_bound() {
    check(|| {
        let model = Model::new(1, 2);
        let others = [spawn(&model, Model::call), spawn(&model, Model::call)];
        model.limiter.set_max(2);
        model.limiter.set_max(1);
        join(others);
        model.is_idle(1);
    });
}

#[test]
fn a_maximum_of_nought_leaves_nobody_waiting() {
    check(|| {
        let model = Model::new(1, 1);
        let permit = Permit::try_from(&model.limiter).expect("room");
        let served = Arc::new(StdAtomicUsize::new(0));
        let counts = Arc::clone(&served);
        let waits = spawn(&model, move |model| match model.ask() {
            Asked::Granted(permit) => drop(permit),
            Asked::Queued(mut place, _) => {
                if block_on(poll_fn(|cx| place.poll(cx))).is_ok() {
                    counts.fetch_add(1, Relaxed);
                }
            }
            Asked::Refused => {}
        });
        model.limiter.set_max(0);
        waits.join().unwrap();
        assert_eq!(served.load(Relaxed), 0, "the only permit is taken");
        drop(permit);
        model.limiter.set_max(1);
        model.is_idle(1);
    });
}

#[test]
fn without_a_queue_nobody_is_refused_who_would_fit() {
    check(|| {
        let model = Model::new(2, 2);
        model.limiter.set_bound(0);
        // Two callers at once never meet a third: both are admitted, in every interleaving.
        let other = spawn(&model, |model| match model.ask() {
            Asked::Granted(permit) => model.run(permit),
            asked => panic!("{asked:?}"),
        });
        match model.ask() {
            Asked::Granted(permit) => model.run(permit),
            asked => panic!("{asked:?}"),
        }
        other.join().unwrap();
        model.is_idle(2);
    });
}

#[test]
fn the_queue_never_has_more_places_than_its_bound() {
    check(|| {
        let model = Model::new(1, 1);
        model.limiter.set_bound(1);
        let permit = Permit::try_from(&model.limiter).expect("room");
        let ask = |model: &Model| {
            let asked = model.ask();
            assert!(model.limiter.word().queued() <= 1);
            drop(asked);
        };
        let other = spawn(&model, ask);
        ask(&model);
        other.join().unwrap();
        drop(permit);
        model.is_idle(1);
    });
}
