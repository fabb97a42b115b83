use futures_core::Stream;
use tower_service::Service;

use crate::{
    FanOut,
    source::{FromIter, FromStream},
};

/// Many requests at once, for any service that can be cloned.
///
/// Each request is called on a clone of the service, which is made ready for it and only then.
pub trait FanOutExt<Req>: Service<Req> + Clone {
    /// A fan-out of the pairs of key and request of an iterator, which is read lazily: never further than what may be
    /// in flight. The key comes back with the result.
    fn fan_out<K, I>(&self, items: I) -> FanOut<Self, FromIter<I::IntoIter>>
    where
        I: IntoIterator<Item = (K, Req)>,
    {
        FanOut::new(self.clone(), FromIter::new(items.into_iter()))
    }

    /// A fan-out of the pairs of key and request of a stream, which is polled only while there is room for another
    /// call.
    fn fan_out_stream<K, St>(&self, items: St) -> FanOut<Self, FromStream<St>>
    where
        St: Stream<Item = (K, Req)>,
    {
        FanOut::new(self.clone(), FromStream::new(items))
    }
}

impl<S, Req> FanOutExt<Req> for S where S: Service<Req> + Clone {}
