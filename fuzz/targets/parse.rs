//! What people type: names, addresses, labels, durations, whole command lines. What is understood and
//! shown again means the same.
//!
//! Input: a text, which every parser is given; a command line if it begins with a program's name.
#![no_main]

use std::ffi::OsString;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use clap::Parser as _;
use libfuzzer_sys::fuzz_target;
use tunnel::name::Name;
use tunnel::registration::parse_label;
use tunnel::wire::Control;

fuzz_target!(|text: &str| {
    match text.split(' ').next() {
        Some("hub") => drop(hub::Args::try_parse_from(text.split(' ')).and_then(hub::Args::check)),
        Some("agent") => drop(agent::Args::from_line(text.split(' ').map(OsString::from))),
        Some("client") => drop(client::args::Args::try_parse_from(text.split(' '))),
        _ => value(text),
    }
});

fn value(text: &str) {
    means_the_same::<Name>(text);
    means_the_same::<hub::ListenAddr>(text);
    means_the_same::<agent::HubUri>(text);
    means_the_same::<agent::UpstreamAddr>(text);
    if let Ok((key, value)) = parse_label(text) {
        assert_eq!(parse_label(&format!("{key}={value}")), Ok((key, value)));
    }
    if let Ok(duration) = humantime::parse_duration(text) {
        let shown = humantime::format_duration(duration).to_string();
        assert_eq!(humantime::parse_duration(&shown), Ok(duration), "{shown}");
    }
    let control = Control::from_text(text);
    assert_eq!(Control::from_text(&control.to_text()), control);
}

fn means_the_same<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let shown = value.to_string();
        assert_eq!(shown.parse::<T>().as_ref().ok(), Some(&value), "{shown}");
    }
}
