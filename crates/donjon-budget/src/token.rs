use crate::Budget;

/// Tokens taken from a [`Budget`] for a retry that is not sent yet.
///
/// Dropped, it gives them back. [`spend`](Self::spend) it right before the retry is sent.
#[derive(Debug)]
#[must_use = "dropping a withdrawal gives its tokens back"]
pub struct Withdrawal {
    /// Taken out when spent, so that dropping does nothing any more.
    budget: Option<Budget>,
    amount: u64,
}

/// The tokens of a retry that has been sent. Dropped, they are gone; [`succeeded`](Self::succeeded) brings them back.
#[derive(Debug)]
pub struct Receipt {
    budget: Budget,
    amount: u64,
}

// ===== impl Withdrawal =====

impl Withdrawal {
    pub(crate) fn new(budget: Budget, amount: u64) -> Self {
        Self { budget: Some(budget), amount }
    }

    /// The retry is being sent: from here on the tokens come back only if it succeeds.
    pub fn spend(mut self) -> Receipt {
        let budget = self.budget.take().expect("only spend and drop take it, and both end the withdrawal");
        Receipt { budget, amount: self.amount }
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.take() {
            budget.give_back(self.amount);
        }
    }
}

// ===== impl Receipt =====

impl Receipt {
    /// That retry has succeeded: its own tokens are refunded (those of retries before it are not), or what the budget's
    /// rule says instead ([`Budget::grpc`]).
    pub fn succeeded(self) {
        self.budget.reward(self.amount);
    }
}
