//! What the upstream answers with, as a client reads it.

use serde::Deserialize;

/// An item of the upstream.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct Item {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) price: f64,
    pub(crate) stock: u32,
    pub(crate) tags: Vec<String>,
}
