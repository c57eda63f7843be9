//! A tonic client that does not know its messages, as a proxy does not.

use bytes::{Buf, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use tokio_stream::{Stream, StreamExt as _};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{IntoRequest, Request, Response, Status, Streaming};

use super::service::SERVICE;
use super::within;

/// Messages as bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Calls the methods of [`super::service`] under a name.
pub(crate) struct Caller {
    channel: Channel,
    name: &'static str,
}

impl Caller {
    pub(crate) fn new(channel: Channel, name: &'static str) -> Self {
        Self { channel, name }
    }

    pub(crate) async fn unary(
        &self,
        method: &str,
        request: impl IntoRequest<Bytes>,
    ) -> Result<Response<Bytes>, Status> {
        let mut grpc = self.ready().await;
        let request = named(request.into_request(), self.name);
        within(method, grpc.unary(request, path(method), Raw)).await
    }

    pub(crate) async fn client_streaming<const N: usize>(
        &self,
        method: &str,
        messages: [Bytes; N],
    ) -> Result<Response<Bytes>, Status> {
        let mut grpc = self.ready().await;
        let request = named(Request::new(tokio_stream::iter(messages)), self.name);
        within(method, grpc.client_streaming(request, path(method), Raw)).await
    }

    pub(crate) async fn server_streaming(
        &self,
        method: &str,
        message: Bytes,
    ) -> Result<Streaming<Bytes>, Status> {
        let mut grpc = self.ready().await;
        let request = named(Request::new(message), self.name);
        let response = within(method, grpc.server_streaming(request, path(method), Raw)).await;
        response.map(Response::into_inner)
    }

    pub(crate) async fn bidi(
        &self,
        method: &str,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        let mut grpc = self.ready().await;
        let request = named(Request::new(messages), self.name);
        let response = within(method, grpc.streaming(request, path(method), Raw)).await;
        response.map(Response::into_inner)
    }

    async fn ready(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.channel.clone());
        within("a ready channel", grpc.ready()).await.expect("a connection");
        grpc
    }
}

fn path(method: &str) -> PathAndQuery {
    format!("/{SERVICE}/{method}").parse().unwrap()
}

/// Reads all messages of a stream.
pub(crate) async fn collect(messages: Streaming<Bytes>) -> Result<Vec<Bytes>, Status> {
    within("all messages", messages.collect()).await
}

/// A request for the agent of `name`.
pub(crate) fn named<T>(mut request: Request<T>, name: &str) -> Request<T> {
    request.metadata_mut().insert("name", name.parse().unwrap());
    request
}

/// A request with a caller's token, or without.
pub(crate) fn with_token<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("hub-token", token.parse().unwrap());
    }
    request
}
