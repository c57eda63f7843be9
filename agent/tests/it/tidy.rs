//! The repository itself: files and functions that stay small and say what they are, imports that go one way, and a
//! map that is true.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// No file is longer.
const MAX_LINES: usize = 400;
/// No function is longer.
const MAX_FUNCTION_LINES: usize = 50;
/// Folders of the repository that hold sources, as the map names them.
const CRATES: [&str; 8] =
    ["hub", "agent", "cli", "proto", "switch", "http2", "tunnel", "scripts/certs"];
/// How a generated file begins, which is as long as it is.
const GENERATED: &str = "// This file is @generated";
const MAP: &str = "ARCHITECTURE.md";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every `.rs` file that somebody has written, by its path in the repository.
fn sources() -> Vec<String> {
    let root = repository();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                // What cargo and the tools leave behind is not ours.
                if name != "target" && !name.to_str().unwrap().starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.retain(|path| !read(path).starts_with(GENERATED));
    found.sort();
    assert!(found.len() > 50, "{found:?}");
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn is_in_a_crate(path: &str) -> bool {
    CRATES.iter().any(|name| path.strip_prefix(name).is_some_and(|rest| rest.starts_with("/src/")))
}

#[test]
fn no_file_is_long() {
    let lines = |path: &String| read(path).lines().count();
    let long: Vec<_> = sources().into_iter().filter(|path| lines(path) > MAX_LINES).collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines: {long:?}");
}

#[test]
fn every_file_says_first_what_it_is() {
    let silent: Vec<_> =
        sources().into_iter().filter(|path| !read(path).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "they do not open with //!: {silent:?}");
}

/// From the line with its name to the one that ends it.
#[test]
fn no_function_is_long() {
    let mut long = Vec::new();
    for path in sources() {
        let functions = functions(&read(&path));
        let too_long = functions.into_iter().filter(|(_, lines)| *lines > MAX_FUNCTION_LINES);
        long.extend(too_long.map(|(name, lines)| format!("{path}: {name} has {lines} lines")));
    }
    assert!(long.is_empty(), "more than {MAX_FUNCTION_LINES} lines: {long:#?}");
}

/// The functions of a formatted text, with their lines.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let (indent, words) = line.split_at(line.len() - line.trim_start().len());
        let Some((before, name)) = words.split_once("fn ") else { continue };
        let is_declared = before.split(' ').all(|word| {
            word.is_empty()
                || word.starts_with("pub")
                || ["const", "async", "unsafe"].contains(&word)
        });
        if !is_declared || line.ends_with([';', '}']) {
            continue;
        }
        let ends = |line: &&str| {
            let rest = line.strip_prefix(indent).unwrap_or_default();
            rest == "}" || (rest.starts_with([')', 'w']) && rest.ends_with([';', '}']))
        };
        let more = lines[at + 1..].iter().position(ends).unwrap_or_default();
        let name = name.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap();
        found.push((name.to_owned(), more + 2));
    }
    found
}

#[test]
fn functions_are_measured_to_their_end() {
    let text = "fn one() {}\nfn declared(\n    a: u8,\n) -> u8;\nimpl X {\n    pub(crate) async fn two(\n        self,\n    \
        ) -> u8 {\n        if true {\n            1\n        }\n    }\n}\n";
    assert_eq!(functions(text), [("declared".to_owned(), 3), ("two".to_owned(), 7)]);
}

/// Files of a crate use each other one way, and so do its folders: whoever reads one knows which to read first.
#[test]
fn imports_go_one_way() {
    for name in ["hub", "agent", "cli", "switch", "http2", "tunnel"] {
        let below = |path: &String| {
            let module = path.strip_prefix(name)?.strip_prefix("/src/")?.strip_suffix(".rs")?;
            let is_test = module.ends_with("tests") || module.contains("tests/");
            // These put the others together.
            let is_root = ["lib", "main"].contains(&module);
            (!is_test && !is_root).then(|| (module.to_owned(), read(path)))
        };
        let crate_sources: BTreeMap<_, _> = sources().iter().filter_map(below).collect();
        let uses = imports::uses(&crate_sources);
        assert!(uses.values().any(|used| !used.is_empty()), "{name}: no imports were found");
        let circles = imports::circles(&uses);
        assert!(circles.is_empty(), "{name}: files use each other in a circle: {circles:?}");
        let circles = imports::circles(&imports::of_folders(&uses));
        assert!(circles.is_empty(), "{name}: folders use each other in a circle: {circles:?}");
    }
}

/// The map names files, and folders, with a slash at their end, for all that is in them.
#[test]
fn the_map_of_the_code_is_true() {
    let (files, folders) = mapped(&read(MAP));
    let sources = sources();
    let is_test = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
    let covered = |path: &String| {
        files.contains(path) || folders.iter().any(|folder| path.starts_with(folder))
    };
    let missing = sources.iter().filter(|path| is_in_a_crate(path) && !is_test(path));
    let missing: Vec<_> = missing.filter(|path| !covered(path)).collect();
    let is_gone = |path: &&String| !repository().join(path).exists();
    let gone: Vec<_> = files.iter().chain(&folders).filter(is_gone).collect();
    assert!(missing.is_empty(), "not in {MAP}: {missing:#?}");
    assert!(gone.is_empty(), "only in {MAP}: {gone:#?}");
}

/// The source files and folders of the crates that a text names, wherever it does.
fn mapped(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let in_a_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let paths = text.split(|c| !in_a_path(c)).filter(|path| is_in_a_crate(path)).map(str::to_owned);
    let (files, rest): (BTreeSet<_>, BTreeSet<_>) = paths.partition(|path| path.ends_with(".rs"));
    (files, rest.into_iter().filter(|path| path.ends_with('/')).collect())
}

#[test]
fn files_and_folders_of_the_crates_are_the_map() {
    let text = "`hub/src/a.rs`, hub/src/splice/b.rs: of `cli/src/`, not `README.md`, `hub/src`\n\
        | `scripts/certs/src/main.rs` | `hub/tests/it/main.rs` |";
    let (files, folders) = mapped(text);
    let expected = ["hub/src/a.rs", "hub/src/splice/b.rs", "scripts/certs/src/main.rs"];
    assert_eq!(Vec::from_iter(files), expected);
    assert_eq!(Vec::from_iter(folders), ["cli/src/"]);
}
