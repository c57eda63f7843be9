//! `grpc.health.v1.Health`: of the hub itself, and of each name as a service.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as HealthService;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tunnel::name::Name;

use crate::auth::Caller;
use crate::registry::{Presence, Registry};
use crate::stop::Stop;

/// Answers from the registry.
#[derive(Clone, Debug)]
pub(super) struct Health {
    registry: Arc<Registry>,
    stop: Stop,
}

/// What is asked about.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    Hub,
    Name(Name),
    /// Something that can never be registered.
    Nobody,
}

impl Health {
    pub(super) fn new(registry: Arc<Registry>, stop: Stop) -> Self {
        Self { registry, stop }
    }

    fn status(&self, subject: &Subject) -> ServingStatus {
        match subject {
            Subject::Hub if self.stop.is_draining() => ServingStatus::NotServing,
            Subject::Hub => ServingStatus::Serving,
            Subject::Nobody => ServingStatus::ServiceUnknown,
            Subject::Name(name) => match self.registry.presence(name) {
                Presence::Online => ServingStatus::Serving,
                Presence::Offline => ServingStatus::NotServing,
                Presence::Unknown => ServingStatus::ServiceUnknown,
            },
        }
    }

    /// Tells the status now and at each change.
    async fn report(
        self,
        subject: Subject,
        sender: mpsc::Sender<Result<HealthCheckResponse, Status>>,
    ) {
        let mut changed = self.registry.watch();
        let mut told = None;
        loop {
            changed.mark_unchanged();
            let status = self.status(&subject);
            if told.replace(status) != Some(status)
                && sender.send(Ok(response(status))).await.is_err()
            {
                return;
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

#[tonic::async_trait]
impl HealthService for Health {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let subject = subject(&request)?;
        match self.status(&subject) {
            ServingStatus::ServiceUnknown => {
                Err(Status::not_found("nobody has registered this name"))
            }
            status => Ok(Response::new(response(status))),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let subject = subject(&request)?;
        let (sender, receiver) = mpsc::channel(1);
        let health = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = health.clone().report(subject, sender.clone()) => {}
                () = health.stop.draining() => super::going_away(&sender).await,
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// The hub itself, as the empty service, is for everybody; names are for who may call them.
fn subject(request: &Request<HealthCheckRequest>) -> Result<Subject, Status> {
    let service = &request.get_ref().service;
    if service.is_empty() {
        return Ok(Subject::Hub);
    }
    let caller: &Caller = super::caller(request)?;
    Ok(match service.parse() {
        // To who may not call it, a name looks the same whether it is registered or not.
        Ok(name) if !caller.may_call(&name) => {
            return Err(Status::permission_denied("your token is not good for this name"));
        }
        Ok(name) => Subject::Name(name),
        Err(_) => Subject::Nobody,
    })
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
