//! Texts of expressions that no path of their route has, because the expression is told another spelling.

use super::super::cel::{Compared, Expression, RequestField, Variable};
use super::super::checked::{PathOptions, TrailingSlash};
use super::super::decode::At;
use super::super::diagnose::{Findings, shown};

pub fn warn(
    at: &At<String>,
    expression: &Expression,
    options: PathOptions,
    findings: &mut Findings,
) {
    for Compared {
        variable,
        text,
        is_whole,
    } in expression.compared()
    {
        let is_path = *variable == Variable::Request(RequestField::Path);
        if !is_path && !matches!(variable, Variable::Path(_)) {
            continue;
        }
        let told = shown(text);
        if options.case_insensitive && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let message = format!(
                "`{variable}` never is or has {told}: on this route it is told in lower case"
            );
            let hint = "the route ignores case, so write the text in lower case";
            findings.warn(at.span, message).hint(hint);
        } else if options.trailing_slash == TrailingSlash::Ignore
            && is_path
            && is_whole
            && text.len() > 1
            && text.ends_with('/')
        {
            let message = format!(
                "`{variable}` never is {told}: on this route it is told without a slash at its end"
            );
            let hint = "the route takes both, so write the text without it";
            findings.warn(at.span, message).hint(hint);
        }
    }
}
