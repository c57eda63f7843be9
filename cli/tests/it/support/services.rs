//! hub.v1, fluentd.v1 and health, with answers that tests know.

use hub_proto::fluentd::v1::exit::Cause;
use hub_proto::fluentd::v1::fluentd_server::Fluentd;
use hub_proto::fluentd::v1::process_status::State;
use hub_proto::fluentd::v1::{
    Exit, ProcessStatus, RestartRequest, RestartResponse, StartRequest, StartResponse,
    StatusRequest, StatusResponse, StopRequest, StopResponse,
};
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_server::Health;
use hub_proto::grpc::health::v1::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use hub_proto::hub::v1::activity_server::Activity;
use hub_proto::hub::v1::hub_server::Hub;
use hub_proto::hub::v1::names_server::Names;
use hub_proto::hub::v1::{
    ActivityEvent, Client, ConnectRequest, GetHubRequest, GetHubResponse, GetNameRequest,
    GetNameResponse, ListClientsRequest, ListClientsResponse, ListNamesRequest, ListNamesResponse,
    ListNodesRequest, ListNodesResponse, Name, NameState, Node,
};
use prost_types::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// A hub with two agents, on a page each where it is asked for them one by one.
pub(crate) struct TwoAgents;

#[tonic::async_trait]
impl Hub for TwoAgents {
    async fn list_clients(
        &self,
        request: Request<ListClientsRequest>,
    ) -> Result<Response<ListClientsResponse>, Status> {
        let first = Client {
            name: "alpha".into(),
            instance: "i1".into(),
            sessions: 2,
            remote_address: "192.0.2.7:4711".into(),
            labels: [("zone".into(), "b".into()), ("env".into(), "prod".into())].into(),
            agent_version: "0.1.0".into(),
            calls_in_flight: 3,
            lanes: 5,
            rtt: Some(Duration { seconds: 0, nanos: 12_340_000 }),
            ..Default::default()
        };
        let second = Client { name: "testserver".into(), draining: true, ..Default::default() };
        let ListClientsRequest { page_size, page_token } = request.into_inner();
        let (clients, next_page_token) = match (page_size, page_token.as_str()) {
            (0, "") => (vec![first, second], ""),
            (1, "") => (vec![first], "empty"),
            (1, "empty") => (vec![], "second"),
            (1, "second") => (vec![second], ""),
            _ => return Err(Status::invalid_argument("no such page")),
        };
        let next_page_token = next_page_token.to_owned();
        Ok(Response::new(ListClientsResponse { clients, next_page_token }))
    }

    async fn list_nodes(
        &self,
        _: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        let itself = Node { id: "00000000000000aa".into(), names: 2, ..Node::default() };
        let other = Node {
            id: "00000000000000bb".into(),
            remote_address: "192.0.2.1:8082".into(),
            connections: 2,
            names: 3,
            suspect: true,
            ..Node::default()
        };
        Ok(Response::new(ListNodesResponse { nodes: vec![itself, other] }))
    }
}

/// Activity whose events come from the test, to its first watcher.
pub(crate) struct Events {
    events: Mutex<Option<mpsc::Receiver<Result<ActivityEvent, Status>>>>,
    asked: mpsc::UnboundedSender<ConnectRequest>,
}

/// An activity service, and where its events come from.
pub(crate) fn events() -> (Events, mpsc::Sender<Result<ActivityEvent, Status>>) {
    let (service, sender, _) = asked_events();
    (service, sender)
}

/// The same, and what it is asked for.
pub(crate) fn asked_events()
-> (Events, mpsc::Sender<Result<ActivityEvent, Status>>, mpsc::UnboundedReceiver<ConnectRequest>) {
    let (sender, receiver) = mpsc::channel(16);
    let (asked, told) = mpsc::unbounded_channel();
    (Events { events: Mutex::new(Some(receiver)), asked }, sender, told)
}

#[tonic::async_trait]
impl Activity for Events {
    type ConnectStream = ReceiverStream<Result<ActivityEvent, Status>>;

    async fn connect(
        &self,
        request: Request<ConnectRequest>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        // Most tests do not look.
        let _ = self.asked.send(request.into_inner());
        let receiver = self.events.lock().await.take();
        let receiver = receiver.ok_or_else(|| Status::resource_exhausted("one watcher"))?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// A fluentd whose command tells what the call was: the name it was for, and the grace.
pub(crate) struct Told;

fn told<T>(request: &Request<T>, state: State, grace: Option<Duration>) -> Option<ProcessStatus> {
    let name = request.metadata().get("name").map_or("nobody", |name| name.to_str().unwrap());
    let grace = grace.map(|grace| format!(" grace={}", grace.seconds)).unwrap_or_default();
    Some(ProcessStatus {
        state: state.into(),
        pid: if state == State::Running { 4242 } else { 0 },
        uptime: (state == State::Running).then_some(Duration { seconds: 310, nanos: 0 }),
        last_exit: (state == State::Stopped).then_some(Exit {
            cause: Some(Cause::Signal(9)),
            requested: true,
            ..Default::default()
        }),
        command: format!("for {name}{grace}"),
        starts: 1,
        ..Default::default()
    })
}

#[tonic::async_trait]
impl Fluentd for Told {
    async fn start(
        &self,
        request: Request<StartRequest>,
    ) -> Result<Response<StartResponse>, Status> {
        let status = told(&request, State::Running, None);
        Ok(Response::new(StartResponse { status }))
    }

    async fn stop(&self, request: Request<StopRequest>) -> Result<Response<StopResponse>, Status> {
        let status = told(&request, State::Stopped, request.get_ref().grace);
        Ok(Response::new(StopResponse { status }))
    }

    async fn restart(
        &self,
        request: Request<RestartRequest>,
    ) -> Result<Response<RestartResponse>, Status> {
        let status = told(&request, State::Running, request.get_ref().grace);
        Ok(Response::new(RestartResponse { status }))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let status = told(&request, State::Running, None);
        Ok(Response::new(StatusResponse { status }))
    }
}

/// Tells of three names, two on a page at most.
pub(crate) struct ThreeNames;

#[tonic::async_trait]
impl Names for ThreeNames {
    async fn list_names(
        &self,
        request: Request<ListNamesRequest>,
    ) -> Result<Response<ListNamesResponse>, Status> {
        let ListNamesRequest { filter, offset, .. } = request.into_inner();
        let name = |name: &str, state: NameState| Name {
            name: name.to_owned(),
            state: state.into(),
            agents: 1,
            calls_in_flight: 2,
            calls_rate: 12.34,
            errors_rate: 0.25,
            p50: Some(Duration { seconds: 0, nanos: 1_500_000 }),
            ..Name::default()
        };
        let all = [
            name("gone", NameState::Offline),
            name("deaf", NameState::Unreachable),
            name("fine", NameState::Online),
        ];
        let fit: Vec<_> = all.into_iter().filter(|name| name.name.contains(&filter)).collect();
        let total = fit.len() as u32;
        let names = fit.into_iter().skip(offset as usize).take(2).collect();
        Ok(Response::new(ListNamesResponse { names, total, ..ListNamesResponse::default() }))
    }

    async fn get_name(
        &self,
        _: Request<GetNameRequest>,
    ) -> Result<Response<GetNameResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn get_hub(&self, _: Request<GetHubRequest>) -> Result<Response<GetHubResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}

/// A server whose health is always this.
pub(crate) struct Healthy(pub(crate) ServingStatus);

#[tonic::async_trait]
impl Health for Healthy {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: self.0.into() }))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}
