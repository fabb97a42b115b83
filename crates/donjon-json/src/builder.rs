use std::{
    fmt::{self, Display},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;

use crate::{Call, Decode, HttpService, JsonClient, Reply, future::ResponseFuture};

/// A [`Call`] on its way through a [`JsonClient`]: made by [`JsonClient::get`] and its like, sent by
/// [`send`](Self::send).
#[must_use = "a call does nothing until it is sent"]
pub struct CallBuilder<'a, S, B> {
    client: &'a JsonClient<S, B>,
    call: Call<()>,
}

// ===== impl CallBuilder =====

impl<'a, S, B> CallBuilder<'a, S, B> {
    pub(crate) fn new(client: &'a JsonClient<S, B>, call: Call<()>) -> Self {
        Self { client, call }
    }

    /// The value of a path parameter: [`Call::path`].
    pub fn path(self, name: &str, value: impl Display) -> Self {
        self.map(|call| call.path(name, value))
    }

    /// A query: [`Call::query`].
    pub fn query(self, query: impl Serialize) -> Self {
        self.map(|call| call.query(query))
    }

    /// One pair of the query: [`Call::query_pair`].
    pub fn query_pair(self, name: &str, value: impl Display) -> Self {
        self.map(|call| call.query_pair(name, value))
    }

    /// A header: [`Call::header`].
    pub fn header<V>(self, name: impl AsRef<str>, value: V) -> Self
    where
        HeaderValue: TryFrom<V>,
    {
        self.map(|call| call.header(name, value))
    }

    /// `Authorization: Bearer`: [`Call::bearer`].
    pub fn bearer(self, token: impl Display) -> Self {
        self.map(|call| call.bearer(token))
    }

    /// `Authorization: Basic`: [`Call::basic_auth`].
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        self.map(|call| call.basic_auth(user, password))
    }

    /// `Idempotency-Key`: [`Call::idempotency_key`].
    pub fn idempotency_key(self, key: impl Display) -> Self {
        self.map(|call| call.idempotency_key(key))
    }

    /// Whether it may be sent again: [`Call::idempotent`].
    pub fn idempotent(self, idempotent: bool) -> Self {
        self.map(|call| call.idempotent(idempotent))
    }

    /// A word for the layers below: [`Call::extension`].
    pub fn extension<E: Clone + Send + Sync + 'static>(self, value: E) -> Self {
        self.map(|call| call.extension(value))
    }

    /// The body, as JSON: [`Call::json`].
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Self {
        self.map(|call| call.json(body))
    }

    /// The body as it is: [`Call::raw_body`].
    pub fn raw_body(self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.map(|call| call.raw_body(content_type, body))
    }

    /// The cap of the response body in bytes: [`Call::max_body`].
    pub fn max_body(self, bytes: u64) -> Self {
        self.map(|call| call.max_body(bytes))
    }

    /// How many redirects to follow: [`Call::follow_redirects`].
    pub fn follow_redirects(self, limit: u32) -> Self {
        self.map(|call| call.follow_redirects(limit))
    }

    /// How long the call may take as a whole: [`Call::timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|call| call.timeout(timeout))
    }

    /// The call alone, read as a `T`.
    pub fn into_call<T>(self) -> Call<T> {
        self.call.returning()
    }

    /// Sends it, and reads the answer as a `T`: see [`Decode`].
    ///
    /// The future has a clone of the service and does not borrow the client, so it can be spawned. Nothing happens
    /// before it is polled; dropping it ends the call.
    pub fn send<T>(self) -> ResponseFuture<S, B, T>
    where
        S: HttpService<B> + Clone,
        B: From<Bytes>,
        T: Decode,
    {
        self.client.send_as(self.call)
    }

    /// Sends it, and reads the answer as a `T` with status, headers and extensions.
    pub fn send_full<T>(self) -> ResponseFuture<S, B, Reply<T>>
    where
        S: HttpService<B> + Clone,
        B: From<Bytes>,
        T: Decode,
    {
        self.client.send_as(self.call)
    }

    fn map(self, f: impl FnOnce(Call<()>) -> Call<()>) -> Self {
        Self { client: self.client, call: f(self.call) }
    }
}

impl<S, B> fmt::Debug for CallBuilder<'_, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallBuilder").field("client", &self.client).field("call", &self.call).finish()
    }
}
