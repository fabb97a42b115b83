use std::{
    error::Error,
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use donjon_core::{Deadline, Phase, Rejection, RejectionKind};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use pin_project_lite::pin_project;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use crate::{
    background::in_background,
    error::{Abandoned, ConnectTimeout},
    limit::{Limit, Place},
    origin::Origin,
};

type BoxError = Box<dyn Error + Send + Sync>;

/// Opens connections: within the bound, within the connect timeout.
#[derive(Clone, Debug)]
pub(crate) struct Connector<C> {
    inner: C,
    limit: Arc<Limit>,
    timeout: Duration,
    shared: bool,
}

pin_project! {
    /// A connection that holds its place until it is closed.
    #[derive(Debug)]
    pub(crate) struct Counted<T> {
        #[pin]
        io: T,
        shared: bool,
        _place: Place,
    }
}

pin_project! {
    /// Waits as long as somebody waits for it.
    struct WhileAwaited<F> {
        #[pin]
        inner: F,
    }
}

// ===== impl Connector =====

impl<C> Connector<C> {
    /// With `shared` every connection speaks HTTP/2, whatever TLS says, and one at a time is opened to an origin.
    ///
    /// hyper-util has such a lock of its own (`http2_only`), but whoever is dropped while holding it fails all that
    /// wait. Here the next one takes over.
    pub(crate) fn new(inner: C, limit: Arc<Limit>, timeout: Duration, shared: bool) -> Self {
        Self { inner, limit, timeout, shared }
    }
}

impl<C> Service<Uri> for Connector<C>
where
    C: Service<Uri> + Clone + Send + 'static,
    C::Response: Send,
    C::Error: Into<BoxError>,
    C::Future: Send,
{
    type Response = Counted<C::Response>;
    type Error = BoxError;
    // One box for each connection that is opened; hyper-util asks for `Unpin`.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = self.inner.clone();
        let limit = Arc::clone(&self.limit);
        let (timeout, shared) = (self.timeout, self.shared);
        // hyper-util calls the connector inside the poll of a call, so this is the deadline of that call.
        let deadline = Deadline::current();
        Box::pin(async move {
            let in_time = Instant::now().checked_add(timeout).map_or(Deadline::never(), Deadline::at);
            if limit.per_origin() == 0 {
                return Err(Rejection::new(RejectionKind::Overloaded, "transport").into());
            }
            let origin = Origin::of(&uri).ok_or(io::ErrorKind::InvalidInput).map_err(io::Error::from)?;
            let too_late = || Rejection::new(RejectionKind::DeadlineExceeded, "transport").with_phase(Phase::Queue);

            // Whoever is before this one in its turn is connecting, and too slowly.
            let turn = match shared {
                true => Some(wait(limit.turn(&origin), in_time.earlier(deadline)).await?.ok_or_else(|| {
                    if deadline.has_passed() { BoxError::from(too_late()) } else { ConnectTimeout(timeout).into() }
                })?),
                false => None,
            };
            let place = wait(limit.place(&origin), in_time.earlier(deadline)).await?.ok_or_else(|| {
                let overloaded = Rejection::new(RejectionKind::Overloaded, "transport").with_phase(Phase::Queue);
                if deadline.has_passed() { too_late() } else { overloaded }
            })?;
            // A connection may outlive the call that asked for it, so only its own timeout ends it.
            let io = match in_time.instant() {
                Some(at) => match timeout_at(at, connect(inner, uri)).await {
                    Ok(Ok(io)) => io,
                    // The share of time of the last address ends with the whole, and may be seen first.
                    Ok(Err(error)) if !in_time.has_passed() => return Err(error),
                    Ok(Err(_)) | Err(_) => return Err(ConnectTimeout(timeout).into()),
                },
                None => connect(inner, uri).await?,
            };
            drop(turn);
            Ok(Counted { io, shared, _place: place })
        })
    }
}

/// Waits until then, as long as somebody waits for it; `None` is too late.
async fn wait<F: Future>(future: F, until: Deadline) -> Result<Option<F::Output>, Abandoned> {
    let future = WhileAwaited { inner: future };
    match until.instant() {
        Some(at) => timeout_at(at, future).await.ok().transpose(),
        None => future.await.map(Some),
    }
}

async fn connect<C>(mut inner: C, uri: Uri) -> Result<C::Response, BoxError>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
{
    std::future::poll_fn(|cx| inner.poll_ready(cx)).await.map_err(Into::into)?;
    pin!(inner.call(uri)).await.map_err(Into::into)
}

// ===== impl WhileAwaited =====

impl<F: Future> Future for WhileAwaited<F> {
    type Output = Result<F::Output, Abandoned>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if in_background() { Poll::Ready(Err(Abandoned)) } else { self.project().inner.poll(cx).map(Ok) }
    }
}

// ===== impl Counted =====

impl<T: Connection> Connection for Counted<T> {
    fn connected(&self) -> Connected {
        let connected = self.io.connected();
        if self.shared { connected.negotiated_h2() } else { connected }
    }
}

impl<T: Read> Read for Counted<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buf)
    }
}

impl<T: Write> Write for Counted<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, bufs)
    }
}
