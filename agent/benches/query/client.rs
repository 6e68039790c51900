//! A client that counts messages without reading them, so that the server is what is measured.

use std::time::{Duration, Instant};

use palomar_proto::observer::GetFlowsRequest;
use prost::Message;
use prost::bytes::Buf;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};

#[derive(Debug, Clone, Copy, Default)]
struct Counting;

impl Codec for Counting {
    type Encode = GetFlowsRequest;
    type Decode = usize;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Counting {
    type Item = GetFlowsRequest;
    type Error = Status;

    fn encode(&mut self, message: GetFlowsRequest, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(out).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Counting {
    type Item = usize;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<usize>, Status> {
        let length = message.remaining();
        message.advance(length);
        Ok(Some(length))
    }
}

/// What an answer was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer {
    pub flows: usize,
    pub bytes: usize,
    /// Until the first message was there.
    pub first: Duration,
}

/// Asks, and counts the whole answer.
pub async fn flows(channel: &Channel, request: GetFlowsRequest) -> Answer {
    let begin = Instant::now();
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/observer.Observer/GetFlows");
    let mut stream =
        client.server_streaming(Request::new(request), path, Counting).await.unwrap().into_inner();
    let mut answer = Answer::default();
    while let Some(length) = stream.message().await.unwrap() {
        if answer.flows == 0 {
            answer.first = begin.elapsed();
        }
        answer.flows += 1;
        answer.bytes += length;
    }
    answer
}
