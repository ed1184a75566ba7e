//! From which addresses two routes may be used, compared.

use super::{Change, Kind, Part};
use crate::config::checked::{AddressRules, Networks};

/// What the second admits otherwise than the first.
pub fn compare(about: &str, old: &AddressRules, new: &AddressRules) -> Option<Change> {
    let kind = match (is_within(new, old), is_within(old, new)) {
        (true, true) => return None,
        (true, false) => Kind::Tightened,
        (false, _) => Kind::Loosened,
    };
    let what = format!("ip {} → {}", text(old), text(new));
    Some(Change::new(kind, about, Part::Key, what))
}

/// Whether every address that `few` admits is certainly one that `many` admits.
fn is_within(few: &AddressRules, many: &AddressRules) -> bool {
    let allows = many.allow.is_empty()
        || !few.allow.is_empty() && few.allow.iter().all(|network| many.allow.covers(network));
    // What the one denies, the other has to deny too, unless it does not allow it.
    let is_out = |denied: &ipnet::IpNet| {
        few.deny.covers(denied) || !few.allow.is_empty() && !few.allow.meets(denied)
    };
    allows && many.deny.iter().all(is_out)
}

fn text(rules: &AddressRules) -> String {
    if *rules == AddressRules::default() {
        return "everywhere".to_owned();
    }
    let list = |name: &str, networks: &Networks| {
        let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
        (!networks.is_empty()).then(|| format!("{name} {}", networks.join(" ")))
    };
    let parts = [list("allow", &rules.allow), list("deny", &rules.deny)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
