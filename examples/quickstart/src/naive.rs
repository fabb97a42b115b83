//! The naive way: a plain hyper-util client, and no more.
//!
//! So that the comparison is fair it is kept to the same number of calls in flight (a semaphore, where others would
//! start so many threads) and to the same deadline. It tries once.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    kinds::transport_kind,
    upstream::{CALL_ID, Upstream},
    way::{Done, Kind, Way, status_kind},
};

/// A client alone.
#[derive(Clone, Debug)]
pub(crate) struct Naive {
    client: Client<HttpConnector, Empty<Bytes>>,
    places: Arc<Places>,
    urls: Arc<[Uri]>,
    deadline: Duration,
}

/// How many calls may be in flight, and the most that ever were.
#[derive(Debug)]
struct Places {
    free: Semaphore,
    all: usize,
    most_taken: std::sync::atomic::AtomicUsize,
}

// ===== impl Naive =====

impl Naive {
    pub(crate) fn new(upstream: &Upstream, items: usize, concurrency: usize, deadline: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let base = upstream.base();
        let url = |item| format!("{base}/items/{item}").parse().expect("the base is a URL and an item is a number");
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            places: Arc::new(Places::new(concurrency)),
            urls: (1..=items).map(url).collect(),
            deadline,
        }
    }

    /// The most calls that were ever in flight.
    pub(crate) fn max_permits(&self) -> usize {
        self.places.most_taken.load(std::sync::atomic::Ordering::Relaxed)
    }

    async fn try_once(&self, id: u64, item: usize) -> Result<(), Kind> {
        let _place = self.places.free.acquire().await.map_err(|_| "closed")?;
        self.places.taken();
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.urls[item].clone();
        request.headers_mut().insert(CALL_ID, id.into());
        let response = self.client.request(request).await.map_err(|error| transport_kind(&error))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| transport_kind(&error))?.to_bytes();
        if !status.is_success() {
            return Err(status_kind(status));
        }
        serde_json::from_slice::<crate::item::Item>(&body).map_err(|_| "bad-json")?;
        Ok(())
    }
}

impl Way for Naive {
    async fn call(&self, id: u64, item: usize, due: Instant) -> Done {
        let result = match timeout_at(due + self.deadline, self.try_once(id, item)).await {
            Ok(result) => result,
            Err(_) => Err("deadline-exceeded".into()),
        };
        Done { result, attempts: 1 }
    }
}

// ===== impl Places =====

impl Places {
    fn new(all: usize) -> Self {
        let all = all.min(Semaphore::MAX_PERMITS);
        Self { free: Semaphore::new(all), all, most_taken: 0.into() }
    }

    fn taken(&self) {
        let taken = self.all - self.free.available_permits();
        self.most_taken.fetch_max(taken, std::sync::atomic::Ordering::Relaxed);
    }
}
