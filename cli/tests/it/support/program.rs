//! The built program as a child process.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Nothing takes this long on loopback: whoever waits for more has hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a program has ended, and what it has said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Holds exit code and standard error against what they should be, standard output empty.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, stderr: &str) {
        assert_eq!(self.stderr.trim_end(), stderr, "{self:?}");
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
    }

    /// Standard output of a program that has ended well.
    #[track_caller]
    pub(crate) fn succeeded(&self) -> &str {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout.trim_end()
    }
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
}

/// The program, with nothing in its environment that could change what it does.
pub(crate) fn client<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HUB_")) {
        command.env_remove(name);
    }
    command.args(args).kill_on_drop(true);
    command
}

/// Runs `client --hub HUB ARGS…` to its end, with `input` on its standard input.
pub(crate) async fn run(hub: &str, args: &[&str], input: &str) -> Ended {
    let mut running = start(hub, args);
    running.send(input).await;
    running.close();
    running.end().await
}

/// Starts `client --hub HUB ARGS…`.
pub(crate) fn start(hub: &str, args: &[&str]) -> Running {
    spawn(client(["--hub", hub].into_iter().chain(args.iter().copied())))
}

/// Starts a command with pipes.
pub(crate) fn spawn(mut command: Command) -> Running {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
    Running { child, stdin, stdout }
}

impl Running {
    /// Writes to its standard input. A program that has ended early reads nothing, which is fine.
    pub(crate) async fn send(&mut self, input: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        _ = stdin.write_all(input.as_bytes()).await;
        _ = stdin.flush().await;
    }

    /// Ends its standard input.
    pub(crate) fn close(&mut self) {
        self.stdin = None;
    }

    /// Stops reading its standard output.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout = None;
    }

    /// Its next line of output.
    pub(crate) async fn line(&mut self) -> String {
        let line = self.stdout.as_mut().unwrap().next_line();
        timeout(PATIENCE, line).await.expect("a line in time").unwrap().expect("a line")
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) async fn interrupt(&self) {
        let kill = format!("kill -INT {}", self.child.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> Ended {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let all = async {
            if let Some(lines) = self.stdout.take() {
                lines.into_inner().read_to_string(&mut stdout).await.unwrap();
            }
            let errors = self.child.stderr.as_mut().unwrap();
            errors.read_to_string(&mut stderr).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, all).await.expect("an end in time");
        Ended { code: status.code(), stdout, stderr }
    }
}
