//! Types and laws.

use std::{convert::Infallible, future::Ready, rc::Rc};

use donjon_core::{CallError, Rejection};
use donjon_fanout::{
    AsCompleted, Collect, FanOut, FanOutExt, FirstOk, FromIter, FromStream, InOrder, NotEnough, Quorum,
};
use futures_util::{
    Stream,
    stream::{self, StreamExt},
};
use tower::{Service, ServiceExt, service_fn};

use crate::scripted::{Act, Readiness, Scripted};

type Pairs = FromIter<std::vec::IntoIter<(u32, Act)>>;

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn unpin<T: Unpin>() {}

#[test]
fn types_can_be_moved_and_shared() {
    send::<FanOut<Scripted, Pairs>>();
    send::<AsCompleted<Scripted, u32, Act, Pairs>>();
    send::<InOrder<Scripted, u32, Act, Pairs>>();
    send::<Collect<Scripted, u32, Act, Pairs, Vec<(u32, Result<u64, CallError>)>>>();
    send::<Quorum<Scripted, u32, Act, Pairs>>();
    send::<FirstOk<Scripted, u32, Act, Pairs>>();
    send::<NotEnough<u32, u64, CallError>>();
    sync::<AsCompleted<Plain, u32, u64, Pairs>>();
    sync::<InOrder<Plain, u32, u64, Pairs>>();
    sync::<Quorum<Plain, u32, u64, Pairs>>();
    // So that `next` needs no pinning, whatever is inside.
    unpin::<AsCompleted<Plain, std::marker::PhantomPinned, u64, FromStream<std::marker::PhantomPinned>>>();
    unpin::<InOrder<Plain, std::marker::PhantomPinned, u64, FromStream<std::marker::PhantomPinned>>>();
    unpin::<Quorum<Plain, std::marker::PhantomPinned, u64, FromStream<std::marker::PhantomPinned>>>();
}

/// A service whose future can be shared between threads.
#[derive(Clone, Debug)]
struct Plain;

impl Service<u64> for Plain {
    type Response = u64;
    type Error = Rejection;
    type Future = Ready<Result<u64, Rejection>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Rejection>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u64) -> Self::Future {
        std::future::ready(Ok(n))
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_spawned_generic_and_not_erased() {
    async fn sum<S>(service: S) -> u64
    where
        S: Service<Act, Response = u64, Error = CallError> + Clone,
    {
        let items = (1..=20).map(|n| (n, Act::Ok(n)));
        let mut sum = 0;
        let mut replies = service.fan_out(items.clone()).at_once(3).as_completed();
        while let Some((_, reply)) = replies.next().await {
            sum += reply.unwrap();
        }
        let mut replies = service.fan_out_stream(stream::iter(items.clone())).in_order();
        while let Some((_, reply)) = replies.next().await {
            sum += reply.unwrap();
        }
        let all: Vec<_> = service.fan_out(items.clone()).collect().await;
        sum + all.len() as u64
            + service.fan_out(items.clone()).first_ok().await.unwrap().1
            + service.fan_out(items).quorum(2).await.unwrap().len() as u64
    }
    assert_eq!(tokio::spawn(sum(Scripted::new())).await.unwrap(), 210 + 210 + 20 + 1 + 2);
}

#[tokio::test]
async fn neither_keys_nor_services_need_be_sendable() {
    let service = Rc::new(1);
    let service = service_fn(move |n: i32| std::future::ready(Ok::<_, Infallible>(n + *service)));
    let service = service.map_err(CallError::from);
    let mut replies = service.fan_out([(Rc::new("a"), 1), (Rc::new("b"), 2)]).in_order();
    assert_eq!(replies.next().await.map(|(key, reply)| (*key, reply.unwrap())), Some(("a", 2)));
    assert_eq!(replies.next().await.map(|(key, reply)| (*key, reply.unwrap())), Some(("b", 3)));
    assert!(replies.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn each_call_readies_its_own_clone() {
    // `Scripted` checks that the instance that was readied is the one that is called.
    let service = Scripted::with(Readiness::After(5));
    let all: Vec<_> = service.fan_out((0..50).map(|n| (n, Act::Ok(1)))).collect().await;
    assert!(all.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(service.called(), 50);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_the_result_of_that_call() {
    let service = Scripted::with(Readiness::Fails);
    let all: Vec<_> = service.fan_out((0..50).map(|n| (n, Act::Ok(1)))).collect().await;
    assert_eq!(all.iter().filter(|(_, result)| result.is_err()).count(), 50);
    assert_eq!(service.called(), 0);
}

#[tokio::test(start_paused = true)]
async fn polls_are_bounded_by_wakes() {
    let service = Scripted::new();
    let mut replies = service.fan_out((0..100).map(|n| (n, Act::Ok(n)))).at_once(100).as_completed();
    let mut polled = tokio_test::task::spawn(replies.next());
    assert!(polled.poll().is_ready(), "the first call takes no time");
    drop(polled);
    // Nothing was woken since, so polling the stream polls no call.
    let before = service.polls();
    for _ in 0..10 {
        let mut next = tokio_test::task::spawn(replies.next());
        assert!(next.poll().is_pending());
    }
    assert!(service.polls() <= before + 100, "{} after {before}", service.polls());
    let settled = service.polls();
    for _ in 0..10 {
        assert!(tokio_test::task::spawn(replies.next()).poll().is_pending());
    }
    assert_eq!(service.polls(), settled);
    while replies.next().await.is_some() {}
    assert!(service.polls() <= 2 * 100, "once at the start and once for its timer: {}", service.polls());
}

#[tokio::test(start_paused = true)]
async fn the_streams_are_streams() {
    let service = Scripted::new();
    let items = (0..10).map(|n| (n, Act::Ok(n)));
    let replies = service.fan_out(items.clone()).as_completed();
    assert_eq!(replies.size_hint(), (10, Some(10)));
    assert_eq!(replies.map(|(n, _)| n).take(3).collect::<Vec<_>>().await, [0, 1, 2]);
    let mut replies = service.fan_out(items).in_order().fuse();
    assert_eq!(StreamExt::next(&mut replies).await.map(|(n, _)| n), Some(0));
    assert_eq!(replies.size_hint(), (9, Some(9)));
}

#[tokio::test(start_paused = true)]
async fn ended_streams_stay_ended_and_say_so() {
    use futures_util::stream::FusedStream;
    let service = Scripted::new();
    let mut replies = service.fan_out([(0, Act::Ok(0))]).as_completed();
    assert!(!replies.is_terminated());
    assert!(replies.next().await.is_some());
    assert!(replies.next().await.is_none());
    assert!(replies.is_terminated());
    assert!(replies.next().await.is_none());
    let mut replies = service.fan_out([(0, Act::Ok(0))]).in_order();
    assert!(!replies.is_terminated());
    assert!(replies.next().await.is_some());
    assert!(replies.next().await.is_none());
    assert!(replies.is_terminated());
}
