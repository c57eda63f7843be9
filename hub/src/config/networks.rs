//! Networks, as they are typed: `10.0.0.0/8,fd00::/8`, and addresses alone.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// A network, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// A text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is 10.0.0.0/8, fd00::/8, or an address alone")]
pub struct NetworkError;

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let text = text.trim();
        let one = |_| text.parse::<IpAddr>().map(IpNet::from);
        let network: IpNet = text.parse().or_else(one).map_err(|_| NetworkError)?;
        // Addresses are compared as what they are: nothing would ever be in such a network.
        let is_mapped = matches!(network.addr(), IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        if is_mapped { Err(NetworkError) } else { Ok(Self(network)) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Whether the address is in one of them. What is written `::ffff:10.0.0.1` is 10.0.0.1, as dual-stack sockets have it.
    pub(crate) fn have(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.0.contains(&address))
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// The address, of IPv6 the /64: of it, a host has 64 bits to choose from.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none() => {
            Ipv6Addr::from(u128::from(v6) & (u128::MAX << 64)).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_address() {
        let network = |text: &str| network(text.parse().expect("an address")).to_string();
        assert_eq!(network("10.0.0.1"), "10.0.0.1");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:10.0.0.1"), "::ffff:10.0.0.1");
    }

    #[test]
    fn what_is_in_them() {
        let networks: Networks = ["10.0.0.0/8", " 192.0.2.1", "fd00::/8"]
            .map(|text| text.parse::<Network>().expect("a network"))
            .into_iter()
            .collect();
        for (address, is_in) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.1.2.3", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("fd12::1", true),
            ("::1", false),
        ] {
            assert_eq!(networks.have(address.parse().expect("an address")), is_in, "{address}");
        }
        for text in ["", "10.0.0.0/33", "hub", "10.0.0.1:80", "::ffff:10.0.0.0/104"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
        }
    }
}
