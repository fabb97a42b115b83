//! Models of the budget's atomics, over every interleaving: `RUSTFLAGS="--cfg donjon_loom" cargo test --test loom`.
#![cfg(donjon_loom)]

use donjon_budget::{Budget, Cost, Withdrawal};
use donjon_core::Ratio;
use loom::thread;

/// Two threads over one token and half a deposit each: never more granted than there was, and nothing is lost.
#[test]
fn grants_no_more_than_it_holds_and_loses_nothing() {
    loom::model(|| {
        let half = Ratio::new(0.5).expect("a share");
        let budget = Budget::builder().capacity(2).initial(1).deposit(half).build();
        let retry = |budget: Budget| {
            thread::spawn(move || {
                budget.deposit();
                budget.withdraw(Cost::Failure).map(Withdrawal::spend).is_some()
            })
        };
        let threads = [retry(budget.clone()), retry(budget.clone())];
        let sent = threads.into_iter().map(|thread| thread.join().expect("no panic")).filter(|sent| *sent).count();

        assert_eq!(budget.stats().tokens + sent as f64, 2.0, "what was put in is there or was spent");
        assert!(sent >= 1, "a whole token was there for the first");
    });
}

/// One token, two takers of which one gives back: both may send, never at the same time.
#[test]
fn a_withdrawal_given_back_is_there_for_the_other() {
    loom::model(|| {
        let budget = Budget::builder().capacity(1).build();
        let other = budget.clone();
        let thread = thread::spawn(move || drop(other.withdraw(Cost::Failure)));
        let mine = budget.withdraw(Cost::Failure);
        thread.join().expect("no panic");
        let spent = mine.map(Withdrawal::spend).is_some();
        assert_eq!(budget.withdraw(Cost::Failure).is_some(), !spent, "exactly one token was there");
    });
}

/// A refund and a deposit race with a full bucket: the capacity is never exceeded.
#[test]
fn a_refund_never_overfills() {
    loom::model(|| {
        let budget = Budget::builder().capacity(1).deposit(Ratio::ONE).build();
        let receipt = budget.withdraw(Cost::Failure).expect("full").spend();
        let other = budget.clone();
        let thread = thread::spawn(move || other.deposit());
        receipt.succeeded();
        thread.join().expect("no panic");
        assert_eq!(budget.stats().tokens, 1.0);
    });
}

/// Two layers that see the same calls: each call earns once, whoever says so first.
#[test]
fn a_call_that_two_layers_see_earns_once() {
    loom::model(|| {
        let budget = Budget::builder().share(Ratio::ONE).share_burst(10).build();
        let (outer, inner) = (budget.share(), budget.share());
        let thread = thread::spawn(move || {
            outer.deposit();
            outer.deposit();
        });
        inner.deposit();
        let taken = inner.try_take();
        thread.join().expect("no panic");
        assert_eq!(budget.stats().share.tokens + f64::from(u8::from(taken)), 2.0, "the most that one layer has seen");
    });
}
