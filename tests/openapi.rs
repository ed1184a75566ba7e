//! What `portcullis openapi` prints, so that a change of the API shows in review. `UPDATE=1 cargo test
//! --test openapi` writes what is printed now; read the difference before committing it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// In a folder of its own, without the environment's idea of a file.
fn openapi(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("openapi")
        .args(arguments)
        .current_dir(folder)
        .env_remove("PORTCULLIS_CONFIG")
        .output()
        .unwrap()
}

fn document(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_document_of_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let printed = openapi(folder.path(), &[]);
    document(&printed);
    let printed = String::from_utf8(printed.stdout).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, &printed).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        expected == printed,
        "tests/openapi.json should be\n{printed}"
    );
}

#[test]
fn the_document_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version: 1\n\
                auth: { base_path: /auth, issuer: https://id.example.com, serve: [audit] }\n\
                upstreams: { app: { targets: http://127.0.0.1:8000 } }\n\
                routes: [{ name: all, prefix: /, auth: required, upstream: app }]\n";
    fs::write(folder.path().join("gateway.yaml"), text).unwrap();
    let told = document(&openapi(folder.path(), &[]));
    let paths: Vec<&String> = told["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/.well-known/jwks.json",
            "/auth/audit",
            "/auth/openapi.json"
        ]
    );
    assert_eq!(told["servers"][0]["url"], "https://id.example.com");
    fs::write(
        folder.path().join("bad.yaml"),
        text.replace("audit", "odit"),
    )
    .unwrap();
    for file in ["bad.yaml", "none.yaml"] {
        let output = openapi(folder.path(), &["-c", file]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}
