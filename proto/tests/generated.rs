//! The checked-in code is what the `.proto` files say. `make pb` rewrites it (`UPDATE_PB=1`).

use std::fs;
use std::path::Path;

const PROTOS: [&str; 3] = ["hub/v1/hub.proto", "hub/v1/activity.proto", "fluentd/v1/fluentd.proto"];

#[test]
fn checked_in_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().expect("a directory for the generated files");
    generate(root, fresh.path());

    let kept = root.join("src/gen");
    if std::env::var_os("UPDATE_PB").is_some() {
        copy_all(fresh.path(), &kept);
    }
    assert_eq!(names(fresh.path()), names(&kept), "files in {}: run `make pb`", kept.display());
    for name in names(fresh.path()) {
        let same = read(&fresh.path().join(&name)) == read(&kept.join(&name));
        assert!(same, "{} is stale: run `make pb`", kept.join(&name).display());
    }
}

/// Compiles the `.proto` files with no protoc: protox parses, tonic-prost-build writes Rust.
fn generate(root: &Path, out: &Path) {
    let mut compiler = protox::Compiler::new([root]).expect("an include path");
    compiler.include_imports(true).include_source_info(true).open_files(PROTOS).expect("protos");
    tonic_prost_build::configure()
        .out_dir(out)
        // The helper it leaves out is called `connect`, like the method Activity/Connect.
        .build_transport(false)
        .compile_fds(compiler.file_descriptor_set())
        .expect("generated code");
    // Reflection serves the descriptors; the comments in them are what `client describe` prints.
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set()).expect("written");
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the directory of generated code");
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).expect("copied");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a UTF-8 name");
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("an entry"))).collect();
    names.sort();
    names
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
