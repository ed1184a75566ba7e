//! Expressions of rules, and what they give, written from the language's definition and apart from the
//! interpreter that the gateway uses.

use std::cmp::Ordering;
use std::fmt;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub enum Expression {
    Literal(Value),
    Variable(&'static str),
    Has(&'static str),
    Not(Box<Expression>),
    /// With its operator: `&&` `||` `==` `!=` `<` `>=` `in`
    Binary(&'static str, Box<[Expression; 2]>),
    Conditional(Box<[Expression; 3]>),
    /// A text's `startsWith`, `endsWith` or `contains`.
    Call(&'static str, Box<[Expression; 2]>),
    Size(Box<Expression>),
    List(Vec<Expression>),
    /// `exists` or `all`, of a list, with what is asked of `x`.
    Loop(&'static str, Box<[Expression; 2]>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Bool,
    Text,
    Number,
    List,
}

const TEXTS: [&str; 9] = [
    "user.username",
    "user.tier",
    "user.email",
    "claims.org",
    "claims.other",
    "claims.deep.er",
    "path.id",
    "request.method",
    "request.headers['x-beta']",
];
const ASKED: [&str; 6] = [
    "user.email",
    "user.name",
    "claims.org",
    "claims.other",
    "claims.deep.er",
    "path.id",
];
pub const WORDS: [&str; 8] = ["", "a", "acme", "editor", "free", "7", "é", "ac"];

/// One that gives true or false, if anything.
pub fn expression(input: &mut Unstructured<'_>) -> Result<Expression> {
    of_kind(input, Kind::Bool, 5, false)
}

fn of_kind(
    input: &mut Unstructured<'_>,
    kind: Kind,
    depth: u8,
    is_in_loop: bool,
) -> Result<Expression> {
    use Expression::{Binary, Call, Conditional, Has, List, Literal, Loop, Not, Size, Variable};
    let deeper = depth.saturating_sub(1);
    let of = |input: &mut Unstructured<'_>, kind| of_kind(input, kind, deeper, is_in_loop);
    let leaf = depth == 0;
    Ok(match kind {
        Kind::Bool => match input.int_in_range(0..=if leaf { 2 } else { 13 })? {
            0 => Variable("user.is_superuser"),
            1 => Has(input.choose(&ASKED)?),
            2 => Literal(json!(input.arbitrary::<bool>()?)),
            3 => Not(Box::new(of(input, Kind::Bool)?)),
            4 | 5 => Binary("&&", pair(of(input, Kind::Bool)?, of(input, Kind::Bool)?)),
            6 | 7 => Binary("||", pair(of(input, Kind::Bool)?, of(input, Kind::Bool)?)),
            8 => {
                let kind = *input.choose(&[Kind::Text, Kind::Number, Kind::List])?;
                let operator = input.choose(&["==", "!="])?;
                Binary(operator, pair(of(input, kind)?, of(input, kind)?))
            }
            9 => {
                let operator = input.choose(&["<", ">="])?;
                Binary(
                    operator,
                    pair(of(input, Kind::Number)?, of(input, Kind::Number)?),
                )
            }
            10 => Binary("in", pair(of(input, Kind::Text)?, of(input, Kind::List)?)),
            11 => {
                let name = input.choose(&["startsWith", "endsWith", "contains"])?;
                Call(name, pair(of(input, Kind::Text)?, of(input, Kind::Text)?))
            }
            12 => {
                let condition = of(input, Kind::Bool)?;
                let (one, other) = (of(input, Kind::Bool)?, of(input, Kind::Bool)?);
                Conditional(Box::new([condition, one, other]))
            }
            _ if is_in_loop => of(input, Kind::Bool)?,
            _ => {
                let name = input.choose(&["exists", "all"])?;
                let list = of(input, Kind::List)?;
                Loop(name, pair(list, of_kind(input, Kind::Bool, deeper, true)?))
            }
        },
        Kind::Text => match input.int_in_range(0..=if is_in_loop { 4 } else { 2 })? {
            0 => Literal(json!(*input.choose(&WORDS)?)),
            1 | 2 => Variable(input.choose(&TEXTS)?),
            _ => Variable("x"),
        },
        Kind::Number => match input.int_in_range(0..=if leaf { 1 } else { 3 })? {
            0 => Literal(json!(input.int_in_range(-2..=9)?)),
            1 => Variable("claims.level"),
            2 => Size(Box::new(of(input, Kind::Text)?)),
            _ => Size(Box::new(of(input, Kind::List)?)),
        },
        Kind::List => match input.int_in_range(0..=4)? {
            0 => Variable("user.roles"),
            1 => Variable("user.scopes"),
            2 => Variable("claims.teams"),
            // Nothing else is a list for certain, as both sides of a comparison have to be.
            _ => {
                let count = input.int_in_range(0..=3)?;
                let items = (0..count).map(|_| of(input, Kind::Text));
                List(items.collect::<Result<_>>()?)
            }
        },
    })
}

fn pair(one: Expression, other: Expression) -> Box<[Expression; 2]> {
    Box::new([one, other])
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Literal(value) => write!(f, "{value}"),
            Expression::Variable(name) => f.write_str(name),
            Expression::Has(name) => write!(f, "has({name})"),
            Expression::Not(inner) => write!(f, "!({inner})"),
            Expression::Binary(operator, sides) => {
                write!(f, "({} {operator} {})", sides[0], sides[1])
            }
            Expression::Conditional(parts) => {
                write!(f, "({} ? {} : {})", parts[0], parts[1], parts[2])
            }
            Expression::Call(name, parts) => write!(f, "{}.{name}({})", parts[0], parts[1]),
            Expression::Size(inner) => write!(f, "size({inner})"),
            Expression::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Expression::Loop(name, parts) => write!(f, "{}.{name}(x, {})", parts[0], parts[1]),
        }
    }
}

impl Expression {
    /// What it gives; `None` when it has no value. `known` says what variables are.
    pub fn value(&self, known: &dyn Fn(&str) -> Option<Value>, x: Option<&Value>) -> Option<Value> {
        let of = |inner: &Expression| inner.value(known, x);
        let flag = |inner: &Expression| of(inner)?.as_bool();
        match self {
            Expression::Literal(value) => Some(value.clone()),
            Expression::Variable("x") => x.cloned(),
            Expression::Variable(name) => known(name),
            // Of something within a claim that is no map it has no value.
            Expression::Has("claims.deep.er") => match known("claims.deep")? {
                Value::Object(members) => Some(json!(members.contains_key("er"))),
                _ => None,
            },
            Expression::Has(name) => Some(json!(known(name).is_some())),
            Expression::Not(inner) => Some(json!(!flag(inner)?)),
            Expression::Binary("&&", sides) => both(false, flag(&sides[0]), flag(&sides[1])),
            Expression::Binary("||", sides) => both(true, flag(&sides[0]), flag(&sides[1])),
            Expression::Binary(operator, sides) => {
                let (one, other) = (of(&sides[0])?, of(&sides[1])?);
                Some(json!(match *operator {
                    "==" => equal(&one, &other),
                    "!=" => !equal(&one, &other),
                    "<" => order(&one, &other)?.is_lt(),
                    ">=" => order(&one, &other)?.is_ge(),
                    _ => match other {
                        Value::Array(items) => items.iter().any(|item| equal(item, &one)),
                        Value::Object(members) => {
                            one.as_str().is_some_and(|name| members.contains_key(name))
                        }
                        _ => return None,
                    },
                }))
            }
            Expression::Conditional(parts) => match flag(&parts[0])? {
                true => of(&parts[1]),
                false => of(&parts[2]),
            },
            Expression::Call(name, parts) => {
                let (text, part) = (of(&parts[0])?, of(&parts[1])?);
                let (text, part) = (text.as_str()?, part.as_str()?);
                Some(json!(match *name {
                    "startsWith" => text.starts_with(part),
                    "endsWith" => text.ends_with(part),
                    _ => text.contains(part),
                }))
            }
            Expression::Size(inner) => Some(json!(match of(inner)? {
                Value::String(text) => text.chars().count(),
                Value::Array(items) => items.len(),
                Value::Object(members) => members.len(),
                _ => return None,
            })),
            Expression::List(items) => items.iter().map(of).collect(),
            Expression::Loop(name, parts) => {
                let items = match of(&parts[0])? {
                    Value::Array(items) => items,
                    Value::Object(members) => members.keys().map(|name| json!(name)).collect(),
                    _ => return None,
                };
                // As many `||` or `&&`.
                let ends = *name == "exists";
                let start = Some(json!(!ends));
                items.iter().fold(start, |so_far, item| {
                    let next = parts[1].value(known, Some(item));
                    both(
                        ends,
                        so_far.and_then(|value| value.as_bool()),
                        next.and_then(|value| value.as_bool()),
                    )
                })
            }
        }
    }
}

/// `||` where true ends it and `&&` where false does: whichever side says so, and whatever the other is.
fn both(ends: bool, one: Option<bool>, other: Option<bool>) -> Option<Value> {
    if one == Some(ends) || other == Some(ends) {
        return Some(json!(ends));
    }
    one.and(other).map(|_| json!(!ends))
}

/// Numbers by what they are worth, whatever their kind.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => one.as_f64() == other.as_f64(),
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(a, b)| equal(a, b))
        }
        _ => one == other,
    }
}

fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        _ => None,
    }
}
