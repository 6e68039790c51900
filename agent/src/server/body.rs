//! The answer to `GetFlows` as HTTP/2 carries it: chunks of framed messages, then the status.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Frame;
use prost::bytes::Bytes;
use tokio_stream::Stream;
use tonic::Status;
use tonic::codegen::http::HeaderMap;

use super::stream::FlowStream;

/// Chunks go out as they are made: one for many messages, where tonic's own body would copy each.
pub struct FlowBody {
    /// `None` once the status was told.
    stream: Option<FlowStream>,
}

// === impl FlowBody ===

impl FlowBody {
    pub fn new(stream: FlowStream) -> Self {
        Self { stream: Some(stream) }
    }
}

impl http_body::Body for FlowBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let Some(stream) = &mut this.stream else { return Poll::Ready(None) };
        let status = match Pin::new(stream).poll_next(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(chunk))) => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
            Poll::Ready(Some(Err(status))) => status,
            Poll::Ready(None) => Status::ok(""),
        };
        this.stream = None;
        let mut trailers = HeaderMap::new();
        // the error is a status that says why this one is no header; it is one itself
        if let Err(unfit) = status.add_header(&mut trailers) {
            tracing::error!(%unfit, "a status cannot be told");
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_none()
    }
}
