use donjon_core::Ratio;

use crate::{
    budget::{Budget, Rule, Settings},
    share::ShareSettings,
};

/// Settings of a [`Budget`], made by [`Budget::builder`]. Each value means something, 0 included.
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct BudgetBuilder {
    capacity: u32,
    initial: Option<u32>,
    failure: u32,
    timeout: Option<u32>,
    throttled: Option<u32>,
    deposit: Ratio,
    refund: bool,
    share: ShareSettings,
}

// ===== impl BudgetBuilder =====

impl BudgetBuilder {
    pub(crate) const fn new() -> Self {
        Self {
            capacity: 24,
            initial: None,
            failure: 1,
            timeout: None,
            throttled: None,
            deposit: Ratio::ZERO,
            refund: true,
            share: ShareSettings::DEFAULT,
        }
    }

    /// At most so many tokens. Default 24; with 0, or with less than a retry costs, no retry is granted.
    pub const fn capacity(mut self, tokens: u32) -> Self {
        self.capacity = tokens;
        self
    }

    /// So many tokens to begin with, at most the capacity. Default: full.
    pub const fn initial(mut self, tokens: u32) -> Self {
        self.initial = Some(tokens);
        self
    }

    /// What a retry costs. Default 1; with 0 it costs nothing and each is granted.
    pub const fn cost(mut self, tokens: u32) -> Self {
        self.failure = tokens;
        self
    }

    /// What a retry after a timeout costs. Default: what any retry does.
    pub const fn timeout_cost(mut self, tokens: u32) -> Self {
        self.timeout = Some(tokens);
        self
    }

    /// What a retry after a 429 or the like costs. Default: what any retry does.
    pub const fn throttled_cost(mut self, tokens: u32) -> Self {
        self.throttled = Some(tokens);
        self
    }

    /// What a call earns that succeeds at its first attempt, as a share of one token. Default 0.3.
    pub const fn deposit(mut self, ratio: Ratio) -> Self {
        self.deposit = ratio;
        self
    }

    /// Whether a retry that succeeds gets its tokens back. Default yes.
    pub const fn refund(mut self, refund: bool) -> Self {
        self.refund = refund;
        self
    }

    /// How many hedges, probes and refreshes there may be for each call ([`Budget::share`]). Default 0.02; with 0 there
    /// are none.
    pub const fn share(mut self, ratio: Ratio) -> Self {
        self.share.deposit = ratio.millionths() as u64;
        self
    }

    /// At most so many hedges, probes and refreshes are saved up. Default 100; with 0 there are none.
    pub const fn share_burst(mut self, tokens: u32) -> Self {
        self.share.burst = tokens as u64 * Budget::TOKEN;
        self
    }

    /// A new bucket with these settings.
    #[must_use]
    pub fn build(self) -> Budget {
        Budget::from_settings(self.settings())
    }

    pub(crate) fn settings(self) -> Settings {
        let scaled = |tokens: u32| u64::from(tokens) * Budget::TOKEN;
        let capacity = scaled(self.capacity);
        let failure = scaled(self.failure);
        Settings {
            capacity,
            initial: self.initial.map_or(capacity, scaled).min(capacity),
            failure,
            timeout: self.timeout.map_or(failure, scaled),
            throttled: self.throttled.map_or(failure, scaled),
            deposit: u64::from(self.deposit.millionths()),
            rule: Rule::Bucket { refund: self.refund },
            share: self.share,
        }
    }
}
