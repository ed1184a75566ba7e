//! What is known of an expression's parts without a request, and what expressions have in common.

use super::*;

/// What an expression comes to, in one line.
fn told(logic: &Logic<'_>) -> String {
    let joined = |parts: &[Logic<'_>], by: &str| {
        let parts: Vec<String> = parts.iter().map(told).collect();
        format!("({})", parts.join(by))
    };
    match logic {
        Logic::Always(value) => value.to_string(),
        Logic::Any(parts) => joined(parts, " or "),
        Logic::All(parts) => joined(parts, " and "),
        Logic::Asks(asks) => {
            let names: Vec<String> = asks.variables.iter().map(ToString::to_string).collect();
            let not = if asks.is_negative { "not " } else { "" };
            let pattern = asks.pattern.map_or_else(String::new, |p| format!("~{p}"));
            format!("{not}{}{pattern}", names.join("+"))
        }
    }
}

#[test]
fn an_expression_is_told_by_its_branches() {
    for (source, expected) in [
        ("user.tier == 'x'", "user.tier"),
        ("user.tier == 'x' || true", "true"),
        ("user.tier == 'x' || 1 + 1 == 2", "true"),
        ("user.tier == 'x' || !('a' in ['b'])", "true"),
        ("user.tier == 'x' && 'ab'.startsWith('b')", "false"),
        ("user.tier == 'x' || 'ab'.matches('^a')", "true"),
        ("user.tier == 'x' || false", "user.tier"),
        ("user.tier == 'x' && !false", "user.tier"),
        (
            "user.tier == 'x' ? true : 1 == 1",
            "(user.tier or not user.tier)",
        ),
        ("true ? user.tier == 'x' : path.id == 'y'", "user.tier"),
        ("false ? user.tier == 'x' : path.id == 'y'", "path.id"),
        (
            "user.is_superuser ? false : path.id == 'y'",
            "(not user.is_superuser and path.id)",
        ),
        (
            "!(user.tier == 'x' || path.id != 'y')",
            "(not user.tier and path.id)",
        ),
        (
            "path.id == 'a' || (path.org == 'b' || user.id == path.id) && user.name != 'c'",
            "(path.id or ((path.org or user.id+path.id) and not user.name))",
        ),
        ("'org' in claims", "claims[\"org\"]"),
        ("!path.id.matches('^a')", "not path.id~^a"),
        ("(path.id + 'x').matches('^a')", "path.id"),
        ("user.roles.exists(r, r == path.id)", "user.roles+path.id"),
        ("1 / 0 == 1 || path.id == ''", "( or path.id)"),
        (
            "(user.is_superuser ? path.id == '' : true) ? true : false",
            "not user.is_superuser+path.id",
        ),
    ] {
        let expression = Expression::compile(source, Some(&["org", "id"]));
        let expression = expression.unwrap_or_else(|faults| panic!("{source}: {faults:?}"));
        assert_eq!(told(&expression.logic()), expected, "{source}");
    }
}

#[test]
fn a_pattern_that_many_expressions_have_is_compiled_once() {
    let mut patterns = Patterns::default();
    let sources = [
        "path.id.matches('^[0-9]+$') && user.tier == 'a'",
        "user.tier == 'b' || path.id.matches('^[0-9]+$')",
        "request.path.matches('^[0-9]+$') && !path.id.matches('^[0-9]+$')",
        "path.id.matches('^[0-8]+$')",
    ];
    let expressions = sources.map(|source| {
        Expression::compile_among(source, Some(&["id"]), &mut patterns).unwrap_or_else(|_| panic!())
    });
    // One that is compiled keeps its text, and those that are copied from it keep the same.
    let texts = expressions.iter().flat_map(|expression| {
        let references = expression.0.references.iter();
        references.filter_map(|reference| match reference {
            Reference::Pattern(regex) => Some(regex.as_str().as_ptr()),
            _ => None,
        })
    });
    let texts: Vec<_> = texts.collect();
    assert_eq!(texts.len(), 5);
    assert!(texts[..4].iter().all(|text| *text == texts[0]));
    assert_ne!(texts[4], texts[0]);
}
