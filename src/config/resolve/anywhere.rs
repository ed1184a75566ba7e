//! Patterns that are looked for anywhere in a path, where they look as if they said how it begins.

use super::super::cel::{Asks, Expression, Logic, RequestField, Variable};
use super::super::decode::At;
use super::super::diagnose::{Findings, shown};
use super::super::regex_shape;

/// `at` is the expression.
pub fn warn(at: &At<String>, expression: &Expression, findings: &mut Findings) {
    warn_of(&expression.logic(), at, findings);
}

fn warn_of(logic: &Logic<'_>, at: &At<String>, findings: &mut Findings) {
    match logic {
        Logic::Always(_) => {}
        Logic::Any(parts) | Logic::All(parts) => {
            parts.iter().for_each(|part| warn_of(part, at, findings));
        }
        Logic::Asks(Asks {
            variables,
            // What must not match anywhere keeps more out.
            is_negative: false,
            pattern: Some(pattern),
        }) if **variables == [&Variable::Request(RequestField::Path)] => {
            if regex_shape::is_looked_for(pattern) {
                let pattern = shown(pattern);
                let message = format!(
                    "{pattern} is looked for anywhere in the path: whoever asks for a path that has it behind another beginning meets this as well"
                );
                findings
                    .warn(at.span, message)
                    .hint("begin the pattern, or each branch of it, with `^`; or with `.*` if that is meant");
            }
        }
        Logic::Asks(_) => {}
    }
}
