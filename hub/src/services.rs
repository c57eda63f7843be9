//! The hub's own gRPC services: what answers a call without a `name`.

mod clients;
mod cursor;
mod events;
mod filter;
mod health;
pub(crate) mod hint;
mod names;
mod page_token;
pub(crate) mod peers;
mod shared;
mod told;
pub(crate) mod visit;

use std::sync::Arc;

use hub_proto::grpc::health::v1::health_server::HealthServer;
use hub_proto::hub::v1::activity_server::ActivityServer;
use hub_proto::hub::v1::hub_server::HubServer;
use hub_proto::hub::v1::names_server::NamesServer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::codec::CompressionEncoding::Gzip;
use tonic::metadata::MetadataValue;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Request, Status};
use tonic_reflection::pb::{v1, v1alpha};
use tunnel::limits::CLOSE_TIMEOUT;
use tunnel::wire::HUB_REASON;

use self::clients::Clients;
use self::events::{Audience, Events};
use self::health::Health;
use self::names::Names;
pub(crate) use self::names::State;
use crate::config::auth::Caller;
use crate::limits::OWN_REQUEST_MAX;
use crate::message::refusal::Refusal;
use crate::observe::activity::Activity;
use crate::registry::Registry;

const HUB: &str = HubServer::<Clients>::NAME;
const NAMES: &str = NamesServer::<Names>::NAME;
const ACTIVITY: &str = ActivityServer::<Events>::NAME;
const HEALTH: &str = HealthServer::<Health>::NAME;
const HEALTH_LIST: &str = "/grpc.health.v1.Health/List";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
const REFLECTION_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";

/// The services, ready to be called.
pub(crate) fn routes(
    node: &str,
    registry: &Arc<Registry>,
    activity: &Arc<Activity>,
    state: &State,
) -> Routes {
    let clients = Arc::new(Clients::new(registry.clone(), node));
    let names = Names::new(registry.clone(), clients.clone(), state.clone());
    let State { limits, stop, .. } = state;
    let mut routes = Routes::default();
    routes = routes
        .add_service(
            NamesServer::new(names)
                .accept_compressed(Gzip)
                .send_compressed(Gzip)
                .max_decoding_message_size(OWN_REQUEST_MAX),
        )
        .add_service(
            HubServer::from_arc(clients)
                .accept_compressed(Gzip)
                .max_decoding_message_size(OWN_REQUEST_MAX),
        )
        .add_service(
            ActivityServer::new(Events::new(
                activity.clone(),
                node,
                Audience::People,
                stop.clone(),
            ))
            .accept_compressed(Gzip)
            .max_decoding_message_size(OWN_REQUEST_MAX),
        )
        .add_service(
            HealthServer::new(Health::new(registry.clone(), limits.clone(), stop.clone()))
                .accept_compressed(Gzip)
                .max_decoding_message_size(OWN_REQUEST_MAX),
        );
    // Fails only if the descriptors are none; then the services are there without it.
    if let Ok(reflection) = reflection().build_v1() {
        let reflection = reflection.accept_compressed(Gzip);
        routes = routes.add_service(reflection.max_decoding_message_size(OWN_REQUEST_MAX));
    }
    if let Ok(reflection) = reflection().build_v1alpha() {
        let reflection = reflection.accept_compressed(Gzip);
        routes = routes.add_service(reflection.max_decoding_message_size(OWN_REQUEST_MAX));
    }
    routes.prepare()
}

/// Whether the path is one of theirs: `/service/Method`.
pub(crate) fn is_own(path: &str) -> bool {
    service(path).is_some_and(|service| {
        [HUB, NAMES, ACTIVITY, HEALTH, REFLECTION, REFLECTION_ALPHA].contains(&service)
    })
}

/// Whether the path is one of those that no agent's server has, too.
pub(crate) fn is_hubs_alone(path: &str) -> bool {
    service(path).is_some_and(|service| [HUB, NAMES, ACTIVITY].contains(&service))
}

/// Whether the path is a method of health, which is open to everybody for the hub itself.
pub(crate) fn is_health(path: &str) -> bool {
    service(path) == Some(HEALTH)
}

/// Whether the path is a method of health whose answers are short.
pub(crate) fn is_short(path: &str) -> bool {
    is_health(path) && path != HEALTH_LIST
}

fn service(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split_once('/').map(|(service, _)| service)
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(hub_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET)
        .with_service_name(HUB)
        .with_service_name(NAMES)
        .with_service_name(ACTIVITY)
        .with_service_name(HEALTH)
        .with_service_name(REFLECTION)
        .with_service_name(REFLECTION_ALPHA)
}

/// Who calls, as `call` found out.
fn caller<T>(request: &Request<T>) -> Result<&Caller, Status> {
    request.extensions().get().ok_or_else(|| refused(&Refusal::NoToken))
}

/// Waits for a turn, which lasts for as long as it is held.
async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
    let turn = turns.clone().acquire_owned().await;
    turn.map_err(|_| Status::internal("there are no turns any more"))
}

/// Does what takes longer than calls should wait for.
async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Status::internal("the list could not be made"))
}

fn refused(refusal: &Refusal) -> Status {
    for_reason(Status::new(refusal.code(), refusal.to_string()), refusal)
}

fn for_reason(mut status: Status, refusal: &Refusal) -> Status {
    status.metadata_mut().insert(HUB_REASON, MetadataValue::from_static(refusal.reason()));
    status
}

/// Ends a watcher's stream because the hub ends.
async fn going_away<T>(sender: &mpsc::Sender<Result<T, Status>>) {
    let status = Status::unavailable("the hub is going away");
    end(sender, for_reason(status, &Refusal::GoingAway)).await;
}

/// Ends a watcher's stream. One that does not read is not waited for.
async fn end<T>(sender: &mpsc::Sender<Result<T, Status>>, status: Status) {
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, sender.send(Err(status))).await;
}
