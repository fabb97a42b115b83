//! A crawler's politeness: however many pages are asked for at once, a host sees two requests at a time, and five a
//! second. A slow host delays no other, and no page is given up because there are many.
//!
//! `per-host http://127.0.0.1:3000/a http://127.0.0.1:3000/b http://example.com/` fetches all of them.

use std::time::Duration;

use bytes::Bytes;
use donjon::{
    CallError, ConcurrencyLimitLayer, PerKeyLayer, Rate, RateLimitLayer, TimeoutLayer, concurrency_limit, http::key,
    timeout, transport,
};
use http::{Request, uri::Authority};
use http_body_util::{BodyExt, Full};
use tokio::{task::JoinSet, time::Instant};
use tower::{ServiceBuilder, ServiceExt};

/// Five a second, one after another: a crawler has no need of a burst.
const RATE: Rate = Rate::per_second(5).burst(1);

/// How long a page may take, from its turn to the end of its body. One that hangs makes room for the next then.
const PAGE: Duration = Duration::from_secs(30);

/// What a page goes through, with a state for each host.
type Politeness = PerKeyLayer<key::Authority, (InFlight, RateLimitLayer, TimeoutLayer<timeout::Http>), Authority>;
type InFlight = ConcurrencyLimitLayer<concurrency_limit::Http>;

/// The limit in flight is the outer one, and whoever has a place waits for a turn: so a turn is used when it comes. The
/// other way round, calls would use up their turns in front of a host that is busy, and start together when it is not.
///
/// The bounds follow the number of pages: it is who asks that decides how many are asked for, and none of them is
/// refused for want of a place, whether all are of one host or each of another.
fn politeness(pages: usize) -> Politeness {
    // In flight is a page until its body has been read. The others wait for as long as those before them take.
    let in_flight = ConcurrencyLimitLayer::http(2).queue(pages).max_wait(Duration::MAX);
    // Only the two in flight wait here, so a turn comes within 0.4 s.
    let rate = RateLimitLayer::new(RATE).max_wait(Duration::from_secs(1));
    PerKeyLayer::new(key::authority(), (in_flight, rate, TimeoutLayer::http(PAGE))).max_keys(pages)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let urls: Vec<_> = std::env::args().skip(1).collect();
    let client = ServiceBuilder::new().layer(politeness(urls.len())).map_err(CallError::from).service(transport());
    let start = Instant::now();
    let mut pages = JoinSet::new();
    for url in urls {
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
