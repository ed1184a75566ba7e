//! Values that expressions are given, in the form that the interpreter takes.

use std::borrow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::ExecutionError;
use cel::common::traits::Container;
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, Type,
};
use cel::common::value::Val;
use regex::bytes::Regex;
use serde_json::Value as Json;

pub(super) use cel::common::value::CowVal as Cow;

/// The value of a variable.
#[derive(Debug)]
pub enum Given<'a> {
    Text(borrow::Cow<'a, str>),
    List(&'a [String]),
    Flag(bool),
    Number(u64),
    Json(&'a Json),
}

/// What an evaluation may still be given, in values; bytes of a text count too.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

/// A loop over a list of this many may ask for another value at each.
const MOST: usize = 32 * 1024;
const BYTES: usize = 64;

impl Budget {
    pub(super) const fn new() -> Budget {
        Budget(AtomicUsize::new(MOST))
    }

    pub(super) fn take(&self, count: usize) -> Option<()> {
        let left = self.0.load(Ordering::Relaxed).checked_sub(count);
        self.0.store(left.unwrap_or_default(), Ordering::Relaxed);
        left.map(|_| ())
    }

    fn take_text(&self, text: &str) -> Option<()> {
        self.take(1 + text.len() / BYTES)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl<'a> Given<'a> {
    /// `None` when it is more than what is left.
    pub(super) fn into_cel<'b>(self, budget: &Budget) -> Option<Cow<'b, 'a>> {
        Some(Cow::Owned(match self {
            Given::Text(text) => {
                budget.take_text(&text)?;
                match text {
                    borrow::Cow::Borrowed(text) => Box::new(CelString::from(text)),
                    borrow::Cow::Owned(text) => Box::new(CelString::from(text)),
                }
            }
            Given::List(items) => {
                let items: Option<Vec<_>> =
                    items.iter().map(|item| of_text(item, budget)).collect();
                Box::new(CelList::from(items?))
            }
            Given::Flag(flag) => Box::new(CelBool::from(flag)),
            Given::Number(number) => of_number(number),
            Given::Json(json) => of_json(json, budget)?,
        }))
    }
}

fn of_text<'a>(text: &'a str, budget: &Budget) -> Option<Box<dyn Val + 'a>> {
    budget.take_text(text)?;
    Some(Box::new(CelString::from(text)))
}

/// CEL's `int` where it fits: most literals are.
fn of_number<'a>(number: u64) -> Box<dyn Val + 'a> {
    match i64::try_from(number) {
        Ok(number) => Box::new(CelInt::from(number)),
        Err(_) => Box::new(CelUInt::from(number)),
    }
}

fn of_json<'a>(json: &'a Json, budget: &Budget) -> Option<Box<dyn Val + 'a>> {
    budget.take(1)?;
    Some(match json {
        Json::Null => Box::new(CelNull),
        Json::Bool(flag) => Box::new(CelBool::from(*flag)),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Box::new(CelInt::from(number)),
            (None, Some(number)) => of_number(number),
            // Without `arbitrary_precision` every number is one of the three.
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Json::String(text) => of_text(text, budget)?,
        Json::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| of_json(item, budget)).collect();
            Box::new(CelList::from(items?))
        }
        Json::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let name = CelMapKey::from(name.as_str());
                Some((name, of_json(value, budget)?))
            });
            let members: Option<HashMap<_, _>> = members.collect();
            Box::new(CelMap::from(members?))
        }
    })
}

/// A compiled pattern, which "contains" the texts that it matches.
#[derive(Debug)]
pub(super) struct Pattern<'a>(pub &'a Regex);

static PATTERN: Type = Type::new_unspecified_type("pattern");

impl Val for Pattern<'_> {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Pattern(self.0))
    }
}

impl Container for Pattern<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        let text = value.downcast_ref::<CelString<'_>>();
        let text = text.ok_or_else(|| ExecutionError::UnexpectedType {
            got: value.get_type().name().to_owned(),
            want: "string".to_owned(),
        })?;
        Ok(self.0.is_match(text.inner().as_bytes()))
    }
}

/// Texts that are only asked whether another is among them, as they are.
#[derive(Debug)]
pub(super) struct Words<'a>(pub &'a [String]);

static WORDS: Type = Type::new_unspecified_type("words");

impl Val for Words<'_> {
    fn get_type(&self) -> &Type {
        &WORDS
    }

    fn cel_type() -> &'static Type {
        &WORDS
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Words(self.0))
    }
}

impl Container for Words<'_> {
    /// A value of another type equals no text.
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        let text = value.downcast_ref::<CelString<'_>>();
        Ok(text.is_some_and(|text| self.0.iter().any(|word| word == text.inner())))
    }
}
