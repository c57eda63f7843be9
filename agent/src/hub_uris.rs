//! The hubs that the agent is told of by whoever starts it.

use tunnel::hub_uri::HubUri;

/// One hub or more, the preferred one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubUris {
    first: HubUri,
    others: Vec<HubUri>,
}

impl HubUris {
    /// All of them, in the order of preference; `None` if there is none.
    #[must_use]
    pub fn new(uris: impl IntoIterator<Item = HubUri>) -> Option<Self> {
        let mut uris = uris.into_iter();
        Some(Self { first: uris.next()?, others: uris.collect() })
    }

    /// The preferred one.
    #[must_use]
    pub fn first(&self) -> &HubUri {
        &self.first
    }

    /// From the preferred one on.
    pub fn iter(&self) -> impl Iterator<Item = &HubUri> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl From<HubUri> for HubUris {
    fn from(first: HubUri) -> Self {
        Self { first, others: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_are_in_order() {
        assert_eq!(HubUris::new([]), None);
        let uris: Vec<HubUri> =
            ["ws://a", "wss://b"].iter().map(|uri| uri.parse().expect("an address")).collect();
        let hubs = HubUris::new(uris.clone()).expect("two");
        assert!(hubs.iter().eq(&uris));
        assert_eq!(hubs.first(), &uris[0]);
    }
}
