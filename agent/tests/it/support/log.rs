//! What a program has said on standard error, line by line.

use std::fmt;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::watch;
use tokio::time::timeout;

use super::PATIENCE;

/// One line: plain text, or a JSON object where the program logs so.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) text: String,
    json: Value,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Line {
    /// A field of a JSON line as text; empty where it has none.
    pub(crate) fn field(&self, name: &str) -> String {
        match &self.json[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    fn has(&self, (name, part): (&str, &str)) -> bool {
        self.field(name).contains(part)
    }
}

/// All lines so far, and those to come.
#[derive(Clone)]
pub(crate) struct Log(watch::Receiver<Vec<Line>>);

impl Log {
    /// Reads to the end, in a task of its own.
    pub(crate) fn of(stderr: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (sender, receiver) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(text)) = lines.next_line().await {
                let json = serde_json::from_str(&text).unwrap_or_default();
                sender.send_modify(|lines| lines.push(Line { text, json }));
            }
        });
        Self(receiver)
    }

    /// Every line so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.0.borrow().clone()
    }

    /// The lines so far with this message.
    pub(crate) fn with(&self, message: &str) -> Vec<Line> {
        self.lines().into_iter().filter(|line| line.field("message") == message).collect()
    }

    /// Waits for a line with this message and these parts in its fields, said already or not yet.
    #[track_caller]
    pub(crate) fn said<'a>(
        &'a self,
        message: &'a str,
        parts: &'a [(&'a str, &'a str)],
    ) -> impl Future<Output = Line> + 'a {
        self.said_after(0, message, parts)
    }

    /// The same, of what follows the first `after` lines.
    #[track_caller]
    pub(crate) fn said_after<'a>(
        &'a self,
        after: usize,
        message: &'a str,
        parts: &'a [(&'a str, &'a str)],
    ) -> impl Future<Output = Line> + 'a {
        let caller = std::panic::Location::caller();
        let fits = move |line: &&Line| {
            line.field("message") == message && parts.iter().all(|part| line.has(*part))
        };
        async move {
            let mut lines = self.0.clone();
            let found = lines.wait_for(|lines| lines.iter().skip(after).any(|line| fits(&line)));
            match timeout(PATIENCE, found).await {
                Ok(Ok(lines)) => lines.iter().skip(after).find(fits).unwrap().clone(),
                _ => panic!("{caller}: never said {message:?} {parts:?}: {:#?}", self.lines()),
            }
        }
    }

    /// Waits until the program has closed its standard error.
    pub(crate) async fn ended(&self) {
        let mut lines = self.0.clone();
        while lines.changed().await.is_ok() {}
    }
}
