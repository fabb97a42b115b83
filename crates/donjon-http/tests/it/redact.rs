use donjon_http::redact;
use http::Uri;
use proptest::prelude::*;

fn shown(uri: &str) -> String {
    redact::uri(&uri.parse().unwrap()).to_string()
}

#[test]
fn secrets_are_left_out_and_their_places_kept() {
    for (uri, expected) in [
        ("/", "/"),
        ("/a/b?", "/a/b?"),
        ("/a?x=1", "/a?x=***"),
        ("/a?x=1&y==&&z&w=", "/a?x=***&y=***&&***&w=***"),
        ("http://example.com", "http://example.com/"),
        ("http://user@example.com:8080/p", "http://***@example.com:8080/p"),
        ("http://user:p%40ss@example.com/?q", "http://***@example.com/?***"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        ("example.com:443", "example.com:443"),
        ("*", "*"),
    ] {
        assert_eq!(shown(uri), expected);
        assert_eq!(format!("{:?}", redact::uri(&uri.parse().unwrap())), expected);
    }
}

proptest! {
    #[test]
    fn no_secret_is_shown(user in "[x-z]{3,8}", value in "[0-9]{6,10}", name in "[a-f]{1,5}") {
        let text = redact::uri(&format!("https://u{user}:{value}@9/p?{name}={value}&{value}").parse().unwrap()).to_string();
        prop_assert!(!text.contains(&value), "{}", text);
        let user = format!("u{user}");
        prop_assert!(!text.contains(&user), "{}", text);
    }

    #[test]
    fn any_uri_can_be_shown(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(uri) = Uri::try_from(&bytes[..]) {
            let text = redact::uri(&uri).to_string();
            prop_assert!(uri.query().is_none() || text.contains('?'));
        }
    }
}
