//! Which file of a crate uses which, and whether that goes round.

use std::collections::{BTreeMap, BTreeSet};

/// A file of a crate, as its path below `src/` without `.rs`: `lanes/mux`.
pub(super) type Module = String;
/// Which modules each one names, by `crate::` or `super::`.
pub(super) type Uses = BTreeMap<Module, BTreeSet<Module>>;

/// Who uses whom among `sources`, pairs of module and text. Tests, comments and a module's own children do not count:
/// it is made of them.
pub(super) fn uses(sources: &BTreeMap<Module, String>) -> Uses {
    let of = |(module, text): (&Module, &String)| {
        let code = code(text);
        let named = paths(&code).into_iter().filter_map(|path| resolve(module, &path, sources));
        let others = named.filter(|other| other != module && !is_below(other, module));
        (module.clone(), others.collect())
    };
    sources.iter().map(of).collect()
}

/// The same from folder to folder of the first floor.
pub(super) fn of_folders(uses: &Uses) -> Uses {
    let folder = |module: &Module| module.split('/').next().unwrap().to_owned();
    let mut folders = Uses::new();
    for (user, used) in uses {
        let others = used.iter().map(folder).filter(|other| *other != folder(user));
        folders.entry(folder(user)).or_default().extend(others);
    }
    folders
}

/// Every module from which uses lead back to it.
pub(super) fn circles(uses: &Uses) -> Vec<Module> {
    let leads_back = |start: &&Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![*start]);
        while let Some(module) = next.pop() {
            next.extend(uses.get(module).into_iter().flatten().filter(|used| seen.insert(*used)));
        }
        seen.contains(*start)
    };
    uses.keys().filter(leads_back).cloned().collect()
}

fn is_below(module: &str, of: &str) -> bool {
    module.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'))
}

/// What is compiled without `cfg(test)`, and is no comment.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// All paths that begin with `crate::` or `super::`, the trees of imports taken apart.
fn paths(code: &str) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    for root in ["crate", "super"] {
        for (at, _) in code.match_indices(&format!("{root}::")) {
            let is_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
            if !is_word {
                tree(&code[at..], Vec::new(), &mut found);
            }
        }
    }
    found
}

/// Adds the paths of one tree of imports, `a::{b, c::{d, e}}`, and returns what follows it.
fn tree<'a>(text: &'a str, mut path: Vec<&'a str>, found: &mut Vec<Vec<&'a str>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|c: char| ",;".contains(c) || c.is_whitespace());
            if rest.is_empty() || rest.starts_with('}') {
                return rest.get(1..).unwrap_or_default();
            }
            rest = tree(rest, path.clone(), found);
        }
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    path.push(word);
    match rest.strip_prefix("::") {
        Some(rest) => tree(rest, path, found),
        None => {
            found.push(path);
            // After an `as`, or what is no import at all.
            &rest[rest.find(['}', ',', ';', '\n']).unwrap_or(rest.len())..]
        }
    }
}

/// The module a path leads to, from where it stands.
fn resolve(from: &str, path: &[&str], known: &BTreeMap<Module, String>) -> Option<Module> {
    let supers = path.iter().filter(|word| **word == "super").count();
    let mut full: Vec<&str> = from.split('/').collect();
    full.truncate(if supers == 0 { 0 } else { full.len().saturating_sub(supers) });
    full.extend(path.iter().filter(|word| !["crate", "super", "self"].contains(word)));
    (1..=full.len()).rev().map(|len| full[..len].join("/")).find(|path| known.contains_key(path))
}

#[test]
fn uses_and_their_circles_are_found() {
    let sources = [
        ("a", "use crate::b::{Thing, inner::{Other, self}};\n// crate::c\n"),
        ("b", "mod inner;\npub use inner::Thing;\n#[cfg(test)]\nmod tests { use crate::a; }\n"),
        ("b/inner", "use super::Thing as Some;\nfn f() -> crate::c::Thing { my_crate::a() }\n"),
        ("c", "use std::fmt;\nuse crate::d;\n"),
        ("d", "impl X for super::c::Y {}\n"),
    ];
    let sources = sources.map(|(module, text)| (module.to_owned(), text.to_owned())).into();
    let uses = uses(&sources);
    let of = |module: &str| Vec::from_iter(uses[module].iter().map(String::as_str));
    assert_eq!(of("a"), ["b", "b/inner"]);
    assert_eq!(of("b"), [""; 0]);
    assert_eq!(of("b/inner"), ["b", "c"]);
    assert_eq!(circles(&uses), ["c", "d"]);
    assert_eq!(circles(&of_folders(&uses)), ["c", "d"]);
    assert_eq!(Vec::from_iter(&of_folders(&uses)["b"]), ["c"]);
}
