//! `client hub …`: who is registered, and what happens.

use std::time::SystemTime;

use hub_proto::hub::v1::{ActivityEvent, Call, Client, ListClientsResponse};
use prost_reflect::DynamicMessage;

use crate::Error;
use crate::args::{HubCommand, Options};
use crate::call::call;
use crate::caller::Caller;
use crate::metadata::Target;
use crate::output::{self, OutputError, printable};
use crate::schema;
use crate::table::{ago, duration, fine, moment, table};

/// Asks the hub, and prints a table or a line an event.
pub(super) async fn run(options: Options, command: HubCommand) -> Result<(), Error> {
    type People = fn(&DynamicMessage) -> Result<String, OutputError>;
    let (path, people, request): (_, People, _) = match command {
        HubCommand::ListClients(request) => ("hub.v1.Hub/ListClients", clients, request),
        HubCommand::Activity(request) => ("hub.v1.Activity/Connect", event, request),
    };
    let format = options.output;
    let (source, headers) = request.into_parts();
    let caller = Caller::connect(options, headers, &Target::Hub).await?;
    let method = schema::built_in_method(path)?;
    let show = |message: &_| output::message(format, message, people);
    call(&caller, &method, source, show).await
}

fn clients(message: &DynamicMessage) -> Result<String, OutputError> {
    const HEADER: [&str; 9] = [
        "NAME",
        "INSTANCE",
        "SESSIONS",
        "REMOTE",
        "LABELS",
        "VERSION",
        "CONNECTED",
        "CALLS",
        "RTT",
    ];
    let list: ListClientsResponse = message.transcode_to()?;
    let now = SystemTime::now();
    let rows = list.clients.into_iter().map(|client| row(client, now)).collect();
    Ok(table(HEADER, rows))
}

fn row(client: Client, now: SystemTime) -> [String; 9] {
    let draining = if client.draining { " (draining)" } else { "" };
    let mut labels: Vec<String> =
        client.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort_unstable();
    [
        client.name,
        client.instance,
        format!("{}{draining}", client.sessions),
        client.remote_address,
        labels.join(","),
        client.agent_version,
        ago(client.connected_since, now),
        client.calls_in_flight.to_string(),
        duration(client.rtt, fine),
    ]
}

fn event(message: &DynamicMessage) -> Result<String, OutputError> {
    let event: ActivityEvent = message.transcode_to()?;
    let what = event.r#type().as_str_name();
    let mut words = vec![moment(event.time), what.to_owned(), event.name, event.instance];
    if let Some(call) = &event.call {
        words.extend(call_words(call));
    }
    words.retain(|word| !word.is_empty());
    let line = words.join(" ");
    let missed = match event.missed {
        0 => String::new(),
        missed => format!("({missed} events missed)\n"),
    };
    Ok(missed + &printable(&line))
}

fn call_words(call: &Call) -> [String; 5] {
    let reason = match call.hub_reason.as_str() {
        "" => String::new(),
        reason => format!("({reason})"),
    };
    [
        call.method.clone(),
        call.status.clone(),
        reason,
        duration(call.duration, fine),
        format!("{}B/{}B", call.request_bytes, call.response_bytes),
    ]
}
