//! What the proxy may be told, and what then holds.

use std::time::Duration;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From who has connected to whom the proxy connects to
    Up,
    /// Back
    Down,
}

/// Both, in the order of arrays.
pub(crate) const WAYS: [Way; 2] = [Way::Up, Way::Down];

/// What holds at present, for all connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Of which ways nothing is read.
    silent: [bool; 2],
    /// Whether who connects is reset.
    pub(crate) refuses: bool,
    /// Bytes of one write at most.
    pub(crate) slice: Option<usize>,
    /// From one end to the other.
    pub(crate) latency: Duration,
    /// Bytes a second of a connection, each way.
    pub(crate) rate: Option<u64>,
    /// How old a connection becomes.
    pub(crate) age: Option<Duration>,
    /// How often all connections were reset: one that has begun since does not care.
    pub(crate) resets: u64,
    /// How often one way of all connections was ended.
    ends: [u64; 2],
}

impl Rules {
    /// Whether nothing goes this way.
    pub(crate) fn is_silent(&self, way: Way) -> bool {
        self.silent[way as usize]
    }

    /// Whether nothing goes either way: who connects meanwhile is not known beyond.
    pub(crate) fn is_cut(&self) -> bool {
        self.silent == [true; 2]
    }

    /// How often this way was ended.
    pub(crate) fn ends(&self, way: Way) -> u64 {
        self.ends[way as usize]
    }

    /// Does as a line says; without effect if it makes no sense.
    pub(crate) fn obey(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["pass"] => {
                *self = Self { resets: self.resets, ends: self.ends, ..Self::default() };
            }
            ["blackhole", ref which @ ..] => {
                for way in ways(which)? {
                    self.silent[way as usize] = true;
                }
            }
            ["half-close", which] => {
                for way in ways(&[which])? {
                    self.ends[way as usize] += 1;
                }
            }
            ["reset"] => self.resets += 1,
            ["refuse"] => self.refuses = true,
            ["slice", bytes] => self.slice = Some(positive(bytes)?),
            ["latency", time] => self.latency = duration(time)?,
            ["rate", bytes] => self.rate = Some(positive(bytes)?),
            ["age", "off"] => self.age = None,
            ["age", time] => self.age = Some(duration(time)?),
            _ => return Err(format!("not known: {line:?}")),
        }
        Ok(())
    }
}

fn ways(words: &[&str]) -> Result<Vec<Way>, String> {
    match words {
        [] => Ok(WAYS.to_vec()),
        ["up"] => Ok(vec![Way::Up]),
        ["down"] => Ok(vec![Way::Down]),
        _ => Err(format!("neither up nor down: {}", words.join(" "))),
    }
}

fn positive<T: std::str::FromStr + Default + PartialOrd>(word: &str) -> Result<T, String> {
    let number = word.parse().ok().filter(|number| *number > T::default());
    number.ok_or_else(|| format!("no positive number: {word:?}"))
}

fn duration(word: &str) -> Result<Duration, String> {
    humantime::parse_duration(word).map_err(|error| format!("{word:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> Rules {
        let mut rules = Rules::default();
        for line in lines {
            rules.obey(line).unwrap();
        }
        rules
    }

    #[test]
    fn what_is_ordered_adds_up_until_all_may_pass() {
        let rules = after(&["blackhole up", "slice 3", "latency 50ms", "rate 1000", "age 30s"]);
        assert!(rules.is_silent(Way::Up) && !rules.is_silent(Way::Down) && !rules.is_cut());
        assert_eq!((rules.slice, rules.rate), (Some(3), Some(1000)));
        assert_eq!(rules.latency, Duration::from_millis(50));
        assert_eq!(rules.age, Some(Duration::from_secs(30)));
        assert!(after(&["blackhole"]).is_cut() && after(&["refuse"]).refuses);
        assert_eq!(after(&["age 30s", "age off"]), Rules::default());
        assert_eq!(after(&["blackhole", "refuse", "slice 3", "rate 9", "pass"]), Rules::default());
    }

    #[test]
    fn what_was_broken_once_is_not_mended() {
        let rules = after(&["reset", "half-close down", "pass", "reset"]);
        assert_eq!((rules.resets, rules.ends(Way::Up), rules.ends(Way::Down)), (2, 0, 1));
    }

    #[test]
    fn nonsense_changes_nothing() {
        let mut rules = after(&["slice 3"]);
        for line in
            ["", "slice", "slice 0", "slice x", "blackhole in", "half-close", "age 30", "pas"]
        {
            assert!(rules.obey(line).is_err(), "{line:?}");
        }
        assert_eq!(rules, after(&["slice 3"]));
    }
}
