//! The HTTP of a scrape: `GET /metrics`, one request a connection, bounded in size, time and number.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::exporter::Exporter;
use super::negotiation;

/// Connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// Answers at once: those take memory, by the number of series; more requests wait.
const MAX_ANSWERS: usize = 8;
/// The longest that a connection may take, its request and the reading of the answer included.
const LONGEST_CONNECTION: Duration = Duration::from_secs(10);
/// The longest that a client may take to send its request's head.
const LONGEST_HEAD: Duration = Duration::from_secs(5);
/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// The most header lines of a request.
const MAX_HEADERS: usize = 64;
/// How long to wait when no connection can be accepted, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const PATH: &str = "/metrics";

/// Answers scrapes, for ever.
pub async fn serve(listener: TcpListener, exporter: Arc<Exporter>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let answers = Arc::new(Semaphore::new(MAX_ANSWERS));
    loop {
        let place = take(&places).await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection for metrics could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = connection(stream, Arc::clone(&exporter), Arc::clone(&answers));
        tokio::spawn(async move {
            if tokio::time::timeout(LONGEST_CONNECTION, connection).await.is_err() {
                tracing::debug!("a connection for metrics took too long and was closed");
            }
            drop(place);
        });
    }
}

async fn take(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(places).acquire_owned().await.expect("invariant: the semaphore is never closed")
}

async fn connection(stream: TcpStream, exporter: Arc<Exporter>, answers: Arc<Semaphore>) {
    // held until the answer was read, or the connection took too long
    let held = Arc::new(OnceLock::new());
    let service = service_fn(|request: Request<Incoming>| {
        let (exporter, answers, held) = (Arc::clone(&exporter), Arc::clone(&answers), Arc::clone(&held));
        async move {
            // a connection has one request, so that this is never set twice
            let _ = held.set(take(&answers).await);
            Ok::<_, Infallible>(respond(&request, &exporter))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_HEAD)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection for metrics broke");
    }
}

fn respond<B>(request: &Request<B>, exporter: &Exporter) -> Response<Full<Bytes>> {
    let begun = Instant::now();
    if request.uri().path() != PATH {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    let response = if matches!(*request.method(), Method::GET | Method::HEAD) {
        let accept: Vec<&str> =
            request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let format = negotiation::format(&accept.join(","));
        with_type(StatusCode::OK, format.content_type(), exporter.expose(format))
    } else {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        response
    };
    exporter.answered(response.status().as_u16(), begun.elapsed());
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", text)
}

fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}
