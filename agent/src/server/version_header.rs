//! Every response says which version of Hubble's API it speaks.

use palomar_transport::version::{HUBBLE_VERSION, SERVER_VERSION_HEADER};
use tonic::codegen::http::{HeaderValue, Response};
use tower::util::MapResponseLayer;

/// Puts the header on every response, errors included.
pub fn layer<B>() -> MapResponseLayer<fn(Response<B>) -> Response<B>> {
    MapResponseLayer::new(|mut response: Response<B>| {
        response.headers_mut().insert(SERVER_VERSION_HEADER, HeaderValue::from_static(HUBBLE_VERSION));
        response
    })
}
