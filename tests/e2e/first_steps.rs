//! `portcullis init`, `migrate` and `completions`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::gateway::{Output, portcullis, run};
use crate::harness::postgres;

fn cli(dir: &Path, arguments: &[&str]) -> Output {
    run(portcullis(dir).args(arguments), "")
}

#[track_caller]
fn good(dir: &Path, arguments: &[&str]) -> Output {
    let output = cli(dir, arguments);
    assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    output
}

#[test]
fn the_first_file_holds_and_passes_its_own_tests() {
    let dir = tempfile::tempdir().unwrap();
    let output = good(dir.path(), &["init"]);
    assert!(
        output.stdout.starts_with("gateway.yaml is written.\n"),
        "{output:?}"
    );
    let check = good(dir.path(), &["check"]);
    assert_eq!(check.stderr, "", "not even a warning");
    assert!(
        check.stdout.contains("2 routes, 1 upstream, 2 tiers: good"),
        "{check:?}"
    );
    assert_eq!(good(dir.path(), &["test"]).stdout, "1 passed, 0 failed\n");
    good(dir.path(), &["explain", "GET", "/x", "--as", "user=a"]);
    // The route in comments holds as well.
    let file = dir.path().join("gateway.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let with_route: String = text
        .lines()
        .map(|line| match line.strip_prefix("  # ") {
            Some(rest) => format!("  {rest}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    assert!(with_route.contains("\n  - name: own-posts"), "{with_route}");
    std::fs::write(&file, with_route).unwrap();
    assert!(good(dir.path(), &["check"]).stdout.contains("3 routes"));
}

#[test]
fn a_file_that_is_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.yaml");
    std::fs::write(&file, "mine").unwrap();
    let output = cli(dir.path(), &["init"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("gateway.yaml is there already"),
        "{output:?}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    std::os::unix::fs::symlink("elsewhere.yaml", dir.path().join("link.yaml")).unwrap();
    assert_eq!(cli(dir.path(), &["init", "-c", "link.yaml"]).code, 1);
    assert!(
        !dir.path().join("elsewhere.yaml").exists(),
        "not through a link either"
    );
}

#[test]
fn the_backend_and_the_store_are_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = "postgres://u:p%40ss@db.invalid/x";
    let arguments = [
        "init",
        "-c",
        "pg.yaml",
        "--upstream",
        "http://[::1]:9000",
        "--store",
        store,
    ];
    let output = good(dir.path(), &arguments);
    assert!(
        output
            .stdout
            .starts_with("pg.yaml is written, and master.key, a secret.\n"),
        "{output:?}"
    );
    assert!(!output.stdout.contains("p%40ss"), "{output:?}");
    good(dir.path(), &["check", "-c", "pg.yaml"]);
    let shown = good(dir.path(), &["explain", "GET", "/healthz", "-c", "pg.yaml"]);
    assert!(
        shown.stdout.contains("http://[::1]:9000/healthz"),
        "{shown:?}"
    );
    let mode = |name: &str| {
        std::fs::metadata(dir.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("pg.yaml"), mode("master.key")),
        (0o600, 0o600),
        "both hold secrets"
    );
    let key = std::fs::read_to_string(dir.path().join("master.key")).unwrap();
    // A second gateway on the same database has the same key.
    good(dir.path(), &["init", "-c", "pg2.yaml", "--store", store]);
    assert_eq!(
        std::fs::read_to_string(dir.path().join("master.key")).unwrap(),
        key
    );
    for bad in [
        ["init", "-c", "bad.yaml", "--upstream", "app:8000"],
        ["init", "-c", "bad.yaml", "--upstream", "http://a/path\n- x"],
        ["init", "-c", "bad.yaml", "--store", "mysql://a/b"],
    ] {
        let output = cli(dir.path(), &bad);
        assert_eq!(output.code, 2, "{bad:?}: {output:?}");
        assert!(!dir.path().join("bad.yaml").exists(), "nothing is written");
    }
}

#[test]
fn a_store_is_made_and_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let mut stores = vec!["sqlite:accounts.db".to_owned()];
    stores.extend(postgres::database());
    for (number, store) in stores.iter().enumerate() {
        let file = format!("{number}.yaml");
        good(dir.path(), &["init", "-c", &file, "--store", store]);
        let first = good(dir.path(), &["migrate", "-c", &file, "--json"]);
        let told: Value = serde_json::from_str(&first.stdout).unwrap();
        assert!(
            told["version"].as_i64().is_some_and(|version| version > 0),
            "{told}"
        );
        let second = good(dir.path(), &["migrate", "-c", &file]);
        assert!(
            second
                .stdout
                .ends_with(&format!("at version {}.\n", told["version"])),
            "{second:?}"
        );
        good(dir.path(), &["user", "list", "-c", &file]);
    }
    assert!(dir.path().join("accounts.db").exists());
    std::fs::write(
        dir.path().join("broken.db"),
        "this is no database, by its first bytes",
    )
    .unwrap();
    good(
        dir.path(),
        &["init", "-c", "broken.yaml", "--store", "sqlite:broken.db"],
    );
    let output = cli(dir.path(), &["migrate", "-c", "broken.yaml"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
}

#[test]
fn every_shell_gets_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = good(dir.path(), &["completions", shell]);
        for word in ["portcullis", "backtest", "openapi"] {
            assert!(output.stdout.contains(word), "{shell} {word}");
        }
    }
    assert_eq!(cli(dir.path(), &["completions", "cobol"]).code, 2);
    let completed = json!(run(
        std::process::Command::new("bash")
            .current_dir(dir.path())
            .arg("-c")
            .arg("source /dev/stdin; COMP_WORDS=(portcullis exp) COMP_CWORD=1; _portcullis portcullis exp portcullis; echo ${COMPREPLY[*]}"),
        &good(dir.path(), &["completions", "bash"]).stdout,
    )
    .stdout);
    assert_eq!(completed, "explain\n");
}
