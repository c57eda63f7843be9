//! What the process prints, as log lines of the agent.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::OwnedFd;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;

use crate::limits::FLUENTD_MAX_LINE;

/// A pipe for standard output and error alike: one pipe keeps their order. The reading end logs until
/// every process that holds the writing end is gone.
pub(super) struct Output(Receiver);

impl Output {
    /// The reading end, and the writing end for the process.
    ///
    /// # Errors
    /// No file descriptor is free.
    pub(super) fn pipe() -> std::io::Result<(Self, PipeWriter)> {
        let (reader, writer): (PipeReader, PipeWriter) = std::io::pipe()?;
        let receiver = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok((Self(receiver), writer))
    }

    /// Logs what the process with this id prints, until it is done.
    pub(super) async fn log(self, pid: u32) {
        let logged = each_line(self.0, |line| {
            tracing::info!(target: "fluentd", pid, "{line}");
        });
        if let Err(error) = logged.await {
            tracing::warn!(pid, %error, "cannot read what the process prints");
        }
    }
}

/// Hands over every line that is not empty, without its end.
async fn each_line(
    reader: impl AsyncRead + Unpin,
    mut log: impl FnMut(&str),
) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(FLUENTD_MAX_LINE, reader);
    let mut line = Vec::with_capacity(FLUENTD_MAX_LINE);
    loop {
        line.clear();
        let mut piece = (&mut reader).take(FLUENTD_MAX_LINE as u64);
        if piece.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        match text.trim_end() {
            "" => {}
            text => log(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    async fn lines(bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        each_line(bytes, |line| lines.push(line.to_owned())).await.unwrap();
        lines
    }

    #[tokio::test]
    async fn the_pipe_is_read_until_nobody_holds_its_end() {
        let (output, mut writer) = Output::pipe().unwrap();
        let mut other = writer.try_clone().unwrap();
        writer.write_all(b"from one\n").unwrap();
        drop(writer);
        other.write_all(b"from the other\n").unwrap();
        drop(other);
        let mut lines = Vec::new();
        let read = each_line(output.0, |line| lines.push(line.to_owned()));
        read.await.unwrap();
        assert_eq!(lines, ["from one", "from the other"]);
    }

    #[tokio::test]
    async fn lines_lose_their_ends_and_empty_ones_are_left_out() {
        assert_eq!(lines(b"one\r\n\n  two\nthree").await, ["one", "  two", "three"]);
        assert!(lines(b"").await.is_empty());
    }

    #[tokio::test]
    async fn a_long_line_comes_in_pieces() {
        let long = "x".repeat(2 * FLUENTD_MAX_LINE + 1);
        let lines = lines(format!("{long}\nshort\n").as_bytes()).await;
        assert!(lines.iter().all(|line| line.len() <= FLUENTD_MAX_LINE));
        assert_eq!(lines[..3].concat(), long);
        assert_eq!(lines[3..], ["short"]);
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(lines(b"a\xffb\n").await, ["a\u{fffd}b"]);
    }
}
