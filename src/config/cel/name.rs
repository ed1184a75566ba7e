//! Names of an expression, such as `user.tier`, and what they stand for.

use std::ops::Range;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use http::HeaderName;

use super::super::diagnose::{nearest, one_of, shown};
use super::super::template::{TOKEN_CLAIMS, USER};
use super::Reference;
use super::check::Checker;
use super::variable::{RequestField, Variable};

/// What every name begins with.
pub(super) const ROOTS: [&str; 4] = ["user", "claims", "path", "request"];

impl Checker<'_> {
    /// The names of `user.tier` or `claims["org"].team`, when it begins with one of ours.
    pub(super) fn chain(&self, expr: &IdedExpr) -> Option<Vec<String>> {
        match &expr.expr {
            Expr::Ident(name) if ROOTS.contains(&name.as_str()) && !self.bound.contains(name) => {
                Some(vec![name.clone()])
            }
            Expr::Select(select) => {
                let mut chain = self.chain(&select.operand)?;
                chain.push(select.field.clone());
                Some(chain)
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [operand, index] = call.args.as_slice() else {
                    return None;
                };
                let mut chain = self.chain(operand)?;
                match &index.expr {
                    Expr::Literal(LiteralValue::String(name)) => {
                        chain.push(name.inner().to_owned());
                        Some(chain)
                    }
                    // `claims.list[0]` is a value of its own; `claims[0]` is a mistake.
                    _ if self.is_open(&chain) => Some(chain),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// These names are not yet a variable.
    pub(super) fn is_open(&self, chain: &[String]) -> bool {
        let is_headers = chain.len() == 2 && chain[0] == "request" && chain[1] == "headers";
        chain.len() == 1 || is_headers
    }

    /// Puts a number in place of a variable.
    pub(super) fn variable(&mut self, expr: &mut IdedExpr, chain: &[String]) {
        let taken = if chain[0] == "request" && chain.get(1).is_some_and(|n| n == "headers") {
            3
        } else {
            2
        };
        if chain.len() > taken {
            if chain[0] != "claims" {
                let range = self.range(expr);
                if self.meant(&chain[..taken], &range).is_some() {
                    let name = chain[..taken].join(".");
                    self.fault(range, format!("`{name}` has nothing within it"), "");
                }
                return;
            }
            match &mut expr.expr {
                Expr::Select(select) => self.walk(&mut select.operand),
                Expr::Call(call) => call.args.iter_mut().take(1).for_each(|arg| self.walk(arg)),
                _ => {}
            }
            return;
        }
        let range = self.range(expr);
        if let Some(variable) = self.meant(chain, &range) {
            let is_test = matches!(&expr.expr, Expr::Select(select) if select.test);
            let reference = match is_test {
                true => Reference::Has(variable),
                false => Reference::Value(variable),
            };
            self.replaced.insert(expr.id, range);
            expr.expr = Expr::Ident(format!("@{}", self.references.len()));
            self.references.push(reference);
        }
    }

    /// What names mean together; says so when they mean nothing.
    pub(super) fn meant(&mut self, chain: &[String], range: &Range<usize>) -> Option<Variable> {
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        let unknown = |known: Vec<&str>, found: &str| {
            let hint = match nearest(found, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => String::new(),
                None => format!("it has {}", one_of(known.iter().copied())),
            };
            (format!("`{}` has no {}", chain[0], shown(found)), hint)
        };
        let (message, hint) = match chain.as_slice() {
            ["user", field] => match USER.iter().find(|(known, _)| known == field) {
                Some((_, field)) => return Some(Variable::User(*field)),
                None => unknown(USER.map(|(known, _)| known).to_vec(), field),
            },
            ["claims", name] if TOKEN_CLAIMS.contains(name) => (
                format!("the claim `{name}` is about the token, not about the caller"),
                "the gateway has checked it before it asks the rules".to_owned(),
            ),
            ["claims", name] => return Some(Variable::Claim((*name).to_owned())),
            ["path", name] => match self.parameters {
                Some(known) if !known.contains(name) => unknown(known.to_vec(), name),
                _ => return Some(Variable::Path((*name).to_owned())),
            },
            ["request", "headers", name] => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(header) if header.as_str() == *name => return Some(Variable::Header(header)),
                Ok(header) => (
                    "names of headers are in lower case here".to_owned(),
                    format!("write `{header}`"),
                ),
                Err(_) => (
                    format!("{} is no name of a header", shown(name)),
                    String::new(),
                ),
            },
            ["request", field] if *field != "headers" => {
                let known = RequestField::ALL.into_iter();
                match known.clone().find(|known| known.as_str() == *field) {
                    Some(field) => return Some(Variable::Request(field)),
                    None => {
                        let names = known.map(RequestField::as_str).chain(["headers"]);
                        unknown(names.collect(), field)
                    }
                }
            }
            open => (
                format!("`{}` is no value by itself", open.join(".")),
                format!("name what is in it, in a text: `{}.…`", open.join(".")),
            ),
        };
        let range = match chain.last() {
            Some(last) if chain.len() > 1 => self.last_in(range, last),
            _ => range.clone(),
        };
        self.fault(range, message, hint);
        None
    }
}
