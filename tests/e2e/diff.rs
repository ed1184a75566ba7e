//! `portcullis diff`: what a change of gateway.yaml does to policy.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::gateway::{Output, portcullis, run};

const OLD: &str = "version: 1
upstreams: { app: { targets: [http://127.0.0.1:8000] } }
tiers: { free: { rank: 0, rate: 10/min }, pro: { rank: 1 } }
routes:
  - { name: health, path: /healthz, auth: none, upstream: app }
  - { name: own, path: '/users/{name}', auth: required, allow: [{ owner: '{name}' }], upstream: app }
  - { name: rest, prefix: /, auth: required, upstream: app }
";

/// What is said of two files, each the old one with something replaced.
fn diff(dir: &Path, new: &[(&str, &str)], arguments: &[&str]) -> Output {
    let new = new.iter().fold(OLD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    std::fs::write(dir.join("old.yaml"), OLD).unwrap();
    std::fs::write(dir.join("new.yaml"), new).unwrap();
    let all = [&["diff", "old.yaml", "new.yaml"], arguments].concat();
    run(portcullis(dir).args(all), "")
}

#[test]
fn a_change_that_loosens_nothing_exits_with_0() {
    let dir = tempfile::tempdir().unwrap();
    let same = diff(dir.path(), &[], &[]);
    assert_eq!(
        (same.code, same.stdout.as_str()),
        (0, "the policy is the same\n")
    );
    let tighter = [(
        "path: /healthz, auth: none",
        "path: /healthz, methods: [GET], auth: required",
    )];
    let output = diff(dir.path(), &tighter, &[]);
    assert_eq!(output.code, 0, "{output:?}");
    for part in [
        "tightened\n",
        "route health: auth none → required",
        "nothing is looser",
    ] {
        assert!(output.stdout.contains(part), "{part}: {output:?}");
    }
    assert!(
        !dir.path().join("portcullis.db").exists(),
        "it has no effect"
    );
}

#[test]
fn a_change_that_loosens_exits_with_4_and_says_what() {
    for (change, kind, part, what) in [
        (
            (
                "prefix: /, auth: required",
                "prefix: /, auth: required, limits: []",
            ),
            "loosened",
            "limits",
            "unlimited",
        ),
        (
            (
                "{ owner: '{name}' }",
                "{ owner: '{name}' }, { tiers: [pro] }",
            ),
            "loosened",
            "allow",
            "tiers: [pro]",
        ),
        (
            (", allow: [{ owner: '{name}' }]", ""),
            "loosened",
            "allow",
            "asks nothing",
        ),
        (
            ("prefix: /, auth: required", "prefix: /, auth: optional"),
            "newly_public",
            "auth",
            "required → optional",
        ),
        (
            (
                "path: '/users/{name}'",
                "path: '/users/{name}', methods: [GET]",
            ),
            "loosened",
            "match",
            "POST /users/",
        ),
        (
            ("rank: 0, rate: 10/min", "rank: 0, rate: 20/min"),
            "loosened",
            "limits",
            "10/min → 20/min",
        ),
        (
            ("upstreams:", "auth: { registration: open }\nupstreams:"),
            "loosened",
            "key",
            "closed → open",
        ),
        (
            ("127.0.0.1:8000", "127.0.0.1:8001"),
            "loosened",
            "key",
            "targets [http://127.0.0.1:8000] → [http://127.0.0.1:8001]",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let output = diff(dir.path(), &[change], &["--json"]);
        assert_eq!(output.code, 4, "{change:?}: {output:?}");
        let told: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(told["loosened"], true);
        let first = &told["changes"][0];
        assert_eq!(
            (&first["kind"], &first["part"]),
            (&json!(kind), &json!(part)),
            "{told:#}"
        );
        assert!(first["what"].as_str().unwrap().contains(what), "{told:#}");
        let text = diff(dir.path(), &[change], &[]);
        assert_eq!(text.code, 4);
        assert!(
            text.stdout.contains(what) && text.stdout.contains(" looser\n"),
            "{text:?}"
        );
    }
}

#[test]
fn routes_that_come_and_go_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let own = "  - { name: own, path: '/users/{name}', auth: required, allow: [{ owner: '{name}' }], upstream: app }\n";
    let other = "  - { name: other, path: /other, auth: required, upstream: app }\n";
    let output = diff(dir.path(), &[(own, other)], &["--json"]);
    assert_eq!(output.code, 4, "{output:?}");
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    let of = |kind: &str| {
        let all = told["changes"].as_array().unwrap().iter();
        let of_kind = all.filter(|change| change["kind"] == kind);
        of_kind
            .map(|change| change["route"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("added"), ["other"], "{told:#}");
    assert_eq!(of("removed"), ["own"], "{told:#}");
    assert_eq!(
        of("loosened"),
        ["rest"],
        "requests of `own` fall to it: {told:#}"
    );
}

#[test]
fn a_file_that_does_not_hold_is_1_and_bad_usage_2() {
    let dir = tempfile::tempdir().unwrap();
    let output = diff(dir.path(), &[("auth: none", "auth: nobody")], &[]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("new.yaml:5:"), "{output:?}");
    let output = run(
        portcullis(dir.path()).args(["diff", "old.yaml", "none.yaml"]),
        "",
    );
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("there is no such file"),
        "{output:?}"
    );
    assert_eq!(
        run(portcullis(dir.path()).args(["diff", "old.yaml"]), "").code,
        2
    );
}
