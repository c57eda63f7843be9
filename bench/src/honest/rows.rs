//! The rows of the table: each use, in the words of the table.

mod cancels;
pub(crate) mod closing;
mod late;
mod many;
mod short;
mod spread;
mod stream;

use anyhow::Result;

use crate::args::Table;
use crate::outcome::Outcome;
use crate::servers::Server;
use cancels::Cancels;
use closing::Pattern;
pub(crate) use many::ALLOWED;

/// One row.
pub(crate) struct Row {
    /// What `--only` finds it by.
    pub(crate) id: String,
    /// What the table says.
    pub(crate) words: String,
    pub(crate) what: Use,
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// A stream of small messages.
    Stream,
    /// Calls to a server that closes connections.
    Closing(Server, Pattern),
    /// Calls some of which are cancelled.
    Cancels(Server, Cancels),
    /// More streams than a connection may have.
    Many,
    /// A server that starts after its agent; whether callers ask before.
    Late(bool),
    /// One connection, two agents; so many calls at a time.
    Spread(usize),
    /// A connection for each call; so many at a time.
    Short(usize),
}

/// All rows, in the order of the table.
pub(crate) fn all() -> Vec<Row> {
    let row =
        |id: &str, words: &str, what| Row { id: id.to_owned(), words: words.to_owned(), what };
    let mut rows =
        vec![row("stream", "a stream of 20-byte messages at 100 Hz; tonic", Use::Stream)];
    for (pattern, id, words) in closing::PATTERNS {
        for server in closing::SERVERS {
            let id = format!("closing-{id}@{}", server.id());
            let words = format!("{words}; {}", server.words());
            rows.push(Row { id, words, what: Use::Closing(*server, *pattern) });
        }
    }
    for (cancels, id, words) in cancels::KINDS {
        for server in cancels::SERVERS {
            let id = format!("{id}@{}", server.id());
            let words = format!("{words}; {}", server.words());
            rows.push(Row { id, words, what: Use::Cancels(*server, *cancels) });
        }
    }
    rows.extend([
        row("many", "200 long streams; tonic, which allows 100 a connection", Use::Many),
        row(
            "late",
            "a server that starts after its agent, called when it is there",
            Use::Late(false),
        ),
        row("late-asked", "the same, called all the time", Use::Late(true)),
        row(
            "spread-1",
            "10,000 calls, one after the other, to two agents of a name",
            Use::Spread(1),
        ),
        row("spread-32", "10,000 calls, 32 at a time, to two agents of a name", Use::Spread(32)),
        row("short-1", "1,000 connections with a call each, one after the other", Use::Short(1)),
        row("short-16", "1,000 connections with a call each, 16 at a time", Use::Short(16)),
    ]);
    rows
}

/// Measures a row that is measured by itself.
pub(crate) async fn measure(table: &Table, what: Use) -> Result<Outcome> {
    match what {
        Use::Stream => stream::measure(table).await,
        Use::Closing(..) => anyhow::bail!("measured together with its like"),
        Use::Cancels(server, cancels) => cancels::measure(table, server, cancels).await,
        Use::Many => many::measure(table).await,
        Use::Late(asked) => late::measure(table, asked).await,
        Use::Spread(at_once) => spread::measure(table, at_once).await,
        Use::Short(at_once) => short::measure(table, at_once).await,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_an_id_of_its_own() {
        let rows = all();
        let ids: BTreeSet<_> = rows.iter().map(|row| &row.id).collect();
        assert_eq!(ids.len(), rows.len());
    }
}
