use std::fmt;

use crate::{
    Budget,
    sync::{Arc, AtomicU64, Ordering},
};

/// What a [`Budget`] has for extra load that is not a retry: hedges, probes and refreshes. 2 % of the calls, unless said.
///
/// Each call puts a fiftieth of a token in, each hedge, probe or refresh takes a whole one, and none ever comes back. So
/// whatever happens, in any stretch of time, `taken <= 0.02 x calls + 100`. It starts empty and holds at most 100
/// tokens; [`BudgetBuilder::share`](crate::BudgetBuilder::share) and
/// [`share_burst`](crate::BudgetBuilder::share_burst) say otherwise. It is apart from the tokens of retries: neither
/// can use up the other.
///
/// All shares of one budget draw on the same tokens, and each layer of a stack has its own end of it
/// ([`Budget::share`]), which counts the calls that this layer sees. A call that several layers have seen earns once:
/// what counts is the layer that has seen the most; a layer inside of a retry says it at the first attempt. A layer that
/// has fallen behind by more than 1000 calls, since another stack on the same budget has more to do, is taken to be 1000
/// behind.
///
/// An end takes no more than the calls that it has seen itself have earned: the bound above holds for each end and its
/// own calls too. Without that, hits of a cache would pay for hedges behind it, of which a service that is called for
/// misses alone would see as many as calls.
///
/// Clones are the same end. A deposit into a full share is two loads; else it is up to four atomic steps, none of which
/// waits.
///
/// # Example
///
/// ```
/// use donjon_budget::Budget;
///
/// let share = Budget::new().share();
/// assert!(!share.try_take(), "nothing has been earned yet");
/// for _ in 0..50 {
///     share.deposit();
/// }
/// assert!(share.try_take(), "one hedge for fifty calls");
/// assert!(!share.try_take());
/// ```
#[derive(Clone)]
pub struct Share {
    budget: Budget,
    end: Arc<End>,
}

/// What one end has seen, and earned by it.
struct End {
    calls: AtomicU64,
    tokens: AtomicU64,
}

/// What the share of a [`Budget`] holds, and what it has done so far.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ShareStats {
    /// Tokens in it now.
    pub tokens: f64,
    /// Tokens that it can hold.
    pub burst: f64,
    /// Hedges, probes and refreshes that were paid for.
    pub taken: u64,
    /// Those that were not.
    pub refused: u64,
}

/// Amounts in millionths of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShareSettings {
    pub(crate) burst: u64,
    pub(crate) price: u64,
    pub(crate) deposit: u64,
}

/// The tokens of all shares of one budget.
pub(crate) struct Purse {
    settings: ShareSettings,
    tokens: AtomicU64,
    /// The most calls that one end has seen: as many have earned.
    calls: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
}

// ===== impl Share =====

impl Share {
    /// How far behind the others an end can be.
    const LAG: u64 = 1000;

    pub(crate) fn new(budget: Budget) -> Self {
        let calls = AtomicU64::new(budget.purse().calls.load(Ordering::Relaxed));
        Self { budget, end: Arc::new(End { calls, tokens: AtomicU64::new(0) }) }
    }

    /// A call happened, whatever came of it: it earns its part of a token, unless another layer has said so already.
    #[inline]
    pub fn deposit(&self) {
        let purse = self.budget.purse();
        purse.settings.earn(&self.end.tokens, purse.settings.deposit);
        // While nothing can be earned nothing needs to be counted either.
        if purse.tokens.load(Ordering::Relaxed) < purse.settings.burst {
            self.count(purse);
        }
    }

    /// Takes a token for one hedge, probe or refresh, or says no and takes nothing. It does not come back.
    #[must_use = "without a token nothing may be sent"]
    pub fn try_take(&self) -> bool {
        let purse = self.budget.purse();
        let own = purse.settings.pay(&self.end.tokens);
        let taken = own && purse.settings.pay(&purse.tokens);
        if own && !taken {
            purse.settings.earn(&self.end.tokens, purse.settings.price);
        }
        let counter = if taken { &purse.taken } else { &purse.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        taken
    }

    /// What all shares of this budget hold and have done. The figures are read one after the other, not at one instant.
    #[must_use]
    pub fn stats(&self) -> ShareStats {
        self.budget.purse().stats()
    }

    fn count(&self, purse: &Purse) {
        let mine = self.end.calls.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let most = purse.calls.fetch_max(mine, Ordering::Relaxed);
        if mine > most {
            purse.settings.earn(&purse.tokens, (mine - most).saturating_mul(purse.settings.deposit));
        } else if most - mine > Self::LAG {
            self.end.calls.fetch_max(most - Self::LAG, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("stats", &self.stats()).finish()
    }
}

// ===== impl ShareSettings =====

impl ShareSettings {
    /// A fiftieth of a token a call, a token each, at most 100.
    pub(crate) const DEFAULT: Self =
        Self { burst: 100 * Budget::TOKEN, price: Budget::TOKEN, deposit: Budget::TOKEN / 50 };

    /// Never a token.
    pub(crate) const NONE: Self = Self { burst: 0, price: Budget::TOKEN, deposit: 0 };

    /// Each is granted, and nothing is counted.
    pub(crate) const UNLIMITED: Self = Self { burst: 0, price: 0, deposit: 0 };

    /// Puts tokens in, up to the burst. A full one is only looked at.
    #[inline]
    fn earn(&self, tokens: &AtomicU64, amount: u64) {
        if tokens.load(Ordering::Relaxed) < self.burst {
            // Nothing to add to one that has become full: the error says no more than that.
            let _ = tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                (tokens < self.burst).then(|| self.burst.min(tokens.saturating_add(amount)))
            });
        }
    }

    /// Looks and takes in one step.
    fn pay(&self, tokens: &AtomicU64) -> bool {
        let step = |tokens: u64| tokens.checked_sub(self.price);
        tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok()
    }
}

// ===== impl Purse =====

// Each counter is by itself, and nothing else is published by them: relaxed is enough.
impl Purse {
    pub(crate) fn new(settings: ShareSettings) -> Self {
        Self {
            settings,
            tokens: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    pub(crate) fn stats(&self) -> ShareStats {
        let tokens = |amount: u64| amount as f64 / Budget::TOKEN as f64;
        ShareStats {
            tokens: tokens(self.tokens.load(Ordering::Relaxed)),
            burst: tokens(self.settings.burst),
            taken: self.taken.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}
