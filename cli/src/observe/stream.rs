//! A server's stream, line by line.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use anyhow::Result;
use tonic::{Code, Status, Streaming};

use super::tail::{Counted, Tail};
use crate::rpc;

/// What prints the responses of a stream.
pub trait Sink {
    /// One of them.
    type Response;

    /// Prints a response, or keeps it for later.
    fn print(&mut self, response: &Self::Response) -> Result<()>;

    /// Hands on what was printed.
    fn flush(&mut self) -> io::Result<()>;
}

/// Prints a stream to its end.
pub async fn copy<S: Sink>(mut stream: Streaming<S::Response>, sink: &mut S) -> Result<()> {
    while let Some(response) = next(&mut stream, sink).await? {
        sink.print(&response)?;
    }
    Ok(())
}

/// Prints the last responses of a stream.
pub async fn copy_tail<S: Sink<Response: Counted>>(
    mut stream: Streaming<S::Response>,
    mut tail: Tail<S::Response>,
    sink: &mut S,
) -> Result<()> {
    let ended = loop {
        match next(&mut stream, sink).await {
            Ok(Some(response)) => tail.push(response),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    // also what came of a stream that broke
    for response in tail.into_responses() {
        sink.print(&response)?;
    }
    ended
}

/// The next response. What was printed is handed on as soon as there is none to be had at once, so that a follower
/// sees each flow when it comes and a long answer is written in large pieces.
pub async fn next<S: Sink>(stream: &mut Streaming<S::Response>, sink: &mut S) -> Result<Option<S::Response>> {
    let mut message = pin!(stream.message());
    let ready = match poll_fn(|context| Poll::Ready(message.as_mut().poll(context))).await {
        Poll::Ready(ready) => ready,
        Poll::Pending => {
            sink.flush()?;
            message.await
        }
    };
    match ready {
        Err(status) if status.code() == Code::Cancelled => Ok(None),
        Err(status) => Err(rpc::failure(&status)),
        Ok(response) => Ok(response),
    }
}

/// The stream that a call opens; `None`: the server cancelled it, which is an end like any other.
pub fn opened<T>(answer: Result<T, Status>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if status.code() == Code::Cancelled => Ok(None),
        Err(status) => Err(rpc::failure(&status)),
    }
}

/// Runs to the end, or to an interruption by the user, which is no failure.
pub async fn until_interrupted(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::select! {
        outcome = work => outcome,
        interrupt = tokio::signal::ctrl_c() => interrupt.map_err(Into::into),
    }
}
