//! The shape that stores in the process and stores elsewhere share.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use donjon_store::{
    Answer, Codec, CodecError, Entry, FillToken, Found, Freshness, Lifetime, Lookup, MemoryStore, Store, Stored,
    StringCodec,
};
use tokio::time::{Instant, Sleep, sleep};

/// What every cache does, over any store.
async fn through<S: Store<u64, String>>(store: &S, key: u64, value: &str) -> Result<String, S::Error> {
    match store.lookup(&key, Instant::now()).await? {
        Lookup::Fresh(found) => Ok(found.into_value()),
        Lookup::Stale(_, token) | Lookup::Miss(token) => {
            let entry = Entry::new(value.to_owned(), Instant::now()).fresh_for(Duration::from_secs(1));
            let _ = store.fill(key, entry, token).await?;
            Ok(value.to_owned())
        }
        _ => unreachable!("this test knows all answers"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_in_the_process_answers_at_once() {
    let store: MemoryStore<u64, String> = MemoryStore::new(10);
    let answer = store.lookup(&1, Instant::now());
    assert!(matches!(answer, Answer::Now(Ok(Lookup::Miss(_)))));
    assert_eq!(through(&store, 1, "a").await.unwrap(), "a");
    assert_eq!(through(&store, 1, "b").await.unwrap(), "a");
    let found = store.lookup(&1, Instant::now()).into_inner().unwrap().fresh().unwrap();
    assert_eq!(found.value(), "a");
    store.invalidate(&1).into_inner().unwrap();
    assert_eq!(through(&store, 1, "b").await.unwrap(), "b");
    store.invalidate_tag("t").into_inner().unwrap();
    store.invalidate_all().into_inner().unwrap();
    assert_eq!(through(&store, 1, "c").await.unwrap(), "c");
}

#[test]
fn awaiting_an_answer_that_is_there_is_ready_at_the_first_poll() {
    let store: MemoryStore<u64, String> = MemoryStore::new(10);
    let mut future = pin!(store.lookup(&1, Instant::now()).into_future());
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

/// A store elsewhere, as bytes: each answer takes a millisecond, one lease at a time for each key.
#[derive(Clone, Default)]
struct Remote {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    values: HashMap<u64, (Bytes, Lifetime, Vec<String>)>,
    leases: HashMap<u64, u64>,
    last: u64,
}

struct Later<T> {
    sleep: Pin<Box<Sleep>>,
    then: Option<Box<dyn FnOnce() -> T + Send>>,
}

impl<T> Future for Later<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        std::task::ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(self.then.take().expect("polled once")())
    }
}

impl Remote {
    fn later<T, F>(&self, then: F) -> Answer<Later<T>>
    where
        F: FnOnce(&mut State) -> T + Send + 'static,
    {
        let state = Arc::clone(&self.state);
        let then = move || then(&mut state.lock().expect("nobody panics here"));
        Answer::Later(Later { sleep: Box::pin(sleep(Duration::from_millis(1))), then: Some(Box::new(then)) })
    }
}

impl Store<u64, String> for Remote {
    type Error = CodecError;
    type Lookup = Later<Result<Lookup<String>, CodecError>>;
    type Fill = Later<Result<Stored, CodecError>>;
    type Remove = Later<Result<(), CodecError>>;

    fn lookup(&self, key: &u64, now: Instant) -> Answer<Self::Lookup> {
        let key = *key;
        self.later(move |state| {
            if let Some((bytes, lifetime, _)) = state.values.get(&key)
                && lifetime.at(now) == Freshness::Fresh
            {
                let value = StringCodec.decode(bytes.clone())?;
                return Ok(Lookup::Fresh(Found::new(value, *lifetime, Duration::ZERO)));
            }
            if let Some(lease) = state.leases.get(&key) {
                return Ok(Lookup::Miss(FillToken::new(*lease).follower()));
            }
            state.last += 1;
            state.leases.insert(key, state.last);
            Ok(Lookup::Miss(FillToken::new(state.last)))
        })
    }

    fn fill(&self, key: u64, entry: Entry<String>, token: FillToken) -> Answer<Self::Fill> {
        self.later(move |state| {
            if state.leases.remove(&key) != Some(token.number()) {
                return Ok(Stored::Outdated);
            }
            let bytes = StringCodec.encode(entry.value())?;
            let tags = entry.tags().map(str::to_owned).collect();
            state.values.insert(key, (bytes, entry.lifetime(), tags));
            Ok(Stored::Kept)
        })
    }

    fn abandon(&self, key: &u64, token: FillToken) {
        let mut state = self.state.lock().expect("nobody panics here");
        if state.leases.get(key) == Some(&token.number()) {
            state.leases.remove(key);
        }
    }

    fn invalidate(&self, key: &u64) -> Answer<Self::Remove> {
        let key = *key;
        self.later(move |state| {
            state.values.remove(&key);
            state.leases.remove(&key);
            Ok(())
        })
    }

    fn invalidate_tag(&self, tag: &str) -> Answer<Self::Remove> {
        let tag = tag.to_owned();
        self.later(move |state| {
            state.values.retain(|_, (_, _, tags)| !tags.contains(&tag));
            state.leases.clear();
            Ok(())
        })
    }

    fn invalidate_all(&self) -> Answer<Self::Remove> {
        self.later(|state| {
            *state = State { last: state.last, ..State::default() };
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_elsewhere_with_bytes_and_leases_has_the_same_shape() {
    let remote = Remote::default();
    assert_eq!(through(&remote, 1, "a").await.unwrap(), "a");
    assert_eq!(through(&remote, 1, "b").await.unwrap(), "a");

    // One leads, the other follows, until the leader gives up.
    let leader = remote.lookup(&2, Instant::now()).await.unwrap().token().unwrap();
    let follower = remote.lookup(&2, Instant::now()).await.unwrap().token().unwrap();
    assert!(leader.is_leader() && !follower.is_leader());
    remote.abandon(&2, leader);
    assert!(remote.lookup(&2, Instant::now()).await.unwrap().token().unwrap().is_leader());

    // A removal takes the lease along.
    let token = remote.lookup(&3, Instant::now()).await.unwrap().token().unwrap();
    remote.invalidate(&3).await.unwrap();
    let entry = Entry::new("x".to_owned(), Instant::now()).fresh_for(Duration::from_secs(1));
    assert_eq!(remote.fill(3, entry, token).await.unwrap(), Stored::Outdated);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_come_is_pending_until_it_comes() {
    let remote = Remote::default();
    let mut future = pin!(remote.lookup(&1, Instant::now()).into_future());
    let pending = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
    assert!(pending);
    assert!(future.await.is_ok());
    assert!(remote.lookup(&1, Instant::now()).now().is_none());
}

#[tokio::test(start_paused = true)]
async fn stores_of_either_kind_work_in_spawned_tasks() {
    async fn spawned<S>(store: S) -> String
    where
        S: Store<u64, String, Error: Send, Lookup: Send, Fill: Send> + Clone + Send + Sync + 'static,
    {
        tokio::spawn(async move { through(&store, 1, "a").await.ok().expect("it answers") }).await.unwrap()
    }
    assert_eq!(spawned(Remote::default()).await, "a");
    assert_eq!(spawned(MemoryStore::<u64, String>::new(1)).await, "a");
}

#[test]
fn debugging_an_answer_shows_it() {
    let store: MemoryStore<u64, u64> = MemoryStore::new(10);
    let answer = store.invalidate(&1);
    assert_eq!(format!("{answer:?}"), "Now(Ok(()))");
    let _: Result<(), Infallible> = answer.into_inner();
}
