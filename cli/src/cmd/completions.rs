//! `client completions SHELL`: what the shell needs to complete our command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::Error;
use crate::args::Args;
use crate::output;

/// Prints the script.
pub(super) fn run(shell: Shell) -> Result<(), Error> {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    // Not straight to standard output: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    Ok(output::line(String::from_utf8_lossy(&script).trim_end())?)
}
