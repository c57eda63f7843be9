//! The cases: each fails where something is not as it must be.

use std::iter::zip;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::time::timeout;
use tokio_stream::pending;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::client::Caller;
use crate::duplex::{Duplex, output_request};
use crate::echo::{INITIAL, TRAILING};
use crate::say;
use crate::testing::test_service_client::TestServiceClient;
use crate::testing::unimplemented_service_client::UnimplementedServiceClient;
use crate::testing::{
    EchoStatus, Empty, Payload, SimpleRequest, StreamingInputCallRequest,
    StreamingOutputCallRequest,
};

// The sizes that every port of the cases uses.
const LARGE_REQUEST: usize = 271_828;
const LARGE_RESPONSE: i32 = 314_159;
const REQUESTS: [usize; 4] = [27_182, 8, 1_828, 45_904];
const RESPONSES: [i32; 4] = [31_415, 9, 2_653, 58_979];
/// Far above the time-out of the call that is to end.
const TIMEOUT_LIMIT: Duration = Duration::from_secs(5);
// Of the case large_beside_stalled_stream, which is ours.
const MIB: usize = 1 << 20;
const STALLED: usize = 8;
const BESIDE: usize = 4;
/// Of the case cut_at_drain, which is ours, too: what a hub says to whom it cuts off.
const CUT_OFF: &str =
    "this hub ends the connection, and your call had not ended in the time for that";
const UNICODE: &str = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

/// Runs one case.
pub(crate) async fn run(caller: &Caller<'_>, name: &str) -> anyhow::Result<()> {
    match name {
        "empty_unary" => empty_unary(caller).await,
        "large_unary" => large_unary(caller, caller.stub()).await,
        "client_streaming" => client_streaming(caller).await,
        "server_streaming" => server_streaming(caller).await,
        "ping_pong" => ping_pong(caller).await,
        "empty_stream" => empty_stream(caller).await,
        "timeout_on_sleeping_server" => timeout_on_sleeping_server(caller).await,
        "cancel_after_begin" => cancel_after_begin(caller).await,
        "cancel_after_first_response" => cancel_after_first_response(caller).await,
        "status_code_and_message" => status_code_and_message(caller).await,
        "special_status_message" => unary_status(caller, UNICODE).await,
        "custom_metadata" => custom_metadata(caller).await,
        "unimplemented_method" => unimplemented_method(caller).await,
        "unimplemented_service" => unimplemented_service(caller).await,
        "large_beside_stalled_stream" => large_beside_stalled_stream(caller).await,
        "cut_at_drain" => cut_at_drain(caller).await,
        "rpc_soak" => rpc_soak(caller).await,
        "channel_soak" => channel_soak(caller).await,
        _ => bail!("no such case"),
    }
}

async fn empty_unary(caller: &Caller<'_>) -> anyhow::Result<()> {
    caller.stub().empty_call(caller.request(Empty {})).await?;
    Ok(())
}

async fn large_unary(
    caller: &Caller<'_>,
    mut stub: TestServiceClient<Channel>,
) -> anyhow::Result<()> {
    let reply = stub.unary_call(caller.request(large_request())).await?.into_inner();
    expect("the size of the answer", len(reply.payload), LARGE_RESPONSE as usize)
}

async fn client_streaming(caller: &Caller<'_>) -> anyhow::Result<()> {
    let part = |size| StreamingInputCallRequest { payload: zeros(size) };
    let parts = tokio_stream::iter(REQUESTS.map(part));
    let reply = caller.stub().streaming_input_call(caller.request(parts)).await?.into_inner();
    expect("the sum", reply.aggregated_payload_size as usize, REQUESTS.iter().sum())
}

async fn server_streaming(caller: &Caller<'_>) -> anyhow::Result<()> {
    let request = caller.request(output_request(0, &RESPONSES));
    let mut replies = caller.stub().streaming_output_call(request).await?.into_inner();
    for size in RESPONSES {
        let reply = replies.message().await?;
        expect("the size of an answer", reply.map(|r| len(r.payload)), Some(size as usize))?;
    }
    expect("what comes after the last answer", replies.message().await?, None)
}

async fn ping_pong(caller: &Caller<'_>) -> anyhow::Result<()> {
    let mut duplex = Duplex::open(caller.request(()), caller.stub());
    for (request, response) in zip(REQUESTS, RESPONSES) {
        duplex.exchange(request, response).await?;
    }
    duplex.end().await.map(drop)
}

async fn empty_stream(caller: &Caller<'_>) -> anyhow::Result<()> {
    Duplex::open(caller.request(()), caller.stub()).end().await.map(drop)
}

async fn timeout_on_sleeping_server(caller: &Caller<'_>) -> anyhow::Result<()> {
    let mut request = caller.request(());
    request.set_timeout(Duration::from_millis(1));
    let mut duplex = Duplex::open(request, caller.stub());
    duplex.send(output_request(REQUESTS[0], &[])).await?;
    let ended = timeout(TIMEOUT_LIMIT, duplex.read()).await;
    let ended = ended.with_context(|| format!("not ended within {TIMEOUT_LIMIT:?}"))?;
    expect_status(ended, Code::DeadlineExceeded, None)
}

/// To drop a call is to cancel it; what can be seen of it is that the connection is still good.
async fn cancel_after_begin(caller: &Caller<'_>) -> anyhow::Result<()> {
    let (mut stub, request) = (caller.stub(), caller.request(pending()));
    let call = async move { stub.streaming_input_call(request).await.map(drop) };
    let ended = timeout(Duration::from_millis(1), call).await;
    ensure!(ended.is_err(), "it ended by itself: {ended:?}");
    empty_unary(caller).await
}

async fn cancel_after_first_response(caller: &Caller<'_>) -> anyhow::Result<()> {
    let mut duplex = Duplex::open(caller.request(()), caller.stub());
    duplex.exchange(REQUESTS[0], RESPONSES[0]).await?;
    drop(duplex);
    empty_unary(caller).await
}

async fn status_code_and_message(caller: &Caller<'_>) -> anyhow::Result<()> {
    let message = "test status message";
    unary_status(caller, message).await?;
    let duplex = Duplex::open(caller.request(()), caller.stub());
    let response_status = unknown(message);
    duplex.send(StreamingOutputCallRequest { response_status, ..Default::default() }).await?;
    expect_status(duplex.end().await, Code::Unknown, Some(message))
}

/// Asks for UNKNOWN with this message.
async fn unary_status(caller: &Caller<'_>, message: &str) -> anyhow::Result<()> {
    let request = SimpleRequest { response_status: unknown(message), ..Default::default() };
    let reply = caller.stub().unary_call(caller.request(request)).await;
    expect_status(reply.map_err(Into::into), Code::Unknown, Some(message))
}

async fn custom_metadata(caller: &Caller<'_>) -> anyhow::Result<()> {
    // tonic puts the trailers of a unary call among its headers.
    let reply = caller.stub().unary_call(echoed(caller.request(large_request()))?).await?;
    check_echo(reply.metadata(), reply.metadata())?;
    let mut duplex = Duplex::open(echoed(caller.request(()))?, caller.stub());
    duplex.exchange(LARGE_REQUEST, LARGE_RESPONSE).await?;
    let (header, trailer) = duplex.end().await?;
    check_echo(&header, &trailer)
}

/// Adds what the server sends back.
fn echoed<T>(mut request: Request<T>) -> anyhow::Result<Request<T>> {
    request.metadata_mut().insert(INITIAL, "test_initial_metadata_value".parse()?);
    request.metadata_mut().insert_bin(TRAILING, MetadataValue::from_bytes(&[0xab; 3]));
    Ok(request)
}

fn check_echo(header: &MetadataMap, trailer: &MetadataMap) -> anyhow::Result<()> {
    let text = header.get(INITIAL).map(|value| value.as_bytes());
    expect("the header", text, Some(b"test_initial_metadata_value".as_slice()))?;
    let bytes = trailer.get_bin(TRAILING).map(|value| value.to_bytes()).transpose()?;
    expect("the trailer", bytes.as_deref(), Some([0xab; 3].as_slice()))
}

async fn unimplemented_method(caller: &Caller<'_>) -> anyhow::Result<()> {
    let reply = caller.stub().unimplemented_call(caller.request(Empty {})).await;
    expect_status(reply.map_err(Into::into), Code::Unimplemented, None)
}

async fn unimplemented_service(caller: &Caller<'_>) -> anyhow::Result<()> {
    let mut stub = UnimplementedServiceClient::new(caller.channel.clone());
    let reply = stub.unimplemented_call(caller.request(Empty {})).await;
    expect_status(reply.map_err(Into::into), Code::Unimplemented, None)
}

async fn large_beside_stalled_stream(caller: &Caller<'_>) -> anyhow::Result<()> {
    let wanted = caller.request(output_request(0, &[MIB as i32; STALLED]));
    let mut stalled = caller.stub().streaming_output_call(wanted).await?.into_inner();
    for _ in 0..BESIDE {
        let payload = zeros(MIB);
        let request = SimpleRequest { response_size: MIB as i32, payload, response_status: None };
        let reply = caller.stub().unary_call(caller.request(request)).await?.into_inner();
        expect("the size of the answer", len(reply.payload), MIB)?;
    }
    let mut sum = 0;
    while let Some(reply) = stalled.message().await? {
        sum += len(reply.payload);
    }
    expect("what was left to read", sum, STALLED * MIB)
}

async fn cut_at_drain(caller: &Caller<'_>) -> anyhow::Result<()> {
    let mut duplex = Duplex::open(caller.request(()), caller.stub());
    duplex.exchange(REQUESTS[0], RESPONSES[0]).await?;
    say("BEGUN");
    expect_status(duplex.read().await, Code::Unavailable, Some(CUT_OFF))
}

async fn rpc_soak(caller: &Caller<'_>) -> anyhow::Result<()> {
    for _ in 0..caller.soak() {
        large_unary(caller, caller.stub()).await?;
    }
    Ok(())
}

async fn channel_soak(caller: &Caller<'_>) -> anyhow::Result<()> {
    for _ in 0..caller.soak() {
        large_unary(caller, caller.new_stub().await?).await?;
    }
    Ok(())
}

fn large_request() -> SimpleRequest {
    let payload = zeros(LARGE_REQUEST);
    SimpleRequest { response_size: LARGE_RESPONSE, payload, response_status: None }
}

fn unknown(message: &str) -> Option<EchoStatus> {
    Some(EchoStatus { code: Code::Unknown.into(), message: message.to_owned() })
}

/// A payload.
pub(crate) fn zeros(size: usize) -> Option<Payload> {
    Some(Payload { body: vec![0; size] })
}

/// The size of a payload.
pub(crate) fn len(payload: Option<Payload>) -> usize {
    payload.map_or(0, |payload| payload.body.len())
}

/// Fails unless the two are the same.
pub(crate) fn expect<T: std::fmt::Debug + PartialEq>(
    what: &str,
    got: T,
    want: T,
) -> anyhow::Result<()> {
    ensure!(got == want, "{what} is {got:?}, not {want:?}");
    Ok(())
}

/// Fails unless a call ended with this status.
fn expect_status<T>(
    call: anyhow::Result<T>,
    code: Code,
    message: Option<&str>,
) -> anyhow::Result<()> {
    let Err(error) = call else { bail!("it ends with OK, not {code:?}") };
    let status: Status = error.downcast()?;
    expect("the status", status.code(), code)?;
    message.map_or(Ok(()), |message| expect("the message", status.message(), message))
}
