//! How the processes of one measuring program talk: a line at a time, and until standard input ends.

use std::io::Read as _;

use anyhow::{Context as _, Result};

/// Returns when whoever holds the other end of standard input is gone.
///
/// # Errors
/// There is none.
pub fn wait_for_end_of_input() -> Result<()> {
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).context("no standard input")?;
    Ok(())
}

/// Tells the process that started this one.
#[expect(clippy::print_stdout, reason = "the one place where the parts of this program talk")]
pub fn announce(line: &str) {
    println!("{line}");
}
