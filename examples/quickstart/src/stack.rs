//! The stack: deadline, cache, retry, limit, attempt timeout, transport.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use donjon::{
    BoxJsonClient, CacheLayer, CallError, CollectLayer, ConcurrencyLimitLayer, Deadline, DeadlineLayer, Fresh,
    JsonClient, JsonError, Reject, RejectionKind, RetryLayer, TimeoutLayer, Transport, client::CacheHandle,
    concurrency_limit::Handle, json::JsonErrorKind, retry::RetryHandle,
};
use http::HeaderName;
use tokio::time::Instant;
use tower::ServiceBuilder;

use crate::{
    cli::Cli,
    item::Item,
    kinds::transport_kind,
    report::Figures,
    seed::{self, Stream},
    sent,
    source::stamp,
    upstream::{ATTEMPT, CALL_ID},
    way::{Done, Kind, Way, status_kind},
};

/// What differs from one use of the stack to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Attempts in flight at once.
    pub(crate) concurrency: usize,
    /// Attempts that may wait for their turn.
    pub(crate) queue: usize,
    /// For a call with all that belongs to it.
    pub(crate) deadline: Duration,
    /// For one attempt.
    pub(crate) attempt_timeout: Duration,
    /// For how long an answer is given again; zero: there is no cache.
    pub(crate) cache_ttl: Duration,
    /// For how long after that it is given while there is no better one.
    pub(crate) stale: Duration,
    /// Of the jitter.
    pub(crate) seed: u64,
}

/// A JSON client over the stack, and those ends of its layers that an operator holds.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) api: BoxJsonClient,
    limit: Handle,
    cache: CacheHandle,
    retry: RetryHandle,
    sent: Arc<AtomicU64>,
    deadline: Duration,
}

// ===== impl Settings =====

impl From<&Cli> for Settings {
    /// The queue is as long as what arrives within the deadline, so that it refuses only who would wait in vain.
    fn from(cli: &Cli) -> Self {
        Self {
            concurrency: cli.concurrency,
            queue: (cli.rate * cli.deadline.as_secs_f64()).ceil() as usize,
            deadline: cli.deadline,
            attempt_timeout: cli.attempt_timeout,
            cache_ttl: cli.cache_ttl,
            stale: cli.stale,
            seed: seed::seed_of(cli.seed, Stream::Jitter),
        }
    }
}

// ===== impl Stack =====

impl Stack {
    pub(crate) fn new(settings: Settings) -> Self {
        let limit = ConcurrencyLimitLayer::http(settings.concurrency).queue(settings.queue).max_wait(settings.deadline);
        // The bound on connections must not be the tighter one.
        let transport = Transport::builder().connections_per_host(settings.concurrency.max(100)).build();
        let cache = CacheLayer::http().ttl(settings.cache_ttl).stale_while_revalidate(settings.stale);
        let cache = if settings.cache_ttl.is_zero() { cache.bypass() } else { cache };
        let retry = RetryLayer::http().seed(settings.seed).attempt_header(HeaderName::from_static(ATTEMPT));
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        let stack = ServiceBuilder::new()
            .layer(DeadlineLayer::http(settings.deadline))
            .layer(cache.clone())
            .map_response(stamp)
            .layer(retry.clone())
            .layer(limit.clone())
            .layer(TimeoutLayer::http(settings.attempt_timeout))
            .layer(CollectLayer::new())
            .map_request(move |request| {
                counted.fetch_add(1, Relaxed);
                sent::count(request)
            })
            .map_err(CallError::from)
            .service(transport);
        Self {
            api: JsonClient::new(stack).boxed(),
            limit: limit.handle(),
            cache: cache.handle(),
            retry: retry.handle(),
            sent,
            deadline: settings.deadline,
        }
    }

    /// With this base URL.
    pub(crate) fn base(mut self, url: &str) -> Result<Self, JsonError> {
        self.api = self.api.base(url)?;
        Ok(self)
    }

    /// How often something was sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// These figures with what the layers have counted.
    pub(crate) fn figures(&self, results: Figures) -> Figures {
        let (limit, cache) = (self.limit.stats(), self.cache.stats());
        Figures {
            misses: (cache.misses + cache.bypassed + cache.refreshes).saturating_sub(cache.coalesced),
            cache_hits: cache.hits,
            coalesced: cache.coalesced,
            stale: cache.stale + cache.rescued,
            retries: self.retry.stats().retries,
            max_permits: limit.max_in_flight as u64,
            rejections: limit.refused + limit.timed_out,
            ..results
        }
    }
}

impl Way for Stack {
    async fn call(&self, id: u64, item: usize, due: Instant) -> Done {
        let call = self.api.get("/items/{id}").path("id", item + 1).header(CALL_ID, id).send::<Item>();
        let (result, attempts) = sent::counting(Deadline::at(due + self.deadline).scope(call)).await;
        Done { result: result.map(drop).map_err(|error| kind(&error)), attempts }
    }
}

/// A short name for why a call failed.
pub(crate) fn kind(error: &JsonError) -> Kind {
    if let Some(rejection) = error.as_rejection() {
        return match rejection.kind() {
            RejectionKind::BodyIncomplete => transport_kind(error).into(),
            kind => kind.as_str().into(),
        };
    }
    match (error.kind(), error.status()) {
        (JsonErrorKind::Status, Some(status)) => status_kind(status),
        (JsonErrorKind::Transport | JsonErrorKind::Body, _) => transport_kind(error).into(),
        (kind, _) => kind.as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use bytes::Bytes;
    use donjon::{CallError, JsonClient, Reject, Rejection, RejectionKind};
    use http::{Request, Response};
    use http_body_util::Full;

    use super::{Item, kind};

    /// The kind of a call that is answered so.
    async fn kind_of(answer: fn() -> Result<Response<Full<Bytes>>, CallError>) -> String {
        let service = tower::service_fn(move |_: Request<Full<Bytes>>| std::future::ready(answer()));
        let error = JsonClient::new(service).get("http://upstream/items/1").send::<Item>().await.unwrap_err();
        kind(&error).into_owned()
    }

    fn answer(status: u16, body: &'static str) -> Result<Response<Full<Bytes>>, CallError> {
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status.try_into()?;
        Ok(response)
    }

    #[tokio::test]
    async fn every_failure_has_a_name() {
        assert_eq!(kind_of(|| answer(503, "")).await, "status-503");
        assert_eq!(kind_of(|| answer(302, "")).await, "status-302");
        assert_eq!(kind_of(|| answer(200, r#"{"id":"one"}"#)).await, "decode");
        assert_eq!(kind_of(|| answer(200, r#"{"id":1,"#)).await, "decode");
        let refused = || Err(CallError::from_rejection(Rejection::new(RejectionKind::Overloaded, "test")));
        assert_eq!(kind_of(refused).await, "overloaded");
        assert_eq!(kind_of(|| Err(io::Error::from(io::ErrorKind::ConnectionReset).into())).await, "connection-reset");
        assert_eq!(kind_of(|| Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())).await, "truncated-body");
        assert_eq!(kind_of(|| Err(io::Error::other("something else").into())).await, "transport");
    }
}
