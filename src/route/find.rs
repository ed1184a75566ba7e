//! The stage itself: a request's route, if every reading of its path leads there.

use std::ops::ControlFlow;

use http::{HeaderName, Method};

use crate::config::checked::Case;
use crate::request::{Code, Facts, Refusal};

use super::hosts::Authority;
use super::matched::Matched;
use super::readings::{self, Unreadable};
use super::table::{Located, Table, Target};

/// Of a target that is none: `*`, or a host alone (RFC 9112, section 3.2).
pub const NO_PATH: &str = "The request's target has to be a path that begins with a slash.";

/// Finds where a request goes.
///
/// # Errors
///
/// 400 `bad-request` for a target that is no path, a broken escape or a malformed host,
/// 400 `ambiguous-path` when readings of the path disagree or one holds a control byte,
/// 404 when no route has the path and the headers, 405 with `Allow` when none of those that have them
/// admits the method.
pub fn find(table: &Table, facts: &Facts<'_>) -> Result<Matched, Refusal> {
    find_announced(table, facts, &facts.head.method, &[])
}

/// Finds where a request would go that has this method and, with values not known yet, these headers
/// beside those that are here; they are of [`Table::choosing`].
///
/// # Errors
/// Those of [`find`].
pub fn find_announced(
    table: &Table,
    facts: &Facts<'_>,
    method: &Method,
    announced: &[HeaderName],
) -> Result<Matched, Refusal> {
    find_next(table, facts, method, announced, &[])
}

/// The same if none of the routes that are passed over took it: so one that follows another is found, where not all of
/// a request's headers are known.
///
/// # Errors
/// Those of [`find`].
pub fn find_next(
    table: &Table,
    facts: &Facts<'_>,
    method: &Method,
    announced: &[HeaderName],
    passed_over: &[usize],
) -> Result<Matched, Refusal> {
    let path = facts.head.uri.path().as_bytes();
    if path.first() != Some(&b'/') {
        return Err(Refusal::new(Code::BadRequest, NO_PATH));
    }
    let host = if table.hosts.is_empty() {
        Authority::UNASKED
    } else {
        Authority::read(facts.host).ok_or_else(|| {
            Refusal::new(
                Code::BadRequest,
                "The request's host has to be a name or an address, with or without a port.",
            )
        })?
    };
    let target = Target {
        host,
        method,
        headers: &facts.head.headers,
        announced,
        passed_over,
    };
    match locate(table, &target, path)? {
        Located::At(destination, params) => Ok(Matched {
            destination,
            params,
        }),
        Located::WrongMethod => Err(Refusal::method_not_allowed(&table.allowed(&target, path))),
        Located::Nowhere => Err(Refusal::new(
            Code::NotFound,
            "There is nothing at this path.",
        )),
    }
}

/// Where all readings of a path lead.
///
/// # Errors
///
/// 400 when they do not lead to one place.
pub(super) fn locate(table: &Table, target: &Target<'_>, path: &[u8]) -> Result<Located, Refusal> {
    match readings::is_plain(path) {
        true if !table.folds => Ok(table.locate(target, path, Case::AsAsked)),
        true => locate_in_any_case(table, target, path),
        false => locate_under_all_readings(table, target, path),
    }
}

/// The path as it is and as servers read it that ignore case.
fn locate_in_any_case(table: &Table, target: &Target<'_>, path: &[u8]) -> Result<Located, Refusal> {
    let located = table.locate(target, path, Case::AsAsked);
    match agrees_in_any_case(table, target, (&located, path), path) {
        true => Ok(located),
        false => Err(ambiguous("readings lead to different routes or parameters")),
    }
}

/// Whether servers that ignore case take a reading to where the path leads.
fn agrees_in_any_case(
    table: &Table,
    target: &Target<'_>,
    known: (&Located, &[u8]),
    reading: &[u8],
) -> bool {
    let agrees = |reading: &[u8]| {
        let located = table.locate(target, reading, Case::Any);
        table.agree(known, (&located, reading))
    };
    agrees(reading) && readings::with_letters_folded(reading).is_none_or(|folded| agrees(&folded))
}

fn locate_under_all_readings(
    table: &Table,
    target: &Target<'_>,
    path: &[u8],
) -> Result<Located, Refusal> {
    let mut first: Option<Located> = None;
    let visited = readings::visit(path, |reading| {
        let located = table.locate(target, reading, Case::AsAsked);
        let known = &*first.get_or_insert_with(|| located.clone());
        let agrees = table.agree((known, path), (&located, reading))
            && (!table.folds || agrees_in_any_case(table, target, (known, path), reading));
        match agrees {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    match (visited, first) {
        (Ok(ControlFlow::Continue(())), Some(located)) => Ok(located),
        (Ok(_), _) => Err(ambiguous("readings lead to different routes or parameters")),
        (Err(Unreadable::ControlByte), _) => Err(ambiguous("a control byte when decoded")),
        (Err(Unreadable::OverlongForms), _) => Err(ambiguous("overlong UTF-8 of several lengths")),
        (Err(Unreadable::TooManyReadings), _) => Err(ambiguous("too many readings")),
        (Err(Unreadable::BrokenEscape), _) => Err(Refusal::new(
            Code::BadRequest,
            "A percent sign in the path has to be followed by two hexadecimal digits.",
        )),
    }
}

fn ambiguous(cause: &str) -> Refusal {
    Refusal::new(
        Code::AmbiguousPath,
        "Servers read this path in different ways; send it in its plain form.",
    )
    .because(cause)
}
