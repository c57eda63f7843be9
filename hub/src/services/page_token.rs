//! Where a list goes on, as its reader is told.
//!
//! Sealed with a key of this process, because a page may end at a name that its reader may not see. A TLS session
//! ticket is the same thing, so what makes those makes these, and throws its keys away after some hours.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::crypto::ring::Ticketer;
use rustls::server::ProducesTickets;
use tonic::Status;
use tunnel::limits::NAME_MAX_BYTES;

use crate::registry::Place;

/// Makes and reads them.
#[derive(Debug)]
pub(super) struct PageTokens(Option<Arc<dyn ProducesTickets>>);

impl PageTokens {
    pub(super) fn new() -> Self {
        // Fails only where the system has no random numbers; then lists longer than a page are refused.
        Self(Ticketer::new().ok())
    }

    /// The token for what follows the place.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn seal(&self, place: &Place) -> Result<String, Status> {
        // As long for each name, for how long it is tells of it, too.
        let name = format!("{:NAME_MAX_BYTES$}", place.name.as_str());
        let place = name + place.instance.as_deref().unwrap_or_default();
        let sealed = self.0.as_ref().and_then(|sealer| sealer.encrypt(place.as_bytes()));
        let sealed = sealed.ok_or_else(|| Status::internal("the list cannot go on"))?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What the token says.
    ///
    /// # Errors
    /// It was not made here, or long ago.
    pub(super) fn open(&self, token: &str) -> Result<Place, Status> {
        let wrong = || {
            Status::invalid_argument(
                "page_token is none that this hub gave out, or is too old: begin again without one",
            )
        };
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
        let place = sealed.and_then(|sealed| self.0.as_ref()?.decrypt(&sealed));
        place.and_then(|place| read(&place)).ok_or_else(wrong)
    }
}

fn read(place: &[u8]) -> Option<Place> {
    let (name, instance) = std::str::from_utf8(place).ok()?.split_at_checked(NAME_MAX_BYTES)?;
    // Every instance has an id.
    let instance = Some(instance).filter(|instance| !instance.is_empty()).map(str::to_owned);
    Some(Place { name: name.trim_end().parse().ok()?, instance })
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn place(name: &str, instance: Option<&str>) -> Place {
        let name = name.parse().expect("a name");
        Place { name, instance: instance.map(str::to_owned) }
    }

    #[test]
    fn a_token_says_its_place() {
        let tokens = PageTokens::new();
        for place in
            [place("a", Some("1 ")), place("a", None), place(&"x".repeat(128), Some("\u{e4}"))]
        {
            let token = tokens.seal(&place).expect("a token");
            assert_eq!(tokens.open(&token).expect("a place"), place);
        }
    }

    #[test]
    fn it_does_not_tell_the_name() {
        let tokens = PageTokens::new();
        let lengths = ["a", "secret-name"].map(|name| {
            let sealed = tokens.seal(&place(name, None)).expect("a token");
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).expect("base64");
            assert!(!bytes.windows(6).any(|some| some == b"secret"));
            bytes.len()
        });
        assert_eq!(lengths[0], lengths[1]);
    }

    #[test]
    fn others_are_refused() {
        let tokens = PageTokens::new();
        let (place, mut token) = (place("a", Some("1")), String::new());
        let others = PageTokens::new().seal(&place).expect("a token");
        token.push_str(&tokens.seal(&place).expect("a token"));
        token.pop();
        for bad in ["x", "a\u{e4}", "YQ", &others, &token] {
            let status = tokens.open(bad).expect_err(bad);
            assert_eq!(status.code(), Code::InvalidArgument, "{bad}");
        }
    }
}
