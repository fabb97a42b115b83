use std::net::{IpAddr, SocketAddr};

use donjon_core::Key;
use donjon_http::key::{self, ClientIp, Either, PeerAddr};
use http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;

const PEER: &str = "10.0.0.9:1234";

fn request(fields: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(PeerAddr(PEER.parse().unwrap()));
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

// ===== Client IP =====

#[test]
fn without_proxies_only_the_connection_counts() {
    let lies = request(&[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")]);
    assert_eq!(key::client_ip().key(&lies), ip("10.0.0.9"));
    assert_eq!(key::client_ip().key(&Request::new(())), None, "nobody said who the peer is");
}

#[test]
fn addresses_are_counted_from_the_right() {
    let one_line = request(&[("x-forwarded-for", "6.6.6.6, 2.2.2.2,3.3.3.3")]);
    let lines = request(&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "2.2.2.2 , 3.3.3.3")]);
    for request in [one_line, lines] {
        assert_eq!(key::client_ip().behind(1).key(&request), ip("3.3.3.3"));
        assert_eq!(key::client_ip().behind(2).key(&request), ip("2.2.2.2"));
        assert_eq!(key::client_ip().behind(3).key(&request), ip("6.6.6.6"));
    }
}

#[test]
fn a_request_that_has_not_passed_the_proxies_has_the_key_of_its_peer() {
    for fields in [&[][..], &[("x-forwarded-for", "1.1.1.1")], &[("x-forwarded-for", "1.1.1.1, unknown, 2.2.2.2")]] {
        assert_eq!(key::client_ip().behind(2).key(&request(fields)), ip("10.0.0.9"), "{fields:?}");
    }
    let huge = key::client_ip().behind(usize::MAX);
    assert_eq!(huge.key(&request(&[("x-forwarded-for", "1.1.1.1")])), ip("10.0.0.9"));
}

#[test]
fn each_way_to_write_an_address_is_read() {
    let all = key::client_ip().ipv6_prefix(128);
    for (written, expected) in [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ] {
        assert_eq!(all.behind(1).key(&request(&[("x-forwarded-for", written)])), ip(expected), "{written}");
        let element = format!("by=x; For=\"{written}\" ;proto=https");
        assert_eq!(all.behind_forwarded(1).key(&request(&[("forwarded", &element)])), ip(expected), "{element}");
    }
    let bare = request(&[("forwarded", "for=192.0.2.7")]);
    assert_eq!(all.behind_forwarded(1).key(&bare), ip("192.0.2.7"));
}

#[test]
fn only_the_field_of_the_proxies_is_read() {
    let both = request(&[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=2.2.2.2")]);
    assert_eq!(key::client_ip().behind(1).key(&both), ip("1.1.1.1"));
    assert_eq!(key::client_ip().behind_forwarded(1).key(&both), ip("2.2.2.2"));
}

#[test]
fn what_a_stranger_writes_cannot_swallow_what_a_proxy_wrote() {
    for lie in ["for=\"", "for=\"a, for=6.6.6.6", "\\\"", "for=\"\\", ",,,\"", "for=6.6.6.6;host=\""] {
        for proxy in ["for=2.2.2.2", "for=2.2.2.2;host=\"a,b;c\\\"d\"", "proto=https;for=\"2.2.2.2:80\""] {
            let request = request(&[("forwarded", &format!("{lie}, {proxy}"))]);
            assert_eq!(key::client_ip().behind_forwarded(1).key(&request), ip("2.2.2.2"), "{lie} | {proxy}");
        }
    }
}

#[test]
fn obfuscated_names_are_nobody() {
    for value in ["for=unknown", "for=_hidden", "for=", "by=1.1.1.1", "for"] {
        let request = request(&[("forwarded", value)]);
        assert_eq!(key::client_ip().behind_forwarded(1).key(&request), ip("10.0.0.9"), "{value}");
    }
}

#[test]
fn clients_of_one_ipv6_network_share_a_key_unless_said() {
    let from = |address: &str, client: ClientIp| {
        let mut request = Request::new(());
        request.extensions_mut().insert(address.parse::<SocketAddr>().unwrap());
        client.key(&request).unwrap()
    };
    let (a, b) = ("[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff::2]:2");
    assert_eq!(from(a, key::client_ip()), from(b, key::client_ip()));
    assert_eq!(Some(from(a, key::client_ip())), ip("2001:db8:0:1::"));
    assert_ne!(from(a, key::client_ip()), from("[2001:db8:0:2::1]:1", key::client_ip()));
    for bits in [128, 255] {
        assert_eq!(Some(from(b, key::client_ip().ipv6_prefix(bits))), ip("2001:db8:0:1:ffff::2"));
    }
    assert_eq!(Some(from(b, key::client_ip().ipv6_prefix(0))), ip("::"));
    assert_eq!(Some(from("1.2.3.4:5", key::client_ip().ipv6_prefix(0))), ip("1.2.3.4"));
}

#[test]
fn the_peer_may_be_kept_by_any_framework() {
    #[derive(Clone)]
    struct Info(SocketAddr);
    let mut request = Request::new(());
    request.extensions_mut().insert(Info("9.9.9.9:1".parse().unwrap()));
    let client = key::client_ip().peer(|extensions| extensions.get::<Info>().map(|info| info.0.ip()));
    assert_eq!(client.key(&request), ip("9.9.9.9"));
}

// ===== Other keys =====

#[test]
fn the_authority_is_of_the_uri_or_of_the_host_field() {
    let key = |uri: &str, host: Option<&str>| {
        let mut request = Request::get(uri).body(()).unwrap();
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        key::authority().key(&request).map(|key| key.to_string())
    };
    assert_eq!(key("http://a.example:8080/x", Some("b.example")), Some("a.example:8080".into()));
    assert_eq!(key("/x", Some("b.example:1")), Some("b.example:1".into()));
    assert_eq!(key("http://me:pw@a.example/", None), Some("a.example".into()), "no secrets in keys");
    assert_eq!(key("/", Some("me@a.example")), Some("a.example".into()));
    assert_eq!(key("/", None), None);
    assert_eq!(key("/", Some("not a host")), None);
    let one = key::authority().key(&Request::get("http://A.example/").body(()).unwrap());
    assert_eq!(one, key::authority().key(&Request::get("http://a.EXAMPLE/").body(()).unwrap()));
}

#[test]
fn path_header_and_api_key_are_taken_as_they_stand() {
    let mut request = Request::get("http://h/a/b?q=1").body(()).unwrap();
    assert_eq!(key::path().key(&request).as_deref(), Some("/a/b"));
    assert_eq!(key::api_key().key(&request), None);
    request.headers_mut().insert("x-tenant", "t1".parse().unwrap());
    request.headers_mut().insert("authorization", "Bearer s3cret".parse().unwrap());
    let tenant = key::header(HeaderName::from_static("x-tenant")).key(&request).unwrap();
    assert_eq!(tenant, "t1");
    assert_eq!(key::api_key().key(&request).unwrap(), "Bearer s3cret");
    request.headers_mut().insert("x-api-key", "k3y".parse().unwrap());
    assert_eq!(key::api_key().key(&request).unwrap(), "k3y");
    let shown =
        format!("{:?} {:?}", key::api_key().key(&request), key::header(http::header::AUTHORIZATION).key(&request));
    assert!(!shown.contains("k3y") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn an_extractor_is_a_key_of_any_request() {
    fn takes<B>(_: impl Key<Request<B>> + Clone + Send + Sync + 'static) {}
    takes::<()>(key::client_ip());
    takes::<String>(key::authority());
    takes::<String>(key::path());
    takes::<u8>(key::api_key());
    takes::<u8>(key::header(http::header::HOST));
    takes::<u8>(key::path().hashed());
    takes::<u8>(key::extension::<u64>());
    takes::<u8>(key::either(key::api_key().hashed(), key::both(key::client_ip(), key::authority())));
    takes::<u8>(|request: &Request<u8>| Some(*request.body()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_fields_never_panic(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
        proxies in 0..5usize,
    ) {
        let mut request = request(&[]);
        for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
            for name in ["x-forwarded-for", "forwarded", "host"] {
                request.headers_mut().append(name, value.clone());
            }
        }
        prop_assert!(key::client_ip().behind(proxies).key(&request).is_some());
        prop_assert!(key::client_ip().behind_forwarded(proxies).key(&request).is_some());
        let _ = key::authority().key(&request);
    }

    /// Whatever came with the request, what the trusted proxies append to it is what counts.
    #[test]
    fn the_trusted_part_is_read_whatever_stands_before(
        lie in "[ -~]{0,30}", one_line in any::<bool>(),
        trusted in prop::collection::vec(any::<u32>(), 1..4),
    ) {
        let trusted: Vec<IpAddr> = trusted.into_iter().map(|bits| IpAddr::V4(bits.into())).collect();
        for forwarded in [false, true] {
            let name = if forwarded { "forwarded" } else { "x-forwarded-for" };
            let mut request = request(&[]);
            let appended: Vec<_> = trusted.iter().map(|ip| if forwarded { format!("for={ip};host=\"a,\\\"b\"") } else { ip.to_string() }).collect();
            let appended = appended.join(", ");
            if one_line {
                request.headers_mut().append(name, format!("{lie}, {appended}").parse().unwrap());
            } else {
                request.headers_mut().append(name, lie.parse().unwrap());
                request.headers_mut().append(name, appended.parse().unwrap());
            }
            let n = trusted.len();
            let client = if forwarded { key::client_ip().behind_forwarded(n) } else { key::client_ip().behind(n) };
            prop_assert_eq!(client.key(&request), Some(trusted[0]));
        }
    }
}

// ===== Hashed and combined =====

#[test]
fn a_hashed_key_tells_apart_what_its_extractor_tells_apart_and_says_nothing() {
    let with = |name: &'static str, value: &str| request(&[(name, value)]);
    let api_key = key::api_key().hashed();
    let hash = |request: &Request<()>| api_key.key(request);
    assert_eq!(hash(&request(&[])), None);
    assert_eq!(hash(&with("x-api-key", "a")), hash(&with("authorization", "a")));
    assert_ne!(hash(&with("x-api-key", "a")), hash(&with("x-api-key", "b")));
    assert_eq!(hash(&with("x-api-key", "a")), api_key.clone().key(&with("x-api-key", "a")), "clones agree");
    assert_ne!(hash(&with("x-api-key", "a")), key::api_key().hashed().key(&with("x-api-key", "a")), "others do not");
    let shown = format!("{:?} {api_key:?}", hash(&with("x-api-key", "s3cret")));
    assert!(shown.contains("KeyHash(") && !shown.contains("s3cret"), "{shown}");

    let header = key::header(HeaderName::from_static("x-tenant")).hashed();
    assert_eq!(header.key(&request(&[])), None);
    assert_ne!(header.key(&with("x-tenant", "a")), header.key(&with("x-tenant", "b")));

    let path = key::path().hashed();
    let at = |uri: &str| path.key(&Request::get(uri).body(()).unwrap()).unwrap();
    assert_eq!(at("/a?x"), at("http://h/a?y"));
    assert_ne!(at("/a"), at("/b"));
}

#[test]
fn hashing_a_key_allocates_nothing() {
    let request = request(&[("x-api-key", "s3cret")]);
    let (api_key, path) = (key::api_key().hashed(), key::path().hashed());
    let counted = allocation_counter::measure(|| {
        assert!(api_key.key(&request).is_some() && path.key(&request).is_some());
        assert!(key::client_ip().key(&request).is_some());
    });
    assert_eq!(counted.count_total, 0);
    // A value whose bytes are shared already, as those are that hyper has parsed.
    let shared = request.headers()["x-api-key"].clone();
    let counted = allocation_counter::measure(|| assert_eq!(key::api_key().key(&request).as_ref(), Some(&shared)));
    assert_eq!(counted.count_total, 0);
}

#[test]
fn two_extractors_make_one() {
    let either = key::either(key::header(HeaderName::from_static("x-user")), key::client_ip());
    assert_eq!(either.key(&request(&[("x-user", "ada")])), Some(Either::First("ada".parse().unwrap())));
    assert_eq!(either.key(&request(&[])), ip("10.0.0.9").map(Either::Second));
    assert_eq!(either.key(&Request::new(())), None);

    let both = key::both(key::header(HeaderName::from_static("x-user")), key::path());
    assert_eq!(both.key(&request(&[("x-user", "ada")])), Some(("ada".parse().unwrap(), "/".into())));
    assert_eq!(both.key(&request(&[])), None);
}

#[test]
fn an_extension_is_a_key() {
    #[derive(Clone, Debug, PartialEq)]
    struct Tenant(u8);
    let mut request = request(&[]);
    assert_eq!(key::extension::<Tenant>().key(&request), None);
    request.extensions_mut().insert(Tenant(3));
    assert_eq!(key::extension::<Tenant>().key(&request), Some(Tenant(3)));
    assert!(format!("{:?}", key::extension::<Tenant>()).contains("Tenant"));
}
