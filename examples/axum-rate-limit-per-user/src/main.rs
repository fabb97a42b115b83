//! An axum server that gives each user a share: so many requests a second, and so many at once. A user is whoever has the
//! API key; without one, the address.
//!
//! `axum-rate-limit-per-user [address] [proxies]`: `127.0.0.1:3000`, and no proxy in front, unless said.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::HeaderValue,
    routing::get,
};
use donjon::{
    PerKeyLayer, Rate, RateLimitLayer,
    http::key::{self, ClientIp},
    per_key::Unkeyed,
    rate_limit::{Http, LocalLimiter},
    respond,
};

/// Twenty a second, sixty at once.
const RATE: Rate = Rate::per_second(20).burst(60);

/// A limit for each user. Its handle shows and changes one user's.
type PerUser<X> = PerKeyLayer<X, RateLimitLayer<LocalLimiter, Http>, User>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum User {
    Key(HeaderValue),
    Address(IpAddr),
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let proxies = std::env::args().nth(2).map_or(Ok(0), |count| count.parse())?;

    let app = app(per_user(proxies));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // With the address of the peer in each request: without it, nobody without a key could be told from another.
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// `proxies` of ours stand in front, and only what they have added to `X-Forwarded-For` is believed.
fn per_user(proxies: usize) -> PerUser<impl Fn(&Request) -> Option<User> + Clone> {
    let address = client_address(proxies);
    let user = move |request: &Request| {
        use donjon::core::Key;
        // Check keys before this layer: whoever may invent keys has as many shares as he likes.
        let key = key::api_key().key(request).map(User::Key);
        key.or_else(|| address.key(request).map(User::Address))
    };
    // At most 10,000 users are remembered, and each for ten minutes after its last request: far longer than the three
    // seconds in which a share is whole again, so that nobody gains by being forgotten.
    PerKeyLayer::new(user, RateLimitLayer::http(RATE)).max_keys(10_000).without_key(Unkeyed::Share)
}

fn client_address(proxies: usize) -> ClientIp {
    let peer = key::client_ip()
        .peer(|extensions| extensions.get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip()));
    peer.behind(proxies)
}

/// The state is in the layer, so a user's share holds over all routes and connections.
fn app<X>(per_user: PerUser<X>) -> Router
where
    X: Fn(&Request) -> Option<User> + Clone + Send + Sync + 'static,
{
    // `respond` makes 429 and `Retry-After` of refusals, so the error stays `Infallible`.
    Router::new().route("/", get(async || "hello\n")).layer(respond(per_user))
}

#[cfg(test)]
mod tests;
