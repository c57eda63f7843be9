//! One call of any of the four kinds of method: JSON in, messages out.

use std::future::pending;

use http::uri::PathAndQuery;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tokio::sync::oneshot;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use crate::Error;
use crate::caller::{Caller, Deadline};
use crate::codec::DynamicCodec;
use crate::input::{Documents, InputError, Source};
use crate::output::OutputError;

/// Calls `method` with what `source` holds and hands each response to `show` as it arrives.
///
/// # Errors
/// The call's status; a request that does not fit; what `show` returns.
pub(crate) async fn call(
    caller: &Caller,
    method: &MethodDescriptor,
    source: Source,
    show: impl FnMut(&DynamicMessage) -> Result<(), OutputError>,
) -> Result<(), Error> {
    let documents = Documents::read(source, method.input())?;
    // Input that nobody ends must not hold a script up for ever, even where responses may.
    let reading = caller.deadline();
    let is_stream = method.is_client_streaming() || method.is_server_streaming();
    let deadline = if is_stream { caller.stream_deadline() } else { Some(reading) };
    let exchange = async {
        if !method.is_client_streaming() {
            let request = tokio_stream::once(single(documents, reading).await?);
            return receive(caller, method, request, deadline, show).await;
        }
        let (requests, failed) = documents.stream();
        tokio::select! {
            biased;
            error = failure(failed) => Err(error.into()),
            result = receive(caller, method, requests, deadline, show) => result,
        }
    };
    caller.within(deadline, exchange).await
}

/// Calls a `method` without streams with what `source` holds, and again for as long as `next` makes another request
/// of the last one and its response. All calls together have the time of one.
///
/// # Errors
/// A call's status; a request that does not fit; what `next` returns.
pub(crate) async fn call_on(
    caller: &Caller,
    method: &MethodDescriptor,
    source: Source,
    mut next: impl FnMut(&mut DynamicMessage, &DynamicMessage) -> Result<bool, OutputError>,
) -> Result<(), Error> {
    let documents = Documents::read(source, method.input())?;
    let deadline = caller.deadline();
    let calls = async {
        let mut request = single(documents, deadline).await?;
        let mut goes_on = true;
        while goes_on {
            let requests = tokio_stream::once(request.clone());
            let take = |response: &_| {
                goes_on = next(&mut request, response)?;
                Ok(())
            };
            receive(caller, method, requests, Some(deadline), take).await?;
        }
        Ok(())
    };
    caller.within(Some(deadline), calls).await
}

/// The request of a call that has exactly one.
async fn single(documents: Documents, deadline: Deadline) -> Result<DynamicMessage, Error> {
    let read = async { Ok(documents.single().await?) };
    deadline.enforce("reading standard input to its end", read).await
}

async fn receive(
    caller: &Caller,
    method: &MethodDescriptor,
    requests: impl Stream<Item = DynamicMessage> + Send + 'static,
    deadline: Option<Deadline>,
    mut show: impl FnMut(&DynamicMessage) -> Result<(), OutputError>,
) -> Result<(), Error> {
    let codec = DynamicCodec::new(method.output());
    let mut responses = caller.open(path(method)?, codec, requests, deadline).await?;
    if !method.is_server_streaming() {
        return Ok(show(&only(responses).await?)?);
    }
    while let Some(response) = responses.message().await? {
        show(&response)?;
    }
    Ok(())
}

/// The response of a method that has exactly one.
///
/// # Errors
/// The call's status, or INTERNAL if it is OK and there is not exactly one response.
pub(crate) async fn only<T>(mut responses: Streaming<T>) -> Result<T, Status> {
    let none = || Status::internal("the call has ended OK without a response");
    let response = responses.message().await?.ok_or_else(none)?;
    match responses.message().await? {
        None => Ok(response),
        Some(_) => Err(Status::internal("more than one response to a call that has one")),
    }
}

/// The path of a method: `/package.Service/Method`.
fn path(method: &MethodDescriptor) -> Result<PathAndQuery, Status> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let unusable = |_| Status::internal(format!("{path} cannot be called"));
    path.parse().map_err(unusable)
}

/// Waits for the input to fail. Input that ends well never does.
async fn failure(failed: oneshot::Receiver<InputError>) -> InputError {
    match failed.await {
        Ok(error) => error,
        Err(_) => pending().await,
    }
}
