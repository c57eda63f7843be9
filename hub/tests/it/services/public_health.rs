//! Health of a hub with an auth file: for whom it is, and what it tells of names that nobody has registered yet.

use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_client::HealthClient;
use hub_proto::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::support::auth_file::{AuthFile, Entry, agent, caller, guarded_hub, public};
use crate::support::grpc::with_token;
use crate::support::hub::Hub;
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::within;

const OPS: Entry = caller("ops", "*");
const GUEST: Entry = caller("guest", "guest-*");
const SEEN: Entry = public("seen", "seen-*");
const HIDDEN: Entry = agent("hidden", "hidden-*");

/// An agent that is shown.
pub(super) async fn registered(hub: &Hub, token: &str, name: &str) -> RawAgent {
    let headers = [("hub-name", name), ("hub-instance", "i"), ("hub-token", token)];
    let mut agent = RawAgent::connect(hub, &headers).await.expect("registered");
    agent.settings().await;
    hub.until(name, ServingStatus::Serving, Some("ops")).await;
    agent
}

type Told = Result<ServingStatus, (Code, String)>;

async fn check(hub: &Hub, name: &str, token: Option<&str>) -> Told {
    let mut health = HealthClient::new(hub.channel().await);
    let request = with_token(HealthCheckRequest { service: name.into() }, token);
    let checked = within("a check", health.check(request)).await;
    let told = checked.map(|response| response.into_inner().status());
    told.map_err(|status| (status.code(), status.message().replace(name, "…")))
}

async fn watch(
    health: &mut HealthClient<Channel>,
    name: &str,
    token: Option<&str>,
) -> Streaming<HealthCheckResponse> {
    let request = with_token(HealthCheckRequest { service: name.into() }, token);
    within("a watch", health.watch(request)).await.expect("a watch").into_inner()
}

async fn next(watched: &mut Streaming<HealthCheckResponse>) -> Result<ServingStatus, Code> {
    let told = within("a status", watched.message()).await.map_err(|status| status.code())?;
    Ok(told.expect("a watch without an end").status())
}

#[tokio::test]
async fn a_public_name_needs_no_token_and_tells_whether_it_serves() {
    use ServingStatus::{NotServing, Serving};
    let hub = guarded_hub(&[SEEN, HIDDEN, OPS, GUEST]).await;
    let _seen = registered(&hub, "seen", "seen-1").await;
    let _hidden = registered(&hub, "hidden", "hidden-1").await;
    for token in [None, Some("wrong"), Some("guest"), Some("seen")] {
        assert_eq!(check(&hub, "seen-1", token).await, Ok(Serving), "{token:?}");
        assert_eq!(check(&hub, "seen-2", token).await, Ok(NotServing), "{token:?}");
        // One that is hidden is as one that is not.
        let hidden = check(&hub, "hidden-1", token).await.expect_err("a refusal");
        let code =
            if token == Some("guest") { Code::PermissionDenied } else { Code::Unauthenticated };
        assert_eq!(hidden.0, code, "{token:?}");
        assert_eq!(check(&hub, "hidden-2", token).await, Err(hidden), "{token:?}");
    }
    assert_eq!(check(&hub, "seen-1", Some("ops")).await, Ok(Serving));
    let unknown = check(&hub, "seen-2", Some("ops")).await.expect_err("a refusal");
    assert_eq!(unknown.0, Code::NotFound);
    // Its calls are for callers, and for nobody else.
    let client = hub.client().await;
    for path in ["/a.B/C", "/grpc.health.v1.Health/Check"] {
        let call = client.call(grpc("seen-1", path), b"").await.expect("an answer");
        assert_eq!(call.hub_reason(), Some("unauthenticated"), "{path}");
    }
}

#[tokio::test]
async fn a_watch_without_a_token_goes_on_for_as_long_as_its_name_is_public() {
    use ServingStatus::{NotServing, Serving};
    let stays = public("stays", "stays-*");
    let file = AuthFile::new(&[SEEN, stays, OPS]);
    let hub = Hub::start_with(file.config()).await;
    let mut health = HealthClient::new(hub.channel().await);
    let mut ends = watch(&mut health, "seen-1", None).await;
    let mut goes_on = watch(&mut health, "stays-1", None).await;
    assert_eq!(next(&mut ends).await, Ok(NotServing));
    assert_eq!(next(&mut goes_on).await, Ok(NotServing));
    let agent = registered(&hub, "seen", "seen-1").await;
    assert_eq!(next(&mut ends).await, Ok(Serving));
    drop(agent);
    assert_eq!(next(&mut ends).await, Ok(NotServing));

    file.write(&[agent_of("seen"), stays, OPS]);
    assert_eq!(hub.reload().await.0, 200);
    assert_eq!(next(&mut ends).await, Err(Code::Unavailable));
    assert_eq!(
        check(&hub, "seen-1", None).await.map_err(|told| told.0),
        Err(Code::Unauthenticated)
    );
    let _agent = registered(&hub, "stays", "stays-1").await;
    assert_eq!(next(&mut goes_on).await, Ok(Serving));
}

/// The same names without public health.
fn agent_of(token: &'static str) -> Entry {
    agent(token, "seen-*")
}

/// After a restart nobody has registered anything: what is spelled out is missing, and what is not is unknown.
#[tokio::test]
async fn a_name_that_the_auth_file_spells_out_is_offline_before_it_first_comes() {
    use ServingStatus::{NotServing, ServiceUnknown, Serving};
    let other = agent("other", "other-*");
    let file = AuthFile::new(&[agent("berlin", "berlin-1"), other, OPS]);
    let hub = Hub::start_with(file.config()).await;
    let ops = Some("ops");
    assert_eq!(check(&hub, "berlin-1", ops).await, Ok(NotServing));
    let unknown = check(&hub, "other-1", ops).await.expect_err("a refusal");
    assert_eq!(unknown.0, Code::NotFound);
    let client = hub.client().await;
    for (name, reason) in [("berlin-1", "offline"), ("other-1", "unknown-name")] {
        let mut request = grpc(name, "/a.B/C");
        request.headers_mut().insert("hub-token", "ops".parse().unwrap());
        let call = client.call(request, b"").await.expect("an answer");
        assert_eq!(call.hub_reason(), Some(reason));
    }
    let mut health = HealthClient::new(hub.channel().await);
    let mut watched = watch(&mut health, "berlin-1", ops).await;
    assert_eq!(next(&mut watched).await, Ok(NotServing));
    file.write(&[agent("berlin", "berlin-*"), other, OPS]);
    assert_eq!(hub.reload().await.0, 200);
    assert_eq!(next(&mut watched).await, Ok(ServiceUnknown));
    let _agent = registered(&hub, "berlin", "berlin-1").await;
    assert_eq!(next(&mut watched).await, Ok(Serving));
}
