//! How often an address may register: a loop of registrations costs everybody who watches the registry.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;
use tunnel::allowance::Allowance;
use tunnel::limits::{REGISTRANTS, REGISTRATIONS, REGISTRATIONS_FORGIVEN};

/// What is left to each address that registered lately.
#[derive(Debug, Default)]
pub(crate) struct Registrants(Mutex<HashMap<IpAddr, Allowance>>);

impl Registrants {
    /// Whether one from this address may register now.
    pub(crate) fn admit(&self, address: IpAddr) -> bool {
        let mut known = self.0.lock();
        if !known.contains_key(&address) && known.len() >= REGISTRANTS {
            known.retain(|_, allowance| !allowance.is_whole());
        }
        let fits = known.contains_key(&address) || known.len() < REGISTRANTS;
        let address = if fits { address } else { Ipv6Addr::UNSPECIFIED.into() };
        let new = || Allowance::new(REGISTRATIONS, REGISTRATIONS_FORGIVEN);
        known.entry(address).or_insert_with(new).spend(1)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_address_has_its_own_allowance() {
        let registrants = Registrants::default();
        let (fleet, other) = (Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::LOCALHOST.into());
        assert!((0..REGISTRATIONS).all(|_| registrants.admit(fleet)));
        assert!(!registrants.admit(fleet));
        assert!(registrants.admit(other));
        tokio::time::advance(REGISTRATIONS_FORGIVEN).await;
        assert!(registrants.admit(fleet));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_beyond_a_number_are_not_kept() {
        let registrants = Registrants::default();
        for i in 0..REGISTRANTS + 10 {
            assert!(registrants.admit(Ipv6Addr::from(1 + i as u128).into()));
        }
        assert_eq!(registrants.0.lock().len(), REGISTRANTS + 1);
    }
}
