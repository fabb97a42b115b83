use std::sync::Arc;

/// A request that can be sent again.
///
/// It is asked for a copy before each attempt that another one may follow, and may say no: a body that streams cannot
/// be read twice. It is not `Clone`, so that a request whose clone would be wrong or expensive can decide.
///
/// With the feature `http` it is there for `http::Request<B>` where the body can be sent again; `donjon-http` makes any
/// body such a one. For a request type of your own:
///
/// ```
/// use donjon_core::Replay;
///
/// struct Query { text: String }
///
/// impl Replay for Query {
///     fn replay(&self) -> Option<Self> {
///         Some(Self { text: self.text.clone() })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a request `{Self}` cannot be sent again",
    label = "retry and hedge need a request that implements `Replay`",
    note = "for `http::Request<B>` the body `B` must be replayable: `Full<Bytes>` and `Empty<Bytes>` are, and `ReplayLayer` outside of the retry makes any body so",
    note = "for a request type of your own, implement `Replay`: often `Some(self.clone())`"
)]
pub trait Replay: Sized {
    /// The same request once more, or `None` if it cannot be sent again.
    fn replay(&self) -> Option<Self>;

    /// Whether this value, as it is now, can itself be sent from its beginning.
    ///
    /// True of everything but a request whose content is recorded while another copy of it is being sent: a recording
    /// can outgrow its cap. Whoever moves a kept request into its last attempt asks this first.
    fn is_intact(&self) -> bool {
        true
    }

    /// Why it cannot be sent again, as a short name (`too-large`), where it knows. Asked after [`replay`](Self::replay)
    /// or [`is_intact`](Self::is_intact) has said no.
    fn refusal(&self) -> Option<&'static str> {
        None
    }
}

macro_rules! replay_by_clone {
    ($($ty:ty)*) => {$(
        impl Replay for $ty {
            fn replay(&self) -> Option<Self> {
                Some(self.clone())
            }
        }
    )*};
}

replay_by_clone! { () bool char u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize String &'static str }

impl<T: ?Sized> Replay for Arc<T> {
    fn replay(&self) -> Option<Self> {
        Some(Arc::clone(self))
    }
}
