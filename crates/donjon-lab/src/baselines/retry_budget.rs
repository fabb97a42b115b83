//! Retry budgets.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use tokio::time::Instant;
use tower::retry::budget::Budget;

/// Finagle's `RetryBudget`: deposits that expire, and a reserve of so many retries a second beside them.
///
/// Source: finagle-core, `com.twitter.finagle.service.RetryBudget`, and util-core's `TokenBucket.newLeakyBucket`. A
/// deposit is 1000 tokens, a retry takes 1000 / percentage of them; deposits live for `ttl` in ten steps; the reserve is
/// `ttl * min_per_second` retries at any time.
#[derive(Debug)]
pub struct Finagle {
    price: i64,
    reserve: i64,
    step: Duration,
    state: Mutex<Leaky>,
}

#[derive(Debug)]
struct Leaky {
    steps: VecDeque<i64>,
    until: Instant,
}

/// The SRE book's budget of a client: a retry is made only while fewer than a tenth of the requests are retries.
///
/// Source: Site Reliability Engineering, chapter 21, "Deciding to Retry"; counted over two minutes, as the client-side
/// throttling of the same chapter is.
#[derive(Debug)]
pub struct SreBook {
    ratio: f64,
    counts: Mutex<VecDeque<(Instant, u64, u64)>>,
}

// ===== impl Finagle =====

impl Finagle {
    const DEPOSIT: i64 = 1000;
    const STEPS: usize = 10;

    /// So many retries for a hundred deposits, and so many a second besides. Finagle's own: 10 s, 10 a second, 0.2.
    #[must_use]
    pub fn new(ttl: Duration, min_per_second: u32, share: f64) -> Self {
        let price = if share == 0.0 { 1 } else { (Self::DEPOSIT as f64 / share) as i64 };
        let step = ttl / Self::STEPS as u32;
        Self {
            price,
            reserve: (ttl.as_secs_f64() * f64::from(min_per_second)) as i64 * price,
            step,
            state: Mutex::new(Leaky { steps: VecDeque::from([0; Self::STEPS]), until: Instant::now() + step }),
        }
    }

    /// What is in the bucket, when what has expired is gone.
    fn with<R>(&self, f: impl FnOnce(&mut i64, i64) -> R) -> R {
        let mut state = self.state.lock().expect("nobody panics under this lock");
        let now = Instant::now();
        while state.until <= now {
            state.steps.pop_front();
            state.steps.push_back(0);
            state.until += self.step;
        }
        let sum = state.steps.iter().sum();
        f(state.steps.back_mut().expect("there are ten steps at any time"), sum)
    }
}

impl Budget for Finagle {
    fn deposit(&self) {
        self.with(|step, _| *step += Self::DEPOSIT);
    }

    fn withdraw(&self) -> bool {
        self.with(|step, sum| {
            let enough = sum + self.reserve >= self.price;
            *step -= i64::from(enough) * self.price;
            enough
        })
    }
}

// ===== impl SreBook =====

impl SreBook {
    const WINDOW: Duration = Duration::from_secs(120);

    /// Retries up to this share of the requests; the book's is 0.1.
    #[must_use]
    pub fn new(ratio: f64) -> Self {
        Self { ratio, counts: Mutex::default() }
    }

    fn with<R>(&self, f: impl FnOnce(u64, u64) -> (R, u64, u64)) -> R {
        let mut counts = self.counts.lock().expect("nobody panics under this lock");
        let now = Instant::now();
        while counts.front().is_some_and(|(since, ..)| now - *since >= Self::WINDOW) {
            counts.pop_front();
        }
        let (requests, retries) =
            counts.iter().fold((0, 0), |(a, b), (_, requests, retries)| (a + requests, b + retries));
        let (result, requests, retries) = f(requests, retries);
        match counts.back_mut() {
            Some((since, a, b)) if now - *since < Duration::from_secs(1) => (*a, *b) = (*a + requests, *b + retries),
            _ => counts.push_back((now, requests, retries)),
        }
        result
    }
}

impl Budget for SreBook {
    fn deposit(&self) {
        self.with(|_, _| ((), 1, 0));
    }

    fn withdraw(&self) -> bool {
        self.with(|requests, retries| {
            let may = (retries as f64) < self.ratio * (requests + retries) as f64;
            (may, 0, u64::from(may))
        })
    }
}
