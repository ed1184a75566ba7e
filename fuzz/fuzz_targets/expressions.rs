//! Whatever the expression of a rule says, it is refused at its place or lets those pass of whom the
//! language says that it is true, and nobody else.

#![no_main]

use std::path::Path;

use http::{HeaderName, HeaderValue};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use portcullis::config;
use portcullis::config::policy_test::TestCaller;
use portcullis::policy::{Caller, Stages};
use portcullis_fuzz::expressions::{WORDS, expression};
use portcullis_fuzz::gateways::{alice, asked, known, quoted};
use serde_json::{Map, Value, json};

const BEFORE: &str = "
version: 1
tiers: { free: { rank: 0 } }
upstreams: { app: { targets: http://127.0.0.1:8000 } }
routes:
  - name: items
    path: '/items/{id}'
    auth: required
    limits: []
    upstream: app
    allow:
      - cel: ";

/// What expressions are made of, so that texts of no grammar are near to one.
const PIECES: [&str; 30] = [
    "user.roles",
    "claims.org",
    "path.id",
    "request.",
    "headers",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ".",
    "==",
    "!",
    "&&",
    "||",
    "?",
    ":",
    " in ",
    "has(",
    "'a'",
    "\"",
    "x",
    "1",
    "-",
    ".exists(x, ",
    ".map(x, ",
    "matches(",
    "^[a-z",
    "\\",
];

fn rubbish(input: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    for _ in 0..input.int_in_range(0..=12)? {
        match input.ratio(9, 10)? {
            true => text.push_str(input.choose(&PIECES)?),
            false => text.push(input.arbitrary()?),
        }
    }
    Ok(text)
}

fn word(input: &mut Unstructured<'_>) -> Result<Value> {
    Ok(json!(*input.choose(&WORDS)?))
}

fn claim(input: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match input.int_in_range(0..=7)? {
        0 => json!(input.int_in_range(-2..=9)?),
        1 => json!(f64::from(input.int_in_range(-4..=18)?) / 2.0),
        2 => json!(input.arbitrary::<bool>()?),
        3 => Value::Null,
        4 => json!([word(input)?, word(input)?]),
        5 => json!([word(input)?, 7, [word(input)?]]),
        6 => json!({ "er": word(input)? }),
        _ => word(input)?,
    })
}

fn caller(input: &mut Unstructured<'_>) -> Result<TestCaller> {
    let mut claims = Map::new();
    for name in ["org", "level", "deep", "teams"] {
        if input.ratio(3, 4)? {
            claims.insert(name.to_owned(), claim(input)?);
        }
    }
    let alice = alice();
    Ok(TestCaller {
        claims,
        email: alice
            .email
            .filter(|_| input.arbitrary().unwrap_or_default()),
        is_superuser: input.arbitrary()?,
        ..alice
    })
}

/// A text that is no expression is told where, on its line.
fn refused(report: &config::Report, before: &str) {
    assert!(!report.diagnostics.is_empty());
    let line = before.lines().count();
    for found in &report.diagnostics {
        assert_eq!(found.line, line, "{}", report.render(false));
        assert!(found.column > 13, "{}", report.render(false));
        assert!(!found.message.is_empty());
    }
}

fn check(input: &mut Unstructured<'_>) -> Result<()> {
    let before = BEFORE.trim_start_matches('\n');
    let file = |source: &str| format!("{before}{}\n", quoted(source));
    let load = |source: &str| config::parse(&file(source), Path::new("gateway.yaml"), &|_| None);
    if input.ratio(1, 4)? {
        if let Err(report) = load(&rubbish(input)?) {
            refused(&report, before);
        }
        return Ok(());
    }
    let expression = expression(input)?;
    let source = expression.to_string();
    let config = match load(&source) {
        Ok(loaded) => loaded.config,
        Err(report) => {
            refused(&report, before);
            let why = &report.diagnostics[0].message;
            let known = ["within one another", "longer than", "asks for nothing"];
            assert!(
                known.iter().any(|known| why.contains(known)),
                "{source}: {why}"
            );
            return Ok(());
        }
    };
    let stages = Stages::build(config, Vec::new());
    let caller = caller(input)?;
    let Some(principal) = known(&caller, &stages.config) else {
        return Ok(());
    };
    let id = *input.choose(&["7", "acme", "a"])?;
    let method = *input.choose(&["GET", "DELETE"])?;
    let target = format!("/items/{id}").parse().unwrap();
    let mut asked = asked(method, target, [192, 0, 2, 1].into());
    let beta = input.arbitrary::<bool>()?;
    if beta {
        let name = HeaderName::from_static("x-beta");
        asked.headers.push((name, HeaderValue::from_static("a")));
    }
    let variable = |name: &str| match name {
        "user.username" => Some(json!(caller.user)),
        "user.tier" => Some(json!(caller.tier)),
        "user.email" => caller.email.as_ref().map(|email| json!(email)),
        "user.name" => caller.name.as_ref().map(|name| json!(name)),
        "user.roles" => Some(json!(caller.roles)),
        "user.scopes" => Some(json!(caller.scopes)),
        "user.is_superuser" => Some(json!(caller.is_superuser)),
        "path.id" => Some(json!(id)),
        "request.method" => Some(json!(method)),
        "request.headers['x-beta']" => beta.then(|| json!("a")),
        "claims.deep.er" => caller.claims.get("deep")?.get("er").cloned(),
        name => caller.claims.get(name.strip_prefix("claims.")?).cloned(),
    };
    let expected = expression.value(&variable, None) == Some(Value::Bool(true));
    let passed = stages
        .decide(&asked, &Caller::Stated(principal))
        .outgoing
        .is_some();
    assert_eq!(
        passed, expected,
        "{source} for {caller:?}, {method} {id}, x-beta: {beta}"
    );
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    // An input that is too short says nothing.
    let _ = check(&mut Unstructured::new(data));
});
