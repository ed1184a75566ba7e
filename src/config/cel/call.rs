//! Operators and functions of an expression: which there are, and what they take.

use std::ops::Range;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::super::diagnose::{nearest, one_of, shown};
use super::Reference;
use super::check::{Checker, number_of};
use super::kind::{Kind, kind};

/// Functions by their names, with whether they are called on something, and with how many arguments.
const FUNCTIONS: [(&str, Option<bool>, usize); 8] = [
    ("size", None, 0),
    ("contains", Some(true), 1),
    ("startsWith", Some(true), 1),
    ("endsWith", Some(true), 1),
    ("matches", None, 1),
    ("string", Some(false), 0),
    ("int", Some(false), 0),
    ("double", Some(false), 0),
];
const OPERATORS: [&str; 18] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
];

impl Checker<'_> {
    /// `x in claims` and the like, and every other operator and function.
    pub(super) fn call(&mut self, call: &mut CallExpr, range: Range<usize>) {
        if call.func_name == operators::IN
            && let [name, within] = call.args.as_slice()
            && let Some(mut chain) = self.chain(within)
            && self.is_open(&chain)
        {
            if let Expr::Literal(LiteralValue::String(text)) = &name.expr {
                chain.push(text.inner().to_owned());
                if let Some(variable) = self.meant(&chain, &range) {
                    self.references.push(Reference::Has(variable));
                    // `@n || false`: the call's place has to stay a call.
                    let name = format!("@{}", self.references.len() - 1);
                    call.func_name = operators::LOGICAL_OR.to_owned();
                    call.args[0].expr = Expr::Ident(name);
                    call.args[1].expr = Expr::Literal(LiteralValue::Boolean(false.into()));
                }
            } else {
                let range = self.range(name);
                let hint = "what a rule goes by has to be known when it is read";
                self.fault(range, "expected a text in quotes here", hint);
            }
            return;
        }
        let is_operator =
            OPERATORS.contains(&call.func_name.as_str()) || call.func_name == operators::IN;
        if !is_operator && !self.is_function(call, &range) {
            return;
        }
        if let Some(target) = &mut call.target {
            self.walk(target);
        }
        call.args.iter_mut().for_each(|arg| self.walk(arg));
        self.check_kinds(call, range);
        if call.func_name == operators::IN {
            self.members(call);
        }
    }

    /// What is only searched need not become a list of the language for each request.
    fn members(&mut self, call: &mut CallExpr) {
        let Some(within) = call.args.last_mut() else {
            return;
        };
        match &within.expr {
            Expr::Ident(name) => {
                let reference = number_of(name).and_then(|n| self.references.get_mut(n));
                if let Some(reference) = reference
                    && let Reference::Value(variable) = reference
                {
                    *reference = Reference::Members(variable.clone());
                }
            }
            Expr::List(list) => {
                let words = list.elements.iter().map(|item| match &item.expr {
                    Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
                    _ => None,
                });
                if let Some(words) = words.collect() {
                    within.expr = Expr::Ident(format!("@{}", self.references.len()));
                    self.references.push(Reference::Words(words));
                }
            }
            _ => {}
        }
    }

    fn is_function(&mut self, call: &CallExpr, range: &Range<usize>) -> bool {
        let name = call.func_name.as_str();
        let Some((_, member, count)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            let message = format!("there is no function {}", shown(name));
            let names = || FUNCTIONS.iter().map(|(name, ..)| *name);
            let macros = ["has", "all", "exists", "exists_one", "filter"];
            let hint = match nearest(name, names().chain(macros)) {
                // It is known, and was not taken for one.
                Some(near) if near == name => format!("`{name}` is called in another way"),
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", one_of(names().chain(macros))),
            };
            self.fault(range.clone(), message, hint);
            return false;
        };
        let is_member = call.target.is_some();
        let expected = count + usize::from(!is_member);
        if member.is_some_and(|member| member != is_member) || call.args.len() != expected {
            let arguments = ["", "x"][*count];
            let hint = match member {
                Some(false) => format!("write `{name}(x)`"),
                _ => format!("write `text.{name}({arguments})`"),
            };
            self.fault(
                range.clone(),
                format!("`{name}` is called in another way"),
                hint,
            );
            return false;
        }
        true
    }

    fn check_kinds(&mut self, call: &CallExpr, range: Range<usize>) {
        let operands: Vec<(&IdedExpr, Kind)> = call
            .target
            .iter()
            .map(|target| &**target)
            .chain(&call.args)
            .map(|expr| (expr, kind(&expr.expr, &self.references)))
            .collect();
        let asked: &[Kind] = match call.func_name.as_str() {
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE => &[Kind::Bool, Kind::Bool],
            operators::CONDITIONAL => &[Kind::Bool],
            operators::SUBSTRACT
            | operators::MULTIPLY
            | operators::DIVIDE
            | operators::MODULO
            | operators::NEGATE => &[Kind::Number, Kind::Number],
            operators::IN => &[Kind::Unknown, Kind::List],
            "contains" | "startsWith" | "endsWith" | "matches" => &[Kind::Text, Kind::Text],
            operators::EQUALS
            | operators::NOT_EQUALS
            | operators::GREATER_EQUALS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::LESS
            | operators::ADD => {
                if let [(_, one), (_, other)] = operands.as_slice()
                    && !one.may_be(*other)
                {
                    let message = format!("this is {one} on one side and {other} on the other");
                    self.fault(range, message, "");
                }
                return;
            }
            _ => return,
        };
        for ((expr, found), asked) in operands.into_iter().zip(asked) {
            if !found.may_be(*asked) {
                let range = self.range(expr);
                self.fault(range, format!("expected {asked} here, found {found}"), "");
            }
        }
    }

    /// `text.matches("pattern")` becomes `text in @n`, so that the pattern is compiled once.
    pub(super) fn pattern(&mut self, call: &mut CallExpr) {
        let target = call.target.take().map(|target| *target);
        let mut operands: Vec<IdedExpr> = target.into_iter().chain(call.args.drain(..)).collect();
        if let [_, pattern] = operands.as_mut_slice() {
            let range = self.range(pattern);
            if let Expr::Literal(LiteralValue::String(text)) = &pattern.expr {
                match self.patterns.compile(text.inner()) {
                    Ok(regex) => {
                        self.references.push(Reference::Pattern(regex));
                        pattern.expr = Expr::Ident(format!("@{}", self.references.len() - 1));
                        call.func_name = operators::IN.to_owned();
                    }
                    Err(error) => {
                        let error = error.to_string();
                        let why = error.lines().last().unwrap_or_default();
                        let why = why.strip_prefix("error: ").unwrap_or(why);
                        self.fault(range, format!("this is no pattern: {why}"), "");
                    }
                }
            } else {
                let hint = "a pattern that comes with the request could take any time";
                self.fault(range, "a pattern has to be a text in quotes", hint);
            }
        }
        call.args = operands;
    }
}
