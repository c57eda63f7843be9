//! `client ping NAME`: is the server of that name up, and how far away?

use std::time::Duration;

use http::uri::PathAndQuery;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tunnel::wire;

use crate::Error;
use crate::args::{Format, Options, Ping};
use crate::call::only;
use crate::caller::Caller;
use crate::output::{self, OutputError};
use crate::status::with_hint;
use crate::table::fine;

/// Checks the health of the server as a whole, and prints each round trip.
///
/// The first failure ends it: its status is what the user wants to know.
pub(super) async fn run(options: Options, args: Ping) -> Result<(), Error> {
    let format = options.output;
    let name = args.name.to_string();
    let caller = Caller::connect(options, args.headers, &args.name).await?;
    for sequence in 1..=args.count {
        if sequence > 1 {
            sleep(args.interval).await;
        }
        let started = Instant::now();
        let status = check(&caller).await.map_err(|error| explain(error, &name))?;
        print(format, &name, sequence, status, started.elapsed())?;
        if status != ServingStatus::Serving {
            return Err(Status::unavailable(format!("{name} is {}", status.as_str_name())).into());
        }
    }
    Ok(())
}

async fn check(caller: &Caller) -> Result<ServingStatus, Error> {
    let deadline = Some(caller.deadline());
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let request = tokio_stream::once(HealthCheckRequest::default());
    let call = async { Ok(only(caller.open(path, codec, request, deadline).await?).await?) };
    let response = caller.within(deadline, call).await?;
    Ok(response.status())
}

/// Many servers answer a service that they do not have with a bare status. What the hub answers itself
/// says enough.
fn explain(error: Error, name: &str) -> Error {
    match error {
        Error::Status(status)
            if status.code() == Code::Unimplemented
                && !status.metadata().contains_key(wire::HUB_REASON) =>
        {
            let hint =
                format!("the server behind {name} has no health service (grpc.health.v1.Health)");
            with_hint(&status, &hint).into()
        }
        other => other,
    }
}

fn print(
    format: Format,
    name: &str,
    sequence: u32,
    status: ServingStatus,
    rtt: Duration,
) -> Result<(), OutputError> {
    let status = status.as_str_name();
    output::line(&match format {
        Format::Table => format!("{name}: {status} seq={sequence} time={}", fine(rtt)),
        Format::Json => {
            let rtt_ms = rtt.as_secs_f64() * 1e3;
            json!({ "name": name, "sequence": sequence, "status": status, "rttMs": rtt_ms })
                .to_string()
        }
    })
}
