//! A JSON GET on loopback over a warm connection: how many allocations on the client's thread, and what each is for.

use bytes::Bytes;
use donjon_benches::loopback::{self, User};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

/// The allocations of one exchange in steady state: the least of many, since a hash map or a timer wheel that grows once
/// is not the exchange's.
fn allocations<F, Fut>(mut exchange: F) -> u64
where
    F: FnMut() -> Fut,
    Fut: Future<Output = User>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut least = u64::MAX;
    for _ in 0..50 {
        let counted = allocation_counter::measure(|| {
            let user = runtime.block_on(exchange());
            assert_eq!(user.id, 42);
        });
        least = least.min(counted.count_total);
    }
    least
}

#[test]
fn print() {
    let address = loopback::start();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let uri: http::Uri = format!("http://{address}/users/42").parse().unwrap();
    let hyper_util = allocations(|| {
        let request = http::Request::get(uri.clone()).body(Full::new(Bytes::new())).unwrap();
        let response = client.request(request);
        async move {
            let body = response.await.unwrap().into_body().collect().await.unwrap().to_bytes();
            serde_json::from_slice(&body).unwrap()
        }
    });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}/users/42");
    let reqwest = allocations(|| {
        let response = client.get(&url).send();
        async move { response.await.unwrap().json().await.unwrap() }
    });
    println!("hyper-util {hyper_util} reqwest {reqwest}");
}
