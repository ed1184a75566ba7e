//! What the documents say is true: files hold, commands run, tables are whole, links lead somewhere.

#[path = "../harness/mod.rs"]
mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::client::get;
use harness::eventually;
use harness::gateway::{free_address, portcullis};
use harness::origin::Origin;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![];
    for folder in ["", "docs", "examples/fastapi", "benches/compare"] {
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
fn the_file_of_the_root_holds() {
    let output = portcullis(root()).arg("check").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_table_of_errors_is_whole() {
    let source = read("src/request/refusal.rs");
    let table = read("docs/api.md");
    let rows = &source[source.find("fn row(").unwrap()..source.find("/// One member").unwrap()];
    let codes: Vec<&str> = rows
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .collect();
    assert!(codes.len() > 20, "{codes:?}");
    for code in &codes {
        assert!(table.contains(&format!("| `{code}` |")), "{code}");
    }
    let told = table.lines().filter(|line| {
        let mut cells = line.split('|').map(str::trim);
        cells.nth(2).is_some_and(|cell| cell.parse::<u16>().is_ok())
    });
    assert_eq!(told.count(), codes.len());
}

#[test]
fn every_metric_is_told_and_no_other() {
    let source = ["metrics.rs", "shard.rs"].map(|file| read(&format!("src/telemetry/{file}")));
    let source = source.concat();
    let docs = read("docs/operations.md");
    let told: Vec<&str> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `portcullis_")?.split('`').next())
        .collect();
    assert!(told.len() > 8, "{told:?}");
    for name in told {
        let name = name.trim_end_matches("_total").trim_end_matches("_seconds");
        assert!(source.contains(&format!("\"{name}\"")), "{name}");
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

#[test]
fn links_lead_somewhere() {
    let mut checked = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            let file = target.split('#').next().unwrap();
            if target.starts_with("http") || file.is_empty() {
                continue;
            }
            let path = document.parent().unwrap().join(file);
            assert!(path.exists(), "{}: {target}", document.display());
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked}");
}
