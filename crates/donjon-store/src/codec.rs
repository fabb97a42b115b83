use std::{error::Error, fmt};

use bytes::Bytes;
use donjon_core::BoxError;

/// Turns values into bytes and back, for stores that keep bytes.
///
/// # Example
///
/// ```
/// use bytes::Bytes;
/// use donjon_store::{Codec, StringCodec};
///
/// let bytes = StringCodec.encode(&"Ada".to_owned())?;
/// assert_eq!(StringCodec.decode(bytes)?, "Ada");
///
/// let error = StringCodec.decode(Bytes::from_static(b"Ad\xff")).expect_err("not UTF-8");
/// assert_eq!(error.to_string(), "cannot decode 3 bytes as UTF-8 text at byte 2");
/// # Ok::<(), donjon_store::CodecError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` cannot write and read a value `{V}`",
    label = "not a codec of these values"
)]
pub trait Codec<V> {
    /// The value as bytes.
    ///
    /// # Errors
    ///
    /// If this value has no form in bytes.
    fn encode(&self, value: &V) -> Result<Bytes, CodecError>;

    /// The value that these bytes stand for, all of them.
    ///
    /// # Errors
    ///
    /// If they stand for none.
    fn decode(&self, bytes: Bytes) -> Result<V, CodecError>;
}

/// `Bytes` as they are: nothing is copied.
#[derive(Clone, Copy, Debug, Default)]
pub struct BytesCodec;

/// A `String` as UTF-8.
#[derive(Clone, Copy, Debug, Default)]
pub struct StringCodec;

/// A value could not be encoded, or bytes could not be decoded: says as what, how many, and where. It never shows what
/// is in them.
#[derive(Debug)]
pub struct CodecError {
    operation: CodecOperation,
    format: &'static str,
    length: usize,
    position: Option<String>,
    source: Option<BoxError>,
}

/// What was being done when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a codec does nothing else")]
pub enum CodecOperation {
    /// A value into bytes.
    Encode,
    /// Bytes into a value.
    Decode,
}

// ===== impl BytesCodec =====

impl Codec<Bytes> for BytesCodec {
    fn encode(&self, value: &Bytes) -> Result<Bytes, CodecError> {
        Ok(value.clone())
    }

    fn decode(&self, bytes: Bytes) -> Result<Bytes, CodecError> {
        Ok(bytes)
    }
}

// ===== impl StringCodec =====

impl Codec<String> for StringCodec {
    fn encode(&self, value: &String) -> Result<Bytes, CodecError> {
        Ok(Bytes::copy_from_slice(value.as_bytes()))
    }

    fn decode(&self, bytes: Bytes) -> Result<String, CodecError> {
        String::from_utf8(bytes.into()).map_err(|error| {
            let length = error.as_bytes().len();
            let error = error.utf8_error();
            CodecError::decode("UTF-8 text", length, error).at(format!("byte {}", error.valid_up_to()))
        })
    }
}

// ===== impl CodecError =====

impl CodecError {
    /// A value has no form in `format` (a phrase that completes "cannot encode a value as …").
    #[must_use]
    pub fn encode(format: &'static str, source: impl Into<BoxError>) -> Self {
        Self { operation: CodecOperation::Encode, format, length: 0, position: None, source: Some(source.into()) }
    }

    /// So many bytes are not what `format` wants (a phrase that completes "cannot decode 3 bytes as …").
    #[must_use]
    pub fn decode(format: &'static str, length: usize, source: impl Into<BoxError>) -> Self {
        Self { operation: CodecOperation::Decode, format, length, position: None, source: Some(source.into()) }
    }

    /// Where: "byte 2", "line 1 column 4".
    #[must_use]
    pub fn at(mut self, position: impl Into<String>) -> Self {
        self.position = Some(position.into());
        self
    }

    /// What was being done.
    #[must_use]
    pub fn operation(&self) -> CodecOperation {
        self.operation
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            CodecOperation::Encode => write!(f, "cannot encode a value as {}", self.format)?,
            CodecOperation::Decode => write!(f, "cannot decode {} bytes as {}", self.length, self.format)?,
        }
        match &self.position {
            Some(position) => write!(f, " at {position}"),
            None => Ok(()),
        }
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
