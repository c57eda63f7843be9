//! Runs the rows that are asked for, and puts them into a table.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bench::document;
use tokio::runtime;
use tokio::time::timeout;
use tunnel::program::stop_signal;

use crate::args::Table;
use crate::outcome::{self, Outcome, say};
use crate::rows::{self, Row, Use, closing};

/// How much longer than `--seconds` a row may take in all.
const ROW_MARGIN: Duration = Duration::from_secs(300);

/// Measures what `table` asks for and prints it; whether all of it is as direct.
///
/// # Errors
/// Nothing fits `--only`, or a signal came.
pub(crate) fn run(table: &Table) -> Result<bool> {
    let all = rows::all();
    let rows: Vec<_> = all.iter().filter(|row| is_asked_for(row, &table.only)).collect();
    ensure!(!rows.is_empty(), "no row fits --only; --list tells which there are");
    if table.list {
        rows.iter().for_each(|row| say(&format!("{:26} {}", row.id, row.words)));
        return Ok(true);
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let head = outcome::head(table);
    head.iter().for_each(|line| say(line));
    let mut lines = Vec::new();
    let mut kept = true;
    for batch in rows.chunk_by(|row, next| together(row.what, next.what)) {
        let outcomes = runtime.block_on(unless_stopped(measured(table, batch)))?;
        for (row, outcome) in batch.iter().zip(outcomes) {
            kept &= outcome.verdict.is_kept();
            let line = outcome.line(&row.words);
            say(&line);
            lines.push(line);
        }
    }
    if let Some(file) = &table.write {
        document::put(file, outcome::MARKS, &head, &lines, table.only.is_empty())?;
    }
    Ok(kept)
}

fn is_asked_for(row: &Row, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|part| row.id.contains(part) || row.words.contains(part))
}

/// Whether two rows next to each other are measured at the same time: those that mostly wait.
fn together(row: Use, next: Use) -> bool {
    matches!((row, next), (Use::Closing(_, one), Use::Closing(_, other)) if one == other)
}

/// The outcomes of a batch, one a row. What goes wrong with it is its outcome.
async fn measured(table: &Table, batch: &[&Row]) -> Vec<Outcome> {
    let most = table.length() + ROW_MARGIN;
    let work = async {
        match batch {
            [row] if !matches!(row.what, Use::Closing(..)) => {
                rows::measure(table, row.what).await.map(|outcome| vec![outcome])
            }
            _ => closing::measure(table, batch).await,
        }
    };
    let why = match timeout(most, work).await {
        Ok(Ok(outcomes)) => return outcomes,
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => "did not end in time".to_owned(),
    };
    batch.iter().map(|_| Outcome::broken(why.clone())).collect()
}

/// Ends early on a signal, so that everything that was started is ended, too.
async fn unless_stopped<T>(work: impl Future<Output = T>) -> Result<T> {
    let stop = stop_signal()?;
    tokio::select! {
        done = work => Ok(done),
        () = stop => bail!("stopped by a signal"),
    }
}
