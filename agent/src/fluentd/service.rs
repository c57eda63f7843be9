//! The gRPC service in front of the supervisor.

use hub_proto::fluentd::v1::{self as wire, fluentd_server::Fluentd};
use tonic::{Request, Response};

use super::{Cause, Exit, Grace, GraceError, State, Status, Supervisor, SupervisorError};

/// Answers `fluentd.v1.Fluentd` for one supervisor, or for none.
#[derive(Clone, Debug)]
pub struct FluentdService {
    supervisor: Option<Supervisor>,
}

impl FluentdService {
    /// Without a supervisor the status is stopped, and every other call fails and says which flag is
    /// missing.
    #[must_use]
    pub const fn new(supervisor: Option<Supervisor>) -> Self {
        Self { supervisor }
    }

    fn supervisor(&self) -> Result<&Supervisor, tonic::Status> {
        self.supervisor.as_ref().ok_or_else(|| {
            tonic::Status::failed_precondition(
                "this agent has no command to run: start it with --fluentd-command",
            )
        })
    }
}

#[tonic::async_trait]
impl Fluentd for FluentdService {
    async fn start(
        &self,
        _: Request<wire::StartRequest>,
    ) -> Result<Response<wire::StartResponse>, tonic::Status> {
        let status = Some(self.supervisor()?.start().await?.into());
        Ok(Response::new(wire::StartResponse { status }))
    }

    async fn stop(
        &self,
        request: Request<wire::StopRequest>,
    ) -> Result<Response<wire::StopResponse>, tonic::Status> {
        let grace = grace(request.into_inner().grace)?;
        let status = Some(self.supervisor()?.stop(grace).await?.into());
        Ok(Response::new(wire::StopResponse { status }))
    }

    async fn restart(
        &self,
        request: Request<wire::RestartRequest>,
    ) -> Result<Response<wire::RestartResponse>, tonic::Status> {
        let grace = grace(request.into_inner().grace)?;
        let status = Some(self.supervisor()?.restart(grace).await?.into());
        Ok(Response::new(wire::RestartResponse { status }))
    }

    async fn status(
        &self,
        _: Request<wire::StatusRequest>,
    ) -> Result<Response<wire::StatusResponse>, tonic::Status> {
        let supervisor = self.supervisor.as_ref();
        let status = supervisor.map_or_else(|| Status::stopped(""), Supervisor::status);
        let status = Some(status.into());
        Ok(Response::new(wire::StatusResponse { status }))
    }
}

fn grace(asked: Option<prost_types::Duration>) -> Result<Grace, GraceError> {
    asked.map_or(Ok(Grace::DEFAULT), Grace::try_from)
}

impl From<GraceError> for tonic::Status {
    fn from(error: GraceError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

impl From<SupervisorError> for tonic::Status {
    fn from(error: SupervisorError) -> Self {
        let code = match error {
            SupervisorError::Spawn { .. } => tonic::Code::FailedPrecondition,
            SupervisorError::Superseded => tonic::Code::Aborted,
            SupervisorError::Stuck { .. } => tonic::Code::Internal,
            SupervisorError::Busy => tonic::Code::ResourceExhausted,
            SupervisorError::Closed => tonic::Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Status> for wire::ProcessStatus {
    fn from(status: Status) -> Self {
        let uptime = status.uptime();
        let (state, pid) = match status.state {
            State::Stopped => (wire::process_status::State::Stopped, 0),
            State::Running { pid } => (wire::process_status::State::Running, pid),
            State::Stopping { pid } => (wire::process_status::State::Stopping, pid),
        };
        Self {
            state: state.into(),
            pid,
            started_at: status.started.map(|started| started.at.into()),
            uptime: uptime.and_then(|uptime| uptime.try_into().ok()),
            last_exit: status.last_exit.map(Into::into),
            command: status.command,
            starts: status.starts,
        }
    }
}

impl From<Exit> for wire::Exit {
    fn from(exit: Exit) -> Self {
        Self {
            time: Some(exit.at.into()),
            requested: exit.requested,
            cause: exit.cause.map(|cause| match cause {
                Cause::Code(code) => wire::exit::Cause::Code(code),
                Cause::Signal(signal) => wire::exit::Cause::Signal(signal),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use tokio::time::Instant;
    use tonic::Code;

    use super::super::Started;
    use super::wire::process_status;
    use super::*;

    fn service(command: &str) -> FluentdService {
        FluentdService::new(Some(Supervisor::new(command.parse().unwrap())))
    }

    fn empty<T: Default>() -> Request<T> {
        Request::new(T::default())
    }

    fn seconds(seconds: i64) -> Option<prost_types::Duration> {
        Some(prost_types::Duration { seconds, nanos: 0 })
    }

    #[tokio::test]
    async fn without_a_command_only_status_answers() {
        let service = FluentdService::new(None);
        let status = service.status(empty()).await.unwrap();
        let status = status.into_inner().status.unwrap();
        assert_eq!(status.state(), process_status::State::Stopped);
        assert_eq!(status.command, "");

        let start = service.start(empty()).await.unwrap_err();
        let stop = service.stop(empty()).await.unwrap_err();
        let restart = service.restart(empty()).await.unwrap_err();
        for refused in [start, stop, restart] {
            assert_eq!(refused.code(), Code::FailedPrecondition);
            assert!(refused.message().contains("--fluentd-command"));
        }
    }

    #[tokio::test]
    async fn a_call_answers_the_status() {
        let service = service("sleep 1000");
        let started = service.start(empty()).await.unwrap();
        let started = started.into_inner().status.unwrap();
        assert_eq!(started.state(), process_status::State::Running);
        assert_ne!(started.pid, 0);
        assert_eq!(started.command, "sleep 1000");

        let restarted = service.restart(empty()).await.unwrap();
        assert_eq!(restarted.into_inner().status.unwrap().starts, 2);

        let grace = seconds(300);
        let stopped = service.stop(Request::new(wire::StopRequest { grace })).await;
        let stopped = stopped.unwrap().into_inner().status.unwrap();
        assert_eq!(stopped.state(), process_status::State::Stopped);
        assert_eq!((stopped.pid, stopped.uptime), (0, None));
        let exit = stopped.last_exit.unwrap();
        assert_eq!(exit.cause, Some(wire::exit::Cause::Signal(15)));
        assert!(exit.requested);
    }

    #[tokio::test]
    async fn a_bad_grace_is_refused_and_stops_nothing() {
        let service = service("sleep 1000");
        service.start(empty()).await.unwrap();
        for grace in [seconds(-1), seconds(301)] {
            let stop = service.stop(Request::new(wire::StopRequest { grace })).await;
            let restart = service.restart(Request::new(wire::RestartRequest { grace })).await;
            assert_eq!(stop.unwrap_err().code(), Code::InvalidArgument);
            assert_eq!(restart.unwrap_err().code(), Code::InvalidArgument);
        }
        let status = service.status(empty()).await.unwrap();
        let status = status.into_inner().status.unwrap();
        assert_eq!(status.state(), process_status::State::Running);
        assert_eq!(status.starts, 1);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_a_failed_precondition() {
        let refused = service("/nowhere/fluentd").start(empty()).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("/nowhere/fluentd"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_keeps_all_it_says() {
        let at = SystemTime::UNIX_EPOCH + Duration::new(1_000, 5);
        let exit = Exit { cause: Some(Cause::Code(3)), at, requested: false };
        let status = Status {
            state: State::Stopping { pid: 7 },
            command: "fluentd".into(),
            starts: 2,
            started: Some(Started { at, since: Instant::now() }),
            last_exit: Some(exit),
        };
        tokio::time::advance(Duration::from_millis(1_500)).await;
        let time = Some(prost_types::Timestamp { seconds: 1_000, nanos: 5 });
        let expected = wire::ProcessStatus {
            state: process_status::State::Stopping.into(),
            pid: 7,
            started_at: time,
            uptime: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
            last_exit: Some(wire::Exit {
                cause: Some(wire::exit::Cause::Code(3)),
                time,
                requested: false,
            }),
            command: "fluentd".into(),
            starts: 2,
        };
        assert_eq!(wire::ProcessStatus::from(status), expected);
    }
}
