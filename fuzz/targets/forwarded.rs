//! Whom a trusted proxy speaks for: nobody can say that he is somebody else, whatever he sends.
//!
//! Input: lines of `Forwarded`, then after an empty line lines of `X-Forwarded-For`.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use hub::Networks;
use hub::fuzzing::forwarded_for;
use libfuzzer_sys::fuzz_target;

/// A proxy's own address, and that of whoever calls through it.
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const CALLER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fuzz_target!(|data: &[u8]| {
    let trusted: Networks = [("10.0.0.0/8").parse().expect("a network")].into_iter().collect();
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let (forwarded, x) = match lines.iter().position(|line| line.is_empty()) {
        Some(at) => (&lines[..at], &lines[at + 1..]),
        None => (&lines[..], &[][..]),
    };
    let told = |peer, forwarded: &[&[u8]], x: &[&[u8]]| forwarded_for(peer, &trusted, forwarded, x);
    assert_eq!(told(CALLER, forwarded, x), None, "nobody else is believed");
    // A proxy adds whom it has heard from, at the end of a line or in one of its own.
    let own: &[u8] = b"for=192.0.2.1";
    let added = [forwarded, &[own]].concat();
    assert_eq!(told(PROXY, &added, &[]), Some(CALLER), "{forwarded:?}");
    let own: &[u8] = b"192.0.2.1";
    let added = [x, &[own]].concat();
    assert_eq!(told(PROXY, &[], &added), Some(CALLER), "{x:?}");
    let line = [x.last().copied().unwrap_or_default(), b", ", own].concat();
    assert_eq!(told(PROXY, &[], &[&line]), Some(CALLER), "{line:?}");
    // Behind a quote that nobody has closed it may not be understood, but nothing else is.
    let line = [forwarded.last().copied().unwrap_or_default(), b", for=192.0.2.1"].concat();
    let told_so = told(PROXY, &[&line], &[]);
    assert!(told_so.is_none() || told_so == Some(CALLER), "{told_so:?}: {line:?}");
    // Where it adds to one of the two, the other changes that to nothing, or not at all.
    let other = told(PROXY, forwarded, &added);
    assert!(other.is_none() || other == Some(CALLER), "{other:?}: {data:?}");
});
