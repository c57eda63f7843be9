//! `grpc.health.v1.Health` of the built-in services: they serve for as long as the agent runs.

use std::iter::once;
use std::pin::Pin;

use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_server::Health as HealthService;
use hub_proto::grpc::health::v1::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use tokio_stream::{Stream, StreamExt as _, pending};
use tonic::{Request, Response, Status};

/// Answers for the agent as a whole, the empty service, and for these.
#[derive(Debug)]
pub(super) struct Health(pub(super) &'static [&'static str]);

impl Health {
    fn services(&self) -> impl Iterator<Item = &'static str> {
        once("").chain(self.0.iter().copied())
    }

    fn has(&self, service: &str) -> bool {
        self.services().any(|known| known == service)
    }
}

#[tonic::async_trait]
impl HealthService for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if self.has(&request.get_ref().service) {
            Ok(Response::new(response(ServingStatus::Serving)))
        } else {
            Err(Status::not_found("there is no such service"))
        }
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        let serving = response(ServingStatus::Serving);
        let statuses = self.services().map(|service| (service.to_owned(), serving)).collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    /// Tells it once: it does not change.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = self.has(&request.get_ref().service);
        let status = if is_known { ServingStatus::Serving } else { ServingStatus::ServiceUnknown };
        let told = tokio_stream::once(Ok(response(status)));
        Ok(Response::new(Box::pin(told.chain(pending()))))
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};
    use tonic::Code;

    use super::*;

    const HEALTH: Health = Health(&["a.B"]);

    fn about(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.into() })
    }

    #[tokio::test]
    async fn the_whole_and_each_service_serve() {
        for service in ["", "a.B"] {
            let checked = HEALTH.check(about(service)).await.expect("an answer");
            assert_eq!(checked.get_ref().status(), ServingStatus::Serving, "{service}");
        }
        let unknown = HEALTH.check(about("a.C")).await.expect_err("a refusal");
        assert_eq!(unknown.code(), Code::NotFound);
        let listed = HEALTH.list(Request::new(HealthListRequest {})).await.expect("a list");
        let mut listed: Vec<_> = listed.into_inner().statuses.into_iter().collect();
        listed.sort_unstable_by(|one, next| one.0.cmp(&next.0));
        let serving = response(ServingStatus::Serving);
        assert_eq!(listed, [(String::new(), serving), ("a.B".to_owned(), serving)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_told_once_and_goes_on() {
        for (service, status) in
            [("a.B", ServingStatus::Serving), ("a.C", ServingStatus::ServiceUnknown)]
        {
            let watch = HEALTH.watch(about(service)).await.expect("a watch");
            let mut told = watch.into_inner();
            let first = told.next().await.expect("a status").expect("a status");
            assert_eq!(first.status(), status);
            assert!(timeout(Duration::from_secs(60), told.next()).await.is_err());
        }
    }
}
