//! The laws: readiness, cancellation, panics, deadlines; what the types promise.

use std::{
    convert::Infallible,
    future::pending,
    io,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use donjon_core::{Deadline, Phase, Reject, RejectionKind, Scope};
use donjon_json::{BoxJsonClient, Call, JsonClient, JsonError, JsonErrorKind, Reply, future::ResponseFuture};
use futures_util::{FutureExt as _, future::join_all};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::support::{HttpBox, always, json};

/// What a [`Probe`] does with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Play {
    Answer,
    Redirect,
    PendInReadiness,
    FailInReadiness,
    PendInCall,
    PanicInCall,
    PanicInFuture,
    PendInBody,
    PanicInBody,
}

/// Counts what is alive of it, and demands that the instance that was readied is the one that is called.
struct Probe {
    play: Play,
    /// What this instance has reserved by being ready.
    ready: Option<Guard>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Readied instances, futures and bodies that are alive.
    held: AtomicUsize,
    clones: AtomicUsize,
    calls: AtomicUsize,
}

struct Guard(Arc<Counts>);

/// The future of a probe, and its body: both hold a guard.
struct Held {
    play: Play,
    frames: usize,
    _guard: Guard,
}

impl Guard {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.held.fetch_add(1, SeqCst);
        Self(Arc::clone(counts))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, SeqCst);
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        self.counts.clones.fetch_add(1, SeqCst);
        Self { play: self.play, ready: None, counts: Arc::clone(&self.counts) }
    }
}

impl Service<Request<Full<Bytes>>> for Probe {
    type Response = Response<Held>;
    type Error = io::Error;
    type Future = Held;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        match self.play {
            Play::PendInReadiness => return Poll::Pending,
            Play::FailInReadiness => return Poll::Ready(Err(io::Error::other("not today"))),
            _ => {}
        }
        self.ready.get_or_insert_with(|| Guard::new(&self.counts));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Full<Bytes>>) -> Held {
        self.counts.calls.fetch_add(1, SeqCst);
        let guard = self.ready.take().expect("the instance that is called was readied");
        assert_ne!(self.play, Play::PanicInCall, "asked to");
        Held { play: self.play, frames: 0, _guard: guard }
    }
}

impl Future for Held {
    type Output = Result<Response<Held>, io::Error>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert_ne!(self.play, Play::PanicInFuture, "asked to");
        if self.play == Play::PendInCall {
            return Poll::Pending;
        }
        let body = Held { play: self.play, frames: 0, _guard: Guard::new(&self._guard.0) };
        let response = Response::builder().status(if self.play == Play::Redirect { 302 } else { 200 });
        // Each redirect leads on, so that only their bound ends them.
        let location = format!("/{}", self._guard.0.calls.load(SeqCst));
        Poll::Ready(Ok(response.header("location", location).body(body).unwrap()))
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.frames += 1;
        match (self.play, self.frames) {
            (Play::PanicInBody, _) => panic!("asked to"),
            (_, 1) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"1"))))),
            (Play::PendInBody, _) => Poll::Pending,
            _ => Poll::Ready(None),
        }
    }
}

fn probe(play: Play) -> (JsonClient<Probe>, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let service = Probe { play, ready: None, counts: Arc::clone(&counts) };
    (JsonClient::new(service).base("https://api.example.com").unwrap(), counts)
}

impl Counts {
    fn held(&self) -> usize {
        self.held.load(SeqCst)
    }
}

// ===== readiness =====

#[tokio::test]
async fn the_instance_that_was_readied_is_called_without_a_clone() {
    let (mut api, counts) = probe(Play::Answer);
    ServiceExt::<Call<u8>>::ready(&mut api).await.unwrap();
    assert_eq!(counts.held(), 1);
    let one: u8 = api.call(Call::get("/x")).await.unwrap();
    assert_eq!((one, counts.held(), counts.clones.load(SeqCst)), (1, 0, 0));
}

#[tokio::test]
async fn a_call_that_is_not_sent_gives_back_what_its_readiness_reserved() {
    let (mut api, counts) = probe(Play::Answer);
    ServiceExt::<Call<u8>>::ready(&mut api).await.unwrap();
    let call = Service::<Call<u8>>::call(&mut api, Call::get("/{id}"));
    assert_eq!(counts.held(), 0);
    assert_eq!(call.await.unwrap_err().kind(), JsonErrorKind::InvalidCall);
    assert_eq!(counts.calls.load(SeqCst), 0);
}

#[tokio::test]
async fn a_readiness_error_names_the_base() {
    let (mut api, _) = probe(Play::FailInReadiness);
    let error = ServiceExt::<Call<u8>>::ready(&mut api).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "https://api.example.com/: the call failed without a response: not today");
    let error = api.get("/x").send::<u8>().await.unwrap_err();
    assert_eq!(format!("{error:#}"), "GET https://api.example.com/x: the call failed without a response: not today");
}

#[tokio::test]
async fn nothing_is_sent_before_the_first_poll() {
    let (api, counts) = probe(Play::Answer);
    let call = api.get("/x").send::<u8>();
    assert_eq!((counts.held(), counts.calls.load(SeqCst)), (0, 0));
    drop(call);
}

// ===== dropping =====

#[test]
fn a_call_that_is_dropped_at_any_point_gives_everything_back() {
    for play in [Play::PendInReadiness, Play::PendInCall, Play::PendInBody] {
        for redirects in [0, 2] {
            let (api, counts) = probe(play);
            let mut call = api.get("/x").follow_redirects(redirects).send::<u8>().boxed_local();
            assert!((&mut call).now_or_never().is_none());
            assert_eq!(counts.held(), usize::from(play != Play::PendInReadiness), "{play:?}");
            drop(call);
            assert_eq!(counts.held(), 0, "{play:?}");
            drop(api);
            assert_eq!(Arc::strong_count(&counts), 1, "{play:?}");
        }
    }
}

#[test]
fn a_call_that_has_completed_holds_nothing_while_it_stays_alive() {
    for play in [Play::Answer, Play::FailInReadiness, Play::Redirect] {
        let (api, counts) = probe(play);
        let mut call = Box::pin(api.get("/x").follow_redirects(2).send::<u8>());
        let result = (&mut call).now_or_never().expect("it is done");
        assert_eq!(result.is_ok(), play == Play::Answer);
        drop(api);
        assert_eq!((counts.held(), Arc::strong_count(&counts)), (0, 1), "{play:?}");
        drop(call);
    }
}

#[test]
fn a_panic_below_gives_everything_back() {
    for play in [Play::PanicInCall, Play::PanicInFuture, Play::PanicInBody] {
        let (api, counts) = probe(play);
        let call = api.get("/x").send::<u8>();
        let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| call.now_or_never()));
        assert!(panicked.is_err());
        drop(api);
        assert_eq!((counts.held(), Arc::strong_count(&counts)), (0, 1), "{play:?}");
    }
}

#[tokio::test]
async fn redirects_ready_a_clone_of_their_own() {
    let (api, counts) = probe(Play::Redirect);
    let error = api.get("/x").follow_redirects(3).send::<u8>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Redirect);
    assert_eq!((counts.calls.load(SeqCst), counts.held()), (4, 0));
}

// ===== deadlines =====

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_ended_by_the_ambient_deadline() {
    for boxed in [false, true] {
        let (api, counts) = probe(Play::PendInBody);
        let start = Instant::now();
        let call =
            async { if boxed { api.boxed().get("/x").send::<u8>().await } else { api.get("/x").send::<u8>().await } };
        let error = Deadline::after(Duration::from_secs(5)).scope(call).await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 5);
        let rejection = error.as_rejection().unwrap();
        assert_eq!((rejection.kind(), rejection.phase()), (RejectionKind::DeadlineExceeded, Phase::Body));
        assert_eq!(
            error.to_string(),
            "GET https://api.example.com/x: 200 OK, but its body was given up after 1 bytes: deadline-exceeded"
        );
        assert_eq!((error.kind(), &error.body()[..], counts.held()), (JsonErrorKind::Refused, &b"1"[..], 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lazy_deadline_and_one_that_has_passed_end_a_body_too() {
    let (api, _) = probe(Play::PendInBody);
    let start = Instant::now();
    let late = Scope::current().with_timeout(Duration::from_secs(1)).wrap(api.get("/x").send::<u8>());
    assert!(late.await.unwrap_err().as_rejection().is_some());
    assert_eq!(start.elapsed().as_secs(), 1);
    let passed = Deadline::at(start).scope(api.get("/x").send::<u8>());
    assert!(passed.await.unwrap_err().as_rejection().is_some());
    assert!(start.elapsed() < Duration::from_millis(1010));
}

#[tokio::test]
async fn a_body_whose_next_frame_is_always_there_is_ended_too_and_shares_its_thread() {
    /// Frames without a byte, so that no cap ends them.
    struct Nothing;

    impl Body for Nothing {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
        }
    }
    let service = tower::service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, Infallible>(Response::new(Nothing)) });
    let api = JsonClient::new(service).base("https://api.example.com").unwrap();
    let call = Deadline::after(Duration::from_millis(20)).scope(api.get("/x").send::<u8>());
    assert_eq!(call.await.unwrap_err().kind(), JsonErrorKind::Refused);
    // The other branch has its turns.
    let call = api.get("/x").send::<u8>();
    tokio::select! {
        biased;
        _ = call => panic!("it never ends"),
        () = async { for _ in 0..10 { tokio::task::yield_now().await } } => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_the_call_covers_its_body() {
    let (api, counts) = probe(Play::PendInBody);
    let timeout = tokio::time::timeout(Duration::from_secs(1), api.get("/x").send::<u8>()).await;
    assert!(timeout.is_err());
    assert_eq!(counts.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_redirect_is_followed_after_the_deadline() {
    let (api, counts) = probe(Play::Redirect);
    let call = Deadline::at(Instant::now()).scope(api.get("/x").follow_redirects(3).send::<u8>());
    let error = call.await.unwrap_err();
    assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
    assert_eq!(error.to_string(), "GET https://api.example.com/x: the call was refused by json: deadline-exceeded");
    assert_eq!(counts.calls.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_no_timer_is_armed() {
    let (api, _) = probe(Play::PendInBody);
    let mut call = Box::pin(api.get("/x").send::<u8>());
    // A paused clock jumps to the next timer: the only one is this.
    let start = Instant::now();
    tokio::select! {
        biased;
        _ = &mut call => panic!("it never ends"),
        () = tokio::time::sleep(Duration::from_secs(3600)) => {}
    }
    assert_eq!(start.elapsed().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_call_covers_all_of_it() {
    for (play, phase) in
        [(Play::PendInReadiness, Phase::Ready), (Play::PendInCall, Phase::Attempt), (Play::PendInBody, Phase::Body)]
    {
        let (mut api, counts) = probe(play);
        for as_service in [false, true] {
            if as_service && play == Play::PendInReadiness {
                continue;
            }
            let start = Instant::now();
            let timeout = Duration::from_secs(3);
            let result = if as_service {
                ServiceExt::<Call<u8>>::ready(&mut api).await.unwrap();
                api.call(Call::get("/x").timeout(timeout)).await
            } else {
                // A longer one around it does not count, and a shorter one does.
                Deadline::after(Duration::from_secs(60)).scope(api.get("/x").timeout(timeout).send::<u8>()).await
            };
            let error: JsonError = result.unwrap_err();
            let rejection = error.as_rejection().unwrap();
            assert_eq!((rejection.kind(), rejection.phase()), (RejectionKind::DeadlineExceeded, phase));
            assert_eq!((start.elapsed().as_secs(), counts.held()), (3, 0));
        }
        let start = Instant::now();
        let call = api.get("/x").timeout(Duration::from_secs(60)).send::<u8>();
        Deadline::after(Duration::from_secs(2)).scope(call).await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 2);
        let start = Instant::now();
        api.get("/x").timeout(Duration::ZERO).send::<u8>().await.unwrap_err();
        assert!(start.elapsed() < Duration::from_millis(10));
    }
}

#[tokio::test(start_paused = true)]
async fn the_layers_below_see_the_timeout_of_a_call() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let service = tower::service_fn(move |_: Request<Full<Bytes>>| {
        log.lock().unwrap().push(Deadline::current().remaining());
        let log = Arc::clone(&log);
        async move {
            log.lock().unwrap().push(Deadline::current().remaining());
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("1"))))
        }
    });
    let mut api = JsonClient::new(service).base("https://api.example.com").unwrap();
    let timeout = Duration::from_secs(3);
    assert_eq!(api.get("/x").timeout(timeout).send::<u8>().await.unwrap(), 1);
    let one: u8 = api.call(Call::get("/x").timeout(timeout)).await.unwrap();
    assert_eq!(one, 1);
    assert_eq!(*seen.lock().unwrap(), [Some(timeout); 4]);
    assert_eq!(api.get("/x").send::<u8>().await.unwrap(), 1);
    assert_eq!(seen.lock().unwrap()[4..], [None; 2]);
    assert!(Deadline::current().is_never());
}

// ===== types =====

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn bounds_follow_the_service() {
    fn client<T: Clone + Send + Sync + 'static>() {}
    fn value<T: Send + Sync + 'static>() {}
    client::<JsonClient<HttpBox>>();
    client::<BoxJsonClient>();
    client::<Call<*const u8>>();
    value::<JsonError>();
    value::<Reply<u8>>();
    // A value that is not Send does not make its future so, as long as it is not there.
    fn future<T: Send + 'static>() {}
    future::<ResponseFuture<HttpBox, Full<Bytes>, std::rc::Rc<u8>>>();
    assert_eq!(size_of::<JsonError>(), size_of::<usize>());
}

#[tokio::test]
async fn a_service_that_is_neither_send_nor_sync_is_fine() {
    let alone = std::rc::Rc::new(1_u8);
    let service = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let body = alone.to_string();
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    let api = JsonClient::new(service).base("https://api.example.com").unwrap();
    assert_eq!(api.get("/x").send::<u8>().await.unwrap(), 1);
}

#[tokio::test]
async fn a_concrete_stack_can_be_spawned() {
    async fn generic<S>(api: JsonClient<S>) -> Result<u8, JsonError>
    where
        S: donjon_json::HttpService<Full<Bytes>> + Clone,
    {
        let call = api.get("/x").send::<u8>();
        drop(api);
        call.await
    }
    let service = tower::ServiceBuilder::new().map_err(donjon_core::CallError::from).service(tower::service_fn(
        |_: Request<Full<Bytes>>| async { Ok::<_, io::Error>(Response::new("1".to_owned())) },
    ));
    let api = JsonClient::new(service).base("https://api.example.com").unwrap();
    let task = tokio::spawn(is_send(generic(api.clone())));
    assert_eq!(task.await.unwrap().unwrap(), 1);
    let typed = api.clone();
    let task = tokio::spawn(async move { typed.oneshot(Call::<u8>::get("/x")).await });
    assert_eq!(task.await.unwrap().unwrap(), 1);
    let task = tokio::spawn(async move { api.get("/x").send_full::<u8>().await });
    assert_eq!(task.await.unwrap().unwrap().into_body(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tasks_share_one_client_by_reference() {
    let (api, _) = crate::support::api(|seen| {
        let id = seen.uri().path().rsplit('/').next().unwrap().to_owned();
        json(id)
    });
    let boxed: Arc<BoxJsonClient> = Arc::new(api.clone().boxed());
    let shared = Arc::new(api);
    let tasks = (0..100_u32).map(|id| {
        let (shared, boxed) = (Arc::clone(&shared), Arc::clone(&boxed));
        tokio::spawn(async move {
            let api = &*shared;
            let boxed = &*boxed;
            let one: u32 = api.get("/users/{id}").path("id", id).send().await?;
            let two: u32 = boxed.get("/users/{id}").path("id", id).send().await?;
            Ok::<_, JsonError>((one, two))
        })
    });
    for (id, result) in join_all(tasks).await.into_iter().enumerate() {
        let id = u32::try_from(id).unwrap();
        assert_eq!(result.unwrap().unwrap(), (id, id));
    }
}

#[tokio::test]
async fn layers_stack_on_both_sides() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let http = tower::ServiceBuilder::new()
        .map_request(move |request: Request<Full<Bytes>>| {
            counter.fetch_add(1, SeqCst);
            request
        })
        .service(always(json("41")).into_service());
    let api = JsonClient::new(http).base("https://api.example.com").unwrap();
    let typed = tower::ServiceBuilder::new().map_response(|answer: u8| answer + 1).service(api);
    assert_eq!(typed.oneshot(Call::get("/x")).await.unwrap(), 42);
    assert_eq!(seen.load(SeqCst), 1);
}

#[tokio::test]
async fn any_request_body_from_bytes_can_be_sent() {
    struct Own(Bytes);
    impl From<Bytes> for Own {
        fn from(body: Bytes) -> Self {
            Self(body)
        }
    }
    let service = tower::service_fn(|request: Request<Own>| async move {
        Ok::<_, Infallible>(Response::new(Full::new(request.into_body().0)))
    });
    let api = JsonClient::<_, Own>::with_body(service).base("https://api.example.com").unwrap();
    assert_eq!(api.post("/echo").json(&[1, 2]).send::<Vec<u8>>().await.unwrap(), [1, 2]);
    assert_eq!(api.boxed().post("/echo").json(&[1, 2]).send::<Vec<u8>>().await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_boxed_client_ends_its_call_when_dropped() {
    let counts = Arc::new(Counts::default());
    let guard = Arc::clone(&counts);
    let service = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let guard = Guard::new(&guard);
        async move {
            let _guard = guard;
            pending::<Result<Response<Full<Bytes>>, Infallible>>().await
        }
    });
    let api = JsonClient::new(service).base("https://api.example.com").unwrap().boxed();
    let mut call = Box::pin(api.get("/x").send::<u8>());
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(counts.held(), 1);
    drop(call);
    assert_eq!(counts.held(), 0);
}
