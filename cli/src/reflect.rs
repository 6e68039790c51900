//! `palomar reflect`: the definitions of a server's services.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use palomar_flow::json;
use prost::Message;
use prost_types::FileDescriptorProto;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1alpha::{ServerReflectionRequest, ServerReflectionResponse};

use crate::connection::Connection;
use crate::render::escape::escape;
use crate::rpc;
use crate::surroundings::Surroundings;

/// Services that every server has.
const LEFT_OUT: [&str; 2] = ["grpc.reflection.v1alpha.ServerReflection", "grpc.health.v1.Health"];

/// Prints each file of definitions as JSON, one a line, each once; the files that it needs come after it.
pub async fn run(connection: &Connection, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let mut server = Server::open(connection, surroundings).await?;
    let answer = server.ask(MessageRequest::ListServices(String::new())).await?;
    let MessageResponse::ListServicesResponse(services) = answer else {
        bail!("the server answered something else than its services");
    };
    let mut told = BTreeSet::new();
    for service in services.service.iter().filter(|service| !LEFT_OUT.contains(&service.name.as_str())) {
        let mut wanted = vec![MessageRequest::FileContainingSymbol(service.name.clone())];
        // depth first, as the definitions name each other
        while let Some(request) = wanted.pop() {
            for file in server.files(request).await? {
                if !told.insert(file.name().to_owned()) {
                    continue;
                }
                writeln!(surroundings.out, "{}", json::definitions(&file)?)?;
                let dependencies = file.dependency.into_iter().rev();
                wanted.extend(dependencies.map(MessageRequest::FileByFilename));
            }
        }
    }
    Ok(())
}

/// An open call, over which one question after the other is asked.
struct Server {
    questions: mpsc::Sender<ServerReflectionRequest>,
    answers: Streaming<ServerReflectionResponse>,
}

impl Server {
    async fn open(connection: &Connection, surroundings: &mut Surroundings<'_>) -> Result<Self> {
        let mut client = ServerReflectionClient::new(connection.connect().await?);
        let (questions, receiver) = mpsc::channel(1);
        let call = client.server_reflection_info(ReceiverStream::new(receiver));
        let answer = call.await.map_err(|status| rpc::coded_failure(&status))?;
        connection.warn_of_newer(answer.metadata(), surroundings.err)?;
        Ok(Self { questions, answers: answer.into_inner() })
    }

    async fn ask(&mut self, question: MessageRequest) -> Result<MessageResponse> {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        // a server that has gone away says so in its answer
        let _ = self.questions.send(request).await;
        let answer = self.answers.message().await.map_err(|status| rpc::coded_failure(&status))?;
        match answer.and_then(|answer| answer.message_response) {
            Some(MessageResponse::ErrorResponse(error)) => {
                bail!("the server refused: {}", escape(&error.error_message))
            }
            Some(answer) => Ok(answer),
            None => bail!("the server ended before it answered"),
        }
    }

    async fn files(&mut self, question: MessageRequest) -> Result<Vec<FileDescriptorProto>> {
        let MessageResponse::FileDescriptorResponse(files) = self.ask(question).await? else {
            bail!("the server answered something else than a file");
        };
        let encoded = files.file_descriptor_proto.iter();
        Ok(encoded.map(|file| FileDescriptorProto::decode(file.as_slice())).collect::<Result<_, _>>()?)
    }
}
