//! With what texts an expression compares what it asks for.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

use super::check::number_of;
use super::{Expression, Reference, Variable};

/// A text of an expression beside something that it asks for.
pub struct Compared<'e> {
    pub variable: &'e Variable,
    pub text: &'e str,
    /// The two have to be equal, and not only alike at some place.
    pub is_whole: bool,
}

impl Expression {
    /// Texts within loops and patterns aside.
    pub fn compared(&self) -> Vec<Compared<'_>> {
        let mut all = Vec::new();
        walk(&self.0.tree, &self.0.references, &mut all);
        all
    }
}

fn walk<'e>(expr: &'e IdedExpr, references: &'e [Reference], all: &mut Vec<Compared<'e>>) {
    let Expr::Call(call) = &expr.expr else { return };
    let parts = || call.target.as_deref().into_iter().chain(&call.args);
    let is_whole = matches!(
        call.func_name.as_str(),
        operators::EQUALS | operators::NOT_EQUALS | operators::IN
    );
    for variable in parts().filter_map(|part| variable(part, references)) {
        all.extend(
            parts()
                .flat_map(|part| texts(part, references))
                .map(|text| Compared {
                    variable,
                    text,
                    is_whole,
                }),
        );
    }
    parts().for_each(|part| walk(part, references, all));
}

fn variable<'e>(expr: &IdedExpr, references: &'e [Reference]) -> Option<&'e Variable> {
    match reference(expr, references)? {
        Reference::Value(variable) | Reference::Members(variable) => Some(variable),
        Reference::Has(_) | Reference::Pattern(_) | Reference::Words(_) => None,
    }
}

fn texts<'e>(expr: &'e IdedExpr, references: &'e [Reference]) -> Vec<&'e str> {
    match (&expr.expr, reference(expr, references)) {
        (Expr::Literal(LiteralValue::String(text)), _) => vec![text.inner()],
        (_, Some(Reference::Words(words))) => words.iter().map(String::as_str).collect(),
        (Expr::List(list), _) => {
            let items = list.elements.iter();
            items.flat_map(|item| texts(item, references)).collect()
        }
        _ => Vec::new(),
    }
}

fn reference<'e>(expr: &IdedExpr, references: &'e [Reference]) -> Option<&'e Reference> {
    let Expr::Ident(name) = &expr.expr else {
        return None;
    };
    references.get(number_of(name)?)
}
