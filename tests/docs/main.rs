//! What the documents say is true: files hold, commands run, tables are whole, links lead somewhere.

#[path = "../harness/mod.rs"]
mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::client::get;
use harness::eventually;
use harness::gateway::{free_address, portcullis};
use harness::origin::Origin;
use http::StatusCode;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![];
    for folder in [
        "",
        "docs",
        "examples",
        "examples/fastapi",
        "benches/compare",
    ] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 8, "{found:?}");
    found
}

/// The code blocks of a language, in order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let starts = text.match_indices(&fence);
    starts
        .map(|(at, _)| {
            let rest = &text[at + fence.len()..];
            rest[..rest.find("```").unwrap()].to_owned()
        })
        .collect()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_readme_s_file_holds_and_its_session_runs() {
    let readme = read("README.md");
    let [yaml] = &blocks(&readme, "yaml")[..] else {
        panic!("one gateway.yaml in README.md")
    };
    assert!(yaml.lines().count() <= 15, "fifteen lines are enough");
    let origin = Origin::start();
    let folder = tempfile::tempdir().unwrap();
    let (public, admin) = (free_address(), free_address());
    let yaml = yaml
        .replace("127.0.0.1:8080", &public.to_string())
        .replace("http://127.0.0.1:8000", &origin.url());
    assert!(yaml.contains(&origin.url()) && yaml.contains(&public.to_string()));
    let yaml = format!("{yaml}admin: {{ address: \"{admin}\" }}\n");
    fs::write(folder.path().join("gateway.yaml"), yaml).unwrap();

    let serving = portcullis(folder.path())
        .arg("serve")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _serving = Running(serving.unwrap());
    eventually("the gateway", || {
        let answer = std::net::TcpStream::connect(admin).ok();
        answer.map(|_| get("/readyz").send(admin).expect(200))
    });

    let session = blocks(&readme, "sh")
        .into_iter()
        .find(|block| block.contains("/login"))
        .unwrap();
    let script = session
        .replace("cargo run --release --", env!("CARGO_BIN_EXE_portcullis"))
        .replace("localhost:8080", &public.to_string());
    let output = Command::new("sh")
        .args(["-euc", &script])
        .current_dir(folder.path())
        .env("no_proxy", "*")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for expected in [
        "alice (tier free) was created",
        "GET /hello",
        "\"username\":\"alice\"",
        "\"refresh_token\"",
        "token-revoked",
    ] {
        assert!(said.contains(expected), "{expected} is missing in:\n{said}");
    }
}

#[test]
fn the_readme_s_questions_are_answered() {
    let readme = read("README.md");
    let asked = blocks(&readme, "sh")
        .into_iter()
        .find(|block| block.contains("explain"))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("examples"), folder.path().join("examples")).unwrap();
    let binary = env!("CARGO_BIN_EXE_portcullis");
    let script = asked.replace("cargo run --release --", binary);
    let output = Command::new("sh")
        .args(["-uc", &script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    for expected in [
        " passed, 0 failed",
        "refused by authz: 403 forbidden",
        "by min_tier: min_tier: author, and the caller's tier is reader",
        "1 looser",
    ] {
        assert!(said.contains(expected), "{expected} is missing in:\n{said}");
    }
}

#[test]
fn the_file_of_the_root_holds() {
    let output = portcullis(root()).arg("check").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn every_whole_file_in_a_document_holds() {
    let folder = tempfile::tempdir().unwrap();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let whole = blocks(&text, "yaml").into_iter();
        for yaml in whole.filter(|yaml| yaml.starts_with("version:")) {
            fs::write(folder.path().join("gateway.yaml"), &yaml).unwrap();
            let output = portcullis(folder.path()).arg("check").output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.is_empty(), "{}: {yaml}\n{said}", document.display());
        }
    }
}

#[test]
fn every_key_of_the_file_is_explained() {
    let docs = read("docs/configuration.md");
    let told: BTreeSet<&str> = docs
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(|code| code.split(|c: char| !(c.is_ascii_lowercase() || c == '_')))
        .collect();
    let mut keys = 0;
    for file in ["mod", "auth", "headers", "route"] {
        let source = read(&format!("src/config/raw/{file}.rs"));
        for section in source.split("section! {").skip(1) {
            let section = section.split("\n}").next().unwrap();
            for line in section.lines().filter(|line| line.ends_with(';')) {
                let key = line.trim().split(':').next().unwrap();
                assert!(told.contains(key), "{key} of {}", section.trim());
                keys += 1;
            }
        }
    }
    assert!(keys > 50, "{keys}");
}

/// The number of a status that the sources write as `UPPER_CASE`.
fn status(constant: &str) -> u16 {
    let named = |status: &StatusCode| {
        let reason = status.canonical_reason().unwrap_or_default();
        reason.to_uppercase().replace(' ', "_") == constant
    };
    let mut all = (400..600).filter_map(|n| StatusCode::from_u16(n).ok());
    all.find(named)
        .unwrap_or_else(|| panic!("{constant}"))
        .as_u16()
}

#[test]
fn the_table_of_errors_is_whole() {
    let source = read("src/request/refusal.rs");
    let rows = &source[source.find("fn row(").unwrap()..source.find("/// One member").unwrap()];
    let codes: BTreeMap<&str, u16> = rows
        .split("=> (")
        .skip(1)
        .map(|row| {
            let code = row.split('"').nth(1).unwrap();
            let constant = row.split("S::").nth(1).unwrap();
            (code, status(constant.split(',').next().unwrap()))
        })
        .collect();
    assert!(codes.len() > 20, "{codes:?}");
    let api = read("docs/api.md");
    let table = api.split("\n## ").find(|part| part.starts_with("Errors"));
    let told: BTreeMap<&str, u16> = table
        .unwrap()
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split("` | ");
            let code = cells.next()?;
            let status = cells.next()?.split(' ').next()?.parse().ok()?;
            Some((code, status))
        })
        .collect();
    assert_eq!(told, codes);
}

#[test]
fn every_metric_is_told_and_no_other() {
    let source = read("src/telemetry/metrics.rs");
    let source = source.split("#[cfg(test)]").next().unwrap();
    let mut counted = BTreeSet::new();
    for call in ["register(", "encode_descriptor(", "histograms("] {
        for (at, _) in source.match_indices(call) {
            let argument = source[at + call.len()..].trim_start();
            // The closure that is given names encodes those of its callers.
            if let Some(name) = argument.strip_prefix('"') {
                counted.insert(name.split('"').next().unwrap());
            }
        }
    }
    assert!(counted.len() > 8, "{counted:?}");
    let docs = read("docs/operations.md");
    let told: BTreeSet<&str> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `portcullis_")?.split('`').next())
        .map(|name| name.trim_end_matches("_total").trim_end_matches("_seconds"))
        .collect();
    assert_eq!(told, counted);
}

#[test]
fn every_field_of_the_access_log_is_told() {
    let source = read("src/telemetry/access_log.rs");
    let docs = read("docs/operations.md");
    let words: BTreeSet<&str> = docs
        .split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
        .collect();
    let fields: Vec<&str> = source
        .split("serialize_entry(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(fields.len() > 20, "{fields:?}");
    for field in fields {
        assert!(words.contains(field), "{field}");
    }
}

#[test]
fn every_attack_has_its_test_and_every_test_its_row() {
    let table = read("docs/security.md");
    let mut tests: Vec<String> = vec![];
    for entry in fs::read_dir(root().join("tests/threats")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let parts = text.split("#[test]").skip(1);
        tests.extend(parts.filter_map(|part| {
            let name = part.split("fn ").nth(1)?.split('(').next()?;
            Some(name.to_owned())
        }));
    }
    let mut rows: Vec<String> = table
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
        .collect();
    tests.sort();
    rows.sort();
    assert_eq!(rows, tests);
}

/// A heading as links name it.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.collect()
}

#[test]
fn links_lead_somewhere() {
    let mut checked = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            if target.starts_with("http") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            assert!(path.exists(), "{}: {target}", document.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&path).unwrap();
                let mut slugs = text.lines().filter(|l| l.starts_with('#')).map(slug);
                assert!(
                    slugs.any(|slug| slug == heading),
                    "{}: {target}",
                    document.display()
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked}");
}
