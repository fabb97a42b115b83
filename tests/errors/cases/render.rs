use donjon_http::respond;
use tower::{Layer, layer::util::Identity, service_fn};

fn main() {
    let handler = service_fn(|_: http::Request<()>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
    });
    let _ = respond(Identity::new()).render("busy").layer(handler);
}
