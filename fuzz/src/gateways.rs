//! Gateways to ask, and those who ask.

use std::net::IpAddr;
use std::path::Path;

use http::Uri;
use portcullis::authn::Principal;
use portcullis::config::policy_test::TestCaller;
use portcullis::config::{self, Config};
use portcullis::policy::{Asked, Stages, principal};

pub fn config(text: &str) -> Config {
    let loaded = config::parse(text, Path::new("gateway.yaml"), &|_| None);
    loaded
        .unwrap_or_else(|report| panic!("{}{text}", report.render(false)))
        .config
}

pub fn stages(text: &str) -> Stages {
    Stages::build(config(text), Vec::new())
}

/// Somebody of whom everything is known.
pub fn alice() -> TestCaller {
    TestCaller {
        user: Some("alice".to_owned()),
        tier: Some("free".to_owned()),
        roles: vec!["editor".to_owned(), "author".to_owned()],
        scopes: vec!["posts:write".to_owned()],
        is_superuser: true,
        id: Some("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()),
        name: Some("Alice".to_owned()),
        email: Some("alice@example.com".to_owned()),
        external_id: Some("7".to_owned()),
        claims: serde_json::Map::from_iter([("org".to_owned(), "acme".into())]),
        ..TestCaller::default()
    }
}

/// `None` for one whom no header could tell.
pub fn known(caller: &TestCaller, config: &Config) -> Option<Principal> {
    principal(Some(caller), config).ok()
}

/// A request without headers of its own.
pub fn asked(method: &str, target: Uri, ip: IpAddr) -> Asked {
    let mut asked = Asked::new(method, "/", &[], Some(ip)).unwrap();
    asked.target = target;
    asked
}

/// In double quotes, as YAML wants it, on one line.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.replace("${", "$${").chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            // What one may write as it is.
            '\u{a0}'..='\u{2027}' => out.push(c),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out + "\""
}
