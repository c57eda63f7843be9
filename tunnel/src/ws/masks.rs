//! Masks for what an agent sends.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::vec;

use rustls::crypto::{SecureRandom, ring};

use super::frame::Mask;

/// Masks that are made at once: each time costs a system call.
const AT_ONCE: usize = 128;
const BYTES: usize = size_of::<Mask>();

/// Gives out masks that nobody can guess: whoever picks the bytes of an answer must not be able to pick what a proxy in
/// between sees (RFC 6455 5.3 and 10.3).
pub(super) struct Masks {
    random: &'static dyn SecureRandom,
    left: vec::IntoIter<Mask>,
}

impl Masks {
    pub(super) fn new() -> Self {
        Self { random: ring::default_provider().secure_random, left: Vec::new().into_iter() }
    }

    pub(super) fn next(&mut self) -> Mask {
        if let Some(mask) = self.left.next() {
            return mask;
        }
        let mut bytes = [0; AT_ONCE * BYTES];
        if self.random.fill(&mut bytes).is_ok() {
            self.left = bytes.as_chunks().0.to_vec().into_iter();
        }
        self.left.next().unwrap_or_else(|| {
            // Where the system has no randomness left, what the program got of it when it began.
            (RandomState::new().hash_one(0) as u32).to_ne_bytes()
        })
    }
}

impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masks").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn masks_differ() {
        let mut masks = Masks::new();
        let seen: HashSet<_> = (0..3 * AT_ONCE).map(|_| masks.next()).collect();
        assert!(seen.len() > 3 * AT_ONCE - 3, "{}", seen.len());
    }
}
