use std::{any::type_name, fmt};

use serde::de::DeserializeOwned;

use crate::{Reply, error::Failure, exchange::Raw, redact::Short};

/// What a response can be read as: any type that serde can read from JSON, a [`Reply`] of one, or [`Discard`].
///
/// An empty body, as that of a `204`, is read as `null`: it makes `()`, `None`, `Value::Null`, and is an error for a
/// type that takes no `null`.
///
/// The trait is sealed.
#[diagnostic::on_unimplemented(
    message = "a response cannot be read as `{Self}`",
    label = "not a type that serde can read from JSON",
    note = "derive `serde::Deserialize` for it, without lifetimes: what is read must own its data",
    note = "`Reply<T>` gives status and headers beside a `T`; `Discard` takes any body and looks at none"
)]
pub trait Decode: Sized {
    #[doc(hidden)]
    fn decode(raw: &mut Raw) -> Result<Self, Failure>;
}

/// Any body, read up to the cap and not looked at: for an answer of which only the status matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discard;

/// Why a body is not what was asked for: what is wrong, and where.
///
/// `Display` and `Debug` name places, types and fields, and no value of the body; [`snippet`](Self::snippet) and
/// [`serde`](Self::serde) do.
pub struct DecodeError {
    category: DecodeCategory,
    target: &'static str,
    path: String,
    snippet: String,
    error: serde_json::Error,
}

/// What kind of fault a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeCategory {
    /// There is nothing, and the type takes no `null`.
    Empty,
    /// It is not UTF-8 from this byte on, counted from 0.
    Utf8 {
        /// Where the first wrong byte is.
        offset: usize,
    },
    /// It is not JSON, or something follows behind the value.
    Syntax,
    /// It ends before the value does: the body was cut off.
    Truncated,
    /// It is JSON of another shape.
    Shape,
}

// ===== impl Decode =====

impl<T: DeserializeOwned> Decode for T {
    fn decode(raw: &mut Raw) -> Result<Self, Failure> {
        if !raw.is_json && !raw.body.is_empty() {
            return Err(Failure::ContentType);
        }
        from_body(&raw.body).map_err(Failure::Decode)
    }
}

impl<T: Decode> Decode for Reply<T> {
    fn decode(raw: &mut Raw) -> Result<Self, Failure> {
        let body = T::decode(raw)?;
        Ok(Self::new(raw.take_head(), raw.uri().clone(), body))
    }
}

impl Decode for Discard {
    fn decode(_raw: &mut Raw) -> Result<Self, Failure> {
        Ok(Self)
    }
}

/// Reads a body; looks for what is wrong only when something is.
pub(crate) fn from_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    // RFC 8259, section 8.1: a byte order mark may be ignored.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let is_empty = body.iter().all(u8::is_ascii_whitespace);
    let json = if is_empty { b"null" } else { body };
    serde_json::from_slice(json).map_err(|error| {
        if is_empty {
            return DecodeError::new::<T>(DecodeCategory::Empty, error);
        }
        DecodeError::find::<T>(body, error)
    })
}

// ===== impl DecodeError =====

impl DecodeError {
    fn new<T>(category: DecodeCategory, error: serde_json::Error) -> Self {
        Self { category, target: type_name::<T>(), path: String::new(), snippet: String::new(), error }
    }

    /// Reads it once more, this time with the path.
    fn find<T: DeserializeOwned>(body: &[u8], error: serde_json::Error) -> Self {
        if let Err(utf8) = std::str::from_utf8(body) {
            let offset = utf8.valid_up_to();
            let mut this = Self::new::<T>(DecodeCategory::Utf8 { offset }, error);
            this.snippet = snippet(body, offset);
            return this;
        }
        let category = match error.classify() {
            serde_json::error::Category::Data => DecodeCategory::Shape,
            serde_json::error::Category::Eof => DecodeCategory::Truncated,
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => DecodeCategory::Syntax,
        };
        let mut this = Self::new::<T>(category, error);
        this.snippet = snippet(body, offset(body, this.line(), this.column()));
        let mut json = serde_json::Deserializer::from_slice(body);
        if let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut json) {
            this.path = path_to(error.path());
        }
        this
    }

    /// What kind of fault it is.
    #[must_use]
    pub const fn category(&self) -> DecodeCategory {
        self.category
    }

    /// The path to the value that is wrong, such as `items[3].price`; empty at the top.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The line of the fault, counted from 1; 0 where there is none.
    #[must_use]
    pub fn line(&self) -> usize {
        self.error.line()
    }

    /// The column of the fault in bytes, counted from 1; 0 where there is none.
    #[must_use]
    pub fn column(&self) -> usize {
        self.error.column()
    }

    /// At most 64 bytes of the body around the fault, with what cannot be shown escaped. It is part of the answer, and
    /// may be a secret.
    #[must_use]
    pub fn snippet(&self) -> &str {
        &self.snippet
    }

    /// The type that was asked for.
    #[must_use]
    pub const fn target(&self) -> &'static str {
        self.target
    }

    /// The error of the decoder, whose text may quote the body.
    #[must_use]
    pub const fn serde(&self) -> &serde_json::Error {
        &self.error
    }

    /// The reason without any value of the body.
    fn reason(&self) -> String {
        without_values(&self.error.to_string(), self.category)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.category {
            DecodeCategory::Empty => return write!(f, "is empty, which is no `{}`", self.target),
            DecodeCategory::Utf8 { offset } => return write!(f, "is not UTF-8 from byte {offset} on"),
            DecodeCategory::Syntax => f.write_str("is not JSON")?,
            DecodeCategory::Truncated => f.write_str("is JSON that was cut off")?,
            DecodeCategory::Shape => write!(f, "is no `{}`", self.target)?,
        }
        if !self.path.is_empty() {
            write!(f, " at `{}`", Short(&self.path))?;
        }
        write!(f, ": {} (line {}, column {})", self.reason(), self.line(), self.column())
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("category", &self.category)
            .field("target", &self.target)
            .field("path", &format_args!("{}", Short(&self.path)))
            .field("reason", &self.reason())
            .field("line", &self.line())
            .field("column", &self.column())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for DecodeError {}

/// The path as far as it is known; empty at the top.
fn path_to(path: &serde_path_to_error::Path) -> String {
    let path = path.to_string();
    // The top is a dot, and a key that could not be read a question mark.
    let path = path.strip_suffix('?').unwrap_or(&path);
    path.strip_suffix('.').unwrap_or(path).to_owned()
}

/// What serde and serde_json call what they find.
const KINDS: [&str; 17] = [
    "null",
    "boolean",
    "integer",
    "floating point",
    "number",
    "character",
    "string",
    "byte array",
    "unit value",
    "Option value",
    "newtype struct",
    "sequence",
    "map",
    "enum",
    "unit variant",
    "newtype variant",
    "tuple variant",
];

/// serde's message without the value that it quotes: the type of the value, and what was expected, stay.
fn without_values(message: &str, category: DecodeCategory) -> String {
    // serde_json appends the place.
    let message = message.rfind(" at line ").map_or(message, |at| &message[..at]);
    if category != DecodeCategory::Shape {
        return message.to_owned();
    }
    for (unknown, none) in [("unknown variant", ", there are no variants"), ("unknown field", ", there are no fields")]
    {
        if message.starts_with(unknown) && message.ends_with(none) {
            return format!("{unknown}{none}");
        }
    }
    // What is expected is a text of the type, and stands last.
    if let Some((found, expected)) = message.rsplit_once(", expected ") {
        for (prefix, of_what) in [("invalid type: ", ""), ("invalid value: ", " of a wrong value")] {
            if let Some(found) = found.strip_prefix(prefix) {
                let kind = found.split(['`', '"']).next().unwrap_or_default().trim_end();
                // A type can give any text for what it found.
                let kind = if KINDS.contains(&kind) { kind } else { "something" };
                return format!("found {kind}{of_what}, expected {expected}");
            }
        }
        for unknown in ["unknown variant", "unknown field"] {
            if found.starts_with(unknown) {
                return format!("{unknown}, expected {expected}");
            }
        }
    }
    let known = ["missing field ", "duplicate field ", "invalid length "];
    if known.iter().any(|known| message.starts_with(known)) {
        return message.to_owned();
    }
    // A message of the type's own, which may say anything.
    "the type refused the value".to_owned()
}

/// Where line and column are in the body; its end, if they are nowhere.
fn offset(body: &[u8], line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        match body[start..].iter().position(|&byte| byte == b'\n') {
            Some(len) => start += len + 1,
            None => return body.len(),
        }
    }
    (start + column.saturating_sub(1)).min(body.len())
}

fn snippet(body: &[u8], at: usize) -> String {
    let start = at.saturating_sub(32);
    let end = at.saturating_add(32).min(body.len());
    let text = String::from_utf8_lossy(&body[start..end]);
    // A character that was cut in two shows as the replacement, which is no news.
    text.trim_matches(char::REPLACEMENT_CHARACTER).escape_debug().to_string().replace("\\\"", "\"")
}
