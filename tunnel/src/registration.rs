//! What an agent says about itself when it registers a session: the headers of the upgrade.

mod exposed;

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};

pub use self::exposed::{Exposed, check_names, first_name};
use crate::limits::{
    HEADER_MAX_BYTES, KEEPALIVE_ASKED, LABEL_MAX_BYTES, LABELS_MAX, LABELS_MAX_BYTES, NAMES_MAX,
    SESSIONS_MAX,
};
use crate::name::{Name, NameError};
use crate::wire;

/// A registration as its headers say it; the credential is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// What it exposes.
    pub first: Exposed,
    /// What else it exposes on the same session, under other names: at most [`NAMES_MAX`] with the first. All of them are
    /// registered, or none.
    pub others: Vec<Exposed>,
    /// Random id of the agent process.
    pub instance: String,
    /// Which of the agent's sessions this is, from 0.
    pub slot: u16,
    /// What the agent says about itself.
    pub labels: BTreeMap<String, String>,
    /// How many lanes with calls the agent takes at once, on all its sessions together; `None` leaves it to the
    /// hub.
    pub max_lanes: Option<u32>,
    /// How often the agent wants to be pinged; `None` leaves it to the hub.
    pub keepalive_interval: Option<Duration>,
    /// The version of the agent program.
    pub agent_version: String,
}

/// Why the headers are no registration. Each says which header, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// No `Hub-Name`, or no `Hub-Instance`.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header that may stand once stands twice.
    #[error("the header {0} is given more than once")]
    Repeated(&'static str),
    /// Not plain ASCII, or too long.
    #[error("the header {0} must be at most {max} plain ASCII characters", max = HEADER_MAX_BYTES)]
    Text(&'static str),
    /// No valid name.
    #[error("bad name: {0}")]
    Name(#[from] NameError),
    /// More names than a session has.
    #[error("an agent has at most {NAMES_MAX} names")]
    Names,
    /// One name stands for two things.
    #[error("the name \"{0}\" is given twice")]
    Twice(Name),
    /// A part of a list has in it what separates parts.
    #[error("several names cannot say of each a {0} with a ; in it")]
    Separator(&'static str),
    /// A list that is not as long as the one of names.
    #[error("the header {0} must have one part for each name, with ; between them")]
    Parts(&'static str),
    /// No slot number.
    #[error("the header hub-slot must be a number from 0 to {max}", max = SESSIONS_MAX - 1)]
    Slot,
    /// Labels that are not `key=value`, or too many.
    #[error(
        "the header hub-labels must be at most {max} of key=value, separated by commas, \
         each at most {bytes} characters, all together at most {all}",
        max = LABELS_MAX,
        bytes = LABEL_MAX_BYTES,
        all = LABELS_MAX_BYTES
    )]
    Labels,
    /// Neither `http` nor `https`.
    #[error("the header hub-upstream-scheme must be http or https")]
    Scheme,
    /// No number.
    #[error("the header {0} must be a number")]
    Number(&'static str),
    /// Less than anybody needs, or more than anything in between bears.
    #[error(
        "the header hub-keepalive-interval must be milliseconds, from {least} to {most}",
        least = KEEPALIVE_ASKED.start().as_millis(),
        most = KEEPALIVE_ASKED.end().as_millis()
    )]
    Interval,
    /// No host.
    #[error("the header hub-authority must be host or host:port")]
    Authority,
}

impl Registration {
    /// Reads the headers of an upgrade request.
    ///
    /// # Errors
    /// Says which header is wrong.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, RegistrationError> {
        let (first, others) = exposed::read(headers)?;
        Ok(Self {
            first,
            others,
            instance: required(headers, wire::HUB_INSTANCE)?.to_owned(),
            slot: optional(headers, wire::HUB_SLOT)?.map_or(Ok(0), parse_slot)?,
            labels: parse_labels(labels_header(headers)?)?,
            max_lanes: number(headers, wire::HUB_MAX_LANES)?,
            keepalive_interval: number(headers, wire::HUB_KEEPALIVE_INTERVAL)?
                .map(parse_interval)
                .transpose()?,
            agent_version: optional(headers, wire::HUB_AGENT_VERSION)?
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// Writes the headers of an upgrade request.
    ///
    /// # Errors
    /// A label or text that cannot stand in a header.
    pub fn write_to(&self, headers: &mut HeaderMap) -> Result<(), RegistrationError> {
        let mut set = |name: &'static str, text: &str| -> Result<(), RegistrationError> {
            let value = HeaderValue::from_str(text).map_err(|_| RegistrationError::Text(name))?;
            headers.insert(name, value);
            Ok(())
        };
        exposed::write(&self.exposed().collect::<Vec<_>>(), &mut set)?;
        set(wire::HUB_INSTANCE, &self.instance)?;
        set(wire::HUB_SLOT, &self.slot.to_string())?;
        set(wire::HUB_AGENT_VERSION, &self.agent_version)?;
        if let Some(max_lanes) = self.max_lanes {
            set(wire::HUB_MAX_LANES, &max_lanes.to_string())?;
        }
        if let Some(interval) = self.keepalive_interval {
            set(wire::HUB_KEEPALIVE_INTERVAL, &interval.as_millis().to_string())?;
        }
        if !self.labels.is_empty() {
            let pairs: Vec<_> =
                self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            set(wire::HUB_LABELS, &pairs.join(","))?;
        }
        Ok(())
    }

    /// All that it exposes. A lane says by its place in here what it is for.
    pub fn exposed(&self) -> impl Iterator<Item = &Exposed> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// What each of so many names has of the lanes that an agent takes. Equal shares: callers of one take none of another's.
#[must_use]
pub fn share_of_lanes(max: u32, names: usize) -> u32 {
    let names = u32::try_from(names).unwrap_or(u32::MAX);
    (max / names.max(1)).max(1)
}

/// Splits one `key=value`. The key must not be empty, and neither may hold a comma, which separates
/// labels on the wire, or what cannot stand in a header.
///
/// # Errors
/// [`RegistrationError::Labels`].
pub fn parse_label(text: &str) -> Result<(String, String), RegistrationError> {
    let (key, value) = text.split_once('=').ok_or(RegistrationError::Labels)?;
    let (key, value) = (key.trim(), value.trim());
    let plain = |c: char| c.is_ascii_graphic() && c != ',' || c == ' ';
    let fits = !key.is_empty() && text.len() <= LABEL_MAX_BYTES && text.chars().all(plain);
    if fits { Ok((key.to_owned(), value.to_owned())) } else { Err(RegistrationError::Labels) }
}

fn required<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, RegistrationError> {
    optional(headers, name)?.filter(|text| !text.is_empty()).ok_or(RegistrationError::Missing(name))
}

fn optional<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
) -> Result<Option<&'h str>, RegistrationError> {
    let Some(text) = single(headers, name)? else {
        return Ok(None);
    };
    if text.len() > HEADER_MAX_BYTES { Err(RegistrationError::Text(name)) } else { Ok(Some(text)) }
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u32>, RegistrationError> {
    let number = optional(headers, name)?.map(str::parse).transpose();
    number.map_err(|_| RegistrationError::Number(name))
}

fn single<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
) -> Result<Option<&'h str>, RegistrationError> {
    let mut values = headers.get_all(name).into_iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(RegistrationError::Repeated(name));
    }
    value.to_str().map(Some).map_err(|_| RegistrationError::Text(name))
}

/// Longer than the others may be: it carries many.
fn labels_header(headers: &HeaderMap) -> Result<&str, RegistrationError> {
    let text = single(headers, wire::HUB_LABELS)?.unwrap_or_default();
    if text.len() > LABELS_MAX_BYTES { Err(RegistrationError::Labels) } else { Ok(text) }
}

fn parse_labels(text: &str) -> Result<BTreeMap<String, String>, RegistrationError> {
    let labels: BTreeMap<_, _> = text
        .split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(parse_label)
        .collect::<Result<_, _>>()?;
    if labels.len() > LABELS_MAX { Err(RegistrationError::Labels) } else { Ok(labels) }
}

fn parse_slot(text: &str) -> Result<u16, RegistrationError> {
    let slot = text.parse().map_err(|_| RegistrationError::Slot)?;
    if slot < SESSIONS_MAX { Ok(slot) } else { Err(RegistrationError::Slot) }
}

fn parse_interval(millis: u32) -> Result<Duration, RegistrationError> {
    let interval = Duration::from_millis(millis.into());
    if KEEPALIVE_ASKED.contains(&interval) {
        Ok(interval)
    } else {
        Err(RegistrationError::Interval)
    }
}

#[cfg(test)]
mod tests {
    use http::uri::{Authority, Scheme};

    use super::*;
    use crate::speaks::Speaks;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("a header value"));
        }
        headers
    }

    #[test]
    fn survives_the_wire() {
        let sent = Registration {
            first: Exposed {
                scheme: Scheme::HTTPS,
                authority: Some(Authority::from_static("inner.example:443")),
                speaks: Speaks::from_header("connect"),
                ..Exposed::new("testserver".parse().expect("a name"))
            },
            others: Vec::new(),
            instance: "7f3a".into(),
            slot: 3,
            labels: [("zone".into(), "eu 1".into()), ("empty".into(), String::new())].into(),
            max_lanes: Some(7),
            keepalive_interval: Some(Duration::from_mins(5)),
            agent_version: "0.1.0".into(),
        };
        let mut headers = HeaderMap::new();
        sent.write_to(&mut headers).expect("headers");
        assert_eq!(Registration::from_headers(&headers), Ok(sent));
    }

    #[test]
    fn only_name_and_instance_are_needed() {
        let read =
            Registration::from_headers(&headers(&[("hub-name", "a"), ("hub-instance", "i")]));
        let read = read.expect("a registration");
        assert_eq!((read.slot, read.first), (0, Exposed::new("a".parse().expect("a name"))));
    }

    #[test]
    fn says_which_header_is_wrong() {
        let long = "x".repeat(256);
        for (extra, want) in [
            (("hub-name", "b"), RegistrationError::Repeated("hub-name")),
            (("hub-slot", "64"), RegistrationError::Slot),
            (("hub-slot", "-1"), RegistrationError::Slot),
            (("hub-labels", "zone"), RegistrationError::Labels),
            (("hub-labels", "=eu"), RegistrationError::Labels),
            (("hub-upstream-scheme", "ftp"), RegistrationError::Scheme),
            (("hub-authority", "a b"), RegistrationError::Authority),
            (("hub-max-lanes", "some"), RegistrationError::Number("hub-max-lanes")),
            (("hub-keepalive-interval", "99"), RegistrationError::Interval),
            (("hub-agent-version", long.as_str()), RegistrationError::Text("hub-agent-version")),
        ] {
            let headers = headers(&[("hub-name", "a"), ("hub-instance", "i"), extra]);
            assert_eq!(Registration::from_headers(&headers), Err(want), "{extra:?}");
        }
        let nameless = headers(&[("hub-instance", "i")]);
        let missing = RegistrationError::Missing("hub-name");
        assert_eq!(Registration::from_headers(&nameless), Err(missing));
        let many: String = (0..33).map(|i| format!("k{i}=v,")).collect();
        let many = headers(&[("hub-name", "a"), ("hub-instance", "i"), ("hub-labels", &many)]);
        assert_eq!(Registration::from_headers(&many), Err(RegistrationError::Labels));
    }
}
