//! A document that has a table of results between two marks.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Puts the lines between the marks of a file.
///
/// # Errors
/// It cannot be read or written, or has no marks.
pub fn write(file: &Path, marks: (&str, &str), lines: &[String]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let missing = || format!("{}: no marks {} and {}", file.display(), marks.0, marks.1);
    let (above, rest) = text.split_once(marks.0).with_context(missing)?;
    let (_, below) = rest.split_once(marks.1).with_context(missing)?;
    let table = lines.join("\n");
    let text = format!("{above}{}\n{table}\n{}{below}", marks.0, marks.1);
    fs::write(file, text).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

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
