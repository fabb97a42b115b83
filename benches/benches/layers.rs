//! Each layer around a service that is ready at once, with criterion's statistics. To compare layers with each other and
//! with tower's, see `ratios`, which measures them in turns.
//!
//! `cargo bench -p donjon-benches --bench layers`

use std::{fmt::Debug, hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use donjon::{CallError, ConcurrencyLimitLayer, DeadlineLayer, RetryLayer, TimeoutLayer};
use donjon_benches::bare::Bare;
use tower::{Service, ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

fn bench<S>(criterion: &mut Criterion, name: &str, mut service: S)
where
    S: Service<u64, Response = u64>,
    S::Error: Debug,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|calls| {
            runtime.block_on(async {
                let started = donjon_benches::interleaved::now();
                for n in 0..calls {
                    let ready = service.ready().await.expect("the service is ready");
                    black_box(ready.call(black_box(n)).await.ok());
                }
                started.elapsed()
            })
        });
    });
}

fn layers(criterion: &mut Criterion) {
    let bare = Bare::<CallError>::new();
    let stack = ServiceBuilder::new();
    bench(criterion, "bare", bare.clone());
    bench(criterion, "limit", stack.clone().layer(ConcurrencyLimitLayer::new(1024)).service(bare.clone()));
    bench(criterion, "retry", stack.clone().layer(RetryLayer::default()).service(bare.clone()));
    bench(criterion, "timeout", stack.clone().layer(TimeoutLayer::new(SECOND)).service(bare.clone()));
    bench(criterion, "deadline", stack.clone().layer(DeadlineLayer::new(SECOND)).service(bare.clone()));
    bench(
        criterion,
        "deadline + retry + limit + timeout",
        stack
            .layer(DeadlineLayer::new(SECOND))
            .layer(RetryLayer::default())
            .layer(ConcurrencyLimitLayer::new(1024))
            .layer(TimeoutLayer::new(SECOND))
            .service(bare),
    );
}

criterion_group!(benches, layers);
criterion_main!(benches);
