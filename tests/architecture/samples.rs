//! The rules and the reader on samples: a rule that cannot fail holds nothing.

use super::source::{Source, test_modules};
use super::{forbidden_edges, may_know, panics};

fn edges(path: &str, raw: &str) -> Vec<String> {
    Source::new(path, raw).edges().into_iter().collect()
}

#[test]
fn every_form_of_import_is_an_edge() {
    let sample = "
        use crate::route::Matched;
        use crate::{config::checked::Config, authn::{self, User}, limit as quota};
        pub(crate) fn f(x: crate::request::Facts) -> super::super::gateway::Body {
            crate :: forward
                :: send()
        }
    ";
    assert_eq!(
        edges("authz/policy.rs", sample),
        [
            "authn", "config", "forward", "gateway", "limit", "request", "route"
        ]
    );
    assert_eq!(edges("authz/mod.rs", "use super::api::X;"), ["api"]);
    assert_eq!(edges("authz.rs", "use super::api::X;"), ["api"]);
    assert_eq!(edges("main.rs", "portcullis::cli::run()"), ["cli"]);
    // A step up inside the module is none.
    assert!(edges("authz/policy.rs", "use super::rule::Rule;").is_empty());
}

#[test]
fn what_is_no_code_is_no_edge() {
    let sample = r##"
        // use crate::api::A;
        /* crate::api /* crate::api */ crate::api */
        /// [`crate::api`]
        const A: &str = "crate::api::B \" crate::api";
        const B: &str = r#"crate::api " crate::api"#;
        const C: &[u8] = b"crate::api";
        const D: (char, char, char) = ('"', '\'', '€');
        fn f<'a>(x: &'a str) -> &'a str { x }
        #[cfg(test)]
        mod tests { use crate::api::C; fn f() { x.unwrap(); } }
        #[cfg(test)]
        use crate::api::D;
        #[cfg(test)]
        pub(crate) fn for_tests(x: [u8; 2]) -> crate::api::E { if true { todo!() } }
        use crate::limit::L;
    "##;
    assert_eq!(edges("authn/x.rs", sample), ["limit"]);
    assert!(panics(&Source::new("authn/x.rs", sample)).is_empty());
}

#[test]
fn literals_are_kept_where_they_matter() {
    let source = Source::new(
        "api/x.rs",
        "// application/problem+json\nconst T: &str = \"application/problem+json\";",
    );
    assert!(source.text.contains("\"application/problem+json\""));
    assert_eq!(source.text.matches("problem").count(), 1);
    assert!(!source.code.contains("problem"));
}

#[test]
fn a_later_stage_is_found_out() {
    let rules = |path: &str, raw: &str| {
        let sources = [Source::new(path, raw)];
        let names = [
            "config", "request", "route", "authn", "authz", "limit", "forward",
        ];
        let others = [
            "telemetry",
            "gateway",
            "listener",
            "accounts",
            "api",
            "admin",
            "boot",
            "cli",
            "policy",
        ];
        let modules = names
            .iter()
            .chain(&others)
            .map(|s| (*s).to_owned())
            .collect();
        forbidden_edges(&sources, may_know, &modules).len()
    };
    assert_eq!(rules("route/mod.rs", "use crate::authn::User;"), 1);
    assert_eq!(
        rules("limit/mod.rs", "use crate::{authz::Permit, forward::send};"),
        1
    );
    assert_eq!(
        rules(
            "forward/mod.rs",
            "use crate::{limit::Ticket, route, config};"
        ),
        0
    );
    assert_eq!(rules("forward/mod.rs", "use crate::gateway::Body;"), 1);
    assert_eq!(rules("config/mod.rs", "use crate::telemetry::Log;"), 1);
    assert_eq!(rules("telemetry/mod.rs", "use crate::config::Log;"), 1);
    assert_eq!(rules("request/mod.rs", "use crate::route::Matched;"), 1);
    assert_eq!(
        rules("listener/mod.rs", "use crate::{gateway::handle, forward};"),
        1
    );
    assert_eq!(rules("gateway/mod.rs", "use crate::accounts::Accounts;"), 1);
    assert_eq!(rules("authn/mod.rs", "use crate::accounts::Accounts;"), 1);
    assert_eq!(rules("accounts/mod.rs", "use crate::api::Api;"), 1);
    assert_eq!(rules("policy/mod.rs", "use crate::{route, limit};"), 0);
    assert_eq!(rules("policy/mod.rs", "use crate::accounts::Accounts;"), 1);
    assert_eq!(rules("boot/mod.rs", "use crate::policy::Stages;"), 1);
    assert_eq!(rules("cli/explain.rs", "use crate::policy::Stages;"), 0);
    assert_eq!(
        rules("boot/mod.rs", "use crate::{api, admin, gateway, accounts};"),
        0
    );
}

#[test]
fn panics_are_found_over_lines_and_told_by_line() {
    let source = Source::new(
        "x/y.rs",
        "fn f() {\n    a()\n        .unwrap();\n    b().expect(\"\");\n}\n",
    );
    assert_eq!(
        panics(&source),
        ["src/x/y.rs:3: .unwrap()", "src/x/y.rs:4: .expect("]
    );
    for way in ["print!(", "println!(", "eprint!(", "eprintln!("] {
        let source = Source::new("x/y.rs", &format!("fn f() {{ {way}\"\"); }}"));
        assert_eq!(panics(&source).len(), 1, "{way}");
    }
    assert!(panics(&Source::new("x/y.rs", "a.unwrap_or(b).unwrap_or_else(f)")).is_empty());
}

#[test]
fn modules_of_tests_are_known_by_their_declaration() {
    let raw = "#[cfg(test)]\nmod tests;\n#[cfg(test)]\npub(crate) mod sample;\nmod real;";
    assert_eq!(
        test_modules("route/mod.rs", raw),
        ["route/tests", "route/sample"]
    );
    assert_eq!(
        test_modules("forward/headers.rs", raw)[0],
        "forward/headers/tests"
    );
    assert_eq!(test_modules("lib.rs", raw)[0], "tests");
}
