//! Each `bad/NAME.yaml` is refused as `bad/NAME.stderr` says, and each `doubtful/NAME.yaml` is taken with the
//! warnings of `doubtful/NAME.stderr`. `UPDATE=1 cargo test --test config` writes what is reported now; read
//! the difference before committing it.

use std::fs;
use std::path::Path;

use portcullis::config::{self, Config, Report};
use portcullis::route::{self, Tries};

fn env(name: &str) -> Option<String> {
    match name {
        "WORD" => Some("word".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

#[test]
fn what_is_said_about_bad_files() {
    compare("bad", |name, text| {
        match config::parse(text, Path::new(name), &env) {
            Ok(_) => panic!("{name} was accepted"),
            Err(report) => report.render(false),
        }
    });
}

#[test]
fn what_is_said_about_doubtful_files() {
    compare("doubtful", |name, _| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/doubtful/");
        let path = format!("{folder}{name}");
        let doubts = |config: &Config| route::doubts(config, &Tries::default());
        let loaded = match config::load_with(Path::new(&path), &doubts) {
            Ok(loaded) => loaded,
            Err(report) => panic!("{}", report.render(false)),
        };
        assert!(!loaded.warnings.is_empty(), "{name}: nothing is doubtful");
        let diagnostics = loaded.warnings;
        let said = Report { diagnostics }.render(false);
        said.replace(folder, "")
    });
}

/// Holds what is said of each file of a folder to the text beside it.
fn compare(folder: &str, said: impl Fn(&str, &str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/config")
        .join(folder);
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
        let reported = said(name, &text);
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
