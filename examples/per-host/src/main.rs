//! A crawler's politeness: however many pages are asked for at once, a host sees two requests at a time, and five a
//! second. A slow host delays no other.
//!
//! `per-host http://127.0.0.1:3000/a http://127.0.0.1:3000/b http://example.com/` fetches all of them.

use std::time::Duration;

use bytes::Bytes;
use donjon::{
    CallError, ConcurrencyLimitLayer, PerKeyLayer, Rate, RateLimitLayer, concurrency_limit::Http, http::key, transport,
};
use http::{Request, uri::Authority};
use http_body_util::{BodyExt, Full};
use tokio::{task::JoinSet, time::Instant};
use tower::{ServiceBuilder, ServiceExt};

/// Five a second, one after another: a crawler has no need of a burst.
const RATE: Rate = Rate::per_second(5).burst(1);

/// How long a page may wait for its turn at its host.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both limits, with a state for each host.
type Politeness = PerKeyLayer<key::Authority, (ConcurrencyLimitLayer<Http>, RateLimitLayer), Authority>;

/// The limit in flight is the outer one, and whoever has a place waits for a turn: so a turn is used when it comes. The
/// other way round, calls would use up their turns in front of a host that is busy, and start together when it is not.
fn politeness() -> Politeness {
    // In flight is a page until its body has been read.
    let in_flight = ConcurrencyLimitLayer::http(2).queue(1_000).max_wait(PATIENCE);
    let rate = RateLimitLayer::new(RATE).max_wait(PATIENCE);
    PerKeyLayer::new(key::authority(), (in_flight, rate))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = ServiceBuilder::new().layer(politeness()).map_err(CallError::from).service(transport());
    let start = Instant::now();
    let mut pages = JoinSet::new();
    for url in std::env::args().skip(1) {
        let request = Request::get(&url).body(Full::<Bytes>::default())?;
        let client = client.clone();
        // A task for each: it is the layer that makes them wait, each at its host.
        pages.spawn(async move {
            let page = async {
                let response = client.oneshot(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await.map_err(CallError::new)?.to_bytes();
                Ok::<_, CallError>((status, body.len()))
            };
            (url, page.await)
        });
    }
    while let Some(page) = pages.join_next().await {
        let at = start.elapsed().as_secs_f64();
        match page? {
            (url, Ok((status, bytes))) => println!("{at:6.2} s  {status}  {bytes} bytes  {url}"),
            (url, Err(error)) => println!("{at:6.2} s  {error}  {url}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
