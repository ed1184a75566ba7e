//! Routes, their rules and their limits, as typed.

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderName;
use serde_json::{Value as Json, json};

use super::super::checked::{AuthMode, Guard, LimitKey, Mode, SecurityHeaders, TrailingSlash};
use super::super::decode::{At, AtLeastOne, Decode, Field, Named, expected, scalar};
use super::super::diagnose::{Findings, nearest, shown};
use super::super::schema;
use super::super::section::{choice, section};
use super::super::units::{Pace, Size};
use super::super::yaml::{Node, Value};
use super::address::RawAddressRules;
use super::claim::{RawClaimValue, RawOwnerField};
use super::headers::{RawCors, RawHeaderEdits, RawRewrite};

section! {
    RawRoute, "a route" {
        name: String, required "logs, metrics and limits call the route by it";
        /// A template of a whole path.
        path: String;
        /// The beginning of a path.
        prefix: String;
        /// A regular expression of a whole path.
        regex: String;
        methods: AtLeastOne<String>;
        hosts: AtLeastOne<String>;
        /// Headers that a request has to have, with their values.
        headers: Named<String>;
        auth: AuthMode, required "nothing is public unless a route says so: `auth: required`, `optional` or `none`";
        /// Alternatives, one of which a caller must meet.
        allow: AtLeastOne<RawRule>;
        limits: Vec<At<RawLimit>>;
        /// How many requests may be under way at once.
        concurrency: RawConcurrency;
        upstream: String, required "it names one of `upstreams`";
        /// The largest body of a request.
        max_body: Size;
        /// To the response's headers.
        timeout: Duration;
        /// What the upstream is asked for instead.
        rewrite: RawRewrite;
        /// Whether responses hold browsers to what they say.
        security_headers: SecurityHeaders;
        /// Which other spellings of a path count as the same.
        path_options: RawPathOptions;
        /// Changes to what the upstream is sent.
        request_headers: RawHeaderEdits;
        /// Changes to what the upstream answers.
        response_headers: RawHeaderEdits;
        /// In place of the file's.
        cors: RawCors;
        /// What only records what it would refuse, and lets it pass.
        shadow: Vec<At<Guard>>;
        /// From which addresses it may be used.
        ip: RawAddressRules;
    }
}

section! {
    RawPathOptions, "`path_options`" {
        /// The case of the path's letters does not count.
        case_insensitive: bool;
        /// Slashes side by side count as one.
        merge_slashes: bool;
        /// Whether a slash at the end counts.
        trailing_slash: TrailingSlash;
    }
}

section! {
    RawRule, "a rule of `allow`" {
        superuser: bool;
        owner: RawOwner;
        tiers: AtLeastOne<String>;
        min_tier: String;
        roles: AtLeastOne<String>;
        scopes: AtLeastOne<String>;
        /// What claims must be, or, being lists, have: `{ org: acme }`. Every one must hold.
        claims: Named<RawClaimValue>;
        /// An expression of `user`, `claims`, `path` and `request` that must be true.
        cel: String;
    }
}

section! {
    RawLimit, "a limit" {
        name: String, required "callers see it in the RateLimit headers";
        key: LimitKey;
        rate: Pace, required "for tiers that it does not name; may be `unlimited`";
        burst: NonZeroU32;
        tiers: Named<RawTierQuota>;
        /// What one request takes.
        cost: NonZeroU32;
        /// Whether it refuses, or only records what it would refuse.
        mode: Mode;
    }
}

section! {
    RawConcurrency, "`concurrency`" {
        key: LimitKey;
        max: NonZeroU32, required "for example `concurrency: { key: user, max: 20 }`";
    }
}

section! {
    RawQuota, "a quota" {
        rate: Pace, required "for example `rate: 60/min`";
        burst: NonZeroU32;
    }
}

section! {
    RawOwnerOf, "`owner`" {
        /// A parameter of the route's path, in braces.
        path: String;
        /// In place of `path`: what the route's upstream is asked, such as `GET /posts/{id}`.
        lookup: String;
        /// Where the owner stands in the answer, as a JSON pointer.
        field: String;
        equals: RawOwnerField, required "`{user.id}`, `{user.username}`, `{user.external_id}` or a claim such as `{claims.org}`";
    }
}

choice! { SecurityHeaders {
    "off" => SecurityHeaders::Off,
    "standard" => SecurityHeaders::Standard,
} }

choice! { TrailingSlash {
    "strict" => TrailingSlash::Strict,
    "ignore" => TrailingSlash::Ignore,
} }

choice! { Guard {
    "auth" => Guard::Auth,
    "allow" => Guard::Allow,
    "limits" => Guard::Limits,
} }

choice! { Mode {
    "enforce" => Mode::Enforce,
    "shadow" => Mode::Shadow,
} }

choice! { AuthMode {
    "required" => AuthMode::Required,
    "optional" => AuthMode::Optional,
    "none" => AuthMode::None,
} }

/// `"{parameter}"`, which is compared with the username, or a mapping that says what with what.
#[derive(Debug)]
pub struct RawOwner {
    pub of: RawOwned,
    /// `None` is the username.
    pub equals: Option<At<RawOwnerField>>,
}

#[derive(Debug)]
pub enum RawOwned {
    /// With its braces.
    Parameter(At<String>),
    LookUp {
        target: At<String>,
        field: At<String>,
    },
}

impl Decode for RawOwner {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        if let Value::Scalar(_) = node.value {
            return Some(RawOwner {
                of: RawOwned::Parameter(At::decode(node, findings)?),
                equals: None,
            });
        }
        // `owner: {id}` without quotes is a mapping with the key `id` and no value.
        if let Value::Mapping(entries) = &node.value
            && let [only] = entries.as_slice()
            && only.value.is_null()
        {
            let name = &only.key.text;
            findings
                .error(node.span, "a parameter in braces needs quotes")
                .hint(format!("write `owner: \"{{{name}}}\"`"));
            return None;
        }
        let owner = RawOwnerOf::decode(node, findings)?;
        let of = owned(&owner, node, findings)?;
        let Field::Given(equals) = owner.equals else {
            return None;
        };
        Some(RawOwner {
            of,
            equals: Some(equals),
        })
    }

    fn schema() -> Json {
        json!({ "anyOf": [String::schema(), RawOwnerOf::schema()] })
    }
}

fn owned(owner: &RawOwnerOf, node: &Node, findings: &mut Findings) -> Option<RawOwned> {
    match (&owner.path, &owner.lookup, &owner.field) {
        (Field::Given(path), Field::Absent, Field::Absent) => {
            return Some(RawOwned::Parameter(path.clone()));
        }
        (Field::Absent, Field::Given(target), Field::Given(field)) => {
            return Some(RawOwned::LookUp {
                target: target.clone(),
                field: field.clone(),
            });
        }
        (Field::Absent, Field::Absent, Field::Absent) => {
            findings
                .error(node.span, "`owner` says nothing of who owns what")
                .hint(
                    "name a parameter (`path: \"{username}\"`) or a look-up (`lookup: \"GET /posts/{id}\"` with `field`)",
                );
        }
        (Field::Given(path), ..) => {
            findings
                .error(path.span, "`path` stands beside a look-up")
                .hint("for both at once write the other as `cel: 'path.id == user.id'`");
        }
        (_, Field::Given(lookup), Field::Absent) => {
            findings
                .error(lookup.span, "a look-up needs `field`")
                .hint("it says where the owner stands in the answer: `field: /created_by_user_id`");
        }
        (_, Field::Absent, Field::Given(field)) => {
            findings
                .error(field.span, "`field` is of a look-up, and there is none")
                .hint("write `lookup: \"GET /posts/{id}\"` beside it");
        }
        // One of them has been reported.
        _ => {}
    }
    None
}

/// What a limit gives to one tier: `300/min`, `unlimited`, or a rate with a burst of its own.
#[derive(Debug)]
pub struct RawTierQuota {
    pub rate: At<Pace>,
    pub burst: Field<NonZeroU32>,
}

impl Decode for RawTierQuota {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        if let Value::Mapping(_) = node.value {
            let quota = RawQuota::decode(node, findings)?;
            let Field::Given(rate) = quota.rate else {
                return None;
            };
            return Some(RawTierQuota {
                rate,
                burst: quota.burst,
            });
        }
        if let Value::Sequence(_) = node.value {
            expected(
                node,
                "a rate such as `300/min`, or `{ rate: 300/min, burst: 50 }`",
                findings,
            );
            return None;
        }
        Some(RawTierQuota {
            rate: At::decode(node, findings)?,
            burst: Field::Absent,
        })
    }

    fn schema() -> Json {
        json!({ "anyOf": [Pace::schema(), RawQuota::schema()] })
    }
}

impl Decode for LimitKey {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let what = "`user`, `ip`, `route`, `api_key`, `header:NAME` or `claim:NAME`";
        let text = scalar(node, what, findings)?.text.as_str();
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) => (kind, Some(name.trim())),
            None => (text, None),
        };
        match (kind, name) {
            ("user", None) => return Some(LimitKey::User),
            ("ip", None) => return Some(LimitKey::Ip),
            ("route", None) => return Some(LimitKey::Route),
            ("api_key", None) => return Some(LimitKey::ApiKey),
            ("claim", Some(name)) => return Some(LimitKey::Claim(name.to_owned())),
            ("header", Some(name)) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => return Some(LimitKey::Header(name)),
                Err(_) => {
                    let message = format!("{} is no name of a header", shown(name));
                    findings
                        .error(node.span, message)
                        .hint("for example `header:x-device-id`");
                }
            },
            _ => {
                let message = format!("expected {what}, found {}", shown(text));
                let finding = findings.error(node.span, message);
                match nearest(kind, ["user", "ip", "route", "api_key", "header", "claim"]) {
                    Some(near @ ("header" | "claim")) => {
                        finding.hint(format!("did you mean `{near}:NAME`?"));
                    }
                    Some(near) => finding.hint(format!("did you mean `{near}`?")),
                    None => {}
                }
            }
        }
        None
    }

    fn schema() -> Json {
        schema::text(
            "^(user|ip|route|api_key|header: *[!#$%&'*+.^_`|~0-9A-Za-z-]+|claim: *[^ ].*)$",
        )
    }
}
