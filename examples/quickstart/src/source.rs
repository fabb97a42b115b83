//! Where an answer came from, as one who calls through a cache can tell.

use std::{sync::OnceLock, time::Duration};

use http::{HeaderMap, HeaderName, Response};
use serde::Serialize;
use tokio::time::Instant;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// It was asked for.
    Upstream,
    /// Another call had just asked for it.
    Coalesced,
    /// It was there, and as new as it has to be.
    Cache,
    /// It was there, and there was no better one.
    Stale,
}

/// Says below the cache when an answer came, in microseconds from [`epoch`]: what is stored keeps it.
const RECEIVED: HeaderName = HeaderName::from_static("x-quickstart-received");

fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

fn micros_at(instant: Instant) -> u64 {
    u64::try_from(instant.saturating_duration_since(epoch()).as_micros()).unwrap_or(u64::MAX)
}

/// Stamps an answer that comes from the upstream.
pub(crate) fn stamp<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().insert(RECEIVED, micros_at(Instant::now()).into());
    response
}

// ===== impl Source =====

impl Source {
    /// Of the answer with these fields to a call that began then and has sent so often.
    pub(crate) fn of(headers: &HeaderMap, began: Instant, attempts: u32, ttl: Duration) -> Self {
        let received = headers.get(RECEIVED).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let age = received.and_then(|received| micros_at(began).checked_sub(received));
        match age.map(Duration::from_micros) {
            // It came after this call had begun.
            None | Some(Duration::ZERO) if attempts > 0 => Self::Upstream,
            None | Some(Duration::ZERO) => Self::Coalesced,
            Some(age) if age < ttl => Self::Cache,
            Some(_) => Self::Stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Response, Source, epoch, stamp};

    #[tokio::test(start_paused = true)]
    async fn the_stamp_tells_what_is_new_kept_and_old() {
        let ttl = Duration::from_millis(500);
        let _ = epoch();
        tokio::time::advance(Duration::from_secs(1)).await;
        let before = Instant::now();
        tokio::time::advance(Duration::from_millis(5)).await;
        let response = stamp(Response::new(()));
        let source = |began, attempts| Source::of(response.headers(), began, attempts, ttl);
        assert_eq!(source(before, 1), Source::Upstream);
        assert_eq!(source(before, 0), Source::Coalesced);
        assert_eq!(source(Instant::now() + Duration::from_millis(499), 0), Source::Cache);
        assert_eq!(source(Instant::now() + ttl, 0), Source::Stale);
        assert_eq!(source(Instant::now() + ttl, 3), Source::Stale, "it was asked for in vain");
    }
}
