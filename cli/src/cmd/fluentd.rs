//! `client fluentd …`: the process that an agent supervises.

use hub_proto::fluentd::v1::exit::Cause;
use hub_proto::fluentd::v1::{Exit, ProcessStatus, StatusResponse};
use prost_reflect::DynamicMessage;

use crate::Error;
use crate::args::{Fluentd, FluentdCommand, Options};
use crate::call::call;
use crate::caller::Caller;
use crate::output::{self, OutputError};
use crate::schema;
use crate::table::{coarse, duration, table};

/// Does what is asked for, and prints how the process is then.
pub(super) async fn run(options: Options, command: FluentdCommand) -> Result<(), Error> {
    let (path, Fluentd { name, request }) = match command {
        FluentdCommand::Start(args) => ("fluentd.v1.Fluentd/Start", args),
        FluentdCommand::Stop(args) => ("fluentd.v1.Fluentd/Stop", args),
        FluentdCommand::Restart(args) => ("fluentd.v1.Fluentd/Restart", args),
        FluentdCommand::Status(args) => ("fluentd.v1.Fluentd/Status", args),
    };
    let format = options.output;
    let (source, headers) = request.into_parts();
    let caller = Caller::connect(options, headers, &name).await?;
    let method = schema::built_in_method(path)?;
    let name = name.to_string();
    let show = |message: &_| output::message(format, message, |message| process(&name, message));
    call(&caller, &method, source, show).await
}

fn process(name: &str, message: &DynamicMessage) -> Result<String, OutputError> {
    const HEADER: [&str; 7] = ["NAME", "STATE", "PID", "UPTIME", "STARTS", "LAST EXIT", "COMMAND"];
    // The four responses are the same on the wire: a status in field 1.
    let response: StatusResponse = message.transcode_to()?;
    let status = response.status.unwrap_or_default();
    Ok(table(HEADER, vec![row(name, status)]))
}

fn row(name: &str, status: ProcessStatus) -> [String; 7] {
    let pid = match status.pid {
        0 => String::new(),
        pid => pid.to_string(),
    };
    [
        name.to_owned(),
        status.state().as_str_name().to_owned(),
        pid,
        duration(status.uptime, coarse),
        status.starts.to_string(),
        status.last_exit.as_ref().map(exit).unwrap_or_default(),
        status.command,
    ]
}

fn exit(exit: &Exit) -> String {
    let cause = match exit.cause {
        Some(Cause::Code(code)) => format!("code {code}"),
        Some(Cause::Signal(signal)) => format!("signal {signal}"),
        None => "unknown".to_owned(),
    };
    let requested = if exit.requested { " (requested)" } else { "" };
    cause + requested
}
