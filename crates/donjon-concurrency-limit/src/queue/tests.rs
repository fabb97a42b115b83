use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::*;

const SERVICE_TIME: Duration = Duration::from_millis(10);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A queue with a clock and a count of arrivals, as the limiter keeps them.
struct Fixture {
    queue: Queue<u32>,
    now: Instant,
    arrivals: u64,
}

impl Fixture {
    fn two_lane() -> Self {
        let mut this = Self { queue: Queue::new(), now: Instant::now(), arrivals: 0 };
        this.queue.set_two_lane(TwoLane::new(SERVICE_TIME));
        this
    }

    fn push(&mut self, value: u32) -> Key {
        self.arrivals += 1;
        self.queue.push(value, self.now)
    }

    fn pop(&mut self) -> Option<(Verdict, u32)> {
        self.queue.pop(|| (self.now, self.arrivals))
    }

    fn is_over(&self) -> bool {
        self.queue.two_lane().is_some_and(|rules| rules.late_after() == ms(4))
    }

    /// One call each 10 ms, of which so many a hundred have waited for 29 ms: late, while the queue is not over.
    fn half_second(&mut self, late: impl Fn(u32) -> bool) {
        for n in 0..50 {
            self.now += ms(10);
            let since = if late(n) { self.now - ms(29) } else { self.now };
            self.arrivals += 1;
            let key = self.queue.push(n, since);
            assert!(self.pop().is_some());
            self.queue.remove(key);
        }
    }
}

// ===== first in, first out =====

#[test]
fn first_in_first_out_never_asks_for_the_time() {
    let mut queue = Queue::new();
    let now = Instant::now();
    for n in 0..3 {
        queue.push(n, now);
    }
    let mut pop = || queue.pop(|| panic!("the time"));
    assert_eq!(pop(), Some((Verdict::Granted, 0)));
    assert_eq!(pop(), Some((Verdict::Granted, 1)));
    assert_eq!(pop(), Some((Verdict::Granted, 2)));
    assert_eq!(pop(), None);
}

#[test]
fn a_place_keeps_its_verdict_until_it_is_removed() {
    let mut queue = Queue::new();
    let now = Instant::now();
    let (a, b) = (queue.push('a', now), queue.push('b', now));
    assert_eq!(queue.get_mut(a), Ok(&mut 'a'));
    queue.pop(|| (now, 0));
    assert_eq!(queue.refuse(), Some('b'));
    assert_eq!(queue.get_mut(a), Err(Verdict::Granted));
    assert_eq!(queue.get_mut(b), Err(Verdict::Refused));
    assert_eq!(queue.remove(a), Removed::Settled(Verdict::Granted));
    assert_eq!(queue.remove(b), Removed::Settled(Verdict::Refused));
}

#[test]
fn a_crowd_that_has_left_leaves_no_memory_behind() {
    let mut queue = Queue::new();
    let now = Instant::now();
    let keys: Vec<_> = (0..2 * KEEP).map(|n| queue.push(n, now)).collect();
    assert!(queue.nodes.capacity() >= 2 * KEEP);
    for key in keys {
        queue.remove(key);
    }
    assert_eq!(queue.nodes.capacity(), 0);
    queue.push(0, now);
    assert_eq!(queue.pop(|| (now, 0)), Some((Verdict::Granted, 0)));
}

// ===== two lanes =====

#[test]
fn whoever_is_older_than_28_ms_is_served_after_all_others_and_newest_first() {
    let mut fixture = Fixture::two_lane();
    for n in 0..3 {
        fixture.push(n);
        fixture.now += ms(1);
    }
    fixture.now += ms(28); // 31, 30, 29 ms old
    fixture.push(3);
    fixture.push(4);
    let order: Vec<_> = std::iter::from_fn(|| fixture.pop()).collect();
    assert_eq!(order, [3, 4, 2, 1, 0].map(|n| (Verdict::Granted, n)));
}

#[test]
fn an_age_of_exactly_28_ms_is_not_late() {
    let mut fixture = Fixture::two_lane();
    fixture.push(0);
    fixture.now += ms(28);
    fixture.push(1);
    assert_eq!(fixture.pop(), Some((Verdict::Granted, 0)));
}

#[test]
fn a_late_caller_is_served_up_to_90_ms_and_refused_after() {
    let mut fixture = Fixture::two_lane();
    fixture.push(0);
    fixture.now += ms(1);
    fixture.push(1);
    fixture.now += ms(90);
    assert_eq!(fixture.pop(), Some((Verdict::Granted, 1)));
    assert_eq!(fixture.pop(), Some((Verdict::Refused, 0)));
    assert_eq!(fixture.pop(), None);
}

#[test]
fn the_ages_follow_the_service_time() {
    let rules = TwoLane::new(ms(1));
    assert_eq!((rules.late_after(), rules.hopeless_after()), (Duration::from_micros(2800), ms(9)));
    let rules = TwoLane::new(Duration::ZERO);
    assert_eq!((rules.late_after(), rules.hopeless_after()), (Duration::ZERO, Duration::ZERO));
    assert!(TwoLane::new(Duration::MAX).hopeless_after() > Duration::from_secs(1 << 50));
}

#[test]
fn more_than_12_percent_late_in_a_second_is_over_and_under_4_percent_is_not() {
    let mut fixture = Fixture::two_lane();
    fixture.pop();
    // 12 of 100 are not more than 12 %.
    fixture.half_second(|n| n % 8 == 0 && n < 48);
    fixture.half_second(|n| n % 8 == 0 && n < 48);
    fixture.half_second(|_| false);
    assert!(!fixture.is_over());
    // 7 and then 7 of 50 are.
    fixture.half_second(|n| n % 7 == 0 && n < 49);
    fixture.half_second(|n| n % 7 == 0 && n < 49);
    fixture.half_second(|_| false);
    assert!(fixture.is_over());
    let Some(rules) = fixture.queue.two_lane() else { panic!("two lanes") };
    assert_eq!((rules.late_after(), rules.hopeless_after()), (ms(4), ms(28)));
    // It ends once a whole second was good.
    fixture.half_second(|_| false);
    fixture.half_second(|_| false);
    fixture.half_second(|_| false);
    assert!(!fixture.is_over());
}

#[test]
fn fewer_than_20_arrivals_say_nothing() {
    let mut fixture = Fixture::two_lane();
    for n in 0..19 {
        fixture.push(n);
    }
    fixture.pop();
    fixture.now += ms(600);
    while fixture.pop().is_some() {}
    fixture.now += ms(600);
    fixture.push(20);
    fixture.pop();
    assert!(!fixture.is_over());
}

#[test]
fn a_silence_is_no_reason_to_change() {
    let mut fixture = Fixture::two_lane();
    fixture.push(99);
    fixture.pop();
    fixture.half_second(|_| true);
    fixture.now += Duration::from_secs(3600);
    fixture.push(0);
    fixture.pop();
    assert!(fixture.is_over(), "what the last second before the silence has shown");
    // The first half second after it has few arrivals, the next ones enough.
    fixture.half_second(|_| false);
    fixture.half_second(|_| false);
    assert!(!fixture.is_over());
}

#[test]
fn while_over_callers_are_late_after_4_ms_and_refused_after_28() {
    let mut fixture = Fixture::two_lane();
    fixture.push(99);
    fixture.pop();
    fixture.half_second(|_| true);
    fixture.half_second(|_| true);
    fixture.now += ms(10);
    fixture.push(0);
    fixture.now += ms(23);
    fixture.push(1);
    fixture.now += ms(5);
    fixture.push(2);
    fixture.now += ms(1);
    let order: Vec<_> = std::iter::from_fn(|| fixture.pop()).collect();
    assert_eq!(order, [(Verdict::Granted, 2), (Verdict::Granted, 1), (Verdict::Refused, 0)]);
    assert!(fixture.is_over());
}

// ===== against plain models =====

#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    Pop,
    Refuse,
    /// Give up one of the places that there are.
    Remove(prop::sample::Index),
    Sleep(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Push),
        3 => Just(Step::Pop),
        1 => Just(Step::Refuse),
        2 => any::<prop::sample::Index>().prop_map(Step::Remove),
        2 => (0..40_u64).prop_map(Step::Sleep),
    ];
    prop::collection::vec(step, 0..200)
}

/// The same by the plainest means: two lists of (value, since).
#[derive(Default)]
struct Model {
    first: VecDeque<(u32, Instant)>,
    late: Vec<(u32, Instant)>,
}

impl Model {
    fn pop(&mut self, now: Instant, rules: Option<&TwoLane>) -> Option<(Verdict, u32)> {
        if let Some(rules) = rules {
            while self.first.front().is_some_and(|(_, since)| now - *since > rules.late_after()) {
                self.late.extend(self.first.pop_front());
            }
        }
        if let Some((value, _)) = self.first.pop_front() {
            return Some((Verdict::Granted, value));
        }
        let (value, since) = self.late.pop()?;
        let hopeless = rules.is_some_and(|rules| now - since > rules.hopeless_after());
        Some((if hopeless { Verdict::Refused } else { Verdict::Granted }, value))
    }

    fn refuse(&mut self) -> Option<u32> {
        let first = self.first.pop_front();
        first.or_else(|| (!self.late.is_empty()).then(|| self.late.remove(0))).map(|(value, _)| value)
    }

    fn remove(&mut self, value: u32) -> bool {
        let before = self.first.len() + self.late.len();
        self.first.retain(|(other, _)| *other != value);
        self.late.retain(|(other, _)| *other != value);
        self.first.len() + self.late.len() < before
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_script_goes_as_in_a_plain_model(two_lane: bool, steps in steps()) {
        let mut now = Instant::now();
        let mut queue = Queue::new();
        if two_lane {
            queue.set_two_lane(TwoLane::new(SERVICE_TIME));
        }
        let mut model = Model::default();
        let mut places: Vec<(Key, u32)> = Vec::new();
        let mut value = 0;
        for step in steps {
            match step {
                Step::Push => {
                    places.push((queue.push(value, now), value));
                    model.first.push_back((value, now));
                    value += 1;
                }
                Step::Pop => {
                    // The rules may change in the pop: a copy that is told the same goes through the same change.
                    let rules = queue.two_lane().cloned().map(|mut rules| {
                        if queue.waiting > 0 {
                            rules.advance(now, u64::from(value));
                        }
                        rules
                    });
                    let expected = model.pop(now, rules.as_ref());
                    prop_assert_eq!(queue.pop(|| (now, u64::from(value))), expected);
                }
                Step::Refuse => prop_assert_eq!(queue.refuse(), model.refuse()),
                Step::Remove(index) if !places.is_empty() => {
                    let (key, value) = places.swap_remove(index.index(places.len()));
                    let waited = matches!(queue.remove(key), Removed::Waiting(own) if own == value);
                    prop_assert_eq!(waited, model.remove(value));
                }
                Step::Remove(_) => {}
                Step::Sleep(millis) => now += ms(millis),
            }
            prop_assert_eq!(queue.waiting, model.first.len() + model.late.len());
            prop_assert_eq!(queue.used, places.len());
        }
    }
}
