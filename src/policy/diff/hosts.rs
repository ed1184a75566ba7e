//! Hosts that two routes take, the most general of each kind.

use std::collections::HashMap;

use super::fillers::Fillers;
use crate::config::checked::HostPattern;

/// A pattern's name, whether more labels stand in front, and its port.
type Parts<'p> = (&'p str, bool, Option<u16>);

/// Hosts that a pattern of each side takes; a side without patterns takes every host.
pub fn common(a: &[HostPattern], b: &[HostPattern], fillers: &Fillers) -> Vec<String> {
    let example = |parts| example(parts, &fillers.label);
    let mut common = match (a, b) {
        ([], []) => vec![fillers.host.clone()],
        (own, []) | ([], own) => own.iter().map(parts).map(example).collect(),
        (a, b) => met(a, b).map(example).collect(),
    };
    common.sort_unstable();
    common.dedup();
    common
}

/// Whether there is any host that both sides take.
pub fn may_meet(a: &[HostPattern], b: &[HostPattern]) -> bool {
    a.is_empty() || b.is_empty() || met(a, b).next().is_some()
}

/// Its name, or what that ends in.
pub fn name(pattern: &HostPattern) -> &str {
    parts(pattern).0
}

fn met<'p>(a: &'p [HostPattern], b: &'p [HostPattern]) -> impl Iterator<Item = Parts<'p>> {
    below(a, b).chain(below(b, a))
}

/// What the first take of the hosts of those of the second that have the same name, or one that they end in.
fn below<'p>(
    first: &'p [HostPattern],
    second: &'p [HostPattern],
) -> impl Iterator<Item = Parts<'p>> {
    let mut by_name: HashMap<&str, Vec<Parts<'_>>> = HashMap::new();
    for pattern in second.iter().map(parts) {
        by_name.entry(pattern.0).or_default().push(pattern);
    }
    let mut met = Vec::new();
    for pattern in first.iter().map(parts) {
        let dots = pattern.0.match_indices('.').map(|(at, _)| at + 1);
        for start in std::iter::once(0).chain(dots) {
            let others = by_name.get(&pattern.0[start..]).into_iter().flatten();
            met.extend(others.filter_map(|other| meet(pattern, *other)));
        }
    }
    met.into_iter()
}

fn parts(pattern: &HostPattern) -> Parts<'_> {
    match pattern {
        HostPattern::Exact(name) => (name, false, None),
        HostPattern::Wildcard(suffix) => (suffix, true, None),
        HostPattern::ExactPort(name, port) => (name, false, Some(*port)),
        HostPattern::WildcardPort(suffix, port) => (suffix, true, Some(*port)),
    }
}

/// The hosts that both take, if there are any, as one pattern.
fn meet<'p>(a: Parts<'p>, b: Parts<'p>) -> Option<Parts<'p>> {
    let port = match (a.2, b.2) {
        (Some(a), Some(b)) if a != b => return None,
        (a, b) => a.or(b),
    };
    let is_below = |name: &str, suffix: &str| {
        let front = name
            .strip_suffix(suffix)
            .and_then(|front| front.strip_suffix('.'));
        front.is_some_and(|front| !front.is_empty())
    };
    let (name, is_wildcard) = match (a.1, b.1) {
        (false, false) => (a.0 == b.0).then_some((a.0, false))?,
        (false, true) => is_below(a.0, b.0).then_some((a.0, false))?,
        (true, false) => is_below(b.0, a.0).then_some((b.0, false))?,
        (true, true) if a.0 == b.0 || is_below(a.0, b.0) => (a.0, true),
        (true, true) => is_below(b.0, a.0).then_some((b.0, true))?,
    };
    Some((name, is_wildcard, port))
}

fn example((name, is_wildcard, port): Parts<'_>, label: &str) -> String {
    let host = match is_wildcard {
        true => format!("{label}.{name}"),
        false => name.to_owned(),
    };
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::stages::Stages;
    use crate::route::sample;

    #[test]
    fn hosts_that_both_take_are_found() {
        let stages = Stages::build(sample::config(Vec::new()), Vec::new());
        let fillers = Fillers::of(&stages, &stages);
        let exact = |name: &str| HostPattern::Exact(name.into());
        let wild = |name: &str| HostPattern::Wildcard(name.into());
        let port = |name: &str, port| HostPattern::ExactPort(name.into(), port);
        let wild_port = |name: &str, port| HostPattern::WildcardPort(name.into(), port);
        for (a, b, expected) in [
            (vec![], vec![], vec!["other.invalid"]),
            (vec![exact("a.b")], vec![], vec!["a.b"]),
            (vec![exact("a.b"), exact("c")], vec![exact("c")], vec!["c"]),
            (vec![exact("b")], vec![wild("b")], vec![]),
            (vec![exact("a.b")], vec![wild("b")], vec!["a.b"]),
            (vec![wild("a.b")], vec![wild("b")], vec!["zz-any.a.b"]),
            (vec![wild("ab")], vec![wild("b")], vec![]),
            (vec![port("a.b", 1)], vec![wild_port("b", 2)], vec![]),
            (vec![wild("b")], vec![wild_port("b", 2)], vec!["zz-any.b:2"]),
        ] {
            for (a, b) in [(&a, &b), (&b, &a)] {
                assert_eq!(common(a, b, &fillers), expected, "{a:?} {b:?}");
                assert_eq!(may_meet(a, b), !expected.is_empty(), "{a:?} {b:?}");
            }
        }
    }
}
