use std::time::Duration;

use donjon_core::Ratio;

/// How long to wait before a retry.
///
/// A pure function of a [`Step`] and of a random word. By default exponential from 50 ms to 20 s with full jitter: the
/// n-th retry waits a random time between 0 and `min(20 s, 50 ms * 2^(n-1))`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_budget::{Backoff, Jitter, Step};
///
/// let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(3)).jitter(Jitter::None);
/// let waits: Vec<_> = (1..=4).map(|retry| backoff.delay(&Step::new(retry), 0).as_secs()).collect();
/// assert_eq!(waits, [1, 2, 3, 3]);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Backoff {
    shape: Shape,
    cap: Duration,
    throttled_base: Option<Duration>,
    jitter: Jitter,
    hints: Hints,
}

/// How the wait is spread, so that callers that failed together do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Anything from 0 to the whole delay. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    #[default]
    Full,
    /// From the base to three times the wait before, within the cap; the base stands for the wait before the first (same
    /// source).
    Decorrelated,
    /// The delay, more or less at most this share of it; gRPC's is 0.2.
    Spread(Ratio),
    /// Exactly the delay. Callers that fail together come back together, each time.
    None,
}

/// What a server's own word about the wait (`Retry-After`) is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hints {
    /// Waits at least so long, and the jittered delay on top, so that those who were told one instant do not all come
    /// back at it.
    #[default]
    Whole,
    /// Waits exactly so long (gRPC's pushback); the delays begin again after it.
    Exact,
    /// Waits exactly so long, but never longer than the cap (AWS 2.0).
    Capped,
    /// Waits so long, but not less than the jittered delay and not more than this on top of it (AWS 2.1: 5 s).
    Within(Duration),
    /// Takes no hints.
    Ignore,
}

/// What is known when a wait is to be chosen.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Step {
    retry: u32,
    previous: Duration,
    rtt: Duration,
    retrying: u32,
    throttled: bool,
    hint: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Constant(Duration),
    Exponential(Duration),
    /// `rtt * min(25, 4 * 2^(n-1))`.
    Rtt(Duration),
    /// A place behind the others who are retrying, a quarter of the rtt for each, and a spread that doubles.
    RttShared(Duration),
}

// ===== impl Backoff =====

impl Backoff {
    /// Below this, a measured duration is no measure of the service (a refused connection fails in microseconds).
    const RTT_FLOOR: Duration = Duration::from_millis(1);
    const CAP: Duration = Duration::from_secs(20);

    /// The same delay each time. 0 does not wait.
    pub const fn constant(delay: Duration) -> Self {
        Self::of(Shape::Constant(delay), delay)
    }

    /// Doubles from `base` up to `cap`.
    pub const fn exponential(base: Duration, cap: Duration) -> Self {
        Self::of(Shape::Exponential(base), cap)
    }

    /// Scaled by how long the failed attempt took: a random time up to `rtt * min(25, 4 * 2^(n-1))`, at most 20 s.
    ///
    /// In the simulation behind full jitter (AWS, 100 clients contending for one row) it needs a third fewer calls and a
    /// fifth less time; with ten clients or less it takes longer than full jitter. An attempt that failed in less than
    /// 1 ms counts as 1 ms.
    pub const fn rtt_scaled() -> Self {
        Self::of(Shape::Rtt(Self::RTT_FLOOR), Self::CAP)
    }

    /// Queues behind the callers that share the layer and are now retrying, in steps of a quarter of the time that the
    /// failed attempt took; jitter comes on top, and doubles with each failure: `rtt / 4 * (others + U(0, 2^(n-1)))`, the
    /// doubling ends at 32 times the rtt, and the whole at 20 s.
    ///
    /// The places keep apart those who share the layer, the jitter those who do not. Where callers contend with each other
    /// it needs the fewest calls: in the simulation behind full jitter (AWS, clients contending for one row), with 10, 50,
    /// 100 and 200 clients, two thirds to a third of full jitter's calls, in 0.6 to 0.9 of its time; and with a layer for
    /// each client as many calls as full jitter. A caller who retries alone has full jitter, from a quarter of the rtt.
    ///
    /// It paces callers at four in each rtt, so a service far away that serves many more than that at once is better
    /// called with full jitter. An attempt that failed in less than 1 ms counts as 1 ms.
    pub const fn rtt_shared() -> Self {
        Self::of(Shape::RttShared(Self::RTT_FLOOR), Self::CAP)
    }

    /// AWS SDKs' standard mode 2.0: 1 s doubling to 20 s, full jitter, a hint is followed up to 20 s.
    pub const fn aws_2_0() -> Self {
        Self::exponential(Duration::from_secs(1), Self::CAP).hints(Hints::Capped)
    }

    /// AWS SDKs' Retry Behavior 2.1: 50 ms (1 s after throttling) doubling to 20 s, full jitter; a hint is followed from
    /// the delay up to 5 s more.
    pub const fn aws_2_1() -> Self {
        Self::exponential(Duration::from_millis(50), Self::CAP)
            .throttled_base(Duration::from_secs(1))
            .hints(Hints::Within(Duration::from_secs(5)))
    }

    /// gRPC's (proposal A6): doubles from `initial` to `max`, more or less a fifth; a pushback is followed exactly.
    pub fn grpc(initial: Duration, max: Duration) -> Self {
        let fifth = Ratio::new(0.2).expect("0.2 is from 0 to 1");
        Self::exponential(initial, max).jitter(Jitter::Spread(fifth)).hints(Hints::Exact)
    }

    const fn of(shape: Shape, cap: Duration) -> Self {
        Self { shape, cap, throttled_base: None, jitter: Jitter::Full, hints: Hints::Whole }
    }

    /// Another spread than full jitter.
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// How hints are followed. Default: [`Hints::Whole`].
    pub const fn hints(mut self, hints: Hints) -> Self {
        self.hints = hints;
        self
    }

    /// Another base after a 429 or the like. Default: the same. Changes the exponential form alone.
    pub const fn throttled_base(mut self, base: Duration) -> Self {
        self.throttled_base = Some(base);
        self
    }

    /// Never more than this, jitter aside. Hints are bounded only by [`Hints::Capped`].
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Whether [`Step::rtt`] is read: only then a caller needs to measure.
    #[must_use]
    pub const fn needs_rtt(&self) -> bool {
        matches!(self.shape, Shape::Rtt(_) | Shape::RttShared(_))
    }

    /// Whether a hint that is followed starts the delays again, from the first: as with gRPC's pushback (proposal A6),
    /// which is [followed exactly](Hints::Exact).
    #[must_use]
    pub const fn restarts_after_hint(&self) -> bool {
        matches!(self.hints, Hints::Exact)
    }

    /// How long to wait. `random` is a uniform random word: 0 is the shortest wait and `u64::MAX` the longest.
    #[must_use]
    pub fn delay(&self, step: &Step, random: u64) -> Duration {
        let delay = self.jittered(step, random);
        match (step.hint, self.hints) {
            (None, _) | (_, Hints::Ignore) => delay,
            (Some(hint), Hints::Whole) => hint.saturating_add(delay),
            (Some(hint), Hints::Exact) => hint,
            (Some(hint), Hints::Capped) => hint.min(self.cap),
            (Some(hint), Hints::Within(more)) => hint.clamp(delay, delay.saturating_add(more)),
        }
    }

    /// The shortest wait that is right for this step: the hint, where hints are followed whole or exactly; else 0.
    #[must_use]
    pub fn at_least(&self, step: &Step) -> Duration {
        match (step.hint, self.hints) {
            (Some(hint), Hints::Whole | Hints::Exact) => hint,
            _ => Duration::ZERO,
        }
    }

    fn jittered(&self, step: &Step, random: u64) -> Duration {
        let (least, most) = (self.least(step), self.most(step));
        match self.jitter {
            Jitter::Full => least.saturating_add(scale(most - least, random)),
            Jitter::None => most,
            Jitter::Decorrelated => {
                let base = self.base(step).min(self.cap);
                let most = step.previous.max(base).saturating_mul(3);
                base.saturating_add(scale(most - base, random)).min(self.cap)
            }
            Jitter::Spread(share) => {
                let spread = (most - least).as_nanos();
                let part = nanos(spread.saturating_mul(share.millionths().into()) / 1_000_000);
                (most - part).saturating_add(scale(part.saturating_mul(2), random))
            }
        }
    }

    /// The delay without jitter.
    fn most(&self, step: &Step) -> Duration {
        let base = self.base(step).as_nanos();
        let doublings = step.retry.saturating_sub(1);
        // A duration is under 2^94 ns: wider shifts than these saturate in any case.
        let most = match self.shape {
            Shape::Constant(_) => base,
            Shape::Exponential(_) => base.saturating_mul(1 << doublings.min(96)),
            Shape::Rtt(_) => base.saturating_mul((4 << doublings.min(96)).min(25)),
            Shape::RttShared(_) => (base / 4).saturating_mul(step.others() + (1 << doublings.min(7))),
        };
        nanos(most).min(self.cap)
    }

    /// What full jitter leaves of the delay: the way to a place in the queue.
    fn least(&self, step: &Step) -> Duration {
        match self.shape {
            // In a queue that is longer than the cap nobody goes to its end, where all of them would be.
            Shape::RttShared(_) if self.most(step) < self.cap => {
                nanos((self.base(step).as_nanos() / 4).saturating_mul(step.others()))
            }
            _ => Duration::ZERO,
        }
    }

    fn base(&self, step: &Step) -> Duration {
        match self.shape {
            Shape::Constant(delay) => delay,
            Shape::Exponential(base) if step.throttled => self.throttled_base.unwrap_or(base),
            Shape::Exponential(base) => base,
            Shape::Rtt(floor) | Shape::RttShared(floor) => step.rtt.max(floor),
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(Duration::from_millis(50), Self::CAP)
    }
}

// ===== impl Step =====

impl Step {
    /// Before the retry of this number: the first one is 1.
    pub const fn new(retry: u32) -> Self {
        Self { retry, previous: Duration::ZERO, rtt: Duration::ZERO, retrying: 1, throttled: false, hint: None }
    }

    /// How long the wait before was; read by [`Jitter::Decorrelated`].
    pub const fn previous(mut self, wait: Duration) -> Self {
        self.previous = wait;
        self
    }

    /// How long the failed attempt took; read by the rtt-scaled forms.
    pub const fn rtt(mut self, rtt: Duration) -> Self {
        self.rtt = rtt;
        self
    }

    /// How many callers are now retrying, this one included; read by [`Backoff::rtt_shared`].
    pub const fn retrying(mut self, callers: u32) -> Self {
        self.retrying = callers;
        self
    }

    /// Whether the service asked for less traffic; read where there is a [`Backoff::throttled_base`].
    pub const fn throttled(mut self, throttled: bool) -> Self {
        self.throttled = throttled;
        self
    }

    /// The callers who are retrying, without this one.
    fn others(&self) -> u128 {
        self.retrying.saturating_sub(1).into()
    }

    /// How long the server said to wait, if it did.
    pub const fn hint(mut self, hint: Option<Duration>) -> Self {
        self.hint = hint;
        self
    }
}

/// `most * random / (2^64 - 1)`, to the nanosecond.
fn scale(most: Duration, random: u64) -> Duration {
    let most = most.as_nanos();
    match most.checked_mul(u128::from(random)) {
        Some(product) => nanos(product / u128::from(u64::MAX)),
        // More than 584 years: the low bits are of no account.
        None => nanos((most / u128::from(u64::MAX)).saturating_mul(u128::from(random))),
    }
}

fn nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    match u64::try_from(nanos / SECOND) {
        Ok(seconds) => Duration::new(seconds, (nanos % SECOND) as u32),
        Err(_) => Duration::MAX,
    }
}
