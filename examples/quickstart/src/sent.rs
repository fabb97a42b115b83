//! How often a call has been sent, as its own task knows it: under the limit, where an attempt is really on its way.

use std::cell::Cell;

tokio::task_local! {
    static SENT: Cell<u32>;
}

/// Runs a call, and says how often it was sent. The call must stay on this task.
pub(crate) async fn counting<F: Future>(call: F) -> (F::Output, u32) {
    SENT.scope(Cell::new(0), async {
        let output = call.await;
        (output, SENT.with(Cell::get))
    })
    .await
}

/// The request is being sent.
pub(crate) fn count<R>(request: R) -> R {
    // Outside of a call that counts there is nobody to tell.
    let _ = SENT.try_with(|sent| sent.set(sent.get() + 1));
    request
}
