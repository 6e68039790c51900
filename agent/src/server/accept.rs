//! Connections, as many as there may be at once.
//!
//! One too many is told so in HTTP/2's own words and closed: it would wait for ever if it were not accepted, and
//! others behind it. One that says nothing at all is given up. An error of the listener, such as no file descriptor
//! left, ends nothing: it is told and tried again.

use std::convert::Infallible;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep, timeout};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

/// For how long a connection may say nothing at its beginning.
const SILENCE: Duration = Duration::from_secs(10);
/// How long accepting pauses after an error.
const PAUSE: Duration = Duration::from_millis(100);
/// How long it may take to say that there is no place.
const REFUSAL: Duration = Duration::from_secs(1);
/// Refusals that are said at once; the rest is closed without a word.
const REFUSALS: usize = 16;
/// How often refusals are logged.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// The places of all listeners together.
#[derive(Debug, Clone)]
pub struct Places {
    free: Arc<Semaphore>,
    refusing: Arc<Semaphore>,
    max: usize,
}

/// The connections of one listener.
pub struct Accepted<I> {
    incoming: Pin<Box<I>>,
    places: Places,
    pause: Option<Pin<Box<Sleep>>>,
    logged_at: Option<Instant>,
}

/// A connection in its place.
pub struct Placed<C> {
    connection: C,
    /// Until the first byte came.
    silence: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

// === impl Places ===

impl Places {
    pub fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), refusing: Arc::new(Semaphore::new(REFUSALS)), max }
    }

    /// The connections of a listener that find a place.
    pub fn accept<I>(&self, incoming: I) -> Accepted<I> {
        Accepted { incoming: Box::pin(incoming), places: self.clone(), pause: None, logged_at: None }
    }

    fn refuse<C>(&self, mut connection: C)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(turn) = Arc::clone(&self.refusing).try_acquire_owned() else { return };
        let words = go_away(&format!("too many connections: {} are served at once", self.max));
        tokio::spawn(async move {
            let said = timeout(REFUSAL, async {
                connection.write_all(&words).await?;
                connection.shutdown().await?;
                // what the client has sent must be read, or it would see a reset instead of the words
                let mut unread = [0; 1_024];
                while connection.read(&mut unread).await? > 0 {}
                io::Result::Ok(())
            });
            // a client that has gone need not be told
            drop(said.await);
            drop(turn);
        });
    }
}

/// A server's beginning of HTTP/2 and its end: no settings, then `GOAWAY` with the code `ENHANCE_YOUR_CALM`.
fn go_away(why: &str) -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const LAST_STREAM_AND_CODE: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 0xb];
    let length = u8::try_from(LAST_STREAM_AND_CODE.len() + why.len()).expect("invariant: few words");
    let mut bytes = SETTINGS.to_vec();
    bytes.extend([0, 0, length, 7, 0, 0, 0, 0, 0]);
    bytes.extend(LAST_STREAM_AND_CODE);
    bytes.extend(why.as_bytes());
    bytes
}

// === impl Accepted ===

impl<I> Accepted<I> {
    fn log(&mut self) {
        if self.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.logged_at = Some(Instant::now());
            tracing::warn!(max = self.places.max, "too many connections: some are refused");
        }
    }
}

impl<I, C, E> Stream for Accepted<I>
where
    I: Stream<Item = Result<C, E>>,
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Item = Result<Placed<C>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(context));
                this.pause = None;
            }
            match ready!(this.incoming.as_mut().poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Ok(connection)) => {
                    if let Ok(place) = Arc::clone(&this.places.free).try_acquire_owned() {
                        let silence = Some(Box::pin(sleep(SILENCE)));
                        return Poll::Ready(Some(Ok(Placed { connection, silence, _place: place })));
                    }
                    this.log();
                    this.places.refuse(connection);
                }
                Some(Err(error)) => {
                    let error = error.into();
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    this.pause = Some(Box::pin(sleep(PAUSE)));
                }
            }
        }
    }
}

// === impl Placed ===

impl<C: Connected> Connected for Placed<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.connection.connect_info()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Placed<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.connection).poll_read(context, buffer);
        match &mut this.silence {
            None => read,
            Some(_) if read.is_ready() => {
                this.silence = None;
                read
            }
            Some(silence) => {
                ready!(silence.as_mut().poll(context));
                Poll::Ready(Err(ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Placed<C> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().connection).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio_stream::StreamExt;

    use super::*;

    fn pair() -> (DuplexStream, Result<DuplexStream, io::Error>) {
        let (client, server) = duplex(4_096);
        (client, Ok(server))
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_of_the_listener_ends_nothing() {
        let (_client, connection) = pair();
        let no_descriptor = || Err(io::Error::from_raw_os_error(24));
        let incoming = tokio_stream::iter([no_descriptor(), no_descriptor(), connection]);
        let mut accepted = Places::new(1).accept(incoming);
        assert!(accepted.next().await.is_some(), "the connection behind the errors");
        assert!(accepted.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_too_many_is_told_and_a_place_that_is_left_is_taken_again() {
        let (first, second, third) = (pair(), pair(), pair());
        let places = Places::new(1);
        let mut accepted = places.accept(tokio_stream::iter([first.1, second.1]));
        let held = accepted.next().await.unwrap().unwrap();
        assert!(accepted.next().await.is_none());
        let mut words = Vec::new();
        let mut client = second.0;
        client.shutdown().await.unwrap();
        client.read_to_end(&mut words).await.unwrap();
        let said = b"too many connections: 1 are served at once";
        assert_eq!(words[..12], [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 50], "settings, and 50 bytes of");
        assert_eq!(words[12..18], [7, 0, 0, 0, 0, 0], "GOAWAY");
        assert_eq!(words[words.len() - said.len()..], said[..]);
        drop(held);
        assert!(places.accept(tokio_stream::iter([third.1])).next().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_given_up_and_one_that_says_little_is_not() {
        let (silent, talking) = (pair(), pair());
        let mut accepted = Places::new(2).accept(tokio_stream::iter([silent.1, talking.1]));
        let mut connections =
            [accepted.next().await.unwrap().unwrap(), accepted.next().await.unwrap().unwrap()];
        let mut client = talking.0;
        client.write_all(b"P").await.unwrap();
        let mut byte = [0];
        connections[1].read_exact(&mut byte).await.unwrap();
        assert_eq!(connections[0].read(&mut byte).await.unwrap_err().kind(), ErrorKind::TimedOut);
        let later = timeout(SILENCE * 10, connections[1].read(&mut byte)).await;
        assert!(later.is_err(), "it may be silent once it has begun");
    }
}
