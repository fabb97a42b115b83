use bytes::Bytes;
use donjon_core::{CallError, check_service};
use donjon_retry::RetryLayer;
use http::{Request, Response};
use http_body_util::{Full, combinators::UnsyncBoxBody};
use tower::{ServiceBuilder, service_fn};

type Upload = UnsyncBoxBody<Bytes, std::io::Error>;

fn main() {
    let client = service_fn(|_: Request<Upload>| async { Ok::<_, CallError>(Response::new(Full::<Bytes>::default())) });
    let stack = ServiceBuilder::new().layer(RetryLayer::http()).service(client);
    check_service::<Request<Upload>>(&stack);
}
