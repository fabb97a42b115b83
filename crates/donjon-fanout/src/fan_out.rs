use std::time::Duration;

use donjon_core::{Classify, Deadline, Reject};
use futures_core::Stream;
use tower_service::Service;

use crate::{AnyOk, AsCompleted, By, Collect, FirstOk, InOrder, Quorum, engine::Engine};

/// Many requests that are not yet sent: say how, then how the results shall come.
///
/// Nothing happens before what a finishing method gives is polled.
#[derive(Clone, Debug)]
#[must_use = "a fan-out does nothing unless it is finished with `as_completed`, `in_order`, `collect`, … and polled"]
pub struct FanOut<S, Src> {
    pub(crate) service: S,
    pub(crate) source: Src,
    pub(crate) at_once: usize,
    pub(crate) deadline: Deadline,
}

// ===== impl FanOut =====

impl<S, Src> FanOut<S, Src> {
    pub(crate) fn new(service: S, source: Src) -> Self {
        Self { service, source, at_once: 10, deadline: Deadline::never() }
    }

    /// How many calls may be in flight, 10 unless said. With 0 nothing is sent: each request is refused at once with a
    /// `Rejection` of the kind `Overloaded`.
    pub fn at_once(mut self, limit: usize) -> Self {
        self.at_once = limit;
        self
    }

    /// One deadline for all of them, counted from here. The ambient deadline holds as well; there is none beyond it
    /// unless said. Zero refuses all of them.
    ///
    /// When it has passed, each call that is in flight is cancelled and fails with `DeadlineExceeded`, and so does each
    /// request that the source still has at hand: of an endless source that is one after the other, for as long as
    /// somebody asks. A source that is pending then is not waited for.
    pub fn deadline(mut self, timeout: Duration) -> Self {
        self.deadline = Deadline::after(timeout);
        self
    }
}

impl<S, K, Req, Src> FanOut<S, Src>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    Src: Stream<Item = (K, Req)> + Unpin,
{
    /// The results as they complete, each with its key.
    pub fn as_completed(self) -> AsCompleted<S, K, Req, Src> {
        AsCompleted::new(Engine::new(self))
    }

    /// The results in the order of the requests, each with its key.
    ///
    /// A slow call holds back those after it; what is held back counts as in flight, so that memory stays bounded.
    pub fn in_order(self) -> InOrder<S, K, Req, Src> {
        InOrder::new(Engine::new(self))
    }

    /// All results with their keys, in any collection of pairs, in the order of the requests: a `Vec`, a `HashMap`, ….
    /// A future.
    ///
    /// ```
    /// # use donjon_core::CallError;
    /// # use donjon_fanout::FanOutExt;
    /// # use tower::service_fn;
    /// use std::collections::HashMap;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let half = service_fn(|n: u64| async move {
    ///     if n % 2 == 0 { Ok(n / 2) } else { Err(CallError::new("odd")) }
    /// });
    /// let all: HashMap<_, _> = half.fan_out([("ten", 10), ("seven", 7)]).collect().await;
    /// assert_eq!(all["ten"].as_ref().unwrap(), &5);
    /// assert_eq!(all["seven"].as_ref().unwrap_err().to_string(), "odd");
    /// # });
    /// ```
    pub fn collect<C>(self) -> Collect<S, K, Req, Src, C>
    where
        C: Default + Extend<(K, Result<S::Response, S::Error>)>,
    {
        Collect::new(Engine::new(self))
    }

    /// The first `Ok` with its key; the rest is cancelled. A future.
    ///
    /// At most [`at_once`](Self::at_once) race; with `at_once(1)` one is tried after the other. Over a raw HTTP service
    /// a 503 is an `Ok`: see [`first_ok_by`](Self::first_ok_by).
    ///
    /// # Errors
    ///
    /// [`NotEnough`](crate::NotEnough) with all errors, if each of them failed or there were none.
    pub fn first_ok(self) -> FirstOk<S, K, Req, Src> {
        FirstOk::new(Engine::new(self), AnyOk)
    }

    /// The first response that the classifier calls a success; otherwise as [`first_ok`](Self::first_ok).
    ///
    /// # Errors
    ///
    /// [`NotEnough`](crate::NotEnough) with all other results, responses among them.
    pub fn first_ok_by<C>(self, classify: C) -> FirstOk<S, K, Req, Src, By<C>>
    where
        C: Classify<S::Response, S::Error>,
    {
        FirstOk::new(Engine::new(self), By(classify))
    }

    /// The first `k` that are `Ok`, with their keys, as they completed; the rest is cancelled. With 0 nothing is sent.
    /// A future.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use donjon_core::CallError;
    /// # use donjon_fanout::FanOutExt;
    /// # use tower::service_fn;
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let replicas = ["a", "b", "c"];
    /// let read = service_fn(|replica: &'static str| async move {
    ///     match replica {
    ///         "b" => Err(CallError::new("down")),
    ///         _ => Ok(42),
    ///     }
    /// });
    /// let majority = read.fan_out(replicas.map(|name| (name, name))).deadline(Duration::from_secs(1)).quorum(2).await;
    /// assert_eq!(majority.unwrap(), [("a", 42), ("c", 42)]);
    ///
    /// let all = read.fan_out(replicas.map(|name| (name, name))).quorum(3).await.unwrap_err();
    /// assert_eq!(all.to_string(), "1 of 3 needed calls succeeded and 1 failed, the last: down");
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotEnough`](crate::NotEnough) with all errors and successes so far, as soon as `k` can no longer be reached:
    /// what is still in flight then is cancelled. How many may still come is what the source says in its `size_hint`; a
    /// quorum larger than that sends nothing. A source that may have no end is not read on after the deadline.
    pub fn quorum(self, k: usize) -> Quorum<S, K, Req, Src> {
        Quorum::new(Engine::new(self), k, AnyOk)
    }

    /// The first `k` responses that the classifier calls a success; otherwise as [`quorum`](Self::quorum).
    ///
    /// # Errors
    ///
    /// [`NotEnough`](crate::NotEnough) with all other results, responses among them.
    pub fn quorum_by<C>(self, k: usize, classify: C) -> Quorum<S, K, Req, Src, By<C>>
    where
        C: Classify<S::Response, S::Error>,
    {
        Quorum::new(Engine::new(self), k, By(classify))
    }
}
