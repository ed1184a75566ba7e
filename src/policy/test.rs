//! Policy tests: each is a request, who sends it, and what is to come of it.

use serde_json::{Value, json};

use super::asked::Asked;
use super::caller::{Caller, principal};
use super::explain::{Decided, Explanation};
use super::stages::Stages;
use crate::config::is_secret_header;
use crate::config::policy_test::{Decision, Expect, ExpectedLimit, PolicyTest};
use crate::config::text::rate_text;

/// A test that was run.
pub struct Tested<'t> {
    pub test: &'t PolicyTest,
    /// What came otherwise than expected; empty for a test that passed.
    pub failures: Vec<String>,
    /// What came of the request and why, if it is one and that is not what was expected.
    pub explanation: Option<Explanation>,
}

impl Tested<'_> {
    pub fn to_json(&self) -> Value {
        let has_passed = self.failures.is_empty();
        let explanation = self.explanation.as_ref();
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
    let caller = Caller::Stated(principal);
    let failures = compare(&test.expect, &stages.decide(&asked, &caller), stages);
    // Most tests pass, and nobody asks why.
    let explanation = (!failures.is_empty()).then(|| stages.explain(&asked, &caller));
    Tested {
        test,
        failures,
        explanation,
    }
}

fn compare(expect: &Expect, found: &Decided, stages: &Stages) -> Vec<String> {
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
    let route = found.route.and_then(|at| stages.config.routes.get(at));
    let route = route.map(|route| route.name.as_str());
    check("route", expect.route.as_deref(), route);
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

fn compare_limit(expected: &ExpectedLimit, found: &Decided) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const ROUTES: &str = "\
routes:
  - { name: posts, path: '/posts/{id}', auth: required, allow: [{ tiers: [pro] }], upstream: app, rewrite: { set_prefix: /v2 }, limits: [{ name: few, key: user, rate: 3/min }] }
  - { name: near, path: '/posts/{id}/x', auth: required, upstream: app }
  - { name: rest, prefix: /, auth: none, upstream: app, cors: { origins: ['https://a.example'] } }
tests:
";

    /// Runs tests that are written in lines without their names.
    fn tested<T>(lines: &[&str], see: impl Fn(&[Tested<'_>]) -> T) -> T {
        let mut text = format!(
            "version: 1\nupstreams: {{ app: {{ targets: http://a }} }}\ntiers: {{ free: {{ rank: 0 }}, pro: {{ rank: 1 }} }}\n{ROUTES}"
        );
        for (at, line) in lines.iter().enumerate() {
            text += &format!("  - {{ name: t{at}, {line} }}\n");
        }
        let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None);
        let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
        let stages = Stages::build(loaded.config, vec!["/api/v1/login".to_owned()]);
        let tested: Vec<_> = loaded.tests.iter().map(|test| run(&stages, test)).collect();
        see(&tested)
    }

    #[test]
    fn only_tests_that_fail_are_explained() {
        let lines = [
            "request: { path: /posts/1 }, as: { user: a, tier: pro }, expect: { decision: allow, route: posts, upstream: app, path: /v2/posts/1, limit: { name: few, rate: 3/min }, headers: { X-User-Name: a } }",
            "request: { path: /posts/1 }, as: { user: a, tier: free }, expect: { decision: deny, status: 403, code: forbidden, route: posts }",
            "request: { path: /posts/1 }, as: { user: a, tier: free }, expect: { decision: allow }",
            "request: { path: /posts/1 }, as: anonymous, expect: { decision: deny, status: 401, route: posts }",
            "request: { path: /x }, as: anonymous, expect: { decision: allow, route: posts }",
        ];
        let explained = tested(&lines, |tested| {
            let explained = tested.iter().map(|test| test.explanation.is_some());
            explained.collect::<Vec<_>>()
        });
        assert_eq!(explained, [false, false, true, false, true]);
    }

    #[test]
    fn a_test_that_fails_is_explained_as_it_was_decided() {
        let lines = [
            "request: { path: /posts/1 }, as: { user: a, tier: free }, expect: { decision: allow, route: rest, limit: { name: few, rate: 4/min } }",
            "request: { method: OPTIONS, path: /x, headers: { Origin: https://a.example, Access-Control-Request-Method: GET } }, as: anonymous, expect: { decision: deny }",
            "request: { path: /api/v1/login }, as: anonymous, expect: { decision: deny, route: rest }",
            "request: { path: '/posts%2F1' }, as: anonymous, expect: { decision: allow }",
        ];
        let said = tested(&lines, |tested| {
            let said = tested.iter().map(|test| {
                let explanation = test.explanation.as_ref().map(Explanation::to_json);
                let explanation = explanation.unwrap_or_default();
                let near = explanation["near"].as_array().map_or(0, Vec::len);
                let (decision, route) = (&explanation["decision"], &explanation["route"]);
                format!("{}: {decision} {route} {near}", test.failures.join("; "))
            });
            said.collect::<Vec<_>>()
        });
        let expected = [
            "expected decision allow, found deny; expected route rest, found posts; expected limit few of 4/min, found 3/min: \"deny\" \"posts\" 2",
            "expected decision deny, found allow: \"allow\" \"rest\" 0",
            "expected decision deny, found allow; expected route rest, found none: \"allow\" null 0",
            "expected decision allow, found deny: \"deny\" null 2",
        ];
        assert_eq!(said, expected);
    }
}
