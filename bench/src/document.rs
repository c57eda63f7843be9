//! A document that has a table of results between two marks.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Puts a table between the marks of a file: all of it, or only these rows in place of those that begin with the same
/// cell.
///
/// # Errors
/// The file cannot be read or written, has no marks, or not one of these rows to replace.
pub fn put(
    file: &Path,
    marks: (&str, &str),
    head: &[String],
    rows: &[String],
    whole: bool,
) -> Result<()> {
    if whole { write(file, marks, &[head, rows].concat()) } else { update(file, marks, rows) }
}

fn write(file: &Path, marks: (&str, &str), lines: &[String]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let missing = || format!("{}: no marks {} and {}", file.display(), marks.0, marks.1);
    let (above, rest) = text.split_once(marks.0).with_context(missing)?;
    let (_, below) = rest.split_once(marks.1).with_context(missing)?;
    let table = lines.join("\n");
    let text = format!("{above}{}\n{table}\n{}{below}", marks.0, marks.1);
    fs::write(file, text).with_context(|| file.display().to_string())
}

fn update(file: &Path, marks: (&str, &str), rows: &[String]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let between = text.split_once(marks.0).and_then(|(_, rest)| rest.split_once(marks.1));
    let table = between.map(|(table, _)| table.trim()).unwrap_or_default();
    let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
    for row in rows {
        let known = lines.iter_mut().find(|line| first_cell(line) == first_cell(row));
        *known.with_context(|| format!("{}: no such row yet: {row}", file.display()))? =
            row.clone();
    }
    write(file, marks, &lines)
}

fn first_cell(line: &str) -> Option<&str> {
    line.strip_prefix("| ")?.split(" |").next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_that_are_made_anew_are_replaced() {
        let marks = ("<!-- begin -->", "<!-- end -->");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("doc.md");
        let table = "How.\n\n| a | b |\n| --- | --- |\n| one | 1 |\n| two | 2 |";
        fs::write(&file, format!("{}\n{table}\n{}\n", marks.0, marks.1)).unwrap();
        update(&file, marks, &["| one | 3 |".to_owned()]).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("{}\n{}\n{}\n", marks.0, table.replace("1", "3"), marks.1));
        assert!(update(&file, marks, &["| three | 3 |".to_owned()]).is_err());
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let marks = ("<!-- begin -->", "<!-- end -->");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("doc.md");
        fs::write(&file, format!("a\n{}\nold\n{}\nb\n", marks.0, marks.1)).unwrap();
        write(&file, marks, &["new".to_owned()]).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("a\n{}\nnew\n{}\nb\n", marks.0, marks.1));
        fs::write(&file, "no marks").unwrap();
        assert!(write(&file, marks, &[]).is_err());
    }
}
