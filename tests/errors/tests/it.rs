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
            let text = fs::read_to_string(path.with_extension("stderr"))
                .expect("the compiler has said something of each case");
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

/// Each case must fail to compile. What the compiler says of it is written beside it, by the setting in `.cargo/config.toml`,
/// and the page is what it is compared with: whole texts would change with every implementation of a trait.
#[test]
fn the_page_says_what_the_compiler_says_of_each_case() {
    let written = std::env::var("TRYBUILD");
    assert_eq!(written.as_deref(), Ok("overwrite"), "run this by cargo, inside of the workspace");
    for case in page().keys() {
        // What an earlier run has left proves nothing.
        let _ =
            fs::remove_file(Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(case).with_extension("stderr"));
    }
    // They are compiled when it is dropped.
    drop({
        let cases = trybuild::TestCases::new();
        cases.compile_fail("cases/*.rs");
        cases
    });
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
