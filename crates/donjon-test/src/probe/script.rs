use std::time::Duration;

use donjon_core::Ratio;

use super::Reply;

/// What an unreliable service does, call after call, decided by a seed: the same seed makes the same service again.
///
/// Given to a probe by [`ProbeHandle::play`](crate::ProbeHandle::play). The shares are drawn in the order of the setters
/// below, each of what the ones before have left to answer as they should; without any, every call is answered at once.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_core::Ratio;
/// use donjon_test::{Probe, Script};
/// use tower::{Service, ServiceExt};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let script = Script::seeded(7)
///     .failing(Ratio::new(0.2)?)
///     .latency(Duration::from_millis(2))
///     .slow(Ratio::new(0.01)?, Duration::from_millis(50));
/// let mut probe = Probe::number();
/// probe.handle().play(script);
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// for id in 0..1000 {
///     let _ = probe.ready().await.unwrap().call(id).await;
/// }
/// # });
/// let failed = probe.handle().stats().failed;
/// assert!((150..250).contains(&failed), "{failed} of 1000");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Script {
    state: u64,
    failing: Ratio,
    unavailable: Ratio,
    truncated: Ratio,
    latency: Duration,
    slow: (Ratio, Duration),
}

impl Script {
    /// Answers every call at once. All that is added is decided by this seed.
    pub const fn seeded(seed: u64) -> Self {
        Self {
            state: seed,
            failing: Ratio::ZERO,
            unavailable: Ratio::ZERO,
            truncated: Ratio::ZERO,
            latency: Duration::ZERO,
            slow: (Ratio::ZERO, Duration::ZERO),
        }
    }

    /// This share of the calls ends with a [`ProbeError`](crate::ProbeError).
    pub const fn failing(mut self, share: Ratio) -> Self {
        self.failing = share;
        self
    }

    /// This share of the calls is answered [unavailable](crate::Exchange::unavailable): by a 503, in HTTP.
    pub const fn unavailable(mut self, share: Ratio) -> Self {
        self.unavailable = share;
        self
    }

    /// This share of the calls gets a response that is [truncated](crate::Exchange::truncated).
    pub const fn truncated(mut self, share: Ratio) -> Self {
        self.truncated = share;
        self
    }

    /// A call takes this long at the median: evenly distributed from half of it to one and a half times as long.
    pub const fn latency(mut self, median: Duration) -> Self {
        self.latency = median;
        self
    }

    /// This share of the calls takes so long instead.
    pub const fn slow(mut self, share: Ratio, latency: Duration) -> Self {
        self.slow = (share, latency);
        self
    }

    pub(crate) fn next(&mut self) -> Reply {
        // Every draw is made, whatever the settings are, so that one setting does not move the others.
        let [failing, unavailable, truncated, slow, jitter] = std::array::from_fn(|_| self.draw());
        let hits = |draw: u32, share: Ratio| draw < share.millionths();
        let reply = if hits(failing, self.failing) {
            Reply::fail()
        } else if hits(unavailable, self.unavailable) {
            Reply::unavailable()
        } else if hits(truncated, self.truncated) {
            Reply::truncated()
        } else {
            Reply::answer()
        };
        let latency = if hits(slow, self.slow.0) {
            self.slow.1
        } else {
            self.latency / 2 + self.latency.mul_f64(f64::from(jitter) / 1e6)
        };
        if latency.is_zero() { reply } else { reply.after(latency) }
    }

    /// From 0 to 999,999. SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn draw(&mut self) -> u32 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        // The high half times a million: below a million, so the cast loses nothing.
        (((z >> 32) * 1_000_000) >> 32) as u32
    }
}
