use std::{borrow::Cow, time::Duration};

/// What is kept of an answer, and for how long: said by a [`Retention`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_cache::Keep;
///
/// let keep = Keep::new().ttl(Duration::from_secs(5)).tag("users").tag("user:42");
/// # let _ = (keep, Keep::nothing());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Keep {
    pub(crate) nothing: bool,
    pub(crate) ttl: Option<Duration>,
    pub(crate) never_stale: bool,
    pub(crate) tags: Vec<Cow<'static, str>>,
}

/// Says what is kept of an answer, by its key and itself. Any closure `Fn(&K, &V) -> Keep` is one.
///
/// It is asked for answers alone that may be kept at all. What of the request matters to it belongs into the key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what to keep of an answer `{V}` under a key `{K}`",
    label = "not a `Retention` for these types",
    note = "it is a closure `Fn(&K, &V) -> Keep` with its argument types written out"
)]
pub trait Retention<K, V> {
    /// What is kept of this answer.
    fn keep(&self, key: &K, answer: &V) -> Keep;
}

/// Keeps every answer for the TTL of the layer, without tags: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByTtl;

// ===== impl Keep =====

impl Keep {
    /// The answer, for the TTL of the layer, without tags.
    pub const fn new() -> Self {
        Self { nothing: false, ttl: None, never_stale: false, tags: Vec::new() }
    }

    /// Nothing: the answer is not kept.
    pub const fn nothing() -> Self {
        Self { nothing: true, ttl: None, never_stale: false, tags: Vec::new() }
    }

    /// For how long it is fresh, instead of the TTL of the layer. With zero it is stale from the start.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// It is never served stale, whatever the layer is set to.
    pub const fn never_stale(mut self) -> Self {
        self.never_stale = true;
        self
    }

    /// One more tag, by which it can be [removed](crate::Handle::invalidate_tag) together with others.
    pub fn tag(mut self, tag: impl Into<Cow<'static, str>>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

// ===== impl Retention =====

impl<F, K, V> Retention<K, V> for F
where
    F: Fn(&K, &V) -> Keep,
{
    fn keep(&self, key: &K, answer: &V) -> Keep {
        self(key, answer)
    }
}

impl<K, V> Retention<K, V> for ByTtl {
    fn keep(&self, _: &K, _: &V) -> Keep {
        Keep::new()
    }
}
