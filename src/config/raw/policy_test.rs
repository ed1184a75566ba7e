//! Policy tests, as typed.

use std::net::IpAddr;
use std::num::NonZeroU32;

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::super::decode::{At, AtLeastOne, Decode, Named, choose, expected, scalar};
use super::super::diagnose::{Findings, shown};
use super::super::document::json_of;
use super::super::policy_test::{Credential, Decision};
use super::super::schema;
use super::super::section::{choice, section};
use super::super::units::Pace;
use super::super::yaml::{Node, Value};

section! {
    /// A `*.test.yaml`.
    RawTestFile, "a file of tests" {
        tests: AtLeastOne<RawTest>, required "a file of tests has nothing else";
    }
}

section! {
    RawTest, "a test" {
        name: String, required "it is told when the test fails";
        request: RawRequest, required "for example `request: { method: GET, path: / }`";
        /// Who sends it; nobody in particular when it is left out.
        r#as: RawCaller;
        /// What the upstream says to look-ups of owners: `{ "GET /posts/1": 7 }`.
        owners: Named<String>;
        expect: RawExpect, required "for example `expect: { decision: deny }`";
    }
}

section! {
    RawRequest, "`request`" {
        /// GET when it is left out.
        method: String;
        /// With or without a query.
        path: String, required "for example `path: /users/bob`";
        /// Whom it is for; `localhost` when it is left out.
        host: String;
        headers: Named<String>;
        /// Where it comes from.
        ip: IpAddr;
    }
}

section! {
    RawUser, "`as`" {
        user: String;
        /// `auth.default_tier` when it is left out.
        tier: String;
        roles: Vec<At<String>>;
        scopes: Vec<At<String>>;
        superuser: bool;
        id: Uuid;
        name: String;
        email: String;
        external_id: String;
        /// What else the token says.
        claims: RawClaims;
        /// By what the caller is known: a token or an API key.
        key: Credential;
    }
}

section! {
    RawExpect, "`expect`" {
        decision: Decision;
        /// Of the gateway's own answer.
        status: u32;
        /// The `code` of the problem.
        code: String;
        /// The name of the route that is taken.
        route: String;
        upstream: String;
        /// The path that the upstream gets.
        path: String;
        /// Headers that the upstream gets; null for one that it does not get.
        headers: Named<Option<String>>;
        /// A limit that the request is held to: its name, or its name and quota.
        limit: RawExpectedLimit;
    }
}

section! {
    RawNamedLimit, "`limit`" {
        name: String, required "the name of a limit";
        rate: Pace, required "for example `rate: 30/min`";
        burst: NonZeroU32;
    }
}

choice! { Decision { "allow" => Decision::Allow, "deny" => Decision::Deny } }

choice! { Credential { "token" => Credential::Token, "api" => Credential::ApiKey } }

/// `anonymous`, or what is known of the caller.
#[derive(Debug)]
pub enum RawCaller {
    Anonymous,
    User(Box<RawUser>),
}

impl Decode for RawCaller {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        if let Value::Mapping(_) = node.value {
            return RawUser::decode(node, findings).map(|user| RawCaller::User(Box::new(user)));
        }
        if let Value::Sequence(_) = node.value {
            expected(
                node,
                "`anonymous` or a mapping such as `{ user: alice }`",
                findings,
            );
            return None;
        }
        choose(node, &[("anonymous", ())], findings).map(|()| RawCaller::Anonymous)
    }

    fn schema() -> Json {
        json!({ "anyOf": [schema::words(&["anonymous"]), RawUser::schema()] })
    }
}

/// Claims by name, as JSON would have them.
#[derive(Debug)]
pub struct RawClaims(pub Map<String, Json>);

impl Decode for RawClaims {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match json_of(node)? {
            Json::Object(claims) => Some(RawClaims(claims)),
            _ => {
                expected(node, "a mapping such as `{ org: acme }`", findings);
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": "object" })
    }
}

/// `writes`, or `{ name: writes, rate: 30/min, burst: 10 }`.
#[derive(Debug)]
pub enum RawExpectedLimit {
    Named(String),
    WithQuota(RawNamedLimit),
}

impl Decode for RawExpectedLimit {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.value {
            Value::Mapping(_) => {
                RawNamedLimit::decode(node, findings).map(RawExpectedLimit::WithQuota)
            }
            _ => String::decode(node, findings).map(RawExpectedLimit::Named),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [String::schema(), RawNamedLimit::schema()] })
    }
}

impl Decode for IpAddr {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let what = "an address such as `192.0.2.1`";
        let text = &scalar(node, what, findings)?.text;
        let address = text.parse().ok();
        if address.is_none() {
            findings.error(node.span, format!("expected {what}, found {}", shown(text)));
        }
        address
    }

    fn schema() -> Json {
        schema::text("^[0-9A-Fa-f.:]+$")
    }
}

impl Decode for Uuid {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let what = "the id of an account, a UUID";
        let text = &scalar(node, what, findings)?.text;
        let id = text.parse().ok();
        if id.is_none() {
            findings.error(node.span, format!("expected {what}, found {}", shown(text)));
        }
        id
    }

    fn schema() -> Json {
        schema::text("^[0-9A-Fa-f-]{36}$")
    }
}
