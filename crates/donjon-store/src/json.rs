use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;

use crate::{Codec, CodecError};

/// Any value that serde knows, as JSON.
///
/// # Example
///
/// ```
/// use donjon_store::{Codec, JsonCodec};
///
/// let bytes = JsonCodec.encode(&vec![1, 2])?;
/// assert_eq!(&bytes[..], b"[1,2]");
/// let error = Codec::<Vec<u8>>::decode(&JsonCodec, r#"[1,"2"]"#.into()).expect_err("not a number");
/// assert_eq!(error.to_string(), "cannot decode 7 bytes as JSON at line 1 column 6");
/// # Ok::<(), donjon_store::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonCodec;

impl<V> Codec<V> for JsonCodec
where
    V: Serialize + DeserializeOwned,
{
    fn encode(&self, value: &V) -> Result<Bytes, CodecError> {
        serde_json::to_vec(value).map(Bytes::from).map_err(|error| CodecError::encode("JSON", error))
    }

    fn decode(&self, bytes: Bytes) -> Result<V, CodecError> {
        serde_json::from_slice(&bytes).map_err(|error| {
            let position = format!("line {} column {}", error.line(), error.column());
            CodecError::decode("JSON", bytes.len(), reason(error.classify())).at(position)
        })
    }
}

/// What is wrong, without the words of serde_json: these may repeat what is in the bytes.
const fn reason(category: Category) -> &'static str {
    match category {
        Category::Io => "it cannot be read",
        Category::Syntax => "it is not well-formed",
        Category::Data => "it is not of the type that is wanted",
        Category::Eof => "it ends too early",
    }
}
