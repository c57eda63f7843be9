//! Settings that may change while a program runs: `@FILE` where a value would stand.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

/// A value, or the file that has it: one line, read when the program starts and again each time that it is told to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting<T> {
    /// As it was typed.
    Value(T),
    /// Typed as `@FILE`.
    File(PathBuf),
}

/// Why the file of a setting cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// It is not to be had.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is no such value.
    #[error("{}: {error}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
}

impl<T: FromStr + Clone> Setting<T>
where
    T::Err: fmt::Display,
{
    /// The value, as it is now. Space around it does not count.
    ///
    /// # Errors
    /// The file cannot be used, and is told.
    pub fn read(&self) -> Result<T, SettingError> {
        let path = match self {
            Self::Value(value) => return Ok(value.clone()),
            Self::File(path) => path,
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingError::Read { path: path.clone(), error })?;
        let wrong =
            |error: T::Err| SettingError::Value { path: path.clone(), error: error.to_string() };
        text.trim().parse().map_err(wrong)
    }
}

impl<T: FromStr> FromStr for Setting<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        match text.strip_prefix('@') {
            Some(path) => Ok(Self::File(path.into())),
            None => text.parse().map(Self::Value),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Setting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::File(path) => write!(f, "@{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_or_where_it_is_written() {
        let typed: Setting<u32> = "7".parse().expect("a number");
        assert_eq!((typed.read().expect("it is there"), typed.to_string()), (7, "7".into()));
        "seven".parse::<Setting<u32>>().expect_err("no number");
        let file: Setting<u32> = "@/no/such/file".parse().expect("a path");
        assert_eq!(file.to_string(), "@/no/such/file");
        let error = file.read().expect_err("it is not there").to_string();
        assert!(error.starts_with("cannot read /no/such/file: "), "{error}");
    }

    #[test]
    fn what_is_written_is_read_each_time() {
        let path = std::env::temp_dir().join(format!("setting-{}", std::process::id()));
        let file: Setting<u32> = Setting::File(path.clone());
        for (text, value) in [("512\n", Some(512)), (" 8 ", Some(8)), ("", None), ("many", None)] {
            std::fs::write(&path, text).expect("written");
            assert_eq!(file.read().ok(), value, "{text:?}");
        }
        let error = file.read().expect_err("no number").to_string();
        assert!(error.contains("invalid digit") && error.contains("setting-"), "{error}");
        std::fs::remove_file(&path).expect("removed");
    }
}
