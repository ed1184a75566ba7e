//! Private keys that a configuration names.

use std::fs;
use std::path::Path;

use portcullis::config::checked::*;
use portcullis::config::{self, Config, Loaded, Report};

use super::good::SMALLEST;

/// RFC 8037, appendix A.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----\n\
                       MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
                       -----END PRIVATE KEY-----\n";
const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

fn load(folder: &Path, auth: &str) -> Result<Loaded, Report> {
    let text = format!("{SMALLEST}auth: {{ {auth} }}\n");
    config::parse(&text, &folder.join("gateway.yaml"), &|_| None)
}

fn config(folder: &Path, auth: &str) -> Config {
    load(folder, auth)
        .unwrap_or_else(|report| panic!("{report}"))
        .config
}

fn write(folder: &Path, name: &str, algorithm: KeyAlgorithm) -> PrivateKey {
    let key = PrivateKey::generate(algorithm).unwrap();
    fs::write(folder.join(name), key.to_pem()).unwrap();
    key
}

#[test]
fn keys_of_several_algorithms_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("a.pem"), ED25519).unwrap();
    write(folder, "b.pem", KeyAlgorithm::Es256);
    write(folder, "c.pem", KeyAlgorithm::Rs256);
    let keys = "keys: [{ file: a.pem }, { kid: b, file: b.pem }, { kid: c-1.x_Y, file: c.pem }]";
    for signing in [keys.to_owned(), format!("algorithm: EdDSA, {keys}")] {
        let config = config(folder, &format!("signing: {{ {signing} }}"));
        let Signing::Keys(keys) = config.auth.signing else {
            panic!("keys");
        };
        let found: Vec<_> = keys
            .iter()
            .map(|key| (key.kid.as_str(), key.key.algorithm()))
            .collect();
        let expected = [
            (THUMBPRINT, KeyAlgorithm::EdDsa),
            ("b", KeyAlgorithm::Es256),
            ("c-1.x_Y", KeyAlgorithm::Rs256),
        ];
        assert_eq!(found, expected);
        assert_eq!(keys[0].file, folder.join("a.pem"));
    }
}

#[test]
fn what_stands_in_a_bad_file_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let broken = ED25519.replace("MC4CAQAw", "hunter2+");
    for content in [
        broken.as_str(),
        "hunter2",
        "-----BEGIN PRIVATE KEY-----\nhunter2",
    ] {
        fs::write(folder.path().join("k.pem"), content).unwrap();
        let report = load(folder.path(), "signing: { keys: [{ file: k.pem }] }").unwrap_err();
        assert_eq!(report.errors(), 1, "{report}");
        assert_eq!(report.diagnostics[0].column, 35, "at the file: {report}");
        assert!(!report.render(false).contains("hunter2"), "{report}");
    }
}

#[test]
fn a_configuration_can_be_dumped_without_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("k.pem"), ED25519).unwrap();
    let master = "Zt1kq8V0mJxw2c5yHn7LrQe4UoSbGdAf";
    let auth = format!("master_key: {master}, signing: {{ keys: [{{ file: k.pem }}] }}");
    let config = config(folder.path(), &auth);
    assert!(config.auth.master_key.is_some());
    let dump = format!("{config:?}");
    assert!(dump.contains(THUMBPRINT));
    // Neither the secret nor its bytes one by one.
    for secret in [master, "nWGxne", "157, 97, 177"] {
        assert!(!dump.contains(secret), "{dump}");
    }
}

#[test]
fn a_master_key_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let master = "Zt1kq8V0mJxw2c5yHn7LrQe4UoSbGdAf";
    fs::write(folder.path().join("master"), format!("{master}\n")).unwrap();
    let auth = config(folder.path(), "master_key_file: master").auth;
    assert_eq!(auth.master_key.unwrap().expose(), master);
}

#[test]
fn a_postgres_store_is_content_with_either_kind_of_shared_keys() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "k.pem", KeyAlgorithm::EdDsa);
    let secret = "Zt1kq8V0mJxw2c5yHn7LrQe4UoSbGdAf";
    for auth in [
        format!("master_key: {secret}"),
        "signing: { keys: [{ file: k.pem }] }".to_owned(),
        format!("signing: {{ algorithm: HS256, secret: {secret} }}"),
    ] {
        let auth = format!("{auth} }}\nstore: postgres://u:p@db/app\n# {{");
        let config = config(folder.path(), &auth);
        assert!(matches!(config.store, Store::Postgres(_)));
    }
}

#[test]
fn a_reload_can_change_which_keys_there_are_and_not_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "a.pem", KeyAlgorithm::EdDsa);
    write(folder, "b.pem", KeyAlgorithm::Es256);
    let generated = config(folder, "");
    let one = config(folder, "signing: { keys: [{ file: a.pem }] }");
    let two = config(
        folder,
        "signing: { keys: [{ file: b.pem }, { file: a.pem }] }",
    );
    let nothing = Vec::<&str>::new();
    assert_eq!(config::needs_restart(&one, &two), nothing);
    assert_eq!(config::needs_restart(&two, &one), nothing);
    assert_eq!(config::needs_restart(&generated, &one), ["auth.signing"]);
    let master = "master_key: Zt1kq8V0mJxw2c5yHn7LrQe4UoSbGdAf";
    let master = config(folder, master);
    assert_eq!(
        config::needs_restart(&generated, &master),
        ["auth.master_key"]
    );
}
