//! What can be said of a regex without running it: how its paths begin, and what one of them looks like.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Groups within one another.
pub(super) const DEEPEST: u32 = 50;

/// Paths are bytes: `.` is any but a line break, `\d` and `\w` are ASCII.
pub(super) fn parse(text: &str) -> Result<Hir, Box<regex_syntax::Error>> {
    ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(DEEPEST + 2)
        .build()
        .parse(text)
        .map_err(Box::new)
}

/// Whether a search for it may skip what comes first, and the text does not say so itself: by `.*`, or by being of
/// how a path ends, as `\.png$` is.
pub(super) fn is_looked_for(text: &str) -> bool {
    let Ok(hir) = parse(text) else { return false };
    let looks = hir.properties();
    let is_of_end = looks.look_set_suffix().contains(Look::End) && !may_have_slash(&hir);
    !looks.look_set_prefix().contains(Look::Start) && !is_of_end && !begins_with_any(&hir)
}

fn may_have_slash(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.contains(&b'/'),
        HirKind::Class(class) => has(class, b'/'),
        HirKind::Repetition(repetition) => may_have_slash(&repetition.sub),
        HirKind::Capture(capture) => may_have_slash(&capture.sub),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => subs.iter().any(may_have_slash),
    }
}

fn begins_with_any(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Concat(subs) => subs.first().is_some_and(begins_with_any),
        HirKind::Capture(capture) => begins_with_any(&capture.sub),
        _ => is_any_text(hir),
    }
}

/// Whether it is for all below some path, by `/.*` or `/.+` at its end, and not for that path.
pub(super) fn takes_all_below(whole: &Hir) -> bool {
    let mut parts = Vec::new();
    flatten(whole, &mut parts);
    let [.., before, last] = parts.as_slice() else {
        return false;
    };
    let ends_in_slash =
        matches!(before.kind(), HirKind::Literal(literal) if literal.0.last() == Some(&b'/'));
    ends_in_slash && is_any_text(last)
}

/// `.*` or `.+`, slashes included.
fn is_any_text(hir: &Hir) -> bool {
    let HirKind::Repetition(repetition) = hir.kind() else {
        return false;
    };
    let is_any = matches!(repetition.sub.kind(), HirKind::Class(class) if (0x21..0x7f).all(|byte| has(class, byte)));
    repetition.min <= 1 && repetition.max.is_none() && is_any
}

/// So many segments are told of, and looked up one by one.
const MOST_SEGMENTS: usize = 512;

pub(super) fn leading_segments(whole: &Hir) -> Vec<String> {
    let mut parts = Vec::new();
    flatten(whole, &mut parts);
    let is_literal = |part: &&&Hir| matches!(part.kind(), HirKind::Literal(_));
    let literals = parts.iter().take_while(is_literal).count();
    let (literals, others) = parts.split_at(literals);
    let mut leading = Vec::new();
    for part in literals {
        if let HirKind::Literal(literal) = part.kind() {
            leading.extend_from_slice(&literal.0);
        }
    }
    let Ok(leading) = String::from_utf8(leading) else {
        return Vec::new();
    };
    let mut segments: Vec<String> = leading.split('/').skip(1).map(str::to_owned).collect();
    // What stands behind the last slash may go on.
    if !sequence_begins_with_slash(others) {
        segments.pop();
    }
    segments.truncate(MOST_SEGMENTS);
    segments
}

/// How many characters and classes a regex is made of, with each repetition written out.
pub(super) fn size(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 1,
        HirKind::Capture(capture) => size(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            size(&repetition.sub).saturating_mul(times as usize)
        }
        HirKind::Concat(subs) | HirKind::Alternation(subs) => {
            let sizes = subs.iter().map(size);
            sizes.fold(0, usize::saturating_add)
        }
    }
}

/// What has to match one after the other, without groups and anchors around it.
fn flatten<'h>(hir: &'h Hir, parts: &mut Vec<&'h Hir>) {
    match hir.kind() {
        HirKind::Concat(subs) => subs.iter().for_each(|sub| flatten(sub, parts)),
        HirKind::Capture(capture) => flatten(&capture.sub, parts),
        HirKind::Empty | HirKind::Look(Look::Start | Look::End) => {}
        _ => parts.push(hir),
    }
}

fn may_be_empty(hir: &Hir) -> bool {
    hir.properties().minimum_len() == Some(0)
}

/// Whether what matches is empty or begins with a slash, in every case.
fn begins_with_slash(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => literal.0.first() == Some(&b'/'),
        HirKind::Class(class) => match class {
            Class::Bytes(class) => class
                .ranges()
                .iter()
                .all(|r| r.start() == b'/' && r.end() == b'/'),
            Class::Unicode(class) => class
                .ranges()
                .iter()
                .all(|r| r.start() == '/' && r.end() == '/'),
        },
        HirKind::Repetition(repetition) => begins_with_slash(&repetition.sub),
        HirKind::Capture(capture) => begins_with_slash(&capture.sub),
        HirKind::Concat(subs) => sequence_begins_with_slash(subs),
        HirKind::Alternation(subs) => subs.iter().all(begins_with_slash),
    }
}

fn sequence_begins_with_slash<H: std::borrow::Borrow<Hir>>(parts: &[H]) -> bool {
    for part in parts {
        let part = part.borrow();
        if !begins_with_slash(part) {
            return false;
        }
        if !may_be_empty(part) {
            return true;
        }
    }
    true
}

/// Whether something that matches begins with a slash.
pub(super) fn may_begin_with_slash(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.first() == Some(&b'/'),
        HirKind::Class(class) => has(class, b'/'),
        HirKind::Repetition(repetition) => may_begin_with_slash(&repetition.sub),
        HirKind::Capture(capture) => may_begin_with_slash(&capture.sub),
        HirKind::Alternation(subs) => subs.iter().any(may_begin_with_slash),
        HirKind::Concat(subs) => {
            let last = subs.iter().position(|sub| !may_be_empty(sub));
            let first = &subs[..last.map_or(subs.len(), |last| last + 1)];
            first.iter().any(may_begin_with_slash)
        }
    }
}

fn has(class: &Class, byte: u8) -> bool {
    match class {
        Class::Bytes(class) => class
            .ranges()
            .iter()
            .any(|r| (r.start()..=r.end()).contains(&byte)),
        Class::Unicode(class) => class
            .ranges()
            .iter()
            .any(|r| (r.start()..=r.end()).contains(&char::from(byte))),
    }
}

/// Examples are for people, who do not read on beyond so many bytes.
const LONGEST_EXAMPLE: usize = 500;
/// What stands for a class, the first that it has.
const TYPICAL: &[u8] = b"a1bx0zAZ-_~.:@!$&'()*+,;=";

pub(super) fn write_example(hir: &Hir, choice: usize, out: &mut Vec<u8>) {
    if out.len() > LONGEST_EXAMPLE {
        return;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(class) => {
            // Later choices go over several segments where they can.
            let slash = (choice >= 4 && out.last() != Some(&b'/')).then_some(b'/');
            let typical = TYPICAL.iter().cycle().skip(choice).take(TYPICAL.len());
            let visible = (0x21..0x7f).chain([b'/']);
            let mut all = slash.into_iter().chain(typical.copied()).chain(visible);
            out.extend(all.find(|byte| has(class, *byte)));
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            let times = match choice % 4 {
                0 => repetition.min.max(1),
                1 => repetition.min,
                more => repetition.min.saturating_add(more as u32),
            };
            for _ in 0..times.min(most) {
                write_example(&repetition.sub, choice, out);
                if out.len() > LONGEST_EXAMPLE {
                    return;
                }
            }
        }
        HirKind::Capture(capture) => write_example(&capture.sub, choice, out),
        HirKind::Concat(subs) => subs.iter().for_each(|sub| write_example(sub, choice, out)),
        HirKind::Alternation(subs) => {
            if let Some(sub) = subs.get(choice % subs.len()) {
                write_example(sub, choice, out);
            }
        }
    }
}
