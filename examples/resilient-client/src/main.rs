//! The ready-made stack as a field: a client for one service, with its operator's handles beside it.
//!
//! `cargo run -p resilient-client -- http://127.0.0.1:3000` asks that server for twenty prices at once.

use std::{sync::Arc, time::Duration};

use donjon::{
    JsonError, RejectionKind,
    client::{Client, Handles, builder},
};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Price {
    cents: u64,
}

/// Whoever needs prices has this in a field. It is called through `&self`; the type of the stack has a name, so nothing is
/// boxed and nothing is generic.
struct Prices {
    api: Client,
    handles: Handles,
}

impl Prices {
    fn new(base: &str) -> Result<Self, JsonError> {
        let builder = builder()
            // For a call with everything: waiting for a place, connecting, attempts, sleeps, the body.
            .deadline(Duration::from_secs(2))
            // A connect that hangs is part of an attempt, so it ends here, and there is time for a second one.
            .attempt_timeout(Duration::from_millis(500))
            .max_in_flight(32)
            .queue(64);
        Ok(Self { handles: builder.handles(), api: builder.build(base)? })
    }

    async fn of(&self, item: u64) -> Result<Price, JsonError> {
        self.api.get("/prices/{item}").path("item", item).send().await
    }
}

/// What a caller of ours is told: our own refusals are not the fault of the service.
fn explain(error: &JsonError) -> String {
    use donjon::Reject;
    match error.as_rejection().map(donjon::Rejection::kind) {
        Some(RejectionKind::DeadlineExceeded | RejectionKind::AttemptTimeout) => "too slow".to_owned(),
        Some(kind) => format!("not asked: {kind}"),
        None => error.to_string(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = std::env::args().nth(1).ok_or("usage: resilient-client http://host:port")?;
    let prices = Arc::new(Prices::new(&base)?);
    let calls: Vec<_> = (1..=20)
        .map(|item| {
            let prices = Arc::clone(&prices);
            tokio::spawn(async move { (item, prices.of(item).await) })
        })
        .collect();
    for call in calls {
        match call.await? {
            (item, Ok(price)) => println!("{item}: {} cents", price.cents),
            (item, Err(error)) => println!("{item}: {}", explain(&error)),
        }
    }
    println!("{:?}", prices.handles.limit().stats());
    println!("{:?}", prices.handles.retry().stats());
    Ok(())
}

#[cfg(test)]
mod tests;
