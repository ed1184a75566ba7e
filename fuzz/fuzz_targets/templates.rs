//! Whatever a template says, it is refused at its place or becomes what the documents say, and never
//! more than one line.

#![no_main]

use std::path::Path;

use http::HeaderValue;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use portcullis::authn::Principal;
use portcullis::config;
use portcullis::config::policy_test::TestCaller;
use portcullis::policy::{Caller, Stages};
use portcullis_fuzz::gateways::{alice, asked, known, quoted};
use portcullis_fuzz::templates::{Asked, filled};
use serde_json::{Map, Value, json};

const PIECES: [&str; 34] = [
    "{user.id}",
    "{user.username}",
    "{user.email}",
    "{user.name}",
    "{user.external_id}",
    "{user.tier}",
    "{user.roles}",
    "{user.scopes}",
    "{user.is_superuser}",
    "{claims.org}",
    "{claims.a.b}",
    "{claims.a.b.c}",
    "{claims.id}",
    "{claims.sub}",
    "{claims.scope}",
    "{claims.scopes}",
    "{claims.name}",
    "{claims.iss}",
    "{claims.",
    "{path.id}",
    "{path.rest}",
    "{path.other}",
    "{request.id}",
    "{request.method}",
    "{request.host}",
    "{request.path}",
    "{request.ip}",
    "{request.scheme}",
    "{{",
    "}}",
    "{",
    "}",
    ".",
    "$",
];

fn template(input: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    for _ in 0..input.int_in_range(0..=5)? {
        match input.arbitrary()? {
            true => text.push_str(input.choose(&PIECES)?),
            false => text.push_str(&words(input)?),
        }
    }
    Ok(text)
}

/// What is harder to come by than letters.
const RARE: [&str; 10] = [
    "\t", "\r\n", "\0", "\u{7f}", "\u{85}", "é", "%0a", " ", ",", "\"",
];

fn words(input: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    for _ in 0..input.int_in_range(0..=2)? {
        if input.ratio(1, 4)? {
            text.push_str(input.choose(&RARE)?);
        } else {
            let length = input.int_in_range(0..=6)?;
            let bytes = input.bytes(length.min(input.len()))?;
            text.push_str(&String::from_utf8_lossy(bytes));
        }
    }
    Ok(text)
}

/// What stands before the template, which has the rest of its line to itself.
const BEFORE: &str = "
version: 1
tiers: { free: { rank: 0 } }
upstreams: { app: { targets: http://127.0.0.1:8000 } }
";
const IN_IDENTITY: &str = "
routes: [{ name: items, path: '/items/{id}/{*rest}', auth: optional, limits: [], upstream: app }]
identity:
  headers:
    X-T: ";
const IN_ROUTE: &str = "
routes:
  - name: items
    path: '/items/{id}/{*rest}'
    auth: optional
    limits: []
    upstream: app
    request_headers:
      set:
        X-T: ";

fn claim(input: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match input.int_in_range(0..=7)? {
        0 => json!(input.arbitrary::<i64>()?),
        1 => json!(input.arbitrary::<f64>()?),
        2 => json!(input.arbitrary::<bool>()?),
        3 => Value::Null,
        4 => json!([words(input)?]),
        5 => json!({ "b": words(input)? }),
        6 => json!({ "b": { "c": words(input)? }, "": words(input)? }),
        _ => json!(words(input)?),
    })
}

fn caller(input: &mut Unstructured<'_>) -> Result<TestCaller> {
    let mut caller = TestCaller {
        claims: Map::new(),
        ..alice()
    };
    let optional = |input: &mut Unstructured<'_>| match input.arbitrary()? {
        true => words(input).map(Some),
        false => Ok(None),
    };
    caller.user = Some(words(input)?);
    caller.email = optional(input)?;
    caller.name = optional(input)?;
    caller.external_id = optional(input)?;
    caller.is_superuser = input.arbitrary()?;
    for _ in 0..input.int_in_range(0..=3)? {
        let name = match input.int_in_range(0..=4)? {
            0 => "org".to_owned(),
            1 => "a".to_owned(),
            2 => "a.b".to_owned(),
            3 => "id".to_owned(),
            _ => words(input)?,
        };
        caller.claims.insert(name, claim(input)?);
    }
    Ok(caller)
}

/// A text that is no template is told where.
fn refused(report: &config::Report, text: &str, at: usize) {
    let line = text[..at].lines().count();
    let start = 1 + text[..at].lines().last().map_or(0, |l| l.chars().count());
    let value = text[at..].lines().next().unwrap();
    let end = start + value.chars().count();
    for found in &report.diagnostics {
        assert_eq!(found.line, line, "{text}{}", report.render(false));
        let is_inside = start <= found.column && found.end_column <= end;
        assert!(is_inside, "{text}{}", report.render(false));
        assert!(!found.message.is_empty());
    }
    assert!(!report.diagnostics.is_empty());
}

fn check(input: &mut Unstructured<'_>) -> Result<()> {
    let template = template(input)?;
    let place = *input.choose(&[IN_IDENTITY, IN_ROUTE])?;
    let before = format!("{BEFORE}{}", place.trim_start_matches('\n'));
    let text = format!("{before}{}\n", quoted(&template));
    let loaded = config::parse(&text, Path::new("gateway.yaml"), &|_| None);
    let config = match loaded {
        Ok(loaded) => loaded.config,
        Err(report) => {
            refused(&report, &text, before.len());
            return Ok(());
        }
    };
    let stages = Stages::build(config, Vec::new());
    let caller = match input.arbitrary()? {
        true => Some(caller(input)?),
        false => None,
    };
    let principal = match &caller {
        None => Some(Principal::Anonymous),
        Some(caller) => known(caller, &stages.config),
    };
    let Some(principal) = principal else {
        return Ok(());
    };
    let (id, rest) = (words(input)?, words(input)?);
    let (path, host) = (format!("/items/{id}/{rest}"), words(input)?);
    let method = *input.choose(&["GET", "DELETE"])?;
    let (Ok(target), Ok(host_value)) = (path.parse::<http::Uri>(), HeaderValue::from_str(&host))
    else {
        return Ok(());
    };
    // A query or the like: the path is another one.
    if id.contains('/') || target.path() != path {
        return Ok(());
    }
    let mut asked = asked(method, target, [192, 0, 2, 1].into());
    asked.host = host_value;
    let decided = stages.decide(&asked, &Caller::Stated(principal));
    let Some(outgoing) = decided.outgoing else {
        return Ok(());
    };
    let asked = Asked {
        method,
        host: &host,
        path: &path,
        ip: "192.0.2.1",
        parameters: &[("id", &id), ("rest", &rest)],
    };
    let expected = filled(&template, caller.as_ref(), &asked);
    let sent = outgoing.headers.get_all("x-t").iter();
    let sent: Vec<&[u8]> = sent.map(HeaderValue::as_bytes).collect();
    assert_eq!(
        sent,
        Vec::from_iter(expected.as_deref()),
        "{template:?} for {caller:?}"
    );
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    // An input that is too short says nothing.
    let _ = check(&mut Unstructured::new(data));
});
