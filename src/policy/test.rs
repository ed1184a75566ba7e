//! Policy tests: each is a request, who sends it, and what is to come of it.

use serde_json::{Value, json};

use super::asked::Asked;
use super::caller::{Caller, principal};
use super::explain::Explanation;
use super::stages::Stages;
use crate::config::is_secret_header;
use crate::config::policy_test::{Decision, Expect, ExpectedLimit, PolicyTest};
use crate::config::text::rate_text;

/// A test that was run.
pub struct Tested<'t> {
    pub test: &'t PolicyTest,
    /// What came otherwise than expected; empty for a test that passed.
    pub failures: Vec<String>,
    /// What came of the request, if it is one.
    pub explanation: Option<Explanation>,
}

impl Tested<'_> {
    pub fn to_json(&self) -> Value {
        let has_passed = self.failures.is_empty();
        let explanation = self.explanation.as_ref().filter(|_| !has_passed);
        json!({
            "name": self.test.name,
            "file": self.test.file,
            "line": self.test.line,
            "passed": has_passed,
            "failures": self.failures,
            "explanation": explanation.map(Explanation::to_json),
        })
    }
}

/// Runs one test. The counters are fresh for each, so that no test depends on another.
pub fn run<'t>(stages: &Stages, test: &'t PolicyTest) -> Tested<'t> {
    let failed = |why: String| Tested {
        test,
        failures: vec![why],
        explanation: None,
    };
    let asked = match Asked::of_test(&test.request) {
        Ok(asked) => Asked {
            owners: test.owners.clone(),
            ..asked
        },
        Err(error) => return failed(error.to_string()),
    };
    let principal = match principal(test.caller.as_ref(), &stages.config) {
        Ok(principal) => principal,
        Err(error) => return failed(error.to_string()),
    };
    let explanation = stages.explain(&asked, &Caller::Stated(principal));
    Tested {
        test,
        failures: compare(&test.expect, &explanation),
        explanation: Some(explanation),
    }
}

fn compare(expect: &Expect, found: &Explanation) -> Vec<String> {
    let mut failures = Vec::new();
    let mut check = |what: &str, expected: Option<&str>, found: Option<&str>| {
        if let Some(expected) = expected
            && Some(expected) != found
        {
            let found = found.unwrap_or("none");
            failures.push(format!("expected {what} {expected}, found {found}"));
        }
    };
    let decision = expect.decision.map(|decision| match decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
    });
    check("decision", decision, Some(found.decision()));
    let refusal = found.refusal();
    let status = refusal.map(|refusal| refusal.code().status().as_u16().to_string());
    let expected = expect.status.map(|status| status.to_string());
    check("status", expected.as_deref(), status.as_deref());
    let code = refusal.map(|refusal| refusal.code().as_str());
    check("code", expect.code.as_deref(), code);
    check("route", expect.route.as_deref(), found.route.as_deref());
    let upstream = found.outgoing.as_ref().map(|o| o.upstream.as_str());
    check("upstream", expect.upstream.as_deref(), upstream);
    check("path", expect.path.as_deref(), found.forwarded_path());
    for (name, expected) in &expect.headers {
        let sent = found.outgoing.as_ref().map(|outgoing| {
            let values = outgoing.headers.get_all(name).iter();
            let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
            values.collect::<Vec<_>>().join(", ")
        });
        let sent = sent.filter(|text| {
            !text.is_empty()
                || found
                    .outgoing
                    .as_ref()
                    .is_some_and(|o| o.headers.contains_key(name))
        });
        if sent != *expected || found.outgoing.is_none() {
            let shown = |text: &Option<String>| match text {
                Some(text) => format!("`{text}`"),
                None => "nothing".to_owned(),
            };
            let sent = match &sent {
                Some(_) if is_secret_header(name.as_str()) => "another value".to_owned(),
                sent => shown(sent),
            };
            let expected = shown(expected);
            failures.push(format!("expected header {name} {expected}, found {sent}"));
        }
    }
    if let Some(expected) = &expect.limit {
        failures.extend(compare_limit(expected, found));
    }
    failures
}

fn compare_limit(expected: &ExpectedLimit, found: &Explanation) -> Option<String> {
    let Some(bucket) = found.buckets.iter().find(|b| b.name == expected.name) else {
        let names: Vec<&str> = found.buckets.iter().map(|b| b.name.as_str()).collect();
        let names = match names.as_slice() {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        return Some(format!("expected limit {}, found {names}", expected.name));
    };
    let rate = expected.rate.filter(|rate| *rate != bucket.rate)?;
    Some(format!(
        "expected limit {} of {}, found {}",
        expected.name,
        rate_text(rate),
        rate_text(bucket.rate)
    ))
}
