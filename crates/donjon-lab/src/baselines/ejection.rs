//! Ejection of endpoints by their success rate: gRPC proposal A50, which follows Envoy's outlier detection.

use std::time::Duration;

use tokio::time::Instant;

use super::formulas::ejection_threshold;

/// Every interval the endpoints are compared, and those too far below the mean are ejected for a while.
///
/// Defaults of A50: five endpoints with a hundred calls each in the interval, 1.9 standard deviations, 30 s for the first
/// time and as much more for each time again, up to 300 s, and a tenth of the endpoints.
#[derive(Clone, Debug)]
pub struct SuccessRateEjection {
    endpoints: Vec<Endpoint>,
    /// In hundredths of all endpoints.
    most: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Endpoint {
    good: u32,
    bad: u32,
    times: u32,
    ejected: Option<Instant>,
}

const ENDPOINTS: usize = 5;
const CALLS: u32 = 100;
const BASE: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(300);

impl SuccessRateEjection {
    /// So many endpoints, of which at most `percent` hundredths are ejected: 10 in A50.
    #[must_use]
    pub fn new(endpoints: usize, percent: usize) -> Self {
        Self { endpoints: vec![Endpoint::default(); endpoints], most: percent }
    }

    /// A call to this endpoint has ended.
    pub fn record(&mut self, endpoint: usize, good: bool) {
        let it = &mut self.endpoints[endpoint];
        *if good { &mut it.good } else { &mut it.bad } += 1;
    }

    /// Whether this endpoint gets no calls now.
    #[must_use]
    pub fn is_ejected(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].ejected.is_some()
    }

    /// An interval has ended.
    pub fn interval_ends(&mut self, now: Instant) {
        self.eject(now);
        for endpoint in &mut self.endpoints {
            (endpoint.good, endpoint.bad) = (0, 0);
            match endpoint.ejected {
                None => endpoint.times = endpoint.times.saturating_sub(1),
                Some(at) if now >= at + BASE.saturating_mul(endpoint.times).min(LONGEST) => endpoint.ejected = None,
                Some(_) => {}
            }
        }
    }

    fn eject(&mut self, now: Instant) {
        let rates: Vec<_> = self.endpoints.iter().filter_map(Endpoint::success_rate).collect();
        if rates.len() < ENDPOINTS {
            return;
        }
        let threshold = ejection_threshold(&rates);
        let all = self.endpoints.len();
        let mut ejected = self.endpoints.iter().filter(|it| it.ejected.is_some()).count();
        for endpoint in self.endpoints.iter_mut().filter(|it| it.ejected.is_none()) {
            if ejected * 100 >= all * self.most {
                return;
            }
            if endpoint.success_rate().is_some_and(|rate| rate < threshold) {
                endpoint.ejected = Some(now);
                endpoint.times += 1;
                ejected += 1;
            }
        }
    }
}

impl Endpoint {
    fn success_rate(&self) -> Option<f64> {
        let calls = self.good + self.bad;
        (calls >= CALLS).then(|| f64::from(self.good) / f64::from(calls))
    }
}
