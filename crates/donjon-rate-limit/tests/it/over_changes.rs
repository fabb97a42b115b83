//! The bound that holds while the rate changes, pauses among the changes.

use std::time::Duration;

use donjon_rate_limit::{Ask, Handle, Limiter, LocalLimiter, LocalTurn, Rate, RateLimitLayer, Turn, Verdict};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

const SECOND: u64 = 1_000_000_000;

/// Billionths of tokens that the fastest rate brings in a nanosecond.
const FASTEST: u128 = 1000;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call comes, with a cost, and waits for so many nanoseconds.
    Come {
        cost: u64,
        patience: u64,
    },
    /// One of those who wait gives up.
    Leave(prop::sample::Index),
    Advance(u64),
    Set(Rate),
}

/// A turn that was given and not given up.
#[derive(Clone, Copy, Debug)]
struct Given {
    at: u64,
    cost: u64,
    /// The number of the terms that it was given by.
    terms: usize,
}

struct Terms {
    rate: Rate,
    from: u64,
    /// When the last turn is that was given by them, whoever has it.
    last: u64,
}

struct Run {
    limiter: LocalLimiter,
    handle: Handle,
    start: Instant,
    terms: Vec<Terms>,
    /// What has started.
    started: Vec<Given>,
    waits: Vec<(Given, LocalTurn)>,
}

fn rate() -> impl Strategy<Value = Rate> {
    let tokens = prop::sample::select(vec![1_u64, 2, 3, 5, 7, 10, 100, 1000]);
    (tokens, 1..6_u64).prop_map(|(tokens, burst)| Rate::per_second(tokens).burst(burst))
}

fn pause() -> impl Strategy<Value = Rate> {
    prop_oneof![Just(Rate::per_second(0)), rate().prop_map(|rate| rate.burst(0))]
}

/// Steps whose rates are drawn from `rates`.
fn steps(rates: impl Strategy<Value = Rate> + 'static) -> impl Strategy<Value = Vec<Step>> {
    let patience = prop_oneof![1 => Just(0), 6 => 0..4 * SECOND];
    let come = (1..4_u64, patience).prop_map(|(cost, patience)| Step::Come { cost, patience });
    let step = prop_oneof![
        10 => come,
        3 => any::<prop::sample::Index>().prop_map(Step::Leave),
        3 => (0..SECOND / 2).prop_map(Step::Advance),
        4 => rates.prop_map(Step::Set),
    ];
    prop::collection::vec(step, 1..60)
}

impl Run {
    fn new(rate: Rate) -> Self {
        let layer = RateLimitLayer::new(rate);
        let terms = Terms { rate, from: 0, last: 0 };
        Self {
            limiter: layer.limiter().clone(),
            handle: layer.handle(),
            start: Instant::now(),
            terms: vec![terms],
            started: Vec::new(),
            waits: Vec::new(),
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from((at - self.start).as_nanos()).unwrap()
    }

    fn is_paused(&self) -> bool {
        let rate = self.terms.last().unwrap().rate;
        rate.tokens() == 0 || rate.max_burst() == 0
    }

    async fn step(&mut self, step: Step) {
        let now = Instant::now();
        let terms = self.terms.len() - 1;
        match step {
            Step::Come { cost, patience } => {
                let given = |at| Given { at, cost, terms };
                match self.limiter.acquire(Ask::new(now, cost, Duration::from_nanos(patience))).into_inner() {
                    Verdict::Admitted(_) => {
                        assert!(!self.is_paused());
                        self.started.push(given(self.nanos(now)));
                    }
                    Verdict::Wait(turn) => {
                        let at = self.nanos(turn.at());
                        self.terms[terms].last = self.terms[terms].last.max(at);
                        self.waits.push((given(at), turn));
                    }
                    Verdict::Refused { .. } => {}
                }
            }
            Step::Leave(index) if !self.waits.is_empty() => {
                drop(self.waits.swap_remove(index.index(self.waits.len())));
            }
            Step::Leave(_) => {}
            Step::Advance(nanos) => {
                advance(Duration::from_nanos(nanos)).await;
                let now = self.nanos(Instant::now());
                while let Some(at) = self.waits.iter().position(|(given, _)| given.at <= now) {
                    let (given, turn) = self.waits.swap_remove(at);
                    assert_eq!(turn.take().is_none(), self.is_paused());
                    if !self.is_paused() {
                        self.started.push(given);
                    }
                }
            }
            Step::Set(rate) => {
                self.handle.set_rate(rate).unwrap();
                self.terms.push(Terms { rate, from: self.nanos(now), last: 0 });
            }
        }
    }

    /// The tokens that came in this time, in billionths: by the highest rate, at each moment, of those that hold and of
    /// those by which a turn is still to come.
    fn came(&self, from: u64, to: u64) -> u128 {
        let mut edges = vec![from, to];
        edges.extend(self.terms.iter().flat_map(|terms| [terms.from, terms.last]).filter(|at| (from..to).contains(at)));
        edges.sort_unstable();
        let piece = |edge: &[u64]| {
            let holds = self.terms.iter().rev().find(|terms| terms.from <= edge[0]).unwrap();
            let promised = self.terms.iter().filter(|terms| terms.from <= edge[0] && terms.last >= edge[1]);
            let rate = promised.chain([holds]).map(|terms| terms.rate.tokens()).max().unwrap();
            u128::from(edge[1] - edge[0]) * u128::from(rate)
        };
        edges.windows(2).map(piece).sum()
    }

    /// Of what was given within some terms no more than came, beside the burst of the first of them and what those after
    /// it have added to the burst.
    fn check(mut self) -> Result<(), TestCaseError> {
        let mut given: Vec<_> = self.started.drain(..).chain(self.waits.iter().map(|(given, _)| *given)).collect();
        given.sort_by_key(|given| given.at);
        // A pause has the burst of before.
        let mut bursts = Vec::new();
        for terms in &self.terms {
            let is_pause = terms.rate.tokens() == 0 || terms.rate.max_burst() == 0;
            let before = bursts.last().copied().unwrap_or(0);
            bursts.push(if is_pause { before } else { terms.rate.max_burst() });
        }
        for (first, from) in given.iter().enumerate() {
            let (mut tokens, mut oldest, mut newest) = (0, from.terms, from.terms);
            for to in &given[first..] {
                tokens += to.cost;
                (oldest, newest) = (oldest.min(to.terms), newest.max(to.terms));
                let raised: u64 = bursts[oldest..=newest].windows(2).map(|two| two[1].saturating_sub(two[0])).sum();
                let burst = u128::from(bursts[oldest] + raised) * u128::from(SECOND);
                // A turn is told in whole nanoseconds, rounded up.
                let came = self.came(from.at, to.at) + FASTEST;
                prop_assert!(
                    u128::from(tokens) * u128::from(SECOND) <= burst + came,
                    "{} tokens from {} to {}",
                    tokens,
                    from.at,
                    to.at
                );
            }
        }
        Ok(())
    }
}

fn run(rate: Rate, steps: Vec<Step>) -> Result<(), TestCaseError> {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
        let mut run = Run::new(rate);
        for step in steps {
            run.step(step).await;
        }
        run.check()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// The rates that hold are the same, so that this is the bound of one rate.
    #[test]
    fn a_rate_that_pauses_and_goes_on_gives_no_turn_twice(
        (rate, steps) in rate().prop_flat_map(|rate| (Just(rate), steps(prop_oneof![pause(), Just(rate)])))
    ) {
        run(rate, steps)?;
    }

    #[test]
    fn a_rate_that_changes_gives_no_turn_twice(rate in rate(), steps in steps(prop_oneof![1 => pause(), 2 => rate()])) {
        run(rate, steps)?;
    }
}

/// When the turn of a newcomer is, with those who wait in front of it.
async fn newcomer_after(rate: Rate, waiting: usize, patience: Duration, changes: &[Rate]) -> (Duration, Duration) {
    let layer = RateLimitLayer::new(rate);
    let start = Instant::now();
    let ask = || match layer.limiter().acquire(Ask::new(start, 1, patience)).into_inner() {
        Verdict::Wait(turn) => turn,
        verdict => panic!("it waits: {verdict:?}"),
    };
    assert!(matches!(layer.limiter().acquire(Ask::new(start, 1, patience)).into_inner(), Verdict::Admitted(_)));
    let turns: Vec<_> = (0..waiting).map(|_| ask()).collect();
    for rate in changes {
        layer.handle().set_rate(*rate).unwrap();
    }
    (turns.last().unwrap().at() - start, ask().at() - start)
}

#[tokio::test(start_paused = true)]
async fn newcomers_after_a_pause_are_behind_those_who_wait() {
    const RATE: Rate = Rate::per_second(10).burst(1);
    for pause in [Rate::per_second(0), RATE.burst(0), Rate::per_hour(1).burst(0), Rate::per_second(65_521).burst(0)] {
        for changes in [&[pause, RATE][..], &[pause, pause, RATE], &[pause, RATE, pause, RATE]] {
            let (last, next) = newcomer_after(RATE, 20, Duration::from_secs(10), changes).await;
            assert_eq!((last, next), (Duration::from_secs(2), Duration::from_millis(2100)), "{changes:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn newcomers_after_a_burst_that_rose_and_fell_are_behind_those_who_wait() {
    const RATE: Rate = Rate::per_second(10).burst(1);
    let (last, next) = newcomer_after(RATE, 20, Duration::from_secs(10), &[RATE.burst(10), RATE]).await;
    assert_eq!((last, next), (Duration::from_secs(2), Duration::from_millis(2100)));
}

/// Units that are fine enough for the new rate count 18 minutes at most.
#[tokio::test(start_paused = true)]
async fn a_promise_of_hours_is_kept_by_a_rate_of_very_small_parts() {
    let (hour, fast) = (Duration::from_secs(3600), Rate::per_second(65_521).burst(1));
    for changes in [&[fast][..], &[Rate::per_second(0), fast], &[fast, Rate::per_second(0), fast]] {
        let (last, next) = newcomer_after(Rate::per_hour(1), 3, 10 * hour, changes).await;
        assert_eq!(last, 3 * hour);
        assert!(next > last && next < last + Duration::from_millis(1), "{changes:?}: {next:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_tokens_are_missing_after_a_pause_as_before_it_however_many() {
    let many = 100_000_000_000;
    let slow = Rate::per_hour(1).burst(0);
    for (rate, pause) in [
        (Rate::per_second(many), Rate::per_second(0)),
        (Rate::per_second(many), slow),
        (Rate::per_second(1000).burst(1_000_000), slow),
        (Rate::per_second(65_521).burst(100_000_000), Rate::per_second(65_521).burst(0)),
    ] {
        let layer = RateLimitLayer::new(rate);
        let ask = Ask::new(Instant::now(), rate.max_burst(), Duration::ZERO);
        assert!(matches!(layer.limiter().acquire(ask).into_inner(), Verdict::Admitted(_)));
        layer.handle().set_rate(pause).unwrap();
        layer.handle().set_rate(rate).unwrap();
        assert_eq!(layer.handle().stats().available, 0, "{rate}, {pause}");
    }
}

/// With a burst of 0 time goes on: what was missing comes back meanwhile.
#[tokio::test(start_paused = true)]
async fn tokens_come_back_while_there_is_a_rate_and_no_burst() {
    let rate = Rate::per_second(1000).burst(10_000);
    let layer = RateLimitLayer::new(rate);
    let ask = Ask::new(Instant::now(), 10_000, Duration::ZERO);
    assert!(matches!(layer.limiter().acquire(ask).into_inner(), Verdict::Admitted(_)));
    layer.handle().set_rate(Rate::per_second(500).burst(0)).unwrap();
    advance(Duration::from_secs(4)).await;
    layer.handle().set_rate(rate).unwrap();
    assert_eq!(layer.handle().stats().available, 2000);
}
