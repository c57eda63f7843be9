//! The command line of the supervised process.

use std::str::FromStr;

/// A program and its arguments, from a line such as `fluentd -c "/etc/my fluent.conf"`.
///
/// Words are split and quoted as a POSIX shell does it, but no shell runs: nothing is expanded,
/// piped or substituted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    line: String,
    program: String,
    arguments: Vec<String>,
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no word in it.
    #[error("the command is empty")]
    Empty,
    /// A quote is never closed.
    #[error("the command has a quote that is never closed: {0}")]
    OpenQuote(String),
}

impl Command {
    /// The line as it was given.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// What is run: a path, or a name to be found in `PATH`.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What the program is given, without its own name.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let words = shell_words::split(line).map_err(|_| CommandError::OpenQuote(line.into()))?;
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty());
        Ok(Self {
            line: line.into(),
            program: program.ok_or(CommandError::Empty)?,
            arguments: words.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let command: Command =
            r#" fluentd  -c "/etc/my fluent.conf" --tag='a "b"' c\ d '' "#.parse().unwrap();
        assert_eq!(command.program(), "fluentd");
        assert_eq!(command.arguments(), ["-c", "/etc/my fluent.conf", r#"--tag=a "b""#, "c d", ""]);
    }

    #[test]
    fn nothing_is_expanded() {
        let command: Command = "echo $HOME `id` * a;b > c | d".parse().unwrap();
        assert_eq!(command.arguments(), ["$HOME", "`id`", "*", "a;b", ">", "c", "|", "d"]);
    }

    #[test]
    fn the_line_is_kept_as_given() {
        let line = "fluentd   -c 'a b'";
        assert_eq!(line.parse::<Command>().unwrap().line(), line);
    }

    #[test]
    fn no_program_is_refused() {
        for line in ["", " \t\n", "''", r#""" -c x"#] {
            assert_eq!(line.parse::<Command>(), Err(CommandError::Empty), "{line}");
        }
    }

    #[test]
    fn an_open_quote_is_refused() {
        for line in ["fluentd -c 'x", r#"fluentd "x"#] {
            let error = line.parse::<Command>().unwrap_err();
            assert_eq!(error, CommandError::OpenQuote(line.into()));
        }
    }
}
