//! Files that mean harm, or were damaged: one clear error at its place, and no panic.

use std::fmt::Write as _;
use std::path::Path;

use portcullis::config::{self, Report};
use proptest::prelude::*;

use super::good::SMALLEST;

fn refused(text: &str) -> Report {
    match config::parse(text, Path::new("g.yaml"), &|_| None) {
        Ok(_) => panic!("accepted"),
        Err(report) => report,
    }
}

/// The only error of a file.
fn only(text: &str) -> (usize, usize, String) {
    let report = refused(text);
    assert_eq!(report.diagnostics.len(), 1, "{report}");
    let one = &report.diagnostics[0];
    (one.line, one.column, one.message.clone())
}

fn load_bytes(bytes: &[u8]) -> Result<config::Loaded, Report> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    std::fs::write(&path, bytes).unwrap();
    config::load(&path)
}

#[test]
fn an_error_behind_many_warnings_is_told() {
    let mut text = String::from(
        "version: 1\ntiers: { free: { rank: 0 } }\nupstreams: { app: { targets: http://a } }\nroutes:\n",
    );
    for n in 0..400 {
        let _ = writeln!(
            text,
            "  - {{ name: r{n}, path: /r{n}, auth: required, allow: [{{ min_tier: free }}], upstream: app }}"
        );
    }
    text.push_str("  - { name: last, prefix: /, auth: required, upstream: nowhere }\n");
    let report = refused(&text).to_string();
    assert!(report.contains("g.yaml:405:"), "{report}");
    assert!(report.contains("nowhere"), "{report}");
    assert!(
        report.contains("200 more findings are not shown"),
        "{report}"
    );
}

#[test]
fn a_mistyped_secret_behind_many_errors_is_hidden() {
    let unknown: String = (0..200).map(|n| format!("k{n:03}: 1, ")).collect();
    for secret in [
        "secert: hunter2hunter2",
        "odd: \"-----BEGIN PRIVATE KEY hunter2\"",
    ] {
        let text = format!(
            "version: 1\nauth: {{ signing: {{ {unknown}{secret} }} }}\n\
             upstreams: {{ app: {{ targets: http://a }} }}\n\
             routes: [{{ name: a, prefix: /, auth: none, upstream: app }}]\n"
        );
        let report = refused(&text);
        let json = report.diagnostics.iter().map(|d| d.to_json().to_string());
        for said in json.chain([report.to_string()]) {
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

#[test]
fn alias_bomb() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..40 {
        let before = format!("*a{}, ", i - 1).repeat(9);
        let _ = writeln!(text, "a{i}: &a{i} [{before}*a{}]", i - 1);
    }
    let (line, _, message) = only(&text);
    assert!(line > 1);
    assert!(message.contains("aliases stand for more than"), "{message}");
}

#[test]
fn alias_bomb_of_long_texts() {
    let long = "x".repeat(1_000_000);
    let aliases = "*a, ".repeat(3000);
    for anchor in [
        format!("a: &a {long}\n"),
        format!("a: &a {{ ? {long} : 1 }}\n"),
        format!("a: &a [[{long}]]\n"),
    ] {
        let text = format!("{anchor}auth: {{ audience: [{aliases}] }}\n");
        let (line, _, message) = only(&text);
        assert_eq!(line, 2);
        assert!(message.contains("aliases stand for more than"), "{message}");
    }
}

#[test]
fn an_alias_within_its_own_anchor() {
    let (line, column, message) = only("a: &a\n  b: *a\n");
    assert_eq!((line, column), (2, 6));
    assert!(message.contains("contains it"), "{message}");
}

#[test]
fn huge_nesting() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
        let text = format!("a:\n  {}x{}\n", open.repeat(50_000), close.repeat(50_000));
        let (_, _, message) = only(&text);
        assert!(message.contains("levels deep"), "{open}: {message}");
    }
    let mut text = String::new();
    for depth in 0..1000 {
        let _ = writeln!(text, "{}a:", " ".repeat(depth));
    }
    assert!(only(&text).2.contains("levels deep"));
}

#[test]
fn empty_files() {
    for text in ["", "\n", "# nothing\n", "---\n", "~\n", "\u{feff}"] {
        let (_, _, message) = only(text);
        assert_eq!(message, "the file is empty");
    }
}

#[test]
fn several_documents() {
    let (line, column, message) = only(&format!("{SMALLEST}---\n{SMALLEST}"));
    assert_eq!((line, column), (4, 1));
    assert_eq!(message, "a second document begins here");
}

#[test]
fn a_root_that_is_no_mapping() {
    for text in ["hello", "- a\n- b\n", "[]", "42"] {
        let (_, _, message) = only(text);
        assert!(message.starts_with("expected a mapping"), "{message}");
    }
}

#[test]
fn binary() {
    let (line, column, message) = only("version: 1\nstore: a\0b\n");
    assert_eq!((line, column), (2, 9));
    assert!(message.contains("U+0000"), "{message}");

    let mut bytes = b"\x7fELF\x02\x01".to_vec();
    bytes.extend((0..=255).cycle().take(100_000));
    assert_eq!(load_bytes(&bytes).unwrap_err().diagnostics.len(), 1);
}

#[test]
fn not_in_utf8() {
    let report = load_bytes(b"version: 1\n# caf\xe9\nroutes: []\n").unwrap_err();
    let one = &report.diagnostics[0];
    assert_eq!((one.line, one.column), (2, 6));
    assert!(one.message.contains("UTF-8"), "{report}");
}

#[test]
fn too_large() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(100 * 1024 * 1024).unwrap();
    let report = config::load(&path).unwrap_err();
    assert_eq!(
        report.diagnostics[0].message,
        "the file is larger than 4 MiB"
    );
}

#[test]
fn a_folder_in_place_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let report = config::load(folder.path()).unwrap_err();
    assert!(
        report.diagnostics[0]
            .message
            .starts_with("cannot read the file"),
        "{report}"
    );
}

#[test]
fn what_is_reported_is_bounded() {
    let mut text = String::new();
    for i in 0..20_000 {
        let _ = writeln!(text, "k{i}: 1");
    }
    let report = refused(&text);
    assert_eq!(report.diagnostics.len(), 201);
    assert!(report.diagnostics[200].message.contains("more findings"));
    // In one line, too, however long it is.
    let report = refused(&format!("routes: [{}]", "1,".repeat(1 << 20)));
    assert_eq!(report.diagnostics.len(), 201);
    assert!(report.render(false).len() < 200_000);
    // Nor does a hint repeat a long path, or name all tiers of a file.
    let long_path = SMALLEST.replace("prefix: /", &format!("path: {}", "a".repeat(100_000)));
    let tiers: String = (0..5000).map(|i| format!("  t{i}: {{}}\n")).collect();
    let many_tiers = format!("{SMALLEST}tiers:\n{tiers}");
    let no_such_tier = format!("{many_tiers}auth: {{ default_tier: gold }}\n");
    for text in [long_path, many_tiers, no_such_tier] {
        let rendered = refused(&text).render(false);
        assert!(rendered.len() < 2000, "{} bytes", rendered.len());
    }
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let text = format!(
        "{SMALLEST}log: {{ level: {}, acess: json }}\n",
        "é".repeat(100_000)
    );
    let rendered = refused(&text).render(false);
    assert!(rendered.len() < 4000, "{}", rendered.len());
    assert!(rendered.contains("has no key `acess`"), "{rendered}");
}

#[test]
fn escape_sequences_do_not_reach_the_terminal() {
    let text = SMALLEST.replace("auth: required", r#"auth: "\e[2J""#);
    assert!(!refused(&text).render(false).contains('\x1b'));
    let text = SMALLEST.replace("auth: required", "auth: \u{9b}2J");
    assert!(!refused(&text).render(false).contains('\u{9b}'));
}

#[test]
fn secrets_do_not_show_in_excerpts() {
    let secret = "hunter2-hunter2";
    let lines = [
        format!("auth: {{ signing: {{ algorithm: HS256, secret: {secret} }} }}\n"),
        format!("auth: {{ signing: {{ algorithm: HS256, secert: {secret} }} }}\n"),
        format!("auth: {{ signing: {{ algorithm: HS255, secret: '{secret}' }} }}\n"),
        format!("auth: {{ signing: {{ secret: {secret} }} }}\n"),
        format!("auth:\n  signing:\n    algorithm: HS256\n    secret: |\n      {secret}\n"),
        format!("auth: {{ signing: {{ secret: [{secret}] }} }}\n"),
        format!("auth:\n  signing:\n    secret: \"{secret}\n"),
        format!("auth: {{ signing: {{ secret: {secret} }}\n"),
        format!("store: postgres://user:{secret}@db:port/app\n"),
        format!("store: mysql://user:{secret}@db/app\n"),
    ];
    for line in lines {
        let report = refused(&format!("{SMALLEST}{line}"));
        assert!(!report.render(true).contains("hunter2"), "{report}");
        assert!(
            !report.to_json().to_string().contains("hunter2"),
            "{report}"
        );
    }
}

/// Whatever stands in a file, reading it ends in a configuration or in errors with places in it.
fn holds(text: &str) {
    let Err(report) = config::parse(text, Path::new("g.yaml"), &|_| None) else {
        return;
    };
    assert!(report.errors() > 0);
    let lines = text.split('\n').count();
    for one in &report.diagnostics {
        assert!(one.line <= lines);
        assert!(one.end_column >= one.column);
        assert!(!one.render(true).is_empty());
    }
}

const EXAMPLE: &str = include_str!("../../gateway.yaml");

/// Pieces that mean something to YAML or to the gateway.
const PIECES: &[&str] = &[
    "\t",
    "\n",
    "\r",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!t ",
    "|",
    ">",
    "\"",
    "'",
    "#",
    "%",
    "@",
    "`",
    "? ",
    "---\n",
    "...\n",
    "${",
    "${A}",
    "$${",
    "<<: ",
    "\0",
    "é",
    "\u{feff}",
    "~",
    "null",
    "0",
    "-1",
    "1e9",
    "unlimited",
    "{id}",
    "{*r}",
    "/",
    "//",
    "..",
    "99999999999999999999",
    "\u{2028}",
    "漢字",
    "\\",
];

proptest! {
    #[test]
    fn random_text(text in "\\PC{0,200}") {
        holds(&text);
    }

    #[test]
    fn random_yaml(picks in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = picks.into_iter().map(|i| PIECES[i]).collect();
        holds(&text);
        holds(&format!("{SMALLEST}{text}"));
    }

    #[test]
    fn damaged_example(
        cuts in prop::collection::vec((0.0..1.0f64, 0usize..6, 0..PIECES.len()), 1..6)
    ) {
        let mut chars: Vec<char> = EXAMPLE.chars().collect();
        for (at, removed, piece) in cuts {
            let at = (at * chars.len() as f64) as usize;
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, PIECES[piece].chars());
        }
        holds(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = load_bytes(&bytes);
    }

    #[test]
    fn truncated_example(at in 0.0..1.0f64) {
        let at = (at * EXAMPLE.len() as f64) as usize;
        holds(&EXAMPLE[..EXAMPLE.floor_char_boundary(at)]);
    }
}
