//! Tiers and limit rules as they are asked for, and whether what is asked for can be.

mod rule;
mod tier;

use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::store::Quota;
use crate::request::FieldError;

pub use rule::RuleForm;
pub use tier::TierForm;

const LARGEST_LIMIT: i64 = 1_000_000_000;

const NAME: &str = "must have 1 to 64 of the characters A-Z a-z 0-9 - _ . and not be . or ..";
const REQUIRED: &str = "is required";

/// Collects all that is wrong.
#[derive(Default)]
struct Wrong(Vec<FieldError>);

impl Wrong {
    fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            message: message.into().into(),
        });
    }

    fn name(
        &mut self,
        given: Option<&String>,
        before: Option<&String>,
        is_name: impl Fn(&str) -> bool,
    ) -> String {
        match given {
            Some(name) if !is_name(name) => self.add("name", NAME),
            None if before.is_none() => self.add("name", REQUIRED),
            _ => {}
        }
        given.or(before).cloned().unwrap_or_default()
    }

    /// A number of at least one and at most `most`.
    fn number(&mut self, field: &'static str, number: i64, most: i64) -> NonZeroU32 {
        if !(1..=most).contains(&number) {
            self.add(field, format!("must be a whole number from 1 to {most}"));
        }
        let number = u32::try_from(number).ok().and_then(NonZeroU32::new);
        number.unwrap_or(NonZeroU32::MIN)
    }

    fn required(
        &mut self,
        field: &'static str,
        given: Option<i64>,
        before: Option<NonZeroU32>,
        most: i64,
    ) -> NonZeroU32 {
        match (given, before) {
            (Some(number), _) => self.number(field, number, most),
            (None, Some(before)) => before,
            (None, None) => {
                self.add(field, REQUIRED);
                NonZeroU32::MIN
            }
        }
    }

    fn burst(
        &mut self,
        given: Option<Option<i64>>,
        before: Option<NonZeroU32>,
    ) -> Option<NonZeroU32> {
        match given {
            Some(given) => given.map(|burst| self.number("burst", burst, LARGEST_LIMIT)),
            None => before,
        }
    }

    /// What no counter holds would be cut when it is counted.
    fn countable(&mut self, quota: Quota) -> Quota {
        if !quota.rate().is_countable() {
            self.add("burst", "must come back within 833 days at this rate");
        }
        quota
    }

    fn or<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self.0)
        }
    }
}

fn name_schema() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "not": { "enum": [".", ".."] } })
}

#[cfg(test)]
mod testing {
    use super::FieldError;

    pub fn fields(wrong: &[FieldError]) -> Vec<&str> {
        wrong.iter().map(|error| &*error.field).collect()
    }

    pub fn text_of(text: &str) -> Option<Option<String>> {
        Some(Some(text.into()))
    }
}
