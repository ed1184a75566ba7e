//! What each kind of rule lets through.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use serde_json::json;

use super::{Decision, Key, Outcome, Owners, Policies, Question, Unknown, decide, explain};
use crate::authn::sample::claims;
use crate::authn::{Claims, Principal, User};
use crate::config::cel::Expression;
use crate::config::checked::*;
use crate::config::{Config, Plans};
use crate::request::{Facts, Peer};
use crate::route::{self, Table, sample};

fn caller(change: impl FnOnce(&mut Claims)) -> Principal {
    let mut claims = claims(7);
    change(&mut claims);
    Principal::User(Arc::new(User::new(claims).unwrap()))
}

/// Why an upstream says nothing that it may say in a moment.
const LATE: &str = "late";

/// What upstreams say, by what they are asked, and what they were asked.
#[derive(Default)]
struct Upstream {
    says: BTreeMap<&'static str, Result<&'static str, &'static str>>,
    was_asked: RefCell<Vec<String>>,
}

impl Owners for Upstream {
    async fn look_up(&self, question: Question<'_>) -> Result<String, Unknown> {
        let asked = format!("{}#{}", question.target, question.field);
        let said = self.says.get(asked.as_str()).copied();
        self.was_asked.borrow_mut().push(asked);
        let said = said.unwrap_or(Err("nothing"));
        said.map(str::to_owned).map_err(|why| Unknown {
            is_for_now: why == LATE,
            ..Unknown::because(why)
        })
    }
}

fn at_once<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// The answer's code, or `allowed`, for a route `/users/{username}/posts/{id}`.
fn ask(allow: &[Rule], principal: &Principal, path: &str) -> &'static str {
    asked(allow, principal, path).0
}

/// The same with what is told of each rule.
fn asked(allow: &[Rule], principal: &Principal, path: &str) -> (&'static str, Vec<Outcome>) {
    let (code, outcomes, was_asked) = asking(allow, principal, path, &[]);
    assert_eq!(was_asked, [""; 0]);
    (code, outcomes)
}

/// The same with what an upstream says, and what it was asked by the decision.
fn asking(
    allow: &[Rule],
    principal: &Principal,
    path: &str,
    says: &[(&'static str, Result<&'static str, &'static str>)],
) -> (&'static str, Vec<Outcome>, Vec<String>) {
    let literal = |text: &str| Segment::Literal(text.into());
    let param = |name: &str| Segment::Param(name.into());
    let mut route = sample::route(Pattern::Path(vec![
        literal("users"),
        param("username"),
        literal("posts"),
        param("id"),
    ]));
    route.allow = allow.to_vec();
    let mut config = sample::config(vec![route]);
    for (rank, name) in ["free", "pro", "max"].into_iter().enumerate() {
        let rank = u32::try_from(rank).unwrap();
        config.tiers.insert(name.into(), Tier { rank, rate: None });
    }
    let table = Table::build(&config, &[]);
    let request = Request::get(path)
        .header("x-list", "a")
        .header("x-list", "b")
        .header("x-bytes", &b"\xff"[..]);
    let (head, ()) = request.body(()).unwrap().into_parts();
    let socket: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let peer = Peer {
        socket,
        client: socket.ip(),
        is_trusted: false,
    };
    let facts = Facts {
        head: &head,
        host: "localhost",
        peer: &peer,
    };
    let matched = route::find(&table, &facts).unwrap();
    let stored = Plans {
        tiers: BTreeMap::from([(
            "stored".into(),
            Tier {
                rank: 1,
                rate: None,
            },
        )]),
        rules: Vec::new(),
    };
    let policies = Policies::build(&config, &stored.under(&config));
    let upstream = || Upstream {
        says: says.iter().copied().collect(),
        ..Upstream::default()
    };
    let outcomes = at_once(explain(&policies, &matched, principal, &facts, &upstream()));
    let upstream = upstream();
    let decided = match decide(&policies, matched, principal.clone(), &facts) {
        Ok(Decision::Permit(permit)) => Ok(permit),
        Ok(Decision::Asks(asking)) => at_once(asking.ask(&facts, &upstream)),
        Err(refusal) => Err(refusal),
    };
    let is_allowed = allow.is_empty() || outcomes.contains(&Outcome::Holds);
    assert_eq!(decided.is_ok(), is_allowed, "{outcomes:?}");
    let code = match decided {
        Ok(_) => "allowed",
        Err(refusal) if refusal.is_for_now() => "unknown for now",
        Err(refusal) => refusal.code().as_str(),
    };
    (code, outcomes, upstream.was_asked.take())
}

const PATH: &str = "/users/alice/posts/1";

#[test]
fn without_rules_everybody_passes_whom_auth_admits() {
    assert_eq!(ask(&[], &Principal::Anonymous, PATH), "allowed");
    assert_eq!(ask(&[], &caller(|_| {}), PATH), "allowed");
}

#[test]
fn with_rules_a_caller_without_identity_is_asked_for_one() {
    assert_eq!(
        ask(&[Rule::default()], &Principal::Anonymous, PATH),
        "token-missing"
    );
}

#[test]
fn each_key_of_a_rule_is_asked() {
    type Change = fn(&mut Claims);
    let claim = |name: &str, value| ClaimRule {
        name: name.into(),
        value,
    };
    let cases: [(Rule, Change); 7] = [
        (
            Rule {
                claims: vec![
                    claim("org", json!("acme")),
                    claim("realm_access.roles", json!("admin")),
                    claim("username", json!("alice")),
                ],
                ..Rule::default()
            },
            |claims| {
                let further = json!({ "org": "acme", "realm_access": { "roles": ["x", "admin"] } });
                claims.further = serde_json::from_value(further).unwrap();
            },
        ),
        (
            Rule {
                superuser: Some(true),
                ..Rule::default()
            },
            |claims| claims.is_superuser = true,
        ),
        (
            Rule {
                tiers: vec!["pro".into(), "max".into()],
                ..Rule::default()
            },
            |claims| claims.tier = "max".into(),
        ),
        (
            Rule {
                min_rank: Some(1),
                ..Rule::default()
            },
            |claims| claims.tier = "pro".into(),
        ),
        (
            Rule {
                roles: vec!["editor".into(), "owner".into()],
                ..Rule::default()
            },
            |claims| claims.roles = vec!["writer".into(), "editor".into()],
        ),
        (
            Rule {
                scopes: vec!["a".into(), "b".into()],
                ..Rule::default()
            },
            |claims| claims.scope = "b a".into(),
        ),
        (
            Rule {
                superuser: Some(false),
                roles: vec!["editor".into()],
                ..Rule::default()
            },
            |claims| claims.roles = vec!["editor".into()],
        ),
    ];
    for (rule, change) in cases {
        let rule = std::slice::from_ref(&rule);
        assert_eq!(ask(rule, &caller(change), PATH), "allowed", "{rule:?}");
        assert_eq!(ask(rule, &caller(|_| {}), PATH), "forbidden", "{rule:?}");
    }
    let all_scopes = Rule {
        scopes: vec!["a".into(), "b".into()],
        ..Rule::default()
    };
    let some = caller(|claims| claims.scope = "a".into());
    assert_eq!(ask(&[all_scopes], &some, PATH), "forbidden");
}

#[test]
fn a_tier_of_the_store_has_its_rank() {
    let rule = |rank| Rule {
        min_rank: Some(rank),
        ..Rule::default()
    };
    let stored = caller(|claims| claims.tier = "stored".into());
    assert_eq!(ask(&[rule(1)], &stored, PATH), "allowed");
    assert_eq!(ask(&[rule(2)], &stored, PATH), "forbidden");
}

#[test]
fn tiers_that_no_rule_has_fallen_short_of_shut_nobody_out() {
    let rule = |rank| Rule {
        min_rank: Some(rank),
        ..Rule::default()
    };
    let mut route = sample::route(Pattern::Prefix(Vec::new()));
    route.allow = vec![rule(1), rule(3)];
    let mut config = sample::config(vec![route]);
    let policies = |config: &Config, tiers: &[(&str, u32)]| {
        let tier = |(name, rank): &(&str, u32)| {
            let tier = Tier {
                rank: *rank,
                rate: None,
            };
            ((*name).to_owned(), tier)
        };
        let plans = Plans {
            tiers: tiers.iter().map(tier).collect(),
            ..Plans::default()
        };
        Policies::build(config, &plans)
    };
    let before = [("gold", 4), ("silver", 2), ("free", 0)];
    for (after, admits_all) in [
        (vec![("gold", 4), ("silver", 2), ("free", 0)], true),
        (
            vec![("gold", 5), ("silver", 2), ("free", 0), ("new", 0)],
            true,
        ),
        (vec![("gold", 3), ("silver", 1)], true),
        (vec![("gold", 2), ("silver", 2)], false),
        (vec![("gold", 4), ("silver", 0)], false),
        (vec![("gold", 4)], false),
        (vec![("gold", 4), ("argent", 2)], false),
    ] {
        let admits = policies(&config, &after).admit_all_of(&policies(&config, &before));
        assert_eq!(admits, admits_all, "{after:?}");
    }
    let by_name = Rule {
        tiers: vec!["gold".into()],
        ..Rule::default()
    };
    config.routes[0].allow = vec![by_name];
    let admits =
        |after: &[(&str, u32)]| policies(&config, after).admit_all_of(&policies(&config, &before));
    assert!(admits(&[("gold", 0), ("silver", 0), ("free", 0)]));
    assert!(!admits(&[("argent", 4), ("silver", 2), ("free", 0)]));
    config.routes[0].shadow.allow = true;
    assert!(policies(&config, &[]).admit_all_of(&policies(&config, &before)));
}

#[test]
fn a_tier_that_nobody_knows_has_no_rank() {
    let rule = Rule {
        min_rank: Some(0),
        ..Rule::default()
    };
    let stranger = caller(|claims| claims.tier = "gone".into());
    assert_eq!(ask(&[rule], &stranger, PATH), "forbidden");
}

#[test]
fn keys_of_one_rule_must_all_hold_and_one_rule_is_enough() {
    let rule = |tier: &str, role: &str| Rule {
        tiers: vec![tier.into()],
        roles: vec![role.into()],
        ..Rule::default()
    };
    let caller = caller(|claims| claims.roles = vec!["editor".into()]);
    assert_eq!(ask(&[rule("pro", "editor")], &caller, PATH), "forbidden");
    let rules = [rule("pro", "editor"), rule("free", "editor")];
    assert_eq!(ask(&rules, &caller, PATH), "allowed");
}

#[test]
fn owners_are_told_by_the_path() {
    let owner = |parameter: &str, equals| Rule {
        owner: Some(Owner {
            parameter: parameter.into(),
            equals,
        }),
        ..Rule::default()
    };
    let alice = caller(|claims| claims.external_id = Some("42".into()));
    let by_name = [owner("username", OwnerField::Username)];
    assert_eq!(ask(&by_name, &alice, PATH), "allowed");
    for path in [
        "/users/bob/posts/1",
        "/users/Alice/posts/1",
        "/users/alice2/posts/1",
    ] {
        assert_eq!(ask(&by_name, &alice, path), "forbidden", "{path}");
    }
    let by_external = [owner("id", OwnerField::ExternalId)];
    assert_eq!(ask(&by_external, &alice, "/users/x/posts/42"), "allowed");
    assert_eq!(ask(&by_external, &alice, PATH), "forbidden");
    // Nobody owns what has no owner: an account without an external id matches no value.
    assert_eq!(ask(&by_external, &caller(|_| {}), PATH), "forbidden");

    let acme = caller(|claims| {
        let further = json!({ "team": 7, "id": "42", "teams": ["7"], "none": "" });
        claims.further = serde_json::from_value(further).unwrap();
    });
    let by_claim = |name: &str| [owner("id", OwnerField::Claim(name.into()))];
    for (name, value, answer) in [
        ("team", "7", "allowed"),
        ("team", "8", "forbidden"),
        ("teams", "7", "forbidden"),
        ("id", "42", "allowed"),
        ("missing", "42", "forbidden"),
        ("username", "alice", "allowed"),
    ] {
        let path = format!("/users/x/posts/{value}");
        assert_eq!(ask(&by_claim(name), &acme, &path), answer, "{name} {value}");
    }

    let by_id = [owner("id", OwnerField::Id)];
    let id = claims(7).sub.to_string();
    assert_eq!(
        ask(&by_id, &alice, &format!("/users/x/posts/{id}")),
        "allowed"
    );
    let upper = format!("/users/x/posts/{}", id.replace('0', "A"));
    assert_eq!(ask(&by_id, &alice, &upper), "forbidden");
    let bare = format!("/users/x/posts/{}", id.replace('-', ""));
    assert_eq!(ask(&by_id, &alice, &bare), "forbidden");
}

fn cel(source: &str) -> Rule {
    let expression = Expression::compile(source, Some(&["username", "id"]));
    Rule {
        cel: Some(expression.unwrap_or_else(|faults| panic!("{source}: {faults:?}"))),
        ..Rule::default()
    }
}

#[test]
fn expressions_are_told_of_the_caller_and_the_request() {
    let caller = caller(|claims| {
        claims.roles = vec!["editor".into()];
        claims.scope = "a b".into();
        claims.email = Some("alice@example.com".into());
        let further = json!({ "org": "acme", "level": 3, "realm": { "roles": ["x"] } });
        claims.further = serde_json::from_value(further).unwrap();
    });
    let id = claims(7).sub.to_string();
    for source in [
        r#"user.tier == "free" && path.id != "0""#,
        "user.username == path.username && user.username == claims.username",
        &format!("user.id == '{id}' && claims.sub == user.id"),
        "user.email.endsWith('@example.com') && claims.email == user.email",
        "!has(user.name) && !has(user.external_id) && !has(claims.other)",
        "'editor' in user.roles && claims.roles == user.roles",
        "user.scopes == ['a', 'b'] && claims.scope == 'a b'",
        "!user.is_superuser && !claims.is_superuser && claims.exp > 0",
        "claims.org == 'acme' && claims.level >= 3 && 'x' in claims.realm.roles",
        "request.method == 'GET' && request.host == 'localhost'",
        "request.path == '/users/alice/posts/1' && request.query == 'q=1'",
        "request.ip == '192.0.2.1'",
        "request.headers['x-list'] == 'a, b' && !has(request.headers.accept)",
    ] {
        let answer = ask(&[cel(source)], &caller, "/users/alice/posts/1?q=1");
        assert_eq!(answer, "allowed", "{source}");
        let negated = cel(&format!("!({source})"));
        let (answer, outcomes) = asked(&[negated], &caller, "/users/alice/posts/1?q=1");
        assert_eq!(answer, "forbidden", "{source}");
        assert_eq!(outcomes, [Outcome::Fails(Key::Cel)], "{source}");
    }
}

#[test]
fn an_expression_without_a_value_lets_nobody_pass() {
    let caller = caller(|claims| {
        claims.further = serde_json::from_value(json!({ "level": "3", "teams": [1] })).unwrap();
    });
    for (source, why) in [
        ("claims.other == 'x'", "`claims[\"other\"]` is not there"),
        ("claims.other != 'x'", "`claims[\"other\"]` is not there"),
        ("!(user.email == 'x')", "`user.email` is not there"),
        ("claims.level >= 3", "(string, int)"),
        ("claims.teams", "neither true nor false"),
        ("!(claims.teams[1] == 2)", "out of bounds"),
        (
            "request.headers['x-bytes'] != 'x'",
            "`request.headers[\"x-bytes\"]` is no text",
        ),
        (
            "!('x-bytes' in request.headers) || user.name == ''",
            "`user.name` is not there",
        ),
    ] {
        let (answer, outcomes) = asked(&[cel(source)], &caller, PATH);
        assert_eq!(answer, "forbidden", "{source}");
        let [Outcome::Untold(Key::Cel, told)] = outcomes.as_slice() else {
            panic!("{source}: {outcomes:?}");
        };
        assert!(told.why.contains(why), "{source}: {told:?}");
        // Another rule may still hold.
        let rules = [cel(source), cel("user.tier == 'free'")];
        assert_eq!(ask(&rules, &caller, PATH), "allowed", "{source}");
    }
}

#[test]
fn expressions_hold_beside_other_keys() {
    let rule = Rule {
        tiers: vec!["pro".into()],
        ..cel("path.id == '1'")
    };
    let pro = caller(|claims| claims.tier = "pro".into());
    let answers = [
        (&pro, PATH, "allowed"),
        (&pro, "/users/alice/posts/2", "forbidden"),
        (&caller(|_| {}), PATH, "forbidden"),
    ];
    for (caller, path, answer) in answers {
        let rules = std::slice::from_ref(&rule);
        assert_eq!(ask(rules, caller, path), answer, "{path}");
    }
}

fn look_up(target: &str, field: &str, equals: OwnerField) -> Rule {
    let parameters: &[&str] = &["username", "id"];
    Rule {
        look_up: Some(LookUp {
            target: LookUpTarget::parse(target, Some(parameters)).unwrap(),
            field: field.parse().unwrap(),
            equals,
        }),
        ..Rule::default()
    }
}

#[test]
fn owners_are_told_by_the_upstream() {
    let alice = caller(|claims| {
        claims.external_id = Some("42".into());
        claims.further = serde_json::from_value(json!({ "org": "acme", "none": "" })).unwrap();
    });
    let claim = |name: &str| OwnerField::Claim(name.into());
    for (equals, said, answer) in [
        (OwnerField::Username, Ok("alice"), "allowed"),
        (OwnerField::Username, Ok("Alice"), "forbidden"),
        (OwnerField::ExternalId, Ok("42"), "allowed"),
        (OwnerField::ExternalId, Ok("042"), "forbidden"),
        (claim("org"), Ok("acme"), "allowed"),
        (claim("team"), Ok("acme"), "forbidden"),
        // What has no owner is nobody's.
        (claim("none"), Ok(""), "forbidden"),
        (OwnerField::Username, Ok(""), "forbidden"),
        (OwnerField::Username, Err("failed"), "forbidden"),
    ] {
        let rule = look_up("GET /posts/{id}", "/by", equals.clone());
        let says = [("/posts/1#/by", said)];
        let (told, outcomes, was_asked) = asking(&[rule], &alice, PATH, &says);
        assert_eq!(told, answer, "{equals} {said:?}");
        assert_eq!(was_asked, ["/posts/1#/by"], "{equals} {said:?}");
        let expected = match (said, answer) {
            (_, "allowed") => Outcome::Holds,
            (Ok(_), _) => Outcome::Fails(Key::Owner),
            (Err(why), _) => Outcome::Untold(Key::Owner, Unknown::because(why)),
        };
        assert_eq!(outcomes, [expected]);
    }
    let nobody = look_up("GET /posts/{id}", "/by", OwnerField::ExternalId);
    let said = [("/posts/1#/by", Ok("42"))];
    let (told, ..) = asking(&[nobody], &caller(|_| {}), PATH, &said);
    assert_eq!(told, "forbidden");
}

#[test]
fn nobody_is_asked_who_need_not_be() {
    let by_look_up = look_up("GET /posts/{id}", "/by", OwnerField::Username);
    let says = [("/posts/1#/by", Ok("alice"))];
    let superuser = Rule {
        superuser: Some(true),
        ..Rule::default()
    };
    let pro = Rule {
        tiers: vec!["pro".into()],
        ..by_look_up.clone()
    };
    let root = caller(|claims| claims.is_superuser = true);
    let alice = caller(|_| {});
    let none: Vec<String> = Vec::new();
    // Another rule lets the caller pass, whichever comes first.
    for rules in [
        [superuser.clone(), by_look_up.clone()],
        [by_look_up.clone(), superuser.clone()],
    ] {
        let (told, _, was_asked) = asking(&rules, &root, PATH, &says);
        assert_eq!((told, was_asked), ("allowed", none.clone()));
        let (told, _, was_asked) = asking(&rules, &alice, PATH, &says);
        assert_eq!((told, was_asked.len()), ("allowed", 1));
    }
    // Another key of the rule fails, or there is nobody who could own anything.
    let (told, _, was_asked) = asking(&[pro], &alice, PATH, &says);
    assert_eq!((told, was_asked), ("forbidden", none.clone()));
    let (told, _, was_asked) = asking(&[by_look_up], &Principal::Anonymous, PATH, &says);
    assert_eq!((told, was_asked), ("token-missing", none));
}

#[test]
fn look_ups_that_are_left_are_tried_in_turn() {
    let rules = [
        look_up("GET /a/{id}", "/by", OwnerField::Username),
        look_up("GET /b?id={id}", "/x/0", OwnerField::Username),
        look_up("GET /c", "/by", OwnerField::Username),
    ];
    let says = [
        ("/a/1#/by", Err("gone")),
        ("/b?id=1#/x/0", Ok("alice")),
        ("/c#/by", Ok("alice")),
    ];
    let (told, _, was_asked) = asking(&rules, &caller(|_| {}), PATH, &says);
    assert_eq!(told, "allowed");
    assert_eq!(was_asked, ["/a/1#/by", "/b?id=1#/x/0"]);
}

#[test]
fn a_refusal_is_for_now_if_any_rule_may_hold_in_a_moment() {
    let rules = ["/a", "/b"].map(|path| {
        let target = format!("GET {path}");
        look_up(&target, "/by", OwnerField::Username)
    });
    for (a, b, expected) in [
        (Err(LATE), Err("gone"), "unknown for now"),
        (Err("gone"), Err(LATE), "unknown for now"),
        (Ok("bob"), Err(LATE), "unknown for now"),
        (Err(LATE), Ok("alice"), "allowed"),
        (Err("gone"), Ok("bob"), "forbidden"),
    ] {
        let says = [("/a#/by", a), ("/b#/by", b)];
        let (told, ..) = asking(&rules, &caller(|_| {}), PATH, &says);
        assert_eq!(told, expected, "{a:?} {b:?}");
    }
}

#[test]
fn what_is_no_plain_segment_is_not_asked_about() {
    let rule = look_up("GET /posts/{id}", "/by", OwnerField::Username);
    for id in ["a|b", "\"x\"", "..."] {
        let path = format!("/users/alice/posts/{id}");
        let rules = std::slice::from_ref(&rule);
        let (told, outcomes, was_asked) = asking(rules, &caller(|_| {}), &path, &[]);
        assert_eq!((told, was_asked.len()), ("forbidden", 0), "{id}");
        let unknown = Unknown::because("a parameter is no plain segment");
        assert_eq!(outcomes, [Outcome::Untold(Key::Owner, unknown)]);
    }
}

#[test]
fn every_key_that_a_rule_may_have_is_known() {
    let schema = crate::config::schema();
    let rule = &schema["properties"]["routes"]["items"]["properties"]["allow"]["items"];
    let keys = rule["properties"].as_object().unwrap().keys();
    let mut known = Key::ALL.map(Key::as_str);
    known.sort_unstable();
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    assert_eq!(keys, known);
}

#[test]
fn the_first_key_that_fails_is_told() {
    let nothing = Rule::default;
    let failing = [
        (
            Rule {
                superuser: Some(true),
                ..nothing()
            },
            Key::Superuser,
        ),
        (
            Rule {
                tiers: vec!["pro".into()],
                roles: vec!["editor".into()],
                ..nothing()
            },
            Key::Tiers,
        ),
        (
            Rule {
                min_rank: Some(1),
                ..nothing()
            },
            Key::MinTier,
        ),
        (
            Rule {
                roles: vec!["editor".into()],
                ..nothing()
            },
            Key::Roles,
        ),
        (
            Rule {
                scopes: vec!["a".into()],
                ..nothing()
            },
            Key::Scopes,
        ),
        (
            Rule {
                claims: vec![ClaimRule {
                    name: "org".into(),
                    value: json!("acme"),
                }],
                ..nothing()
            },
            Key::Claims,
        ),
        (
            Rule {
                owner: Some(Owner {
                    parameter: "id".into(),
                    equals: OwnerField::Username,
                }),
                ..nothing()
            },
            Key::Owner,
        ),
        (cel("user.tier == 'pro'"), Key::Cel),
    ];
    let (rules, keys): (Vec<Rule>, Vec<Key>) = failing.into_iter().unzip();
    let mut expected: Vec<Outcome> = keys.into_iter().map(Outcome::Fails).collect();
    assert_eq!(
        asked(&rules, &caller(|_| {}), PATH),
        ("forbidden", expected.clone())
    );
    let with_one_that_holds = [rules.clone(), vec![nothing()]].concat();
    expected.push(Outcome::Holds);
    assert_eq!(
        asked(&with_one_that_holds, &caller(|_| {}), PATH),
        ("allowed", expected)
    );
    let nobody = vec![Outcome::Fails(Key::Identity); rules.len()];
    assert_eq!(
        asked(&rules, &Principal::Anonymous, PATH),
        ("token-missing", nobody)
    );
}

#[test]
fn rules_in_shadow_make_a_permit_that_tells_what_they_would_refuse() {
    let mut route = sample::route(Pattern::Prefix(Vec::new()));
    route.allow = vec![Rule {
        superuser: Some(true),
        ..Rule::default()
    }];
    route.shadow = Shadow::of([Guard::Allow]);
    let mut asks = sample::route(Pattern::Prefix(vec!["asks".into()]));
    asks.allow = vec![look_up("GET /x", "/by", OwnerField::Username)];
    asks.shadow = route.shadow;
    let config = sample::config(vec![route, asks]);
    let table = Table::build(&config, &[]);
    let policies = Policies::build(&config, &Plans::default().under(&config));
    let socket: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let peer = Peer {
        socket,
        client: socket.ip(),
        is_trusted: false,
    };
    let would_refuse_at = |path: &str, principal: Principal, said: &'static str| {
        let (head, ()) = Request::get(path).body(()).unwrap().into_parts();
        let facts = Facts {
            head: &head,
            host: "localhost",
            peer: &peer,
        };
        let upstream = Upstream {
            says: BTreeMap::from([("/x#/by", Ok(said))]),
            ..Upstream::default()
        };
        let matched = route::find(&table, &facts).unwrap();
        let permit = match decide(&policies, matched, principal, &facts).unwrap() {
            Decision::Permit(permit) => permit,
            Decision::Asks(asking) => at_once(asking.ask(&facts, &upstream)).unwrap(),
        };
        let is_known = permit.principal().user().is_some();
        let code = permit.would_refuse().map(|refusal| refusal.code().as_str());
        (is_known, code)
    };
    let would_refuse = |principal| would_refuse_at("/", principal, "");
    let superuser = caller(|claims| claims.is_superuser = true);
    assert_eq!(would_refuse(superuser), (true, None));
    assert_eq!(would_refuse(caller(|_| {})), (true, Some("forbidden")));
    let nobody = Principal::Anonymous;
    assert_eq!(would_refuse(nobody), (false, Some("token-missing")));
    let asked = |said| would_refuse_at("/asks", caller(|_| {}), said);
    assert_eq!(asked("alice"), (true, None));
    assert_eq!(asked("bob"), (true, Some("forbidden")));
}
