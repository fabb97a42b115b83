//! A slow function behind a tower service, cached.
//!
//! `cargo run -p cache-function`

use std::{sync::Arc, time::Duration};

use donjon::{CacheLayer, CallError};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

/// What is asked for again and again, and takes its time. An `Arc`, so that a hit copies nothing.
async fn slow(city: String) -> Result<Arc<str>, CallError> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(format!("sunny in {city}").into())
}

/// By which key. What the answer depends on has to be in it.
type ByCity = fn(&String) -> Option<String>;

/// The cache. Clones of the layer, and of what it makes, share what is stored.
fn cache() -> CacheLayer<ByCity, String, Arc<str>> {
    let by_city: ByCity = |city| Some(city.clone());
    CacheLayer::new(by_city).ttl(Duration::from_secs(60)).stale_if_error(Duration::from_secs(600))
}

/// Asks `times` at once.
async fn ask<S>(service: &S, city: &str, times: usize) -> Result<Arc<str>, CallError>
where
    S: Service<String, Response = Arc<str>, Error = CallError> + Clone + Send + 'static,
    S::Future: Send,
{
    let calls: Vec<_> = (0..times).map(|_| tokio::spawn(service.clone().oneshot(city.to_owned()))).collect();
    let mut answer = None;
    for call in calls {
        answer = Some(call.await.map_err(CallError::from)??);
    }
    Ok(answer.unwrap_or_default())
}

#[tokio::main]
async fn main() -> Result<(), CallError> {
    let cache = cache();
    let service = cache.layer(service_fn(slow));
    for (city, times) in [("Brno", 100), ("Brno", 1), ("Oslo", 1)] {
        let began = Instant::now();
        let answer = ask(&service, city, times).await?;
        println!("{answer}: {times} times in {:?}", began.elapsed());
    }
    let stats = cache.handle().stats();
    println!(
        "{} calls, {} waited for one of them, {} hits",
        stats.misses - stats.coalesced,
        stats.coalesced,
        stats.hits
    );
    Ok(())
}

#[cfg(test)]
mod tests;
