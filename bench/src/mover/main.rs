//! A caller that moves 64 MiB in one call, with tonic's default windows: `mover ADDRESS NAME METHOD TIMES`. Each line that it
//! prints is how many seconds a call took.

use std::io::{Write as _, stdout};

use anyhow::{Context as _, Result, ensure};
use bytes::{Buf as _, BufMut as _, Bytes};
use clap::Parser;
use http::uri::PathAndQuery;
use tokio::time::Instant;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const MESSAGES: usize = 4096;
const MESSAGE: usize = (16 << 10) - 5;

/// Moves 64 MiB in one call, and says how many seconds that took.
#[derive(Debug, Parser)]
struct Args {
    /// The hub, or the server itself
    address: String,
    /// Whom to ask a hub for
    name: MetadataValue<Ascii>,
    /// Download or Upload
    method: String,
    /// How often
    times: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let endpoint = Endpoint::from_shared(format!("http://{}", args.address))?;
    let mut client = Grpc::new(endpoint.connect_lazy());
    for _ in 0..args.times {
        let start = Instant::now();
        call(&mut client, &args).await?;
        writeln!(stdout(), "{:.3}", start.elapsed().as_secs_f64())?;
    }
    Ok(())
}

/// Makes one call, and fails unless all of it came.
async fn call(client: &mut Grpc<Channel>, args: &Args) -> Result<()> {
    client.ready().await?;
    let said = if args.method == "Upload" { MESSAGES } else { 0 };
    let message = Bytes::from_static(&[0; MESSAGE]);
    let mut request = Request::new(tokio_stream::iter(std::iter::repeat_n(message, said)));
    request.metadata_mut().insert("name", args.name.clone());
    let path: PathAndQuery = format!("/bench.Bench/{}", args.method).parse().context("a method")?;
    let mut answer = client.streaming(request, path, Raw).await?.into_inner();
    let mut came = 0;
    while let Some(message) = answer.message().await? {
        came += message.len();
    }
    ensure!(args.method != "Download" || came == MESSAGES * MESSAGE, "{came} bytes came");
    Ok(())
}

/// Passes messages as they are.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
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

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
