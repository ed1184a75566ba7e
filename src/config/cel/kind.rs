//! What an expression's value is, as far as that can be told before there is a request.

use std::fmt;

use cel::common::ast::{ComprehensionExpr, Expr, LiteralValue, operators};

use super::super::template::UserField;
use super::Reference;
use super::variable::Variable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Number,
    Text,
    List,
    /// Only a request shows it.
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Bool => "true or false",
            Kind::Number => "a number",
            Kind::Text => "text",
            Kind::List => "a list",
            Kind::Unknown => "anything",
        })
    }
}

impl Kind {
    pub(super) fn may_be(self, other: Kind) -> bool {
        self == other || self == Kind::Unknown || other == Kind::Unknown
    }

    fn of_variable(variable: &Variable) -> Kind {
        match variable {
            Variable::User(UserField::Roles | UserField::Scopes) => Kind::List,
            Variable::User(UserField::IsSuperuser) => Kind::Bool,
            Variable::User(_) | Variable::Path(_) | Variable::Request(_) | Variable::Header(_) => {
                Kind::Text
            }
            Variable::Claim(name) => match name.as_str() {
                "sub" | "sid" | "username" | "tier" | "scope" | "email" | "name"
                | "external_id" => Kind::Text,
                "roles" => Kind::List,
                "is_superuser" => Kind::Bool,
                "exp" => Kind::Number,
                _ => Kind::Unknown,
            },
        }
    }
}

/// The kind of a checked tree.
pub(super) fn kind(expr: &Expr, references: &[Reference]) -> Kind {
    match expr {
        Expr::Literal(LiteralValue::Boolean(_)) => Kind::Bool,
        Expr::Literal(LiteralValue::String(_)) => Kind::Text,
        Expr::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_)) => {
            Kind::Number
        }
        Expr::List(_) => Kind::List,
        Expr::Ident(name) => match super::check::number_of(name).and_then(|n| references.get(n)) {
            Some(Reference::Value(variable) | Reference::Members(variable)) => {
                Kind::of_variable(variable)
            }
            Some(Reference::Has(_)) => Kind::Bool,
            Some(Reference::Words(_)) => Kind::List,
            Some(Reference::Pattern(_)) | None => Kind::Unknown,
        },
        Expr::Select(select) if select.test => Kind::Bool,
        Expr::Comprehension(comprehension) => of_comprehension(comprehension, references),
        Expr::Call(call) => match call.func_name.as_str() {
            operators::CONDITIONAL => {
                let branch = |at: usize| call.args.get(at).map(|e| kind(&e.expr, references));
                match (branch(1), branch(2)) {
                    (Some(one), Some(other)) if one == other => one,
                    _ => Kind::Unknown,
                }
            }
            operators::SUBSTRACT
            | operators::MULTIPLY
            | operators::DIVIDE
            | operators::MODULO
            | operators::NEGATE
            | "size"
            | "int"
            | "double" => Kind::Number,
            "string" => Kind::Text,
            operators::ADD => call
                .args
                .iter()
                .fold(Kind::Unknown, |known, arg| match known {
                    Kind::Unknown => kind(&arg.expr, references),
                    known => known,
                }),
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE
            | operators::EQUALS
            | operators::NOT_EQUALS
            | operators::GREATER_EQUALS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::LESS
            | operators::IN
            | "contains"
            | "startsWith"
            | "endsWith"
            | "matches" => Kind::Bool,
            _ => Kind::Unknown,
        },
        _ => Kind::Unknown,
    }
}

fn of_comprehension(comprehension: &ComprehensionExpr, references: &[Reference]) -> Kind {
    match &comprehension.result.expr {
        Expr::Ident(name) if *name == comprehension.accu_var => {
            kind(&comprehension.accu_init.expr, references)
        }
        result => kind(result, references),
    }
}
