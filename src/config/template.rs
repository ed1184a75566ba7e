//! Templates of header values: text with `{user.id}`, `{claims.org}`, `{path.id}` or `{request.ip}` in it.

use std::ops::Range;

use http::HeaderValue;

use super::diagnose::{nearest, one_of, shown};
use super::resolve::pattern::Fault;

/// A value that was checked: no text of it could break a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    Fixed(HeaderValue),
    Composed(Vec<Part>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Value(Variable),
}

/// What is known when a request may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    User(UserField),
    /// A claim by its name or the way to it, if no [`UserField`] tells the same.
    Claim(String),
    /// The number of a parameter of the route's path, counted from 0.
    Path(usize),
    Request(RequestField),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserField {
    Id,
    Username,
    Email,
    Name,
    ExternalId,
    Tier,
    Roles,
    Scopes,
    IsSuperuser,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestField {
    Id,
    Method,
    Host,
    Path,
    Ip,
    Scheme,
}

impl Template {
    /// The numbers of the path's parameters that are in it.
    pub fn parameters(&self) -> impl Iterator<Item = usize> {
        let parts = match self {
            Template::Fixed(_) => &[],
            Template::Composed(parts) => parts.as_slice(),
        };
        parts.iter().filter_map(|part| match part {
            Part::Value(Variable::Path(number)) => Some(*number),
            _ => None,
        })
    }

    /// As the file has it. `parameters` are those of the route's path.
    pub fn text(&self, parameters: &[&str]) -> String {
        let escaped = |text: &str| text.replace('{', "{{").replace('}', "}}");
        let parts = match self {
            Template::Fixed(value) => return escaped(&String::from_utf8_lossy(value.as_bytes())),
            Template::Composed(parts) => parts.iter(),
        };
        let texts = parts.map(|part| match part {
            Part::Text(text) => escaped(text),
            Part::Value(Variable::User(field)) => format!("{{user.{}}}", field.as_str()),
            Part::Value(Variable::Claim(name)) => format!("{{claims.{name}}}"),
            Part::Value(Variable::Path(number)) => {
                let name = parameters.get(*number).copied().unwrap_or_default();
                format!("{{path.{name}}}")
            }
            Part::Value(Variable::Request(field)) => {
                format!("{{request.{}}}", name_of(&REQUEST, field))
            }
        });
        texts.collect()
    }
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], field: &T) -> &'static str {
    let known = names.iter().find(|(_, of)| of == field);
    known.map_or("", |(name, _)| name)
}

pub(super) const USER: [(&str, UserField); 9] = [
    ("id", UserField::Id),
    ("username", UserField::Username),
    ("email", UserField::Email),
    ("name", UserField::Name),
    ("external_id", UserField::ExternalId),
    ("tier", UserField::Tier),
    ("roles", UserField::Roles),
    ("scopes", UserField::Scopes),
    ("is_superuser", UserField::IsSuperuser),
];

impl UserField {
    /// As the file has it.
    pub fn as_str(self) -> &'static str {
        name_of(&USER, &self)
    }

    /// The claim that says the same.
    pub fn claim(self) -> &'static str {
        name_of(&ACCOUNT_CLAIMS, &self)
    }
}

const REQUEST: [(&str, RequestField); 6] = [
    ("id", RequestField::Id),
    ("method", RequestField::Method),
    ("host", RequestField::Host),
    ("path", RequestField::Path),
    ("ip", RequestField::Ip),
    ("scheme", RequestField::Scheme),
];

/// Claims that are the account's, which may have changed since the token was made.
const ACCOUNT_CLAIMS: [(&str, UserField); 9] = [
    ("sub", UserField::Id),
    ("username", UserField::Username),
    ("email", UserField::Email),
    ("name", UserField::Name),
    ("external_id", UserField::ExternalId),
    ("tier", UserField::Tier),
    ("roles", UserField::Roles),
    ("scope", UserField::Scopes),
    ("is_superuser", UserField::IsSuperuser),
];

/// Claims of every token that say nothing of the caller.
pub(super) const TOKEN_CLAIMS: [&str; 7] = ["iss", "aud", "iat", "nbf", "jti", "av", "token_type"];

/// The parameters that `{path.…}` may name, in their order.
#[derive(Debug, Clone, Copy)]
pub enum Parameters<'a> {
    Of(&'a [&'a str]),
    /// The path could not be read, which has been reported.
    Unknown,
    /// The template is for all routes.
    Everywhere,
}

impl Template {
    /// `{{` and `}}` are braces.
    pub fn parse(text: &str, parameters: Parameters<'_>) -> Result<Template, Fault> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            match c {
                '{' | '}' if rest.next_if(|(_, next)| *next == c).is_some() => literal.push(c),
                '{' => {
                    let start = at + 1;
                    let Some(length) = text[start..].find(['{', '}']) else {
                        return fault("this brace is not closed", at..text.len(), BRACES);
                    };
                    let end = start + length;
                    if text.as_bytes()[end] == b'{' {
                        return fault("this brace is not closed", at..end, BRACES);
                    }
                    let value = variable(&text[start..end], start..end, parameters)?;
                    while rest.next_if(|(inside, _)| *inside <= end).is_some() {}
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Value(value));
                }
                '}' => return fault("this brace closes nothing", at..at + 1, BRACES),
                c if c.is_control() => {
                    let hint = "a value is one line of visible characters";
                    return fault(
                        format!("{} cannot stand in a header", shown(&c.to_string())),
                        at..at + c.len_utf8(),
                        hint,
                    );
                }
                c => literal.push(c),
            }
        }
        if !parts.is_empty() {
            if !literal.is_empty() {
                parts.push(Part::Text(literal));
            }
            return Ok(Template::Composed(parts));
        }
        match HeaderValue::from_bytes(literal.as_bytes()) {
            Ok(value) => Ok(Template::Fixed(value)),
            Err(_) => fault("this cannot stand in a header", 0..text.len(), ""),
        }
    }

    /// Whether the value goes by that of the caller.
    pub fn uses(&self, field: UserField) -> bool {
        match self {
            Template::Fixed(_) => false,
            Template::Composed(parts) => parts.contains(&Part::Value(Variable::User(field))),
        }
    }
}

pub const BRACES: &str =
    "a value stands in braces, as in `{user.id}`; a brace itself is written twice";

fn fault<T>(
    message: impl Into<String>,
    range: Range<usize>,
    hint: impl Into<String>,
) -> Result<T, Fault> {
    Err(Fault {
        message: message.into(),
        range,
        hint: hint.into(),
    })
}

fn variable(
    text: &str,
    range: Range<usize>,
    parameters: Parameters<'_>,
) -> Result<Variable, Fault> {
    let known = match text.split_once('.') {
        Some(("user", field)) => find(&USER, field).map(Variable::User),
        Some(("request", field)) => find(&REQUEST, field).map(Variable::Request),
        Some(("claims", claim)) => return self::claim(claim, range),
        Some(("path", name)) => match parameters {
            Parameters::Of(names) => names.iter().position(|n| *n == name).map(Variable::Path),
            // A stand-in: the file is refused anyway.
            Parameters::Unknown => Some(Variable::Path(0)),
            Parameters::Everywhere => {
                let hint = "write it under `request_headers` of the routes that have it";
                return fault("not all routes have this parameter", range, hint);
            }
        },
        _ => None,
    };
    if let Some(known) = known {
        return Ok(known);
    }
    let in_path = match parameters {
        Parameters::Of(names) => names,
        Parameters::Unknown | Parameters::Everywhere => &[],
    };
    let of = |group: &str, name: &str| format!("{group}.{name}");
    let all: Vec<String> = (USER.iter().map(|(name, _)| of("user", name)))
        .chain(REQUEST.iter().map(|(name, _)| of("request", name)))
        .chain(in_path.iter().map(|name| of("path", name)))
        .collect();
    let hint = if in_path.contains(&text) {
        format!("did you mean `{{path.{text}}}`?")
    } else if let Some(near) = nearest(text, all.iter().map(String::as_str)) {
        format!("did you mean `{{{near}}}`?")
    } else {
        let group = text.split_once('.').map_or("", |(group, _)| group);
        let of_group = all.iter().filter(|name| {
            let of = name.split_once('.').map(|(of, _)| of);
            of == Some(group)
        });
        let of_group: Vec<&str> = of_group.map(String::as_str).collect();
        match of_group.is_empty() {
            false => format!("there are {}", one_of(of_group)),
            true if group == "path" => "the path has no parameters at all".to_owned(),
            true => "there are `{user.…}`, `{claims.…}`, `{path.…}` and `{request.…}`".to_owned(),
        }
    };
    fault(format!("no value is called {}", shown(text)), range, hint)
}

fn claim(name: &str, range: Range<usize>) -> Result<Variable, Fault> {
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let message = format!("{} is no name of a claim", shown(name));
        return fault(message, range, "for example `{claims.org}`");
    }
    if TOKEN_CLAIMS.contains(&name) {
        let message = format!("the claim `{name}` is about the token and not about the caller");
        return fault(message, range, "templates have no value for it");
    }
    Ok(match find(&ACCOUNT_CLAIMS, name) {
        Some(field) => Variable::User(field),
        None => Variable::Claim(name.to_owned()),
    })
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    let row = table.iter().find(|(known, _)| *known == name)?;
    Some(row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: Parameters<'_> = Parameters::Of(&["id", "rest"]);

    fn parts(text: &str) -> Vec<Part> {
        match Template::parse(text, PATH).unwrap() {
            Template::Composed(parts) => parts,
            Template::Fixed(_) => Vec::new(),
        }
    }

    #[test]
    fn text_alone_is_a_value_at_once() {
        for (text, value) in [
            ("", ""),
            ("a b", "a b"),
            ("{{x}}", "{x}"),
            ("}}{{", "}{"),
            ("é", "é"),
        ] {
            let expected = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            assert_eq!(Template::parse(text, PATH), Ok(Template::Fixed(expected)));
        }
    }

    #[test]
    fn values_are_found_between_texts() {
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(
            parts("a{user.id}/{path.rest}{request.ip}{{b}}"),
            [
                text("a"),
                Part::Value(Variable::User(UserField::Id)),
                text("/"),
                Part::Value(Variable::Path(1)),
                Part::Value(Variable::Request(RequestField::Ip)),
                text("{b}"),
            ]
        );
        assert_eq!(
            parts("{{{claims.realm_access.org}}}"),
            [
                text("{"),
                Part::Value(Variable::Claim("realm_access.org".to_owned())),
                text("}"),
            ]
        );
        assert_eq!(
            parts("{claims.https://example.com/plan}"),
            [Part::Value(Variable::Claim(
                "https://example.com/plan".to_owned()
            ))]
        );
        for (name, field) in ACCOUNT_CLAIMS {
            let text = format!("{{claims.{name}}}");
            assert_eq!(parts(&text), [Part::Value(Variable::User(field))]);
            assert!(Template::parse(&text, PATH).unwrap().uses(field));
        }
    }

    #[test]
    fn what_is_no_template_is_told_where() {
        let range = |text: &str| Template::parse(text, PATH).unwrap_err().range;
        for (text, expected) in [
            ("a{user.id", 1..9),
            ("{user.id{x}", 0..8),
            ("a}b", 1..2),
            ("é{user.nmae}", 3..12),
            ("{}", 1..1),
            ("{user}", 1..5),
            ("{path.other}", 1..11),
            ("{claims.}", 1..8),
            ("{claims.iss}", 1..11),
            ("{claims.a b}", 1..11),
            ("a\nb", 1..2),
            ("a\tb", 1..2),
            ("a\u{85}b", 1..3),
            ("{user.id}\r", 9..10),
        ] {
            assert_eq!(range(text), expected, "{text:?}");
        }
        let everywhere = Template::parse("{path.id}", Parameters::Everywhere);
        assert!(everywhere.unwrap_err().message.contains("not all routes"));
    }
}
