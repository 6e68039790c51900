//! Calls that are read or answered at once, of all connections together: a client that begins calls and never sends
//! its requests finds an end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Semaphore;
use tonic::Status;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tower::Layer;

/// Far more than clients need: a call has its place until its answer begins.
pub const MAX_CALLS: usize = 512;

/// Puts the limit before a service.
#[derive(Debug, Clone)]
pub struct CallLimit {
    places: Arc<Semaphore>,
}

/// A service behind the limit.
#[derive(Debug, Clone)]
pub struct Limited<S> {
    inner: S,
    places: Arc<Semaphore>,
}

// === impl CallLimit ===

impl CallLimit {
    pub fn new(max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(max)) }
    }
}

impl<S> Layer<S> for CallLimit {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, places: Arc::clone(&self.places) }
    }
}

// === impl Limited ===

impl<S, B, R> Service<Request<B>> for Limited<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Default + Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let status = Status::resource_exhausted("too many calls at once; end some of them");
            return Box::pin(async move { Ok(status.into_http()) });
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(place);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::sync::Notify;
    use tonic::Code;
    use tower::service_fn;

    use super::*;

    #[tokio::test]
    async fn a_call_beyond_the_limit_is_refused_and_an_answer_makes_room() {
        let answered = Arc::new(Notify::new());
        let wait = Arc::clone(&answered);
        let mut service = CallLimit::new(2).layer(service_fn(move |_: Request<()>| {
            let wait = Arc::clone(&wait);
            async move {
                wait.notified().await;
                Ok::<_, Infallible>(Response::new(()))
            }
        }));
        let code =
            |response: &Response<()>| Status::from_header_map(response.headers()).map(|status| status.code());
        let first = tokio::spawn(service.call(Request::new(())));
        let second = tokio::spawn(service.call(Request::new(())));
        let refused = service.call(Request::new(())).await.unwrap();
        assert_eq!(code(&refused), Some(Code::ResourceExhausted));
        tokio::task::yield_now().await;
        answered.notify_waiters();
        for call in [first, second] {
            assert_eq!(code(&call.await.unwrap().unwrap()), None);
        }
        let third = tokio::spawn(service.call(Request::new(())));
        tokio::task::yield_now().await;
        answered.notify_waiters();
        assert_eq!(code(&third.await.unwrap().unwrap()), None);
    }
}
