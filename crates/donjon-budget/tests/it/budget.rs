use std::thread;

use donjon_budget::{Budget, Cost, Receipt, Withdrawal};
use donjon_core::{Fresh, Ratio};
use proptest::prelude::*;

fn ratio(value: f64) -> Ratio {
    Ratio::new(value).expect("a share")
}

/// Withdraws and spends until it is refused.
fn drain(budget: &Budget) -> usize {
    std::iter::from_fn(|| budget.withdraw(Cost::Failure).map(Withdrawal::spend)).take(100_000).count()
}

#[test]
fn starts_full_with_24() {
    assert_eq!(drain(&Budget::new()), 24);
}

#[test]
fn a_first_try_success_earns_three_tenths() {
    let budget = Budget::new();
    drain(&budget);
    (0..10).for_each(|_| budget.deposit());
    assert_eq!(budget.stats().tokens, 3.0, "in integers: ten times 0.3 is 3");
}

#[test]
fn deposits_never_overfill() {
    let budget = Budget::new();
    (0..1000).for_each(|_| budget.deposit());
    assert_eq!(drain(&budget), 24);
}

#[test]
fn a_retry_that_succeeds_is_refunded_and_those_before_it_are_not() {
    let budget = Budget::new();
    let first = budget.withdraw(Cost::Failure).expect("full").spend();
    drop(first);
    let second = budget.withdraw(Cost::Failure).expect("not empty").spend();
    second.succeeded();
    assert_eq!(budget.stats().tokens, 23.0);
}

#[test]
fn a_retry_that_is_never_sent_costs_nothing() {
    let budget = Budget::new();
    drop(budget.withdraw(Cost::Failure).expect("full"));
    let stats = budget.stats();
    assert_eq!((stats.tokens, stats.granted, stats.given_back), (24.0, 1, 1));
}

#[test]
fn a_refusal_takes_nothing() {
    let budget = Budget::builder().capacity(3).cost(2).build();
    assert_eq!(drain(&budget), 1);
    assert_eq!(budget.stats().tokens, 1.0);
    assert_eq!(budget.stats().refused, 1);
}

#[test]
fn each_setting_means_something_at_zero_and_at_the_most() {
    assert_eq!(drain(&Budget::builder().capacity(0).build()), 0);
    assert_eq!(drain(&Budget::none()), 0);
    assert_eq!(drain(&Budget::builder().initial(0).build()), 0);
    assert_eq!(drain(&Budget::builder().initial(u32::MAX).build()), 24, "at most the capacity");
    assert_eq!(drain(&Budget::builder().cost(0).build()), 100_000);
    assert_eq!(drain(&Budget::unlimited()), 100_000);
    assert_eq!(drain(&Budget::builder().capacity(u32::MAX).cost(u32::MAX).build()), 1);
    assert_eq!(drain(&Budget::grpc(0, Ratio::ONE)), 0);

    let dry = Budget::builder().initial(0).deposit(Ratio::ZERO).build();
    (0..1000).for_each(|_| dry.deposit());
    assert_eq!(drain(&dry), 0);
}

#[test]
fn clones_are_one_bucket_and_fresh_is_another() {
    let budget = Budget::builder().capacity(2).build();
    assert_eq!(drain(&budget.clone()), 2);
    assert_eq!(drain(&budget), 0);
    assert_eq!(drain(&budget.fresh()), 2);
    assert_eq!(drain(&budget.bypass()), 100_000);
}

#[test]
fn threads_that_race_take_no_more_than_there_is() {
    let budget = Budget::builder().capacity(1000).build();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn({
                let budget = budget.clone();
                move || drain(&budget)
            })
        })
        .collect();
    let taken: usize = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
    assert_eq!(taken, 1000);
}

#[derive(Clone, Debug)]
enum Event {
    FirstTrySuccess,
    Withdraw,
    /// Of the pending withdrawals, the one at this index.
    GiveBack(usize),
    Send(usize),
    /// Of the retries that are running.
    Succeed(usize),
    Fail(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::FirstTrySuccess),
        6 => Just(Event::Withdraw),
        1 => any::<usize>().prop_map(Event::GiveBack),
        4 => any::<usize>().prop_map(Event::Send),
        1 => any::<usize>().prop_map(Event::Succeed),
        3 => any::<usize>().prop_map(Event::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Law 11, under any script: extra sends <= initial + ratio x first-try successes + refunds of retries that
    /// succeeded. And the other way round: a retry is refused only if less than a token is left of that.
    #[test]
    fn extra_sends_stay_within_what_was_earned(
        capacity in 0_u32..10, initial in 0_u32..10, tenths in 0_u32..=10, script in prop::collection::vec(event(), 0..400),
    ) {
        let budget = Budget::builder()
            .capacity(capacity)
            .initial(initial)
            .deposit(ratio(f64::from(tenths) / 10.0))
            .build();
        let initial = u64::from(initial.min(capacity)) * 10;
        let (mut waiting, mut running): (Vec<Withdrawal>, Vec<Receipt>) = Default::default();
        let (mut sent, mut earned, mut refunded) = (0, 0, 0);
        // The plain model, in tenths of a token.
        let mut model = initial;
        for event in script {
            match event {
                Event::FirstTrySuccess => {
                    budget.deposit();
                    earned += u64::from(tenths);
                    model = (model + u64::from(tenths)).min(u64::from(capacity) * 10);
                }
                Event::Withdraw => {
                    let withdrawal = budget.withdraw(Cost::Failure);
                    prop_assert_eq!(withdrawal.is_some(), model >= 10);
                    if let Some(withdrawal) = withdrawal {
                        model -= 10;
                        waiting.push(withdrawal);
                    }
                }
                Event::GiveBack(at) if !waiting.is_empty() => {
                    drop(waiting.swap_remove(at % waiting.len()));
                    model = (model + 10).min(u64::from(capacity) * 10);
                }
                Event::Send(at) if !waiting.is_empty() => {
                    running.push(waiting.swap_remove(at % waiting.len()).spend());
                    sent += 10;
                }
                Event::Succeed(at) if !running.is_empty() => {
                    running.swap_remove(at % running.len()).succeeded();
                    refunded += 10;
                    model = (model + 10).min(u64::from(capacity) * 10);
                }
                Event::Fail(at) if !running.is_empty() => drop(running.swap_remove(at % running.len())),
                _ => {}
            }
            prop_assert!(sent <= initial + earned + refunded);
            prop_assert_eq!(budget.stats().tokens, model as f64 / 10.0);
        }
    }
}
