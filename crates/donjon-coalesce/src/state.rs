use std::{any::Any, collections::VecDeque, mem, pin::Pin, task::Waker};

use crate::means::{Lack, Means};

/// The running call: the one box of the workspace that holds a future. Whoever polls it, it stays where it is.
pub(crate) type BoxRun<V, E> = Pin<Box<dyn Run<Output = Result<V, E>> + Send>>;

/// A future that says whether something may have been sent: what [runs](crate::Lead::run) in a flight. Whoever gives
/// up before that knows then that nothing was.
pub trait Run: Future {
    /// Whether it has begun to do something that others can notice.
    fn has_begun(&self) -> bool;
}

/// Who takes part in a call, and how far it is. Everything here happens under the lock of the flight, and nothing here
/// runs foreign code but the clone of a waker: what has to be woken, polled or dropped is handed out.
pub(crate) struct State<V, E> {
    pub(crate) stage: Stage<V, E>,
    /// The call has to be polled.
    pub(crate) woken: bool,
    /// Whose call it is: who started it, or was promoted. It gets its end as it is, whoever has polled.
    driver: Member,
    /// In the order in which they came, and so of their tickets.
    followers: VecDeque<Member>,
    next_ticket: u64,
    /// What all those had whose call it has been.
    pub(crate) least: Means,
    /// Something may have been sent.
    pub(crate) begun: bool,
    /// The end of the call, where another one than the driver has polled it. Boxed, since it is rare.
    own: Option<Box<Own<V, E>>>,
}

pub(crate) enum Stage<V, E> {
    /// The future is not there yet, or the one that has started it has it still.
    Unstarted,
    /// The future waits to be polled.
    Parked(BoxRun<V, E>),
    /// Somebody has the future and polls it.
    Polled,
    Ended,
}

/// The end of a call, for its driver.
pub(crate) enum Own<V, E> {
    /// The result, and what it failed for want of, if that may have been another one's.
    Result(Result<V, E>, Option<Lack>),
    Panic(Box<dyn Any + Send>),
}

struct Member {
    ticket: u64,
    waker: Option<Waker>,
    /// It was woken to poll the call, and has not come since.
    notified: bool,
    /// Unknown up to the first time that it had to wait.
    means: Option<Means>,
}

/// Those to wake, outside of the lock.
pub(crate) type Wakers = [Option<Waker>; 2];

/// What somebody leaves behind. What is not taken is dropped, outside of the lock.
pub(crate) struct Left<V, E> {
    pub(crate) wake: Wakers,
    pub(crate) promoted: bool,
    /// The last one has left, or the one that was to start the call: the flight is to be [closed](State::close) when the
    /// future is gone. Up to then whoever comes waits, so that no two calls of a key run at once.
    pub(crate) closes: bool,
    pub(crate) future: Option<BoxRun<V, E>>,
    _waker: Option<Waker>,
    _own: Option<Box<Own<V, E>>>,
}

// ===== impl State =====

impl<V, E> State<V, E> {
    /// The first ticket is that of the driver.
    pub(crate) const FIRST: u64 = 0;

    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Unstarted,
            woken: false,
            driver: Member::new(Self::FIRST),
            followers: VecDeque::new(),
            next_ticket: Self::FIRST + 1,
            least: Means::MOST,
            begun: false,
            own: None,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    pub(crate) fn followers(&self) -> usize {
        self.followers.len()
    }

    pub(crate) fn sit(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.followers.push_back(Member::new(ticket));
        ticket
    }

    pub(crate) fn is_driver(&self, ticket: u64) -> bool {
        self.driver.ticket == ticket
    }

    /// The future, if it has to be polled and this one may do it: the driver, or one that happens to come before it and
    /// has as much time, and is as important.
    pub(crate) fn take_turn(&mut self, ticket: u64, means: Option<Means>) -> Option<BoxRun<V, E>> {
        if !self.woken {
            return None;
        }
        if self.is_driver(ticket) {
            if let Some(means) = means {
                self.least = self.least.least(means);
            }
        } else if !means.is_some_and(|means| self.driver.may_be_helped_with(means)) {
            return None;
        }
        match mem::replace(&mut self.stage, Stage::Polled) {
            Stage::Parked(future) => {
                self.woken = false;
                Some(future)
            }
            stage => {
                self.stage = stage;
                None
            }
        }
    }

    /// The call was polled and is pending.
    pub(crate) fn park(&mut self, future: BoxRun<V, E>, ticket: u64, means: Means) {
        self.begun = future.has_begun();
        self.stage = Stage::Parked(future);
        if self.is_driver(ticket) {
            self.least = self.least.least(means);
        }
    }

    /// This one waits, and is to be woken by this waker. Gives the one that it had before, to be dropped outside.
    pub(crate) fn register(&mut self, ticket: u64, waker: &Waker, means: Means) -> Option<Waker> {
        let member = self.member_mut(ticket)?;
        member.means = Some(means);
        member.notified = false;
        if member.waker.as_ref().is_some_and(|own| own.will_wake(waker)) {
            return None;
        }
        member.waker.replace(waker.clone())
    }

    /// The call has to be polled: whom to wake for it, if nobody polls it now. Besides the driver one other, since a
    /// driver may be kept without being polled.
    pub(crate) fn wake(&mut self) -> Wakers {
        self.woken = true;
        if !matches!(self.stage, Stage::Parked(_)) {
            return [None, None];
        }
        [self.driver.notify(), self.notify_follower()]
    }

    fn notify_follower(&mut self) -> Option<Waker> {
        let driver = &self.driver;
        let mut able = self.followers.iter_mut().filter(|it| it.waker.is_some());
        able.find(|it| it.means.is_some_and(|means| driver.may_be_helped_with(means)))?.notify()
    }

    /// Keeps the end for the driver; gives it back if this one is the driver. And whom to wake.
    pub(crate) fn end(&mut self, ticket: u64, own: Own<V, E>) -> (Option<Own<V, E>>, Option<Waker>, VecDeque<Waker>) {
        self.stage = Stage::Ended;
        let own = if self.is_driver(ticket) {
            Some(own)
        } else {
            self.own = Some(Box::new(own));
            None
        };
        (own, self.driver.waker.take(), self.dismiss())
    }

    pub(crate) fn take_own(&mut self, ticket: u64) -> Option<Box<Own<V, E>>> {
        if self.is_driver(ticket) { self.own.take() } else { None }
    }

    fn dismiss(&mut self) -> VecDeque<Waker> {
        mem::take(&mut self.followers).into_iter().filter_map(|member| member.waker).collect()
    }

    pub(crate) fn leave(&mut self, ticket: u64) -> Left<V, E> {
        let mut left = Left::nothing();
        if self.is_over() {
            left._own = self.take_own(ticket);
            return left;
        }
        if !self.is_driver(ticket) {
            let Ok(at) = self.followers.binary_search_by_key(&ticket, |it| it.ticket) else { return left };
            let Some(member) = self.followers.remove(at) else { return left };
            left._waker = member.waker;
            if member.notified && self.woken && matches!(self.stage, Stage::Parked(_)) {
                // It was woken to poll the call, and has not.
                left.wake = [self.notify_follower(), None];
            }
            return left;
        }
        left._waker = self.driver.waker.take();
        if let Stage::Unstarted = self.stage {
            left.closes = true;
            return left;
        }
        match self.followers.pop_front() {
            Some(next) => {
                self.driver = next;
                left.promoted = true;
                left.wake = [self.wake_driver(), None];
            }
            None => {
                if let Stage::Parked(future) = mem::replace(&mut self.stage, Stage::Polled) {
                    left.future = Some(future);
                }
                left.closes = true;
            }
        }
        left
    }

    /// Nothing comes of it. Whoever has come after the last one had left is to be woken, and starts again.
    pub(crate) fn close(&mut self) -> VecDeque<Waker> {
        self.stage = Stage::Ended;
        self.dismiss()
    }

    /// The driver is another one: it polls the call once, so that its deadline is seen inside.
    fn wake_driver(&mut self) -> Option<Waker> {
        self.woken = true;
        if matches!(self.stage, Stage::Parked(_)) { self.driver.notify() } else { None }
    }

    fn member_mut(&mut self, ticket: u64) -> Option<&mut Member> {
        if self.is_driver(ticket) {
            return Some(&mut self.driver);
        }
        let at = self.followers.binary_search_by_key(&ticket, |it| it.ticket).ok()?;
        self.followers.get_mut(at)
    }
}

// ===== impl Member =====

impl Member {
    fn new(ticket: u64) -> Self {
        Self { ticket, waker: None, notified: false, means: None }
    }

    fn notify(&mut self) -> Option<Waker> {
        let waker = self.waker.take();
        self.notified |= waker.is_some();
        waker
    }

    /// Whether one that has these may poll its call: what runs inside might fix that deadline, or be refused for that
    /// importance, so they are not to be less than its own.
    fn may_be_helped_with(&self, means: Means) -> bool {
        means.cover(self.means.unwrap_or(Means::UNKNOWN))
    }
}

// ===== impl Left =====

impl<V, E> Left<V, E> {
    fn nothing() -> Self {
        Self { wake: [None, None], promoted: false, closes: false, future: None, _waker: None, _own: None }
    }
}
