use donjon_budget::{Budget, Cost, Share, Withdrawal};
use donjon_core::{Fresh, Ratio};
use proptest::prelude::*;

fn calls(share: &Share, number: usize) {
    (0..number).for_each(|_| share.deposit());
}

fn drain(share: &Share) -> usize {
    (0..100_000).take_while(|_| share.try_take()).count()
}

#[test]
fn one_for_fifty_calls_and_none_to_begin_with() {
    let share = Budget::new().share();
    assert_eq!(drain(&share), 0);
    calls(&share, 49);
    assert_eq!(drain(&share), 0);
    calls(&share, 1);
    assert_eq!(drain(&share), 1);
    let stats = share.stats();
    assert_eq!((stats.tokens, stats.burst, stats.taken, stats.refused), (0.0, 100.0, 1, 3));
}

#[test]
fn no_more_than_a_hundred_are_saved_up() {
    let share = Budget::new().share();
    calls(&share, 1_000_000);
    assert_eq!(drain(&share), 100);
    calls(&share, 50);
    assert_eq!(drain(&share), 1, "calls that found it full have earned nothing, and hold up nothing");
}

#[test]
fn a_call_that_several_layers_see_earns_once() {
    let budget = Budget::new();
    let (cache, hedge) = (budget.share(), budget.share());
    for _ in 0..500 {
        cache.deposit();
        hedge.deposit();
    }
    assert_eq!(drain(&hedge), 10);
    assert_eq!(drain(&cache), 0, "they have been spent");
}

#[test]
fn an_end_takes_no_more_than_its_own_calls_have_earned() {
    let budget = Budget::new();
    let (cache, hedge) = (budget.share(), budget.share());
    // Hits, of which the layer behind the cache sees nothing, and misses.
    calls(&cache, 950);
    for _ in 0..50 {
        cache.deposit();
        hedge.deposit();
    }
    assert_eq!(drain(&hedge), 1, "a fiftieth of what goes past the cache");
    assert_eq!(drain(&cache), 19);
    // What is refused by the common purse is not lost to the end.
    calls(&hedge, 50);
    assert_eq!(drain(&hedge), 0, "the other end has seen as many, and has spent it");
    calls(&cache, 50);
    assert_eq!(drain(&hedge), 1);
}

#[test]
fn clones_are_one_end() {
    let share = Budget::new().share();
    let clone = share.clone();
    calls(&share, 25);
    calls(&clone, 25);
    assert_eq!(drain(&share), 1);
}

#[test]
fn an_end_that_is_made_later_begins_where_the_others_are() {
    let budget = Budget::new();
    calls(&budget.share(), 3000);
    let later = budget.share();
    assert_eq!(drain(&later), 0, "it has seen none of them");
    calls(&later, 50);
    assert_eq!(drain(&later), 1);
    assert_eq!(budget.stats().share.tokens, 60.0, "the calls that it sees count from there on");
}

#[test]
fn an_end_that_has_fallen_far_behind_catches_up_in_a_thousand_calls() {
    let budget = Budget::builder().share_burst(10_000).build();
    let (busy, idle) = (budget.share(), budget.share());
    calls(&busy, 100_000);
    assert_eq!(drain(&busy), 2000);
    calls(&idle, 1000);
    assert_eq!(drain(&idle), 0);
    calls(&idle, 51);
    assert_eq!(drain(&idle), 1);
}

#[test]
fn retries_and_the_share_leave_each_other_alone() {
    let budget = Budget::new();
    let share = budget.share();
    calls(&share, 1000);
    while budget.withdraw(Cost::Failure).map(Withdrawal::spend).is_some() {}
    assert_eq!(drain(&share), 20);
    (0..10).for_each(|_| budget.deposit());
    assert_eq!((budget.stats().tokens, budget.stats().share.tokens), (3.0, 0.0));
}

#[test]
fn each_setting_means_something_at_zero_and_at_the_most() {
    let share = |ratio, burst| Budget::builder().share(ratio).share_burst(burst).build().share();
    for (ratio, burst, expected) in
        [(Ratio::ZERO, 100, 0), (Ratio::ONE, 0, 0), (Ratio::ONE, 1, 1), (Ratio::ONE, u32::MAX, 1000)]
    {
        let share = share(ratio, burst);
        calls(&share, 1000);
        assert_eq!(drain(&share), expected, "{ratio} {burst}");
    }
    let none = Budget::none().share();
    calls(&none, 1000);
    assert_eq!(drain(&none), 0);
    assert_eq!(drain(&Budget::unlimited().share()), 100_000);
    for other in [Budget::aws_2_0(), Budget::aws_2_1(), Budget::grpc(10, Ratio::ONE)] {
        let share = other.share();
        calls(&share, 50);
        assert_eq!(drain(&share), 1);
    }
}

#[test]
fn fresh_is_empty_and_bypass_grants_all() {
    let budget = Budget::new();
    let share = budget.share();
    calls(&share, 100);
    assert_eq!(drain(&budget.fresh().share()), 0);
    assert_eq!(drain(&budget.bypass().share()), 100_000);
    assert_eq!(drain(&share), 2);
}

#[test]
fn threads_that_race_earn_each_call_once() {
    let budget = Budget::builder().share(Ratio::ONE).share_burst(u32::MAX).build();
    let share = budget.share();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| calls(&share, 1000));
        }
    });
    assert_eq!(drain(&share), 4000);
}

#[derive(Clone, Debug)]
enum Event {
    /// A call that the outer layer answers by itself.
    Hit,
    /// A call that both layers see, and how many of its attempts the inner one sees.
    Call,
    Take(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![2 => Just(Event::Hit), 4 => Just(Event::Call), 1 => any::<bool>().prop_map(Event::Take)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Law 11, under any script: in any stretch, taken <= ratio x calls + burst; and from the start, where nothing has
    /// been saved up, taken <= ratio x calls.
    #[test]
    fn what_is_taken_stays_within_what_was_earned(
        tenths in 0_u32..=10, burst in 0_u32..5, script in prop::collection::vec(event(), 0..400),
    ) {
        let ratio = Ratio::new(f64::from(tenths) / 10.0).expect("a share");
        let budget = Budget::builder().share(ratio).share_burst(burst).build();
        let (outer, inner) = (budget.share(), budget.share());
        let (mut calls, mut taken) = (0_u32, 0_u32);
        // Of the inner layer alone: a call that it does not see pays for nothing that it takes.
        let (mut inner_calls, mut inner_taken) = (0_u32, 0_u32);
        // The least of `ratio x calls - taken` so far, in tenths: no later point may be more than a burst below.
        let mut highest = 0_i64;
        for event in script {
            match event {
                Event::Hit => {
                    outer.deposit();
                    calls += 1;
                }
                Event::Call => {
                    outer.deposit();
                    inner.deposit();
                    calls += 1;
                    inner_calls += 1;
                }
                Event::Take(true) => taken += u32::from(outer.try_take()),
                Event::Take(false) => {
                    let took = u32::from(inner.try_take());
                    taken += took;
                    inner_taken += took;
                }
            }
            prop_assert!(inner_taken * 10 <= tenths * inner_calls);
            prop_assert!(taken * 10 <= tenths * calls);
            // taken(b) - taken(a) <= ratio x (calls(b) - calls(a)) + burst for all a <= b.
            let excess = i64::from(taken) * 10 - i64::from(tenths * calls);
            highest = highest.min(excess);
            prop_assert!(excess - highest <= i64::from(burst) * 10);
        }
    }

    /// And the other way round: one layer alone gets all that its calls have earned.
    #[test]
    fn nothing_that_was_earned_is_refused(
        tenths in 0_u32..=10, burst in 0_u32..5, script in prop::collection::vec(event(), 0..400),
    ) {
        let ratio = Ratio::new(f64::from(tenths) / 10.0).expect("a share");
        let share = Budget::builder().share(ratio).share_burst(burst).build().share();
        let mut model = 0;
        for event in script {
            if let Event::Take(_) = event {
                prop_assert_eq!(share.try_take(), model >= 10);
                model -= if model >= 10 { 10 } else { 0 };
            } else {
                share.deposit();
                model = (model + tenths).min(burst * 10);
            }
            prop_assert_eq!(share.stats().tokens, f64::from(model) / 10.0);
        }
    }
}
