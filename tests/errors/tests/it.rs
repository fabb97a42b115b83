//! The compiler's words for the likely mistakes, and the page that explains them.

use std::{collections::BTreeMap, fs, path::Path};

const PAGE: &str = include_str!("../../../crates/donjon/docs/errors.md");

/// What a case is said to print, line by line.
fn page() -> BTreeMap<&'static str, Vec<&'static str>> {
    PAGE.split("<!-- case: ")
        .skip(1)
        .map(|part| {
            let (case, rest) = part.split_once(" -->\n```text\n").expect("a block of text follows the name of a case");
            let (text, _) = rest.split_once("```").expect("the block ends");
            (case, text.lines().collect())
        })
        .collect()
}

/// What the cases print.
fn printed() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let files = fs::read_dir(folder).expect("the folder of the cases").map(|file| file.expect("a file of it").path());
    let cases = files.filter(|path| path.extension().is_some_and(|it| it == "rs"));
    cases
        .map(|path| {
            let text = fs::read_to_string(path.with_extension("stderr")).expect("each case has its text");
            (path.file_stem().expect("a file has a name").to_string_lossy().into_owned(), text)
        })
        .collect()
}

/// The first of these lines that does not come, in order, in the text.
fn missing<'a>(lines: &[&'a str], text: &str) -> Option<&'a str> {
    let mut rest = text;
    lines.iter().copied().find(|line| match rest.find(line) {
        Some(at) => {
            rest = &rest[at + line.len()..];
            false
        }
        None => true,
    })
}

/// `TRYBUILD=overwrite cargo test -p donjon-compile-errors` writes the texts anew, after a change of a message or of what
/// the compiler quotes of the sources.
#[test]
fn the_compiler_says_what_is_missing() {
    trybuild::TestCases::new().compile_fail("cases/*.rs");
}

#[test]
fn the_page_says_what_the_compiler_says_of_each_case() {
    let (page, printed) = (page(), printed());
    let cases: Vec<_> = printed.keys().map(String::as_str).collect();
    assert_eq!(page.keys().copied().collect::<Vec<_>>(), cases, "each case stands on the page once");
    for (case, lines) in page {
        assert!(!lines.is_empty(), "{case}");
        assert_eq!(missing(&lines, &printed[case]), None, "not what {case} prints, or not in this order");
    }
}

#[test]
fn a_text_that_the_compiler_does_not_say_is_seen() {
    let text = "error: a\n = note: b\n";
    assert_eq!(missing(&["error: a", "= note: b"], text), None);
    assert_eq!(missing(&["= note: b", "error: a"], text), Some("error: a"));
    assert_eq!(missing(&["error: a", "= note: c"], text), Some("= note: c"));
}
