//! Where the programs are. Cargo tells a test only about its own package's, so `hub` is looked for
//! beside `agent`, and built first where it is missing or older than its sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The program `agent`.
pub(crate) fn agent() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_agent"))
}

/// The program `hub`.
pub(crate) fn hub() -> &'static Path {
    static HUB: OnceLock<PathBuf> = OnceLock::new();
    HUB.get_or_init(|| {
        let hub = agent().with_file_name(format!("hub{}", std::env::consts::EXE_SUFFIX));
        if !is_fresh(&hub) {
            build();
        }
        hub
    })
}

/// Whether a program is newer than all that it is made of, which cargo has listed beside it.
fn is_fresh(program: &Path) -> bool {
    let Some(built) = modified(program) else {
        return false;
    };
    let list = fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources.trim());
    let older = |source: &str| modified(Path::new(source)).is_some_and(|at| at <= built);
    !sources.is_empty() && sources.split(' ').all(older)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

/// Into the directory of `agent`: `<target directory>/<profile>`.
fn build() {
    let profile_dir = agent().parent().unwrap();
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => "dev",
        other => other,
    };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "hub", "--bin", "hub", "--profile", profile])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(profile_dir.parent().unwrap())
        .status();
    assert!(status.unwrap().success(), "cannot build the hub");
}
