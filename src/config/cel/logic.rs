//! What an expression comes to by its `&&`, `||`, `!` and `? :` alone, with what is always so worked in.

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators};

use super::check::{number_of, parts};
use super::{Expression, Given, Reference, Variable, Variables, evaluate};

/// An expression as far as what it asks for is joined. What is below a `!` is told with the `!` worked in.
#[derive(Debug, PartialEq)]
pub enum Logic<'e> {
    Always(bool),
    /// One of them has to hold. At least two.
    Any(Vec<Logic<'e>>),
    /// All of them have to hold. At least two.
    All(Vec<Logic<'e>>),
    Asks(Asks<'e>),
}

/// A part of an expression that is not joined of others.
#[derive(Debug, PartialEq)]
pub struct Asks<'e> {
    /// Empty where it asks for nothing and has no value.
    pub variables: Vec<&'e Variable>,
    /// What they must not be, and not what they have to be.
    pub is_negative: bool,
    /// The pattern of a `matches`, the text of which is the one variable.
    pub pattern: Option<&'e str>,
}

impl Expression {
    pub fn logic(&self) -> Logic<'_> {
        self.logic_where(&Nothing)
    }

    /// The same where some of what it asks for is known.
    pub fn logic_where(&self, known: &dyn Variables) -> Logic<'_> {
        let reader = Reader {
            references: &self.0.references,
            known,
        };
        reader.read(&self.0.tree, false)
    }
}

/// A request of which nothing is known.
struct Nothing;

impl Variables for Nothing {
    fn value(&self, _: &Variable) -> Option<Given<'_>> {
        None
    }
}

struct Reader<'e, 'k> {
    references: &'e [Reference],
    known: &'k dyn Variables,
}

impl<'e> Reader<'e, '_> {
    fn read(&self, expr: &'e IdedExpr, is_negated: bool) -> Logic<'e> {
        if let Some(value) = self.constant(expr) {
            return Logic::Always(value != is_negated);
        }
        let Expr::Call(call) = &expr.expr else {
            return Logic::Asks(self.asks(expr, is_negated));
        };
        let args = call.args.iter();
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [arg]) => self.read(arg, !is_negated),
            (operators::LOGICAL_OR, _) => {
                let parts = args.map(|arg| self.read(arg, is_negated));
                join(parts, is_negated)
            }
            (operators::LOGICAL_AND, _) => {
                let parts = args.map(|arg| self.read(arg, is_negated));
                join(parts, !is_negated)
            }
            // `c && a || !c && b`. A condition with another in it would be told twice as often for each.
            (operators::CONDITIONAL, [condition, then, other]) if !has_conditional(condition) => {
                let (then, other) = (self.read(then, is_negated), self.read(other, is_negated));
                let then = join([self.read(condition, false), then].into_iter(), true);
                let other = join([self.read(condition, true), other].into_iter(), true);
                join([then, other].into_iter(), false)
            }
            (operators::NOT_EQUALS, _) => Logic::Asks(self.asks(expr, !is_negated)),
            _ => Logic::Asks(self.asks(expr, is_negated)),
        }
    }

    /// The value of what asks for nothing that is not known.
    fn constant(&self, expr: &IdedExpr) -> Option<bool> {
        let is_joined = matches!(&expr.expr, Expr::Call(call) if joins(&call.func_name));
        if is_joined || !self.is_known(expr) {
            return None;
        }
        evaluate(expr, self.references, self.known).ok()
    }

    fn is_known(&self, expr: &IdedExpr) -> bool {
        match &expr.expr {
            Expr::Ident(_) => match self.reference(expr) {
                Some(Reference::Words(_) | Reference::Pattern(_)) => true,
                Some(
                    Reference::Value(variable)
                    | Reference::Has(variable)
                    | Reference::Members(variable),
                ) => self.known.value(variable).is_some(),
                None => false,
            },
            // Its variables are names too.
            Expr::Comprehension(_) | Expr::Unspecified => false,
            expr => parts(expr).into_iter().all(|part| self.is_known(part)),
        }
    }

    fn asks(&self, expr: &'e IdedExpr, is_negative: bool) -> Asks<'e> {
        let mut variables = Vec::new();
        self.variables(expr, &mut variables);
        let is_joined =
            matches!(&expr.expr, Expr::Call(call) if call.func_name == operators::CONDITIONAL);
        Asks {
            variables,
            is_negative: is_negative || is_joined,
            pattern: self.pattern(expr),
        }
    }

    fn variables(&self, expr: &'e IdedExpr, all: &mut Vec<&'e Variable>) {
        if let Some(
            Reference::Value(variable) | Reference::Has(variable) | Reference::Members(variable),
        ) = self.reference(expr)
        {
            all.push(variable);
        }
        parts(&expr.expr)
            .into_iter()
            .for_each(|part| self.variables(part, all));
    }

    /// Of `text.matches("pattern")`, where the text is a variable.
    fn pattern(&self, expr: &'e IdedExpr) -> Option<&'e str> {
        let Expr::Call(CallExpr { args, .. }) = &expr.expr else {
            return None;
        };
        let [text, pattern] = args.as_slice() else {
            return None;
        };
        match (self.reference(text)?, self.reference(pattern)?) {
            (Reference::Value(_), Reference::Pattern(regex)) => Some(regex.as_str()),
            _ => None,
        }
    }

    fn reference(&self, expr: &IdedExpr) -> Option<&'e Reference> {
        let Expr::Ident(name) = &expr.expr else {
            return None;
        };
        self.references.get(number_of(name)?)
    }
}

/// Joins by `&&`, or else by `||`.
fn join<'e>(parts: impl Iterator<Item = Logic<'e>>, by_and: bool) -> Logic<'e> {
    let mut all = Vec::new();
    for part in parts {
        match part {
            Logic::Always(value) if value == by_and => {}
            Logic::Always(value) => return Logic::Always(value),
            Logic::All(parts) if by_and => all.extend(parts),
            Logic::Any(parts) if !by_and => all.extend(parts),
            part => all.push(part),
        }
    }
    match (all.len(), by_and) {
        (0, _) => Logic::Always(by_and),
        (1, _) => all.remove(0),
        (_, true) => Logic::All(all),
        (_, false) => Logic::Any(all),
    }
}

fn joins(function: &str) -> bool {
    matches!(
        function,
        operators::LOGICAL_NOT
            | operators::LOGICAL_OR
            | operators::LOGICAL_AND
            | operators::CONDITIONAL
    )
}

fn has_conditional(expr: &IdedExpr) -> bool {
    let is_one = matches!(&expr.expr, Expr::Call(call) if call.func_name == operators::CONDITIONAL);
    is_one || parts(&expr.expr).into_iter().any(has_conditional)
}
