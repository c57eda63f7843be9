//! `client hub names`: what each name does, those in question first.

use std::time::SystemTime;

use hub_proto::hub::v1::{ListNamesResponse, Name, NameState};
use prost_reflect::{DynamicMessage, Value};

use crate::Error;
use crate::args::{Options, Request};
use crate::call::call_on;
use crate::caller::Caller;
use crate::metadata::Target;
use crate::output::{self, OutputError};
use crate::schema;
use crate::table::{ago, duration, fine, table};

/// Asks for the names, a page after the other; for one page alone, where the request says which.
pub(super) async fn run(options: Options, request: Request) -> Result<(), Error> {
    let format = options.output;
    let (source, headers) = request.into_parts();
    let caller = Caller::connect(options, headers, &Target::Hub).await?;
    let method = schema::built_in_method("hub.v1.Names/ListNames")?;
    let mut list = ListNamesResponse::default();
    let turn_page = |request: &mut DynamicMessage, response: &DynamicMessage| {
        let page: ListNamesResponse = response.transcode_to()?;
        let is_one = list.names.is_empty()
            && (number(request, "limit") > 0 || number(request, "offset") > 0);
        let is_empty = page.names.is_empty();
        let names = std::mem::take(&mut list.names);
        list = ListNamesResponse { names: [names, page.names].concat(), ..page };
        let shown = u32::try_from(list.names.len()).unwrap_or(u32::MAX);
        request.set_field_by_name("offset", Value::U32(shown));
        Ok(!is_one && !is_empty && shown < list.total)
    };
    call_on(&caller, &method, source, turn_page).await?;
    let mut all = DynamicMessage::new(method.output());
    all.transcode_from(&list).map_err(OutputError::from)?;
    Ok(output::message(format, &all, names)?)
}

fn number(request: &DynamicMessage, field: &str) -> u32 {
    request.get_field_by_name(field).and_then(|value| value.as_u32()).unwrap_or_default()
}

fn names(message: &DynamicMessage) -> Result<String, OutputError> {
    const HEADER: [&str; 10] =
        ["NAME", "STATE", "AGENTS", "RUNNING", "CALLS/S", "ERRORS/S", "P50", "P99", "RTT", "SINCE"];
    let list: ListNamesResponse = message.transcode_to()?;
    let now = SystemTime::now();
    Ok(table(HEADER, list.names.into_iter().map(|name| row(name, now)).collect()))
}

fn row(name: Name, now: SystemTime) -> [String; 10] {
    let state = state(name.state());
    [
        name.name,
        state.to_owned(),
        name.agents.to_string(),
        name.calls_in_flight.to_string(),
        rate(name.calls_rate),
        rate(name.errors_rate),
        duration(name.p50, fine),
        duration(name.p99, fine),
        duration(name.rtt, fine),
        ago(name.since, now),
    ]
}

fn state(state: NameState) -> &'static str {
    match state {
        NameState::Unspecified => "",
        NameState::Offline => "offline",
        NameState::Unreachable => "server unreachable",
        NameState::Draining => "draining",
        NameState::Suspect => "silent",
        NameState::Online => "online",
    }
}

/// A second.
fn rate(rate: f64) -> String {
    if rate == 0.0 || rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}
