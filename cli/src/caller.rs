//! Whoever makes calls: the connection, the metadata that goes with each call, and its deadline.

use std::error::Error as _;
use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::time::{Instant, timeout_at};
use tokio_stream::Stream;
use tonic::client::Grpc;
use tonic::codec::Codec;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status, Streaming};
use tunnel::tls::Trust;
use tunnel::wire;

use crate::Error;
use crate::args::{Headers, Options};
use crate::connect::{Connection, connect, tls};
use crate::front::Checked;
use crate::limits::CALL_TIMEOUT;
use crate::metadata::{Target, assemble};
use crate::status::with_hint;

/// Makes every call of one command.
#[derive(Debug)]
pub(crate) struct Caller {
    connection: Connection,
    metadata: MetadataMap,
    /// Calls are for a name.
    has_server: bool,
    timeout: Option<Duration>,
}

/// When a call must have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    limit: Duration,
    at: Instant,
}

impl Caller {
    /// Connects to the hub, for calls to `target`.
    ///
    /// # Errors
    /// A file that is named on the command line is of no use, or there is no connection.
    pub(crate) async fn connect(
        options: Options,
        more: Headers,
        target: &Target,
    ) -> Result<Self, Error> {
        let headers = options.headers.headers.into_iter().chain(more.headers);
        let metadata = assemble(target, headers, options.token_file.as_deref())?;
        let trust = Trust::from_flags(options.tls_ca_file, options.tls_insecure_skip_verify);
        let tls = tls(&options.hub, &trust)?;
        let proxy = options.proxy.unwrap_or_default();
        let connection = connect(&options.hub, &proxy, tls, &trust).await.map_err(|error| {
            Status::unavailable(format!("cannot connect to {}: {error}", options.hub))
        })?;
        let has_server = matches!(target, Target::Agent(_));
        Ok(Self { connection, metadata, has_server, timeout: options.timeout })
    }

    /// When a call without streams that begins now must have ended.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout.unwrap_or(CALL_TIMEOUT))
    }

    /// When a stream that begins now must have ended. It may last as long as it likes, unless the
    /// user has set a timeout.
    pub(crate) fn stream_deadline(&self) -> Option<Deadline> {
        self.timeout.map(Deadline::after)
    }

    /// Opens a call and returns its responses. Whatever kind the method is of, this is how.
    ///
    /// # Errors
    /// The call's status, if it has ended without a response.
    pub(crate) async fn open<C: Codec<Encode: Sync, Decode: Sync>>(
        &self,
        path: PathAndQuery,
        codec: C,
        messages: impl Stream<Item = C::Encode> + Send + 'static,
        deadline: Option<Deadline>,
    ) -> Result<Streaming<C::Decode>, Status> {
        let channel = Checked::new(self.connection.channel.clone(), self.has_server);
        let mut grpc = Grpc::new(channel).max_decoding_message_size(usize::MAX);
        grpc.ready().await.map_err(not_ready)?;
        let mut request = Request::new(messages);
        *request.metadata_mut() = self.metadata.clone();
        if let Some(deadline) = deadline {
            request.set_timeout(deadline.at.saturating_duration_since(Instant::now()));
        }
        let response = grpc.streaming(request, path, codec).await?;
        Ok(response.into_inner())
    }

    /// Runs `call` until the deadline, and names the cause where the transport has failed.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED, or what `call` returns.
    pub(crate) async fn within<T>(
        &self,
        deadline: Option<Deadline>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let result = match deadline {
            Some(deadline) => deadline.enforce("the call", call).await,
            None => call.await,
        };
        result.map_err(|error| match error {
            Error::Status(status) => Error::Status(self.explain(status)),
            other => other,
        })
    }

    /// Replaces the status of a transport that failed by one that says why. What a server has
    /// answered has no source and stays as it is, but for a hint.
    fn explain(&self, status: Status) -> Status {
        let Some(source) = status.source() else {
            return self.hint_at_token(status);
        };
        if let Some(verdict) = self.connection.verdict.get() {
            return Status::unavailable(verdict.to_string());
        }
        let cause = root_cause(source);
        match (status.code(), status.message()) {
            // Where HTTP/2 names no reason, the connection has broken.
            (Code::Unknown, _) => Status::unavailable(format!("the connection is lost: {cause}")),
            (code, message) if message.contains(&cause) => Status::new(code, message),
            (code, message) => Status::new(code, format!("{message}: {cause}")),
        }
    }

    /// The hub says that it wants a token, and knows nothing of our flags.
    fn hint_at_token(&self, status: Status) -> Status {
        let by_hub = status.metadata().contains_key(wire::HUB_REASON);
        let has_token = self.metadata.contains_key(wire::HUB_TOKEN);
        if by_hub && status.code() == Code::Unauthenticated && !has_token {
            return with_hint(
                &status,
                "name the file that holds it with --token-file, or in HUB_TOKEN_FILE",
            );
        }
        status
    }
}

impl Deadline {
    fn after(limit: Duration) -> Self {
        Self { limit, at: Instant::now() + limit }
    }

    /// Runs `work` until the deadline; `what` names it to the user.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED, or what `work` returns.
    pub(crate) async fn enforce<T>(
        self,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let expired = || {
            let limit = humantime::format_duration(self.limit);
            Status::deadline_exceeded(format!("{what} took longer than {limit} (--timeout)"))
        };
        match timeout_at(self.at, work).await {
            Ok(Err(Error::Status(status))) if is_late(&status, self.at) => Err(expired().into()),
            Ok(result) => result,
            Err(_) => Err(expired().into()),
        }
    }
}

fn root_cause(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn not_ready(error: tonic::transport::Error) -> Status {
    Status::from_error(error.into())
}

/// A server, and the transport here, may notice an expired deadline first and call it cancelled.
fn is_late(status: &Status, deadline: Instant) -> bool {
    status.code() == Code::Cancelled && Instant::now() >= deadline
}
