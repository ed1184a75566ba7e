//! Expressions of rules, in the Common Expression Language: read and checked with the file, and evaluated
//! for requests. Nothing else knows the crate that does both.
//!
//! An expression can't take long: it is short and not deep, what it is given is bounded, there are no loops
//! within loops, and a loop makes nothing that was not there.

mod call;
mod check;
mod compared;
mod kind;
mod logic;
mod name;
mod place;
mod same;
mod value;
mod variable;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::ast::IdedExpr;
use cel::common::types::CelBool;
use cel::context::{Context, VariableResolver};
use cel::{Env, ExecutionError, Value};
use regex::bytes::{Regex, RegexBuilder};

use super::resolve::pattern::Fault;
use value::{Budget, Pattern, Words};

pub use compared::Compared;
pub use logic::{Asks, Logic};
pub use value::Given;
pub use variable::{RequestField, Variable};

/// Bytes that a compiled pattern of `matches` may take, and again what a search keeps.
const LARGEST_PATTERN: usize = 32 * 1024;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let macros = Env::stdlib().with_optional_support(false);
    Arc::new(macros)
});

/// An expression that gives true or false.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    source: String,
    tree: IdedExpr,
    /// What the names `@0`, `@1` and so on of the tree stand for.
    references: Vec<Reference>,
}

/// What a name of a checked tree stands for.
#[derive(Debug)]
enum Reference {
    Value(Variable),
    /// Whether it is there.
    Has(Variable),
    /// The pattern of a `matches`.
    Pattern(Regex),
    /// A variable on the right of an `in`.
    Members(Variable),
    /// Texts in a list on the right of an `in`.
    Words(Vec<String>),
}

/// Patterns of `matches` that were compiled so far, by what they say: to compile one takes longer than all else that
/// an expression does, and many rules have the same.
#[derive(Default)]
pub struct Patterns(HashMap<String, Regex>);

impl Patterns {
    /// # Errors
    /// What is wrong with it.
    fn compile(&mut self, text: &str) -> Result<Regex, regex::Error> {
        if let Some(known) = self.0.get(text) {
            return Ok(known.clone());
        }
        let regex = RegexBuilder::new(text)
            .unicode(false)
            .size_limit(LARGEST_PATTERN)
            .dfa_size_limit(LARGEST_PATTERN)
            .build()?;
        self.0.insert(text.to_owned(), regex.clone());
        Ok(regex)
    }
}

/// What an expression is evaluated with.
pub trait Variables: Sync {
    /// `None` for what is not there or can't be told: the expression then has no value.
    fn value(&self, variable: &Variable) -> Option<Given<'_>>;

    /// What `has` says.
    fn is_there(&self, variable: &Variable) -> bool {
        self.value(variable).is_some()
    }
}

impl Expression {
    /// Reads and checks an expression; `parameters` are those of the route's path, if that could be read.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn compile_among(
        source: &str,
        parameters: Option<&[&str]>,
        patterns: &mut Patterns,
    ) -> Result<Expression, Vec<Fault>> {
        let (tree, references) = check::check(source, parameters, patterns)?;
        // A copy lies together in memory; the original is strewn over where the parser worked.
        let together = tree.clone();
        drop(tree);
        Ok(Expression(Arc::new(Compiled {
            source: source.to_owned(),
            tree: together,
            references,
        })))
    }

    #[cfg(test)]
    pub(crate) fn compile(
        source: &str,
        parameters: Option<&[&str]>,
    ) -> Result<Expression, Vec<Fault>> {
        Expression::compile_among(source, parameters, &mut Patterns::default())
    }

    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// All variables that it can ask for.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        let references = self.0.references.iter();
        references.filter_map(|reference| match reference {
            Reference::Value(variable)
            | Reference::Has(variable)
            | Reference::Members(variable) => Some(variable),
            Reference::Pattern(_) | Reference::Words(_) => None,
        })
    }

    /// # Errors
    /// Why it has no value, or none that is true or false.
    pub fn evaluate(&self, variables: &dyn Variables) -> Result<bool, String> {
        evaluate(&self.0.tree, &self.0.references, variables)
    }
}

/// The value of a checked tree, or of a part of one.
fn evaluate(
    tree: &IdedExpr,
    references: &[Reference],
    variables: &dyn Variables,
) -> Result<bool, String> {
    let resolver = Resolver {
        references,
        variables,
        budget: Budget::new(),
    };
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    context.set_variable_resolver(&resolver);
    let value = Value::resolve_val(tree, &context);
    let value = value.map_err(|error| resolver.told(error))?;
    let boolean = value.downcast_ref::<CelBool>();
    boolean
        .map(|boolean| *boolean.inner())
        .ok_or_else(|| "its value is neither true nor false".to_owned())
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.0.source).finish()
    }
}

/// Equal sources are the same expression, under equal paths.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

struct Resolver<'a> {
    references: &'a [Reference],
    variables: &'a dyn Variables,
    budget: Budget,
}

impl Resolver<'_> {
    fn reference(&self, name: &str) -> Option<&Reference> {
        self.references.get(check::number_of(name)?)
    }

    fn words<'b>(&self, words: &'b [String]) -> Option<value::Cow<'b, 'b>> {
        self.budget.take(words.len())?;
        Some(value::Cow::owned(Words(words)))
    }

    /// Without the values of the request, which may be secrets.
    fn told(&self, error: ExecutionError) -> String {
        match error {
            ExecutionError::UndeclaredReference(name) => match self.reference(&name) {
                Some(Reference::Value(variable) | Reference::Members(variable)) => {
                    if self.budget.is_spent() {
                        "it goes through too much".to_owned()
                    } else if self.variables.is_there(variable) {
                        format!("`{variable}` is no text")
                    } else {
                        format!("`{variable}` is not there")
                    }
                }
                _ => format!("`{name}` is not there"),
            },
            ExecutionError::NoSuchKey(_) => "a member is not there".to_owned(),
            ExecutionError::NoSuchOverload(error) => error.to_string(),
            ExecutionError::UnexpectedType { got, want } => format!("{got} in place of {want}"),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "a division by zero".to_owned()
            }
            ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
            ExecutionError::UnsupportedBinaryOperator(operator, ..)
            | ExecutionError::Overflow(operator, ..) => format!("`{operator}` has no value"),
            ExecutionError::FunctionError { function, .. } => format!("`{function}` has no value"),
            ExecutionError::NotSupportedAsMethod { method, .. } => {
                format!("`{method}` has no value")
            }
            _ => "a value is of another type".to_owned(),
        }
    }
}

impl VariableResolver for Resolver<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<value::Cow<'b, 'b>> {
        match self.reference(name)? {
            Reference::Value(variable) => self.variables.value(variable)?.into_cel(&self.budget),
            Reference::Has(variable) => {
                Given::Flag(self.variables.is_there(variable)).into_cel(&self.budget)
            }
            Reference::Pattern(regex) => Some(value::Cow::owned(Pattern(regex))),
            Reference::Members(variable) => match self.variables.value(variable)? {
                Given::List(items) => self.words(items),
                given => given.into_cel(&self.budget),
            },
            Reference::Words(words) => self.words(words),
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_parts;
