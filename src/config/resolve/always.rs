//! Expressions that are true of every request.

use super::super::cel::{Expression, Logic};
use super::super::decode::At;
use super::super::diagnose::Findings;

/// `at` is the expression.
pub fn warn(at: &At<String>, expression: &Expression, findings: &mut Findings) {
    if expression.logic() == Logic::Always(true) {
        let message =
            "this expression is always true: whoever is signed in meets it, whatever they are";
        findings
            .warn(at.span, message)
            .hint("remove the branch that holds by itself; to ask for no more than a login, leave `allow` out");
    }
}
