//! An axum server that gives each user a share: so many requests a second, and so many at once. A user is whoever has an
//! API key that is known; anybody else is the address.
//!
//! `axum-rate-limit-per-user [address] [proxies]`: `127.0.0.1:3000`, and no proxy in front, unless said. The known keys
//! stand in the variable `API_KEYS`, with commas in between.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    routing::get,
};
use donjon::{
    PerKeyLayer, Rate, RateLimitLayer,
    core::Key,
    http::key::{self, ApiKey, ClientIp, Either, EitherOf, Hashed, KeyHash},
    per_key::Unkeyed,
    rate_limit::{Http, LocalLimiter},
    respond,
};

/// Twenty a second, sixty at once.
const RATE: Rate = Rate::per_second(20).burst(60);

/// A limit for each user. Its handle shows and changes one user's.
type PerUser = PerKeyLayer<EitherOf<KnownKeys, ClientIp>, RateLimitLayer<LocalLimiter, Http>, User>;

/// The hash of a known key, or else an address.
type User = Either<KeyHash, IpAddr>;

/// The API keys that are known. Any other is as good as none: whoever could invent users would have as many shares as he
/// likes. With an authentication of your own outside, take what it leaves in the request (`key::extension`).
///
/// The keys themselves are not kept, and a hash holds nothing of the request. A field that was kept would hold the
/// buffer of the whole head.
#[derive(Clone)]
struct KnownKeys {
    hash: Hashed<ApiKey>,
    hashes: Arc<HashSet<KeyHash>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let proxies = std::env::args().nth(2).map_or(Ok(0), |count| count.parse())?;
    let known = known_keys(&std::env::var("API_KEYS").unwrap_or_default())?;

    let app = app(per_user(proxies, known));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // With the address of the peer in each request: without it, nobody without a key could be told from another.
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// `proxies` of ours stand in front, and only what they have added to `X-Forwarded-For` is believed. Let nobody reach
/// this server past them: of whoever comes directly, it would be he who has written the field.
fn per_user(proxies: usize, known: KnownKeys) -> PerUser {
    let user = key::either(known, client_address(proxies));
    // At most 10,000 users are remembered, and each for ten minutes after its last request: far longer than the three
    // seconds in which a share is whole again, so that nobody gains by being idle. When there are more, one of those seen
    // longest ago makes room, and has all of its burst again when it comes back: the bound has to be well above the
    // number of users that come within those seconds.
    PerKeyLayer::new(user, RateLimitLayer::http(RATE)).max_keys(10_000).without_key(Unkeyed::Share)
}

fn client_address(proxies: usize) -> ClientIp {
    let peer = key::client_ip()
        .peer(|extensions| extensions.get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip()));
    peer.behind(proxies)
}

fn known_keys(keys: &str) -> Result<KnownKeys, axum::http::Error> {
    let hash = key::api_key().hashed();
    let mut hashes = HashSet::new();
    for key in keys.split(',').map(str::trim).filter(|key| !key.is_empty()) {
        hashes.extend(hash.key(&Request::get("/").header("x-api-key", key).body(())?));
    }
    Ok(KnownKeys { hash, hashes: Arc::new(hashes) })
}

impl Key<Request> for KnownKeys {
    type Key = KeyHash;

    fn key(&self, request: &Request) -> Option<KeyHash> {
        self.hash.key(request).filter(|hash| self.hashes.contains(hash))
    }
}

/// The state is in the layer, so a user's share holds over all routes and connections.
fn app(per_user: PerUser) -> Router {
    // `respond` makes 429 and `Retry-After` of refusals, so the error stays `Infallible`.
    Router::new().route("/", get(async || "hello\n")).layer(respond(per_user))
}

#[cfg(test)]
mod tests;
