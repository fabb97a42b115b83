//! A stack of one's own, and a layer of one's own in it. What is worth reading is in `tests.rs`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use donjon::{BoxError, CallError, ConcurrencyLimitLayer, TimeoutLayer};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

/// At most two at once, one more waits; a second for each.
fn stack<S>(
    inner: S,
    calls: CountLayer,
) -> impl Service<u64, Response = u64, Error = CallError, Future: Send> + Clone + Send
where
    S: Service<u64, Response = u64, Error = CallError, Future: Send> + Clone + Send,
{
    ServiceBuilder::new()
        .layer(calls)
        .layer(ConcurrencyLimitLayer::new(2).queue(1).max_wait(Duration::from_secs(10)))
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .service(inner)
}

/// Counts calls. The count is in the layer, so that all its services share it.
#[derive(Clone, Debug, Default)]
struct CountLayer {
    calls: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
struct Count<S> {
    inner: S,
    calls: Arc<AtomicU64>,
}

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Count<S> {
        Count { inner, calls: Arc::clone(&self.calls) }
    }
}

impl<S: Service<R>, R> Service<R> for Count<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.calls.fetch_add(1, Relaxed);
        self.inner.call(request)
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let calls = CountLayer::default();
    let late = service_fn(|n: u64| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok::<_, CallError>(2 * n)
    });
    let answer = stack(late, calls.clone()).oneshot(21).await?;
    println!("{answer}, after {} call", calls.calls.load(Relaxed));
    Ok(())
}

#[cfg(test)]
mod tests;
