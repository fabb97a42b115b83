//! Ctrl-C: stop what is being done, and say what was done.

use tokio::sync::watch;

/// Says whether somebody has asked to stop. Clones hear the same.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// From now on Ctrl-C (SIGINT) is an interrupt and no longer ends the process. A second one does, with status 130.
    pub(crate) fn listen() -> Self {
        let (asked, hear) = watch::channel(false);
        tokio::spawn(async move {
            // Without a handler there is nothing to hear, and SIGINT does what it always does.
            if tokio::signal::ctrl_c().await.is_ok() {
                asked.send_replace(true);
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(130);
                }
            }
            asked.closed().await;
        });
        Self(hear)
    }

    /// For tests: asked by what is sent.
    #[cfg(test)]
    pub(crate) fn by_hand() -> (watch::Sender<bool>, Self) {
        let (ask, hear) = watch::channel(false);
        (ask, Self(hear))
    }

    /// Whether it has been asked.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Until it is asked.
    pub(crate) async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            std::future::pending().await
        }
    }
}
