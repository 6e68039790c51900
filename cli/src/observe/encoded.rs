//! Responses as they come over the wire: most are printed of what a skim of them shows, and never decoded.

use std::io::{self, Write};

use anyhow::Result;
use palomar_flow::skim::Skimmer;
use palomar_proto::observer::{GetFlowsRequest, GetFlowsResponse};
use palomar_transport::http2::MAX_MESSAGE_BYTES;
use prost::Message as _;
use prost::bytes::{Buf, BufMut, Bytes};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{GrpcMethod, Request, Response, Status, Streaming};

use super::stream::Sink;
use crate::connection::Link;
use crate::render::{PATHS, Printer};
use crate::rpc;

const GET_FLOWS: &str = "/observer.Observer/GetFlows";

/// The call for flows, with each response as its bytes.
pub async fn get_flows(link: Link, request: GetFlowsRequest) -> Result<Response<Streaming<Bytes>>, Status> {
    let mut client = Grpc::new(link).max_decoding_message_size(MAX_MESSAGE_BYTES);
    client.ready().await.map_err(|error| Status::unknown(format!("Service was not ready: {error}")))?;
    let mut request = Request::new(request);
    request.extensions_mut().insert(GrpcMethod::new("observer.Observer", "GetFlows"));
    client.server_streaming(request, PathAndQuery::from_static(GET_FLOWS), Encoded).await
}

/// Messages on the way out, bytes on the way in.
#[derive(Debug, Clone, Copy)]
struct Encoded;

impl Codec for Encoded {
    type Encode = GetFlowsRequest;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = GetFlowsRequest;
    type Error = Status;

    fn encode(&mut self, request: GetFlowsRequest, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&request.encode_to_vec());
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Prints encoded responses.
#[derive(Debug)]
pub struct Skim<'p, O, E> {
    printer: &'p mut Printer<O, E>,
    skimmer: Skimmer,
}

impl<'p, O: Write, E: Write> Skim<'p, O, E> {
    /// On a printer.
    pub fn new(printer: &'p mut Printer<O, E>) -> Self {
        Self { printer, skimmer: Skimmer::new::<GetFlowsResponse>(PATHS) }
    }
}

impl<O: Write, E: Write> Skim<'_, O, E> {
    /// Prints a response, of the whole message where a skim is not enough. Bytes that are no response are an error, in
    /// the words that a call ends with.
    pub fn print(&mut self, encoded: &[u8]) -> Result<()> {
        if let Some(seen) = self.skimmer.skim(encoded)
            && self.printer.print_skimmed(seen)?
        {
            return Ok(());
        }
        let response = GetFlowsResponse::decode(encoded)
            .map_err(|error| rpc::failure(&Status::internal(error.to_string())))?;
        Ok(self.printer.print(&response)?)
    }
}

impl<O: Write, E: Write> Sink for Skim<'_, O, E> {
    type Response = Bytes;

    fn print(&mut self, response: &Bytes) -> Result<()> {
        Self::print(self, response)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.printer.flush()
    }
}

#[cfg(test)]
mod tests;
