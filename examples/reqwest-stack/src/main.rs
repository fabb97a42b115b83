//! The layers of donjon around a `reqwest::Client` that is there already, called through `&self` by a hundred tasks.
//!
//! `cargo run -p reqwest-stack -- http://127.0.0.1:3000` asks that server for a hundred users.

use std::{sync::Arc, time::Duration};

use donjon::{
    BoxJsonClient, CallError, CollectLayer, ConcurrencyLimitLayer, DeadlineLayer, JsonClient, JsonError,
    ReqwestTransport, RetryLayer, TimeoutLayer,
};
use serde::Deserialize;
use tower::ServiceBuilder;

#[derive(Debug, Deserialize)]
struct User {
    name: String,
}

/// A client in a field. Boxed, so that its type can be written down; `JsonClient<_>` without it, where it is inferred.
struct Users {
    api: BoxJsonClient,
}

impl Users {
    fn new(client: reqwest::Client, base: &str) -> Result<Self, JsonError> {
        let stack = ServiceBuilder::new()
            .layer(DeadlineLayer::new(Duration::from_secs(5))) // for everything inside
            .layer(RetryLayer::http())
            // reqwest has no bound on its connections; this is one, since a call holds its place to the end of its body.
            .layer(ConcurrencyLimitLayer::http(8).queue(128).max_wait(Duration::from_secs(1)))
            .layer(TimeoutLayer::new(Duration::from_secs(1))) // of one attempt
            .layer(CollectLayer::new()) // so that a body that breaks off is a failed attempt
            .map_err(CallError::from)
            .service(ReqwestTransport::new(client).follows_redirects(false)); // as `client` below is made
        Ok(Self { api: JsonClient::new(stack).base(base)?.boxed() })
    }

    async fn get(&self, id: u64) -> Result<User, JsonError> {
        self.api.get("/users/{id}").path("id", id).send().await
    }
}

/// What the layers do better is switched off, or they would multiply; the rest is as you have it.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_millis(500))
        .user_agent("reqwest-stack")
        .build()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = std::env::args().nth(1).ok_or("usage: reqwest-stack http://host:port")?;
    let users = Arc::new(Users::new(client()?, &base)?);
    let calls: Vec<_> = (1..=100)
        .map(|id| {
            let users = Arc::clone(&users);
            tokio::spawn(async move { (id, users.get(id).await) })
        })
        .collect();
    for call in calls {
        match call.await? {
            (id, Ok(user)) => println!("{id}: {}", user.name),
            (id, Err(error)) => println!("{id}: {error}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
