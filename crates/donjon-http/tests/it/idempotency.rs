use donjon_http::{Idempotent, idempotency::is_idempotent};
use http::{Method, Request};

fn request(method: &str) -> Request<()> {
    Request::builder().method(method).uri("/").body(()).unwrap()
}

#[test]
fn the_method_decides_by_rfc_9110() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert!(is_idempotent(&request(method)), "{method}");
    }
    for method in ["POST", "PATCH", "CONNECT", "get", "PROPFIND", "ANYTHING"] {
        assert!(!is_idempotent(&request(method)), "{method}");
    }
}

#[test]
fn a_key_makes_a_post_idempotent() {
    let mut post = request("POST");
    post.headers_mut().insert("idempotency-key", "\"8e03978e\"".parse().unwrap());
    assert!(is_idempotent(&post));
    for empty in ["", "  \t"] {
        post.headers_mut().insert("idempotency-key", empty.parse().unwrap());
        assert!(!is_idempotent(&post), "{empty:?}");
    }
}

#[test]
fn the_caller_has_the_last_word() {
    let mut get = request("GET");
    get.extensions_mut().insert(Idempotent(false));
    assert!(!is_idempotent(&get));

    let mut post = Request::builder().method(Method::POST).header("idempotency-key", "k").body(()).unwrap();
    post.extensions_mut().insert(Idempotent(false));
    assert!(!is_idempotent(&post));
    post.headers_mut().clear();
    post.extensions_mut().insert(Idempotent(true));
    assert!(is_idempotent(&post));
}
