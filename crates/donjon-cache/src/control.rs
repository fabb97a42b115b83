use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use donjon_budget::{Entropy, Share};
use donjon_core::Ratio;
use donjon_store::Found;
use tokio::time::Instant;

use crate::{Keep, Limits, Verdict};

/// How long an answer is fresh, unless said.
const TTL: Duration = Duration::from_secs(60);
/// How many refreshes may run at a time, unless said.
const MAX_REFRESHES: usize = 64;
/// How long a refresh may take, unless said.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a key is left alone when its refresh has failed, unless said.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// The settings that hold for every service of a layer value, and can be turned while it runs.
#[derive(Debug)]
pub(crate) struct Control {
    ttl: Nanos,
    negative: Nanos,
    stale_while_revalidate: Nanos,
    stale_if_error: Nanos,
    /// In millionths.
    jitter: AtomicU32,
    ahead: AtomicBool,
    max_refreshes: AtomicUsize,
    refresh_timeout: Nanos,
    refresh_pause: Nanos,
    seed: Option<u64>,
    entropy: Entropy,
    /// What refreshes are paid from, if they are.
    share: OnceLock<Share>,
}

/// A duration; one of more than 584 years counts as for ever.
#[derive(Debug)]
struct Nanos(AtomicU64);

/// For how long something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) fresh: Duration,
    pub(crate) stale: Duration,
}

// ===== impl Control =====

impl Control {
    pub(crate) fn new() -> Self {
        Self {
            ttl: Nanos::new(TTL),
            negative: Nanos::new(Duration::ZERO),
            stale_while_revalidate: Nanos::new(Duration::ZERO),
            stale_if_error: Nanos::new(Duration::ZERO),
            jitter: AtomicU32::new(0),
            ahead: AtomicBool::new(false),
            max_refreshes: AtomicUsize::new(MAX_REFRESHES),
            refresh_timeout: Nanos::new(REFRESH_TIMEOUT),
            refresh_pause: Nanos::new(REFRESH_PAUSE),
            seed: None,
            entropy: Entropy::random(),
            share: OnceLock::new(),
        }
    }

    /// The same settings; the jitter starts again if it has a seed.
    pub(crate) fn fresh(&self) -> Self {
        Self {
            ttl: Nanos::new(self.ttl()),
            negative: Nanos::new(self.negative.get()),
            stale_while_revalidate: Nanos::new(self.stale_while_revalidate.get()),
            stale_if_error: Nanos::new(self.stale_if_error.get()),
            jitter: AtomicU32::new(self.jitter.load(Relaxed)),
            ahead: AtomicBool::new(self.ahead.load(Relaxed)),
            max_refreshes: AtomicUsize::new(self.max_refreshes()),
            refresh_timeout: Nanos::new(self.refresh_timeout()),
            refresh_pause: Nanos::new(self.refresh_pause()),
            seed: self.seed,
            entropy: self.seed.map_or_else(Entropy::random, Entropy::seeded),
            share: self.share.clone(),
        }
    }

    pub(crate) fn with_seed(&self, seed: u64) -> Self {
        Self { seed: Some(seed), entropy: Entropy::seeded(seed), ..self.fresh() }
    }

    pub(crate) fn with_share(&self, share: Share) -> Self {
        Self { share: share.into(), ..self.fresh() }
    }

    /// What refreshes are paid from, if nothing else was said.
    pub(crate) fn share_or_else(&self, share: impl FnOnce() -> Share) {
        self.share.get_or_init(share);
    }

    /// A call has come, which earns its part of a refresh.
    #[inline]
    pub(crate) fn deposit(&self) {
        if let Some(share) = self.share.get() {
            share.deposit();
        }
    }

    /// Whether one more refresh is paid for.
    pub(crate) fn pays(&self) -> bool {
        self.share.get().is_none_or(Share::try_take)
    }

    pub(crate) fn ttl(&self) -> Duration {
        self.ttl.get()
    }

    pub(crate) fn set_ttl(&self, ttl: Duration) {
        self.ttl.set(ttl);
    }

    pub(crate) fn set_negative(&self, ttl: Duration) {
        self.negative.set(ttl);
    }

    pub(crate) fn set_stale_while_revalidate(&self, window: Duration) {
        self.stale_while_revalidate.set(window);
    }

    pub(crate) fn set_stale_if_error(&self, window: Duration) {
        self.stale_if_error.set(window);
    }

    pub(crate) fn set_jitter(&self, jitter: Ratio) {
        self.jitter.store(jitter.millionths(), Relaxed);
    }

    pub(crate) fn set_ahead(&self, ahead: bool) {
        self.ahead.store(ahead, Relaxed);
    }

    pub(crate) fn max_refreshes(&self) -> usize {
        self.max_refreshes.load(Relaxed)
    }

    pub(crate) fn set_max_refreshes(&self, max: usize) {
        self.max_refreshes.store(max, Relaxed);
    }

    pub(crate) fn refresh_timeout(&self) -> Duration {
        self.refresh_timeout.get()
    }

    pub(crate) fn set_refresh_timeout(&self, limit: Duration) {
        self.refresh_timeout.set(limit);
    }

    pub(crate) fn refresh_pause(&self) -> Duration {
        self.refresh_pause.get()
    }

    pub(crate) fn set_refresh_pause(&self, pause: Duration) {
        self.refresh_pause.set(pause);
    }

    /// Whether it is time to bring the next value, though this one is fresh: less than 1.5 times the cost of the call is
    /// left.
    #[inline]
    pub(crate) fn is_due<V>(&self, found: &Found<V>, now: Instant) -> bool {
        self.ahead.load(Relaxed) && ends_soon(found, now)
    }

    /// Whether a stale value is served at once.
    pub(crate) fn serves_at_once<V>(&self, found: &Found<V>, now: Instant) -> bool {
        late(found, now) < self.stale_while_revalidate.get()
    }

    /// Whether a stale value is served instead of a failure.
    pub(crate) fn serves_if_error<V>(&self, found: &Found<V>, now: Instant) -> bool {
        let window = self.stale_if_error.get().max(self.stale_while_revalidate.get());
        late(found, now) < window && found.lifetime().usable_for() > found.lifetime().age(now)
    }

    /// For how long an answer with this verdict is kept, if at all. What it says of itself it says as of when it was made,
    /// which may be as long ago as it has cost.
    pub(crate) fn span(&self, verdict: Verdict, keep: &Keep, limits: Limits, cost: Duration) -> Option<Span> {
        let stale = self.stale_while_revalidate.get().max(self.stale_if_error.get());
        let (fresh, stale) = match verdict {
            Verdict::Keep => (keep.ttl.unwrap_or_else(|| self.ttl()), stale),
            Verdict::Negative => (self.negative.get(), Duration::ZERO),
            Verdict::Pass | Verdict::Failure => return None,
        };
        if keep.nothing || limits.fresh.is_zero() {
            return None;
        }
        let fresh = self.jittered(fresh.min(limits.fresh_after(cost)));
        let stale = if keep.never_stale || limits.never_stale { Duration::ZERO } else { stale };
        (!fresh.is_zero() || !stale.is_zero()).then_some(Span { fresh, stale })
    }

    /// Shorter by a part of up to the jitter.
    fn jittered(&self, ttl: Duration) -> Duration {
        let jitter = self.jitter.load(Relaxed);
        if jitter == 0 {
            return ttl;
        }
        let jitter = f64::from(jitter) / 1e6;
        // 53 bits are as many as the mantissa has.
        let draw = (self.entropy.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        // For ever is less than what there is no part of.
        ttl.min(Duration::from_nanos(u64::MAX)).mul_f64(1.0 - jitter * draw)
    }
}

fn ends_soon<V>(found: &Found<V>, now: Instant) -> bool {
    found.lifetime().fresh_left(now) < found.cost().saturating_mul(3) / 2
}

/// How long ago a value has stopped being fresh; zero while it is fresh.
fn late<V>(found: &Found<V>, now: Instant) -> Duration {
    let lifetime = found.lifetime();
    lifetime.age(now).saturating_sub(lifetime.fresh_for())
}

// ===== impl Nanos =====

impl Nanos {
    fn new(duration: Duration) -> Self {
        let this = Self(AtomicU64::new(0));
        this.set(duration);
        this
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }

    fn set(&self, duration: Duration) {
        self.0.store(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}
