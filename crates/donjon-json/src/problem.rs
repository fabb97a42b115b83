use std::fmt;

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A problem document: what a service says of a request that failed (RFC 9457), from a body of the type
/// `application/problem+json`.
///
/// Members of a wrong type are ignored, as section 3.1 of the RFC has it. `Debug` shows the type, the title and the
/// status, and of the rest only the names.
#[derive(Clone, Default, PartialEq)]
pub struct Problem {
    type_uri: Option<String>,
    title: Option<String>,
    status: Option<u16>,
    detail: Option<String>,
    instance: Option<String>,
    extensions: Map<String, Value>,
}

// ===== impl Problem =====

impl Problem {
    /// Reads a problem document; `None` if the text is not a JSON object.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        let mut members: Map<String, Value> = serde_json::from_slice(json).ok()?;
        let mut text = |name| match members.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (type_uri, title) = (text("type"), text("title"));
        let (detail, instance) = (text("detail"), text("instance"));
        let status = members.remove("status").and_then(|status| status.as_u64());
        let status = status.and_then(|status| u16::try_from(status).ok()).filter(|status| (100..600).contains(status));
        Some(Self { type_uri, title, status, detail, instance, extensions: members })
    }

    /// The URI reference of the kind of problem; `about:blank`, if it says none.
    #[must_use]
    pub fn type_uri(&self) -> &str {
        self.type_uri.as_deref().unwrap_or("about:blank")
    }

    /// The summary of the kind of problem.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The status that the document names. The one of the response is what counts.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status.and_then(|status| StatusCode::from_u16(status).ok())
    }

    /// What happened this time, for a human. It may tell of the user's data, so no `Debug` and no `Display` shows it.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The URI reference of this occurrence.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    /// The members that the RFC does not define.
    #[must_use]
    pub fn extensions(&self) -> &Map<String, Value> {
        &self.extensions
    }

    /// The extension member of this name as a `T`; `None` if it is not there, or is none.
    #[must_use]
    pub fn extension<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.extensions.get(name)?).ok()
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.extensions.keys().map(String::as_str).collect();
        f.debug_struct("Problem")
            .field("type", &self.type_uri())
            .field("title", &self.title)
            .field("status", &self.status)
            .field("extensions", &names)
            .finish_non_exhaustive()
    }
}
