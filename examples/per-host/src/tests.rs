use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use donjon::Rejection;
use http::Response;
use tokio::time::sleep;
use tower::{Layer, service_fn};

use super::*;

/// When a call began, and when it ended.
type Seen = (Instant, Option<Instant>);

/// What each host saw.
#[derive(Clone, Default)]
struct Hosts(Arc<Mutex<HashMap<String, Vec<Seen>>>>);

impl Hosts {
    /// A web in this process: `slow.example` takes ten seconds for a page, `hung.example` an hour, the others a tenth of
    /// a second.
    async fn page(self, request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Rejection> {
        let host = request.uri().host().unwrap().to_owned();
        let number = {
            let mut hosts = self.0.lock().unwrap();
            let calls = hosts.entry(host.clone()).or_default();
            calls.push((Instant::now(), None));
            calls.len() - 1
        };
        sleep(match &*host {
            "slow.example" => Duration::from_secs(10),
            "hung.example" => Duration::from_secs(3600),
            _ => Duration::from_millis(100),
        })
        .await;
        self.0.lock().unwrap().get_mut(&host).unwrap()[number].1 = Some(Instant::now());
        Ok(Response::new(Full::default()))
    }

    fn calls(&self, host: &str) -> Vec<Seen> {
        self.0.lock().unwrap().get(host).cloned().unwrap_or_default()
    }
}

/// Asks for so many pages of each host at once, and reads each. How many were answered.
async fn crawl(hosts: &Hosts, pages: &[(&str, usize)]) -> usize {
    let web = hosts.clone();
    let all = pages.iter().map(|(_, count)| count).sum();
    let client = politeness(all).layer(service_fn(move |request| web.clone().page(request)));
    let mut tasks = JoinSet::new();
    for (host, count) in pages {
        for n in 0..*count {
            let request = Request::get(format!("http://{host}/{n}")).body(Full::<Bytes>::default()).unwrap();
            let client = client.clone();
            tasks.spawn(async move {
                let Ok(response) = client.oneshot(request).await else { return false };
                response.into_body().collect().await.is_ok()
            });
        }
    }
    tasks.join_all().await.into_iter().filter(|answered| *answered).count()
}

/// The most calls that were in flight at once.
fn most_in_flight(calls: &[Seen]) -> usize {
    let at = |now: Instant| calls.iter().filter(|(from, to)| *from <= now && to.is_none_or(|to| now < to)).count();
    calls.iter().map(|(from, _)| at(*from)).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn each_host_sees_five_a_second_and_two_at_once() {
    let hosts = Hosts::default();
    let start = Instant::now();
    assert_eq!(crawl(&hosts, &[("a.example", 20), ("b.example", 20)]).await, 40, "nobody is refused");
    for host in ["a.example", "b.example"] {
        let calls = hosts.calls(host);
        for (n, (from, _)) in calls.iter().enumerate() {
            let turn = Duration::from_millis(200 * n as u64);
            assert!(*from - start >= turn, "{host} sees its call {n} before its turn");
            assert!(*from - start <= turn + Duration::from_millis(50), "{host} sees its call {n} late");
        }
        assert!(most_in_flight(&calls) <= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_host_has_two_in_flight_and_delays_no_other() {
    let hosts = Hosts::default();
    let start = Instant::now();
    assert_eq!(crawl(&hosts, &[("slow.example", 8), ("fast.example", 10)]).await, 18);
    assert!(start.elapsed() >= Duration::from_secs(40), "eight pages of ten seconds, two at a time");
    assert_eq!(most_in_flight(&hosts.calls("slow.example")), 2);
    let last = hosts.calls("fast.example").into_iter().filter_map(|(_, to)| to).max().unwrap();
    assert!(last - start <= Duration::from_secs(2), "ten at five a second, as if it were alone");
}

#[tokio::test(start_paused = true)]
async fn of_two_thousand_pages_of_one_host_each_has_its_turn() {
    let hosts = Hosts::default();
    let start = Instant::now();
    assert_eq!(crawl(&hosts, &[("a.example", 2_000), ("b.example", 10)]).await, 2_010, "nobody is refused");
    let took = start.elapsed();
    assert!((Duration::from_secs(399)..Duration::from_secs(410)).contains(&took), "five a second: {took:?}");
    let last = hosts.calls("b.example").into_iter().filter_map(|(_, to)| to).max().unwrap();
    assert!(last - start <= Duration::from_secs(2), "the many delay no other host");
}

#[tokio::test(start_paused = true)]
async fn of_eleven_thousand_hosts_each_has_its_state() {
    let hosts = Hosts::default();
    let names: Vec<_> = (0..11_000).map(|n| format!("{n}.example")).collect();
    let pages: Vec<_> = names.iter().map(|name| (&**name, 1)).collect();
    assert_eq!(crawl(&hosts, &pages).await, 11_000, "nobody is refused");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_hangs_is_given_up_and_makes_room() {
    let hosts = Hosts::default();
    let start = Instant::now();
    assert_eq!(crawl(&hosts, &[("hung.example", 6)]).await, 0);
    assert_eq!(hosts.calls("hung.example").len(), 6, "each has had its turn");
    let took = start.elapsed();
    assert!((3 * PAGE..3 * PAGE + Duration::from_secs(1)).contains(&took), "two at a time: {took:?}");
}

#[tokio::test]
async fn it_fetches_over_the_network() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().fallback(async || "page");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = ServiceBuilder::new().layer(politeness(3)).map_err(CallError::from).service(transport());
    let start = Instant::now();
    for _ in 0..3 {
        let request = Request::get(format!("http://{address}/")).body(Full::<Bytes>::default()).unwrap();
        let response = client.clone().oneshot(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "page");
    }
    assert!(start.elapsed() >= Duration::from_millis(400), "the third has waited for its turn");
}
