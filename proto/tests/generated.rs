//! The checked-in code is what the `.proto` files say. `make pb` rewrites it (`UPDATE_PB=1`).

#![allow(clippy::expect_used, reason = "so tests fail")]

use std::fs;
use std::path::{Path, PathBuf};

/// Some files and where their code is kept.
struct Set {
    root: &'static str,
    protos: &'static [&'static str],
    kept: &'static str,
    /// Whether their descriptors are wanted, too.
    descriptors: bool,
}

const SERVICES: Set = Set {
    root: "proto",
    protos: &[
        "hub/v1/hub.proto",
        "hub/v1/activity.proto",
        "hub/v1/names.proto",
        "hub/peer/v1/peers.proto",
        "fluentd/v1/fluentd.proto",
        "grpc/health/v1/health.proto",
    ],
    kept: "proto/src/gen",
    descriptors: true,
};

/// Somebody else's service: none of what reflection tells.
const ETCD: Set =
    Set { root: "proto/etcd", protos: &["etcd.proto"], kept: "proto/src/etcd", descriptors: false };

const EXAMPLE: Set = Set {
    root: "agent/examples/greeter",
    protos: &["greeter.proto"],
    kept: "agent/examples/greeter",
    descriptors: true,
};

#[test]
fn code_of_the_services_is_fresh() {
    check(&SERVICES);
}

#[test]
fn code_of_etcd_is_fresh() {
    check(&ETCD);
}

#[test]
fn code_of_the_example_is_fresh() {
    check(&EXAMPLE);
}

fn check(set: &Set) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let fresh = tempfile::tempdir().expect("a directory for the generated files");
    generate(&workspace.join(set.root), set, fresh.path());

    let update = std::env::var_os("UPDATE_PB").is_some();
    for name in names(fresh.path()) {
        let (fresh, kept) = (fresh.path().join(&name), workspace.join(set.kept).join(&name));
        let same = || fs::read(&fresh).ok() == fs::read(&kept).ok();
        // What is the same already is left alone: a newer file would be built anew.
        if update && !same() {
            fs::copy(&fresh, &kept).expect("copied");
        }
        assert!(same(), "{} is stale: run `make pb`", kept.display());
    }
}

/// Compiles the `.proto` files with no protoc: protox parses, tonic-prost-build writes Rust.
fn generate(root: &PathBuf, Set { protos, descriptors, .. }: &Set, out: &Path) {
    let mut compiler = protox::Compiler::new([root]).expect("an include path");
    compiler.include_imports(true).include_source_info(true).open_files(*protos).expect("protos");
    tonic_prost_build::configure()
        .out_dir(out)
        // The helper it leaves out is called `connect`, like the method Activity/Connect.
        .build_transport(false)
        .compile_fds(compiler.file_descriptor_set())
        .expect("generated code");
    // Reflection serves the descriptors; the comments in them are what `client describe` prints.
    if *descriptors {
        let set = compiler.encode_file_descriptor_set();
        fs::write(out.join("descriptors.bin"), set).expect("written");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a UTF-8 name");
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("an entry"))).collect();
    names.sort();
    names
}
