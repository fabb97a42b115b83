//! An outage of ten seconds, seen from the upstream of the ready-made client with a breaker.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use donjon::client::{Breakers, Client, Identity};
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep, sleep_until};
use tower::util::BoxCloneSyncService;

type Bytes = Full<bytes::Bytes>;
type Transport = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, std::io::Error>;

/// The outage, in milliseconds.
const DOWN: std::ops::Range<u64> = 10_000..20_000;
/// Calls, one each 10 ms.
const CALLS: u64 = 6_000;

/// When calls came to the upstream, and which were answered.
struct Run {
    seen: Vec<u64>,
    answered: Vec<(u64, bool)>,
}

/// The service hangs up, or hangs.
async fn run(hangs: bool, seed: u64) -> Run {
    let started = Instant::now();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let transport: Transport = BoxCloneSyncService::new(tower::service_fn(move |_: Request<Bytes>| {
        let now = u64::try_from(started.elapsed().as_millis()).unwrap();
        log.lock().unwrap().push(now);
        async move {
            if DOWN.contains(&now) {
                if hangs {
                    std::future::pending::<()>().await;
                }
                return Err(std::io::ErrorKind::ConnectionReset.into());
            }
            sleep(Duration::from_millis(20)).await;
            Ok(Response::new(Bytes::from("1")))
        }
    }));
    let breaker = donjon::BreakerLayer::http().seed(seed);
    let builder = donjon::client::builder().transport(transport).seed(seed).breaker_layer(breaker);
    let api: Client<Transport, Identity, Identity, Identity, Breakers> = builder.build("http://upstream").unwrap();
    let calls = (0..CALLS).map(|n| {
        let api = api.clone();
        tokio::spawn(async move {
            sleep_until(started + Duration::from_millis(10 * n)).await;
            (10 * n, api.get("/thing").send::<u64>().await.is_ok())
        })
    });
    let mut answered = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answered.push(call.await.unwrap());
    }
    let seen = seen.lock().unwrap().clone();
    Run { seen, answered }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_left_alone_and_its_end_is_found() {
    for hangs in [false, true] {
        for seed in 0..8 {
            let Run { seen, answered } = run(hangs, seed).await;
            // Seven failures open it. Where the service hangs it takes an attempt timeout of 1 s to know that: 10 ms apart, a
            // hundred have been sent by then, less those that found no place.
            let (opened, bound) = if hangs { (12_000, 100) } else { (11_000, 9) };
            let sent = |during: std::ops::Range<u64>| seen.iter().filter(|at| during.contains(*at)).count();
            let (before, probes) = (sent(DOWN.start..opened), sent(opened..DOWN.end));
            assert!(before <= bound, "{before} calls before it has opened (hangs: {hangs}, seed {seed})");
            // The probes of one opening fail, or are dropped by callers whose time is over.
            assert!(probes <= if hangs { 12 } else { 3 }, "{probes} probes (hangs: {hangs}, seed {seed})");
            // A second opening begins before the outage ends, and lasts at most 12 s.
            let failed_late: Vec<_> = answered.iter().filter(|(at, ok)| *at >= 32_000 && !ok).collect();
            assert!(failed_late.is_empty(), "hangs: {hangs}, seed {seed}: {failed_late:?}");
            assert!(answered.iter().all(|(at, ok)| *at >= 9_000 || *ok), "nothing fails before the outage");
            // No storm at its end: nobody comes twice.
            let after = seen.iter().filter(|at| **at >= DOWN.end).count() as u64;
            assert!(after <= CALLS - DOWN.end / 10, "{after} calls after the outage");
        }
    }
}

/// Calls whose deadline comes before an attempt is taken to be too slow: a host that hangs is left alone all the same.
#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_is_left_alone_however_short_the_deadline_of_a_call_is() {
    for deadline in [100, 500, 1000, 1500] {
        let sent = Arc::new(Mutex::new(0));
        let count = Arc::clone(&sent);
        let transport: Transport = BoxCloneSyncService::new(tower::service_fn(move |_: Request<Bytes>| {
            *count.lock().unwrap() += 1;
            std::future::pending()
        }));
        let builder = donjon::client::builder().transport(transport).seed(1).deadline(Duration::from_millis(deadline));
        let handles = builder.clone().breaker();
        let (breakers, api) = (handles.handles(), handles.build("http://upstream").unwrap());
        for _ in 0..30 {
            api.get("/thing").send::<u64>().await.unwrap_err();
        }
        let opened = std::cell::Cell::new(0);
        breakers.breakers().expect("there are some").each(|_, it| opened.set(it.handle().stats().opened));
        assert!(opened.get() > 0, "deadline {deadline} ms: it has not opened");
        let sent = *sent.lock().unwrap();
        assert!(sent <= 16, "deadline {deadline} ms: {sent} calls sent");
    }
}
