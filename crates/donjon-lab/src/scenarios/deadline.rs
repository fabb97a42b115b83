//! Five servers in a row, and a client that does not wait for ever: who still works when it has left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use donjon_coalesce::CoalesceLayer;
use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{CallError, Scope};
use donjon_retry::RetryLayer;
use donjon_timeout::{DeadlineLayer, PropagateDeadlineLayer, TimeoutLayer};
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::{
    Chart, Figure, Goal, Param, Published, Report, Scenario, Scene,
    world::{Dice, arrivals, play},
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "deadline",
    title: "work that is begun after the client has left, over five servers in a row",
    about: "A client waits 200 ms for the first of five servers, each of which works for 5 ms and calls the next one; \
            every other call of the last one stalls for 300 ms. Each server has a limit with a queue, calls the next one \
            with up to three attempts of 80 ms (and a budget) within 200 ms, and the third joins calls for the same thing. Servers do \
            not see that a caller has gone away: they know their deadline, or they do not. Work counts as too late when \
            no client that asked for it still waits. The network takes no time, but for one row: a server \
            counts what remains from when it hears of it, so what begins while the word is under way begins too late. \
            Joining at the third server halves the share: one row has the same servers without it, and comes near to the \
            modelled figure, whose set-up is not known in more than its hops, its deadline and its stalls.",
    params: PARAMS,
    published: PUBLISHED,
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::new("rate", 100.0, (1.0, 1000.0), "calls a second"),
    Param::new("seconds", 30.0, (1.0, 600.0), "how long, s"),
    Param::new("deadline", 200.0, (10.0, 10_000.0), "how long the client waits, ms"),
    Param::new("attempt", 80.0, (1.0, 10_000.0), "how long a server waits for one attempt, ms"),
    Param::new("stall", 300.0, (0.0, 10_000.0), "how long the last server stalls, ms"),
    Param::new("stalling", 0.5, (0.0, 1.0), "the share of its calls that stall"),
    Param::new("work", 5.0, (0.0, 1000.0), "how long each server works, ms"),
    Param::count("hops", 5, (1, 20), "servers in a row"),
    Param::count("limit", 64, (1, 1000), "calls that a server works on at once"),
    Param::new("network", 1.0, (0.0, 100.0), "how long a call takes over the slow network, one way, ms"),
];

const PUBLISHED: &[Published] =
    &[Published::modelled(["no propagation, modelled", "work begun too late", "%"], 19.3, "five hops")];

type Ask = Request<Full<Bytes>>;
type Stack = BoxCloneSyncService<Ask, Response<Full<Bytes>>, CallError>;

#[derive(Clone, Copy, PartialEq)]
enum Policy {
    /// One deadline, told to the next server.
    Propagated,
    /// The same over a network that takes its time.
    OverNetwork,
    /// Each server starts its own.
    PerHop,
    /// Nobody but the client has one.
    ClientOnly,
    /// The same, and the third server makes each call by itself.
    NotJoined,
}

const POLICIES: &[(&str, Policy)] = &[
    ("donjon", Policy::Propagated),
    ("donjon, slow network", Policy::OverNetwork),
    ("a timeout at each server", Policy::PerHop),
    ("a timeout at the client", Policy::ClientOnly),
    ("the same, nothing joined", Policy::NotJoined),
];

/// What was begun, and until when somebody waits for each thing.
#[derive(Default)]
struct Ledger {
    wanted_until: HashMap<String, Instant>,
    begun: u64,
    too_late: u64,
    answered: u64,
    calls: u64,
}

type Shared = Arc<Mutex<Ledger>>;

fn play_all(scene: &Scene<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    for &(name, policy) in POLICIES {
        let ours = policy == Policy::Propagated;
        // The slow network is what one of the settings moves.
        if !scene.plays(ours || policy == Policy::OverNetwork) {
            continue;
        }
        let ledger = one(scene, policy);
        let share = |part: u64, of: u64| 100.0 * part as f64 / of.max(1) as f64;
        let late = Figure::new(name, "work begun too late", "%", share(ledger.too_late, ledger.begun));
        figures.push(late.goal_if(ours, Goal::AtMost(0.0)));
        figures.push(Figure::new(name, "work begun for each call", "", ledger.begun as f64 / ledger.calls as f64));
        figures.push(Figure::new(name, "answered in time", "%", share(ledger.answered, ledger.calls)));
    }
    figures
}

fn one(scene: &Scene<'_>, policy: Policy) -> Ledger {
    let seed = scene.seed;
    let millis = |name| Duration::from_secs_f64(scene.get(name) / 1000.0);
    let (rate, seconds) = (scene.get("rate"), scene.get("seconds"));
    let (deadline, attempt) = (millis("deadline"), millis("attempt"));
    let network = if policy == Policy::OverNetwork { millis("network") } else { Duration::ZERO };
    let (work, stall, stalling) = (millis("work"), millis("stall"), scene.get("stalling"));
    let (hops, limit) = (scene.get("hops") as u64, scene.get("limit") as usize);
    play(seed, || async move {
        let ledger = Shared::default();
        let mut next: Option<Stack> = None;
        for hop in (1..=hops).rev() {
            let handler = match next.take() {
                None => leaf(Dice::new(seed, 2), stall, stalling, work, Arc::clone(&ledger)),
                Some(next) => server(work, next, Arc::clone(&ledger)),
            };
            let inside = ConcurrencyLimitLayer::new(limit).queue(4 * limit).layer(handler);
            let served = match policy {
                Policy::Propagated | Policy::OverNetwork => {
                    wrap(DeadlineLayer::http(deadline).layer(joined(hop, inside)))
                }
                Policy::PerHop => wrap(DeadlineLayer::http(deadline).ignore_headers().layer(joined(hop, inside))),
                Policy::ClientOnly => wrap(joined(hop, inside)),
                Policy::NotJoined => wrap(inside),
            };
            let calls = over_network(served, network);
            let client = RetryLayer::http().max_attempts(3).seed(seed ^ hop);
            let client = ServiceBuilder::new().layer(client).layer(TimeoutLayer::new(attempt));
            next = Some(match policy {
                Policy::Propagated | Policy::OverNetwork => {
                    wrap(client.layer(PropagateDeadlineLayer::new()).service(calls))
                }
                Policy::PerHop | Policy::ClientOnly | Policy::NotJoined => wrap(client.service(calls)),
            });
        }
        let stack = DeadlineLayer::new(deadline).layer(next.expect("there is at least one server"));

        let mut dice = Dice::new(seed, 1);
        let mut things = Dice::new(seed, 3);
        arrivals(rate, seconds, &mut dice, |_| {
            let (stack, ledger) = (stack.clone(), Arc::clone(&ledger));
            let uri = format!("/things/{}", things.below(1000));
            tokio::spawn(async move {
                let left = Instant::now() + deadline;
                lock(&ledger, |it| {
                    it.calls += 1;
                    it.wanted_until.insert(uri.clone(), left);
                });
                let ask = Request::get(&uri).body(Full::default()).expect("a path is a URI");
                if stack.oneshot(ask).await.is_ok() {
                    lock(&ledger, |it| it.answered += 1);
                }
            });
        })
        .await;
        sleep(Duration::from_secs(60)).await;
        lock(&ledger, std::mem::take)
    })
}

fn lock<R>(ledger: &Shared, f: impl FnOnce(&mut Ledger) -> R) -> R {
    f(&mut ledger.lock().expect("nobody panics under this lock"))
}

/// The third server makes one call for many.
fn joined<S>(hop: u64, inner: S) -> Stack
where
    S: tower::Service<Ask, Response = Response<Full<Bytes>>, Error = CallError> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    if hop == 3 { wrap(CoalesceLayer::new(|ask: &Ask| Some(ask.uri().clone())).layer(inner)) } else { wrap(inner) }
}

fn wrap<S, B>(stack: S) -> Stack
where
    S: tower::Service<Ask, Response = Response<B>, Error = CallError> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: 'static,
{
    BoxCloneSyncService::new(stack.map_response(|response: Response<B>| response.map(|_| Full::default())))
}

/// A task of the server's for each call, which goes on when the caller has left.
fn over_network(server: Stack, network: Duration) -> Stack {
    BoxCloneSyncService::new(service_fn(move |ask: Ask| {
        let server = server.clone();
        let work = async move {
            sleep(network).await;
            let answer = server.oneshot(ask).await;
            sleep(network).await;
            answer
        };
        // Nothing ambient goes over a wire.
        let task = tokio::spawn(Scope::root().wrap(work));
        async move { task.await.map_err(CallError::from)? }
    }))
}

/// Works, and asks the next one.
fn server(work: Duration, next: Stack, ledger: Shared) -> Stack {
    BoxCloneSyncService::new(service_fn(move |ask: Ask| {
        let (next, ledger) = (next.clone(), Arc::clone(&ledger));
        async move {
            begin(&ledger, &ask);
            sleep(work).await;
            // A new request, as a handler makes it: it takes nothing over from the one that came in.
            let onward = Request::get(ask.uri().clone()).body(Full::default()).map_err(CallError::from)?;
            next.oneshot(onward).await
        }
    }))
}

/// Works, and stalls every now and then.
fn leaf(dice: Dice, stall: Duration, stalling: f64, work: Duration, ledger: Shared) -> Stack {
    let dice = Arc::new(Mutex::new(dice));
    BoxCloneSyncService::new(service_fn(move |ask: Ask| {
        begin(&ledger, &ask);
        let stalls = dice.lock().expect("nobody panics under this lock").happens(stalling);
        let time = if stalls { work + stall } else { work };
        async move {
            sleep(time).await;
            Ok(Response::new(Full::default()))
        }
    }))
}

fn begin(ledger: &Shared, ask: &Ask) {
    lock(ledger, |it| {
        it.begun += 1;
        let wanted = it.wanted_until.get(ask.uri().path()).is_some_and(|until| Instant::now() < *until);
        it.too_late += u64::from(!wanted);
    });
}

fn draw(report: &Report) -> Chart {
    let metrics = ["work begun too late", "work begun for each call", "answered in time"];
    Chart::bars("One deadline over five servers: what is begun when the client has left", report, &metrics)
}
