//! Values as bytes, and what is said when they are not.

use std::error::Error;

use bytes::Bytes;
use donjon_store::{BytesCodec, Codec, CodecError, CodecOperation, StringCodec};

#[test]
fn bytes_are_not_copied() {
    let bytes = Bytes::from(vec![1, 2, 3]);
    let there = BytesCodec.encode(&bytes).unwrap();
    let back = BytesCodec.decode(there).unwrap();
    assert_eq!(back.as_ptr(), bytes.as_ptr());
    assert_eq!(back, bytes);
}

#[test]
fn text_comes_back() {
    for text in ["", "a", "žluťoučký kůň"] {
        let bytes = StringCodec.encode(&text.to_owned()).unwrap();
        assert_eq!(StringCodec.decode(bytes).unwrap(), text);
    }
}

#[test]
fn text_that_is_none_says_where_and_shows_nothing_of_it() {
    let error = StringCodec.decode(Bytes::from_static(b"secret\xff")).unwrap_err();
    assert_eq!(error.to_string(), "cannot decode 7 bytes as UTF-8 text at byte 6");
    assert_eq!(error.operation(), CodecOperation::Decode);
    assert!(error.source().is_some_and(|source| source.is::<std::str::Utf8Error>()));
    assert!(!format!("{error:?}").contains("secret"));
}

#[test]
fn an_error_of_ones_own() {
    let error = CodecError::encode("a row", "no column");
    assert_eq!(error.to_string(), "cannot encode a value as a row");
    assert_eq!(error.source().unwrap().to_string(), "no column");
    assert_eq!(error.operation(), CodecOperation::Encode);
}

#[cfg(feature = "json")]
mod json {
    use std::collections::HashMap;

    use donjon_store::JsonCodec;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct User {
        name: String,
        age: u8,
    }

    #[test]
    fn a_value_comes_back() {
        let user = User { name: "Ada".into(), age: 36 };
        let bytes = JsonCodec.encode(&user).unwrap();
        assert_eq!(Codec::<User>::decode(&JsonCodec, bytes).unwrap(), user);
    }

    #[test]
    fn json_of_another_shape_or_cut_off_says_where_and_why() {
        let decode = |text: &'static str| Codec::<User>::decode(&JsonCodec, text.into()).unwrap_err();
        let error = decode(r#"{"name":"Ada","age":"x"}"#);
        assert_eq!(error.to_string(), "cannot decode 24 bytes as JSON at line 1 column 23");
        assert!(error.source().unwrap().to_string().contains("not of the type that is wanted"));
        let error = decode("{\"name\":\n\"Ada\"");
        assert_eq!(error.to_string(), "cannot decode 14 bytes as JSON at line 2 column 5");
        assert!(decode("").to_string().starts_with("cannot decode 0 bytes as JSON"));
    }

    #[test]
    fn a_value_without_a_form_in_json_is_an_error() {
        let value: HashMap<(u8, u8), u8> = HashMap::from([((1, 2), 3)]);
        let error = serde_json_of(&value);
        assert_eq!(error.to_string(), "cannot encode a value as JSON");
        assert!(error.source().unwrap().to_string().contains("key must be a string"));
    }

    fn serde_json_of(value: &HashMap<(u8, u8), u8>) -> CodecError {
        JsonCodec.encode(value).expect_err("its keys are no strings")
    }
}

#[cfg(feature = "json")]
#[test]
fn an_error_never_shows_what_is_in_the_bytes() {
    use donjon_store::JsonCodec;
    use std::collections::BTreeMap;

    let shows = |error: &CodecError| {
        let mut text = format!("{error} {error:?}");
        let mut source = error.source();
        while let Some(error) = source {
            text += &format!(" {error} {error:?}");
            source = error.source();
        }
        text
    };
    for bytes in [r#""hunter2""#, r#"{"a":"hunter2"}"#, r#"{"a":hunter2}"#, r#"[1,2,"hunter2"]"#, r#"{"hunter2":"#] {
        for error in [
            Codec::<u64>::decode(&JsonCodec, bytes.into()).err(),
            Codec::<Vec<u64>>::decode(&JsonCodec, bytes.into()).err(),
            Codec::<BTreeMap<String, bool>>::decode(&JsonCodec, bytes.into()).err(),
        ] {
            let error = error.expect("it is none of these");
            assert!(!shows(&error).contains("hunter2"), "{}", shows(&error));
        }
    }
    let error = StringCodec.decode(Bytes::from_static(b"hunter2\xff")).unwrap_err();
    assert!(!shows(&error).contains("hunter2"), "{}", shows(&error));
}
