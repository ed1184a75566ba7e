//! Each `bad/NAME.yaml` is reported as `bad/NAME.stderr` says. `UPDATE=1 cargo test --test config`
//! writes what is reported now; read the difference before committing it.

use std::fs;
use std::path::Path;

use portcullis::config;

fn env(name: &str) -> Option<String> {
    match name {
        "WORD" => Some("word".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

#[test]
fn what_is_said_about_bad_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/bad");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let mut differ = Vec::new();
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let reported = match config::parse(&text, Path::new(name), &env) {
            Ok(_) => panic!("{name} was accepted"),
            Err(report) => report.render(false),
        };
        let golden = path.with_extension("stderr");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, &reported).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if expected != reported {
            differ.push(format!(
                "--- {name} should say\n{expected}\n+++ and says\n{reported}"
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
