use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use donjon_core::{CallError, Replay};
use tower::{Service, util::BoxCloneSyncService};

/// The request of most scenes: a number, and how often it has been sent.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Which call this is.
    pub id: u64,
    sends: Arc<AtomicU64>,
}

/// A stack of any layers, behind one type.
pub type Client<Res = ()> = BoxCloneSyncService<Ask, Res, CallError>;

/// Puts a stack behind the type that all of a scene's policies share.
pub fn client<S, Res>(stack: S) -> Client<Res>
where
    S: Service<Ask, Response = Res, Error = CallError, Future: Future + Send + 'static> + Clone + Send + Sync + 'static,
    Res: 'static,
{
    BoxCloneSyncService::new(stack)
}

// ===== impl Ask =====

impl Ask {
    /// A call that has not been sent yet.
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self { id, sends: Arc::default() }
    }

    /// It arrives once more; how often it had before.
    pub fn arrive(&self) -> u64 {
        self.sends.fetch_add(1, Ordering::Relaxed)
    }
}

impl Replay for Ask {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}
