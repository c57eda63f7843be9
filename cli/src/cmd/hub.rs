//! `client hub …`: who is registered, and what happens.

use std::time::SystemTime;

use hub_proto::hub::v1::{
    ActivityEvent, Call, Client, ListClientsResponse, ListNodesResponse, Node, ReachedLimit,
};
use prost_reflect::{DynamicMessage, Value};

use crate::Error;
use crate::args::{Activity, HubCommand, Options, Request};
use crate::call::{call, call_on};
use crate::caller::Caller;
use crate::metadata::Target;
use crate::output::{self, OutputError, printable};
use crate::schema;
use crate::table::{ago, duration, fine, moment, table};

/// Asks the hub, and prints a table or a line an event.
pub(super) async fn run(options: Options, command: HubCommand) -> Result<(), Error> {
    match command {
        HubCommand::ListClients(request) => list_clients(options, request).await,
        HubCommand::Names(request) => super::names::run(options, request).await,
        HubCommand::Nodes(request) => list_nodes(options, request).await,
        HubCommand::Activity(request) => activity(options, request).await,
    }
}

async fn activity(options: Options, request: Activity) -> Result<(), Error> {
    let format = options.output;
    let (source, headers) = request.into_parts();
    let caller = Caller::connect(options, headers, &Target::Hub).await?;
    let method = schema::built_in_method("hub.v1.Activity/Connect")?;
    let show = |message: &_| output::message(format, message, event);
    call(&caller, &method, source, show).await
}

async fn list_nodes(options: Options, request: Request) -> Result<(), Error> {
    let format = options.output;
    let (source, headers) = request.into_parts();
    let caller = Caller::connect(options, headers, &Target::Hub).await?;
    let method = schema::built_in_method("hub.v1.Hub/ListNodes")?;
    call(&caller, &method, source, |message: &_| output::message(format, message, nodes)).await
}

fn nodes(message: &DynamicMessage) -> Result<String, OutputError> {
    const HEADER: [&str; 6] = ["NODE", "REMOTE", "CONNECTIONS", "NAMES", "SINCE", "RTT"];
    let list: ListNodesResponse = message.transcode_to()?;
    let now = SystemTime::now();
    let row = |node: Node| {
        // The one that is asked has no connection with itself.
        let is_itself = node.connections == 0;
        let state = if node.suspect { " (silent)" } else { "" };
        [
            node.id,
            if is_itself { "this hub".to_owned() } else { node.remote_address },
            if is_itself { String::new() } else { format!("{}{state}", node.connections) },
            node.names.to_string(),
            ago(node.connected_since, now),
            duration(node.rtt, fine),
        ]
    };
    Ok(table(HEADER, list.nodes.into_iter().map(row).collect()))
}

/// All pages as one list.
async fn list_clients(options: Options, request: Request) -> Result<(), Error> {
    let format = options.output;
    let (source, headers) = request.into_parts();
    let caller = Caller::connect(options, headers, &Target::Hub).await?;
    let method = schema::built_in_method("hub.v1.Hub/ListClients")?;
    let mut list = ListClientsResponse::default();
    let turn_page = |request: &mut DynamicMessage, response: &DynamicMessage| {
        let page: ListClientsResponse = response.transcode_to()?;
        list.clients.extend(page.clients);
        let is_last = page.next_page_token.is_empty();
        request.set_field_by_name("page_token", Value::String(page.next_page_token));
        Ok(!is_last)
    };
    call_on(&caller, &method, source, turn_page).await?;
    let mut all = DynamicMessage::new(method.output());
    all.transcode_from(&list).map_err(OutputError::from)?;
    Ok(output::message(format, &all, clients)?)
}

fn clients(message: &DynamicMessage) -> Result<String, OutputError> {
    const HEADER: [&str; 10] = [
        "NAME",
        "INSTANCE",
        "SESSIONS",
        "REMOTE",
        "LABELS",
        "VERSION",
        "CONNECTED",
        "CALLS",
        "LANES",
        "RTT",
    ];
    let list: ListClientsResponse = message.transcode_to()?;
    let now = SystemTime::now();
    let rows = list.clients.into_iter().map(|client| row(client, now)).collect();
    Ok(table(HEADER, rows))
}

fn row(client: Client, now: SystemTime) -> [String; 10] {
    let state = state(&client);
    let mut labels: Vec<String> =
        client.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort_unstable();
    [
        client.name,
        client.instance,
        format!("{}{state}", client.sessions),
        client.remote_address,
        labels.join(","),
        client.agent_version,
        ago(client.connected_since, now),
        client.calls_in_flight.to_string(),
        client.lanes.to_string(),
        duration(client.rtt, fine),
    ]
}

/// What is to be said of its sessions, if anything is.
fn state(client: &Client) -> String {
    match client {
        Client { draining: true, .. } => " (draining)".to_owned(),
        Client { upstream_unreachable: true, .. } => " (server unreachable)".to_owned(),
        Client { suspect_sessions: suspect @ 1.., .. } => format!(" ({suspect} silent)"),
        Client { standby: true, .. } => " (standing by)".to_owned(),
        _ => String::new(),
    }
}

fn event(message: &DynamicMessage) -> Result<String, OutputError> {
    let event: ActivityEvent = message.transcode_to()?;
    let what = event.r#type().as_str_name();
    let mut words = vec![moment(event.time), what.to_owned(), event.name, event.instance];
    if let Some(call) = &event.call {
        words.extend(call_words(call));
    }
    if let Some(lane) = &event.lane {
        words.extend([format!("{} open", lane.open), lane.error.clone()]);
    }
    words.extend(event.session.map(|session| session.id));
    if let Some(refusal) = event.refusal {
        words.extend([format!("({})", refusal.reason), refusal.address]);
    }
    if let Some(ReachedLimit { limit, address, untold }) = event.limit {
        let more = if untold > 0 { format!("and {untold} times more") } else { String::new() };
        words.extend([limit, address, more]);
    }
    words.retain(|word| !word.is_empty());
    let line = words.join(" ");
    let missed = match event.missed {
        0 => String::new(),
        missed => format!("({missed} events missed)\n"),
    };
    Ok(missed + &printable(&line))
}

fn call_words(call: &Call) -> [String; 7] {
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
        call.parked
            .map_or_else(String::new, |parked| format!("parked {}", duration(Some(parked), fine))),
        if call.replays > 0 { format!("sent again {}x", call.replays) } else { String::new() },
    ]
}
