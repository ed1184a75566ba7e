//! Which expressions are read, what they give, and what is said of others.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::template::UserField;
use super::*;

struct Sample {
    roles: Vec<String>,
    claims: BTreeMap<&'static str, Json>,
}

impl Variables for Sample {
    fn value(&self, variable: &Variable) -> Option<Given<'_>> {
        let text = |text: &'static str| Some(Given::Text(text.into()));
        match variable {
            Variable::User(UserField::Tier) => text("pro"),
            Variable::User(UserField::Roles) => Some(Given::List(&self.roles)),
            Variable::User(UserField::IsSuperuser) => Some(Given::Flag(false)),
            Variable::User(_) => None,
            Variable::Claim(name) if name == "exp" => Some(Given::Number(4_000_000_000)),
            Variable::Claim(name) => self.claims.get(name.as_str()).map(Given::Json),
            Variable::Path(name) if name == "id" => text("7"),
            Variable::Path(_) => text("acme"),
            Variable::Request(RequestField::Method) => text("GET"),
            Variable::Request(_) => None,
            Variable::Header(name) if name == "x-beta" => text("1"),
            Variable::Header(_) => None,
        }
    }
}

fn sample() -> Sample {
    Sample {
        roles: vec!["editor".into(), "writer".into()],
        claims: BTreeMap::from([
            ("org", json!("acme")),
            ("level", json!(3)),
            ("share", json!(0.5)),
            ("big", json!(u64::MAX)),
            ("accents", json!("éé")),
            ("many", json!(vec!["x"; 300])),
            ("beta", json!(true)),
            ("teams", json!(["red", "blue"])),
            ("realm", json!({ "roles": ["admin"], "deep": { "er": 1 } })),
            ("https://example.com/plan", json!("gold")),
            ("nothing", json!(null)),
        ]),
    }
}

/// What an expression gives; `Err` for one without a value.
fn given(source: &str) -> Result<bool, String> {
    let expression = Expression::compile(source, Some(&["org", "id"]));
    let expression = expression.unwrap_or_else(|faults| panic!("{source}: {faults:?}"));
    expression.evaluate(&sample())
}

#[test]
fn expressions_give_what_they_say() {
    for source in [
        r#"user.tier == "pro" && path.id != "0""#,
        "user.tier == 'pro' ? true : false",
        "!user.is_superuser",
        r#""editor" in user.roles"#,
        r#"user.tier in ["pro", "max"]"#,
        "!(user.is_superuser in user.roles) && !(claims.level in ['3']) && claims.level in [3, 4]",
        "['red', 'blue'].exists(team, team in claims.teams) && !('org' in [])",
        "!user.roles.exists(r, r in ['admin', 'owner'])",
        "size(user.roles) == 2 && user.roles.size() > 1",
        "user.roles[0] == 'editor'",
        "user.roles.exists(r, r.startsWith('edit'))",
        "user.roles.all(r, r.endsWith('r') || r == path.id)",
        "user.roles.exists_one(r, r == 'writer')",
        "user.roles.filter(r, r != 'writer') == ['editor']",
        "user.roles.filter(r, r != 'writer').exists(r, r == 'editor')",
        "claims.org == path.org",
        "claims['org'] == path['org']",
        "claims.level >= 3 && claims.level < 4 && claims.level == 3.0",
        "claims.share < 1.0",
        "claims.big > 1",
        "claims.exp > 1",
        "claims.beta",
        "'red' in claims.teams && claims.teams[1] == 'blue'",
        "'admin' in claims.realm.roles",
        "claims.realm.deep.er == 1 && claims.realm['deep']['er'] == 1",
        "has(claims.realm.deep.er) && !has(claims.realm.deep.est)",
        "claims['https://example.com/plan'] == 'gold'",
        "claims.nothing == null",
        "has(claims.org) && 'org' in claims",
        "!has(claims.other) && !('other' in claims)",
        "!has(user.email)",
        "has(claims.org) && claims.org == 'acme'",
        "request.method in ['GET', 'HEAD']",
        "request.headers['x-beta'] == '1' && 'x-beta' in request.headers",
        "!('x-alpha' in request.headers) && !has(request.headers.accept)",
        "path.id.matches('^[0-9]+$') && matches(path.id, '^7$')",
        r"!path.id.matches('^[a-z]+$') && path.id.matches(r'^\d$')",
        r"claims.accents.matches('^é+$') && !claims.accents.matches(r'^\w+$')",
        "claims.org.contains('cm') && int(path.id) == 7 && string(claims.level) == '3'",
        // As the language has it: one side is enough.
        "claims.other == 'x' || user.tier == 'pro'",
        "user.tier == 'pro' || claims.other == 'x'",
    ] {
        assert_eq!(given(source), Ok(true), "{source}");
    }
}

#[test]
fn what_is_not_there_or_of_another_type_gives_nothing() {
    for (source, why) in [
        ("claims.other == 'x'", "`claims[\"other\"]` is not there"),
        ("claims.other != 'x'", "`claims[\"other\"]` is not there"),
        ("user.email == 'x'", "`user.email` is not there"),
        ("!(user.email == 'x')", "`user.email` is not there"),
        ("claims.realm.other == 1", "a member is not there"),
        (
            "claims.many.all(x, x in claims.many)",
            "it goes through too much",
        ),
        (
            "!claims.many.exists(x, !(x in claims.many))",
            "it goes through too much",
        ),
        ("claims.org.other == 1", "_._"),
        ("claims.org > 1", "_>_"),
        ("claims.org", "its value is neither true nor false"),
        ("claims.nothing", "its value is neither true nor false"),
        ("claims.teams.contains('red')", "contains"),
        ("claims.level.matches('3')", "(int, pattern)"),
        ("claims.teams[2] == 'x'", "out of bounds"),
        ("claims.level / 0 == 1", "by zero"),
        ("claims.big + claims.level == 1", ""),
        ("int(claims.org) == 1", "int"),
        ("claims.org.all(x, true)", "iterable"),
        ("'x' in claims.level", "@in"),
        ("request.headers['x-alpha'] == '1'", "x-alpha"),
    ] {
        let error = given(source).expect_err(source);
        assert!(error.contains(why), "{source}: {error}");
    }
}

#[test]
fn what_an_expression_asks_for_is_known_beforehand() {
    let source = "has(user.email) && claims.realm.roles[0] == path.id && 'org' in claims \
                  && request.path.startsWith('/x') && request.headers['x-a'] != claims['org']";
    let expression = Expression::compile(source, Some(&["id"])).unwrap();
    let asked: Vec<String> = expression.variables().map(ToString::to_string).collect();
    assert_eq!(
        asked,
        [
            "user.email",
            "claims[\"realm\"]",
            "path.id",
            "claims[\"org\"]",
            "request.path",
            "request.headers[\"x-a\"]",
            "claims[\"org\"]",
        ]
    );
}

/// The first fault as its text and the part of the source that is meant.
fn fault(source: &str) -> (String, String) {
    let faults = Expression::compile(source, Some(&["org", "id"])).expect_err(source);
    let first = faults.into_iter().next().unwrap();
    (first.message, source[first.range].to_owned())
}

#[test]
fn mistakes_are_told_at_their_place() {
    for (source, message, place) in [
        ("", "the expression is empty", ""),
        ("user.tier == ", "this is no expression", ""),
        ("user.tier = 'pro'", "this is no expression", "="),
        ("usr.tier == 'x'", "there is no variable `usr`", "usr"),
        (
            "true && usr.tier == 'x'",
            "there is no variable `usr`",
            "usr",
        ),
        ("tier == 'x'", "there is no variable `tier`", "tier"),
        ("user.teir == 'x'", "`user` has no `teir`", "teir"),
        ("has(user.teir)", "`user` has no `teir`", "teir"),
        ("path.user == 'x'", "`path` has no `user`", "user"),
        ("path['it'] == 'x'", "`path` has no `it`", "it"),
        ("request.url == 'x'", "`request` has no `url`", "url"),
        (
            "request.headers.Accept == 'x'",
            "names of headers are in lower case here",
            "Accept",
        ),
        (
            "request.headers['a b'] == 'x'",
            "`a b` is no name of a header",
            "a b",
        ),
        ("user == 'x'", "`user` is no value by itself", "user"),
        (
            "size(claims) == 1",
            "`claims` is no value by itself",
            "claims",
        ),
        (
            "claims.exists(c, c == 'org')",
            "`claims` is no value by itself",
            "claims",
        ),
        (
            "claims[path.id] == 'x'",
            "`claims` is no value by itself",
            "claims[path.id",
        ),
        (
            "path.id in claims",
            "expected a text in quotes here",
            "path.id",
        ),
        (
            "user.tier.name == 'x'",
            "`user.tier` has nothing within it",
            "user.tier.name",
        ),
        (
            "user.tier",
            "the expression gives text, not true or false",
            "user.tier",
        ),
        ("true", "the expression asks for nothing", "true"),
        (
            "size(user.roles)",
            "the expression gives a number, not true or false",
            "size(user.roles)",
        ),
        (
            "user.roles",
            "the expression gives a list, not true or false",
            "user.roles",
        ),
        (
            "user.roles.filter(r, true)",
            "the expression gives a list, not true or false",
            "user.roles.filter(r, true)",
        ),
        (
            "user.tier == 1",
            "this is text on one side and a number on the other",
            "user.tier == 1",
        ),
        (
            "path.id > 0",
            "this is text on one side and a number on the other",
            "path.id > 0",
        ),
        (
            "user.tier && true",
            "expected true or false here, found text",
            "user.tier",
        ),
        (
            "true && !path.id",
            "expected true or false here, found text",
            "path.id",
        ),
        (
            "user.roles.exists(r, 'x')",
            "expected true or false here, found text",
            "'x'",
        ),
        (
            "user.tier in 'pro'",
            "expected a list here, found text",
            "'pro'",
        ),
        (
            "user.tier.all(c, true)",
            "this is text, not a list",
            "user.tier",
        ),
        (
            "user.roles.contains('x')",
            "expected text here, found a list",
            "user.roles",
        ),
        (
            "user.tier.startWith('x')",
            "there is no function `startWith`",
            "",
        ),
        (
            "startsWith(user.tier, 'x')",
            "`startsWith` is called in another way",
            "",
        ),
        (
            "user.tier.size(1) == 1",
            "`size` is called in another way",
            "",
        ),
        (
            "user.roles.exists('x')",
            "there is no function `exists`",
            "",
        ),
        (
            "path.id.matches(path.org)",
            "a pattern has to be a text in quotes",
            "path.org",
        ),
        (
            "path.id.matches('(')",
            "this is no pattern: unclosed group",
            "'('",
        ),
        (
            "path.id.matches('\\\\w{1000}{1000}')",
            "this is no pattern",
            "'\\\\w{1000}{1000}'",
        ),
        (
            "{'a': true}['a']",
            "bytes, maps and messages have no place in a rule",
            "",
        ),
        (
            "b'a' == b'a'",
            "bytes, maps and messages have no place in a rule",
            "b'a'",
        ),
        (
            "user.roles.exists(r, user.roles.exists(s, r == s))",
            "a loop within a loop",
            "",
        ),
        (
            "user.roles.map(r, r + r).map(r, r + r) == []",
            "`map` has no place in a rule",
            "",
        ),
        (
            "user.roles.map(r, r != '', [r]) == []",
            "`map` has no place in a rule",
            "",
        ),
        (
            "user.roles.exists(user, user == 'x')",
            "`user` is taken",
            "",
        ),
        ("user.?tier == 'x'", "this is no expression", ""),
        (
            "has(request.headers['x-beta'])",
            "this is no expression: invalid argument to has() macro",
            "",
        ),
        ("now() > 1", "there is no function `now`", "now("),
        (".user.tier == 'x'", "", ""),
    ] {
        let (told, meant) = fault(source);
        assert!(told.starts_with(message), "{source}: {told}");
        if !place.is_empty() {
            assert_eq!(meant, place, "{source}: {told}");
        }
    }
    let long = format!("user.tier == '{}'", "x".repeat(check::LONGEST));
    assert!(fault(&long).0.contains("longer than"));
    for deep in [
        format!("{}true{}", "(".repeat(500), ")".repeat(500)),
        format!("{}1{} == []", "[".repeat(33), "]".repeat(33)),
        format!("{}1 == 1", "1 + ".repeat(32)),
        format!("claims.a{} == 1", "[0]".repeat(40)),
        format!("{}true", "true ? true : ".repeat(32)),
    ] {
        let (told, _) = fault(&deep);
        assert!(told.starts_with("more than 32 parts"), "{deep}: {told}");
    }
    let wide = format!("{}has(user.tier)", "!".repeat(2000));
    assert!(Expression::compile(&wide, None).is_ok_and(|e| e.evaluate(&sample()) == Ok(true)));
}

proptest! {
    #[test]
    fn no_text_panics(parts in proptest::collection::vec(
        prop_oneof![
            "[ -~é\n]{0,6}",
            proptest::sample::select(vec![
                "user", ".", "tier", "(", ")", "[", "]", "'x'", "\"", "==", "&&", "||", "!", "in", "?", ":", "claims", "path",
                "has(", ".exists(x, ", ".map(", "1", "-", "request.headers", "{", "}", "matches", "\\u", "b'", "r'", "`", "null",
            ]).prop_map(str::to_owned),
        ],
        0..24,
    )) {
        let source = parts.concat();
        if let Ok(expression) = Expression::compile(&source, Some(&["id"])) {
            let _ = expression.evaluate(&sample());
        }
    }
}
