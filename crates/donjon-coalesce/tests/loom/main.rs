//! What must hold in every interleaving: whoever waits gets an end, one call runs at a time, and nothing is left behind.
//!
//! The files of the flights are compiled in here with loom's primitives, which `--cfg donjon_loom` chooses:
//! `RUSTFLAGS="--cfg donjon_loom" cargo test --profile loom -p donjon-coalesce --test loom`.

#![cfg(donjon_loom)]
#![allow(dead_code, unreachable_pub, reason = "parts of a library: the models do not need all of it")]

#[path = "../../src/cause.rs"]
mod cause;
#[path = "../../src/control.rs"]
mod control;
#[path = "../../src/flight.rs"]
mod flight;
#[path = "../../src/flights.rs"]
mod flights;
#[path = "../../src/means.rs"]
mod means;
#[path = "../../src/seat.rs"]
mod seat;
#[path = "../../src/share.rs"]
mod share;
#[path = "../../src/state.rs"]
mod state;
#[path = "../../src/sync.rs"]
mod sync;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize as StdAtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use donjon_core::Rejection;
use loom::{
    future::block_on,
    sync::{Mutex, atomic::AtomicUsize},
    thread,
};

use self::seat::{Landed, Seat};
pub use self::{
    control::Stats,
    flights::{Again, Flights, Role},
    share::Anything,
    state::Run,
};

const LAYER: &str = "coalesce";
const ANSWER: u64 = 42;

/// The part of a caller, without its timer.
pub struct Joined<K, V, E> {
    seat: Seat<K, V, E>,
}

impl<K, V, E> Joined<K, V, E> {
    pub(crate) fn new(seat: Seat<K, V, E>) -> Self {
        Self { seat }
    }
}

/// The flights of one key, and the service that they call.
struct Model {
    /// Calls are there for whoever comes first, and not for the one alone that has started them.
    open: bool,
    flights: Flights<u8, u64, Rejection>,
    upstream: Arc<Upstream>,
}

/// Calls end when it has answered.
struct Upstream {
    state: Mutex<Answering>,
    /// The calls that run now: two would be one too many, for one key.
    running: AtomicUsize,
    calls: StdAtomicUsize,
}

#[derive(Default)]
struct Answering {
    answers: bool,
    wakers: Vec<Waker>,
}

struct Running {
    upstream: Arc<Upstream>,
    panics: bool,
}

impl Model {
    fn new(open: bool) -> Arc<Self> {
        let upstream = Upstream {
            state: Mutex::new(Answering::default()),
            running: AtomicUsize::new(0),
            calls: StdAtomicUsize::new(0),
        };
        Arc::new(Self { open, flights: Flights::new(), upstream: Arc::new(upstream) })
    }

    fn join(&self, role: Role<u8, u64, Rejection>, panics: bool) -> Joined<u8, u64, Rejection> {
        match role {
            Role::Lead(lead) if self.open => lead.start(Running::new(&self.upstream, panics)),
            Role::Lead(lead) => lead.run(Running::new(&self.upstream, panics)),
            Role::Follow(joined) => joined,
            Role::Full => panic!("there is room"),
        }
    }

    fn enter(&self) -> Joined<u8, u64, Rejection> {
        self.join(self.flights.enter(0), false)
    }

    /// Waits for the end; true if it was its own.
    fn land(&self, mut joined: Joined<u8, u64, Rejection>) -> bool {
        loop {
            match block_on(poll_fn(|cx| joined.seat.poll(cx, &Anything))) {
                Landed::Own(result) => {
                    assert!(matches!(result, Ok(ANSWER)));
                    return true;
                }
                Landed::Joined(answer) => {
                    assert_eq!(answer, ANSWER);
                    return false;
                }
                Landed::Again => joined = self.join(Again::new(&joined.seat).enter(), false),
                Landed::Alone | Landed::Refused(_) => panic!("there is an answer for all"),
            }
        }
    }

    fn call(&self) -> bool {
        self.land(self.enter())
    }

    /// Looks once and leaves.
    fn come_and_go(&self) {
        let mut joined = self.enter();
        let _ = joined.seat.poll(&mut Context::from_waker(Waker::noop()), &Anything);
    }

    fn answer(&self) {
        self.upstream.answer();
    }

    fn is_idle(&self, calls: usize) {
        assert!(self.flights.is_empty());
        assert_eq!(self.upstream.running.load(SeqCst), 0, "a call was left behind");
        let made = self.upstream.calls.load(SeqCst);
        assert!(made <= calls, "{made} calls");
        // What it holds in wakers would hold it.
        lock(&self.upstream.state).wakers.clear();
        assert_eq!(Arc::strong_count(&self.upstream), 1, "a future was left behind");
    }
}

impl Upstream {
    fn answer(&self) {
        let wakers = {
            let mut state = lock(&self.state);
            state.answers = true;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Running {
    fn new(upstream: &Arc<Upstream>, panics: bool) -> Self {
        upstream.calls.fetch_add(1, SeqCst);
        assert_eq!(upstream.running.fetch_add(1, SeqCst), 0, "two calls of one key at once");
        Self { upstream: Arc::clone(upstream), panics }
    }
}

impl Future for Running {
    type Output = Result<u64, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.panics {
            resume_unwind(Box::new(()));
        }
        let mut state = lock(&self.upstream.state);
        if state.answers {
            return Poll::Ready(Ok(ANSWER));
        }
        state.wakers.push(cx.waker().clone());
        Poll::Pending
    }
}

impl Run for Running {
    fn has_begun(&self) -> bool {
        true
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        assert_eq!(self.upstream.running.fetch_sub(1, SeqCst), 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
    sync::lock(mutex)
}

fn spawn<T: 'static>(model: &Arc<Model>, f: impl FnOnce(&Model) -> T + 'static) -> thread::JoinHandle<T> {
    let model = Arc::clone(model);
    thread::spawn(move || f(&model))
}

fn join<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().expect("the thread has not panicked")
}

/// Bounded, so that the models run in seconds.
fn check(f: impl Fn(bool) + Clone + Sync + Send + 'static) {
    for open in [false, true] {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        let f = f.clone();
        builder.check(move || f(open));
    }
}

#[test]
fn two_callers_and_an_answer() {
    check(|open| {
        let model = Model::new(open);
        let first = model.enter();
        let second = model.enter();
        let answer = spawn(&model, Model::answer);
        let second = spawn(&model, |model| model.land(second));
        let own = usize::from(model.land(first)) + usize::from(join(second));
        join(answer);
        assert_eq!(own, 1, "the end is somebody's own, and of one alone");
        model.is_idle(1);
    });
}

#[test]
fn whoever_comes_while_a_call_ends_has_an_answer() {
    check(|open| {
        let model = Model::new(open);
        model.answer();
        let second = spawn(&model, Model::call);
        model.call();
        join(second);
        model.is_idle(2);
    });
}

#[test]
fn a_driver_that_leaves_leaves_the_call_to_the_other() {
    check(|open| {
        let model = Model::new(open);
        let mut first = model.enter();
        let second = model.enter();
        let _ = first.seat.poll(&mut Context::from_waker(Waker::noop()), &Anything);
        let answer = spawn(&model, Model::answer);
        let second = spawn(&model, |model| model.land(second));
        drop(first);
        join(second);
        join(answer);
        model.is_idle(1);
    });
}

#[test]
fn all_may_leave_at_once() {
    check(|open| {
        let model = Model::new(open);
        let others = [spawn(&model, Model::come_and_go), spawn(&model, Model::come_and_go)];
        model.come_and_go();
        for other in others {
            join(other);
        }
        model.is_idle(3);
    });
}

#[test]
fn one_leaves_and_another_comes() {
    check(|open| {
        let model = Model::new(open);
        let answer = spawn(&model, Model::answer);
        let second = spawn(&model, Model::call);
        model.come_and_go();
        join(second);
        join(answer);
        model.is_idle(2);
    });
}

#[test]
fn a_driver_that_is_kept_and_not_polled_holds_up_nobody() {
    check(|open| {
        let model = Model::new(open);
        let mut kept = model.enter();
        let second = model.enter();
        let _ = kept.seat.poll(&mut Context::from_waker(Waker::noop()), &Anything);
        let answer = spawn(&model, Model::answer);
        assert!(!model.land(second), "it is the driver's own");
        join(answer);
        assert!(model.land(kept));
        model.is_idle(1);
    });
}

#[test]
fn the_driver_leaves_while_another_one_polls_for_it() {
    check(|open| {
        let model = Model::new(open);
        let mut first = model.enter();
        let second = model.enter();
        let third = model.enter();
        let _ = first.seat.poll(&mut Context::from_waker(Waker::noop()), &Anything);
        let second = spawn(&model, |model| model.land(second));
        let third = spawn(&model, |model| model.land(third));
        model.answer();
        drop(first);
        assert!(join(second) as usize + join(third) as usize <= 1);
        model.is_idle(1);
    });
}

#[test]
fn a_panic_lets_the_other_start_again() {
    check(|open| {
        let model = Model::new(open);
        model.answer();
        let mut first = model.join(model.flights.enter(0), true);
        let second = model.enter();
        let second = spawn(&model, |model| model.land(second));
        let poll = catch_unwind(AssertUnwindSafe(|| block_on(poll_fn(|cx| first.seat.poll(cx, &Anything).map(drop)))));
        assert!(poll.is_err(), "the panic is its own, whoever has polled");
        drop(first);
        join(second);
        model.is_idle(2);
    });
}
