//! From which addresses a route may be used, and which are those of proxies.

use std::collections::HashSet;

use ipnet::IpNet;

use super::super::decode::{At, Field};
use super::super::diagnose::Findings;
use super::super::networks::{AddressRules, Networks, canonical};
use super::super::raw::{Cidr, RawAddressRules};
use super::super::source::Span;

pub fn rules(raw: &Field<RawAddressRules>, findings: &mut Findings) -> AddressRules {
    let Some(At { value: raw, span }) = raw.given() else {
        return AddressRules::default();
    };
    let rules = AddressRules {
        allow: networks(&raw.allow, findings),
        deny: networks(&raw.deny, findings),
    };
    let is_read = |field: &Field<_>| !matches!(field, Field::Invalid);
    if rules == AddressRules::default() && is_read(&raw.allow) && is_read(&raw.deny) {
        findings
            .error(*span, "`ip` names no network, and has no effect")
            .hint("name some in `allow` or in `deny`, or remove the key");
    }
    for (everybody, place) in everybody(&raw.allow, &rules.allow) {
        let form = match everybody {
            IpNet::V4(_) => "IPv4",
            IpNet::V6(_) => "IPv6",
        };
        let message =
            format!("everybody who comes by {form} is in this: it keeps none of them out");
        findings
            .warn(place, message)
            .hint("name the networks that you mean, or remove `allow`");
    }
    for allowed in raw.allow.get().into_iter().flatten() {
        let Cidr(network) = &allowed.value;
        if rules.deny.covers(network) {
            findings
                .error(allowed.span, "all of this is in `deny`, which comes first")
                .hint("remove it here or there");
        }
    }
    rules
}

fn networks(raw: &Field<Vec<At<Cidr>>>, findings: &mut Findings) -> Networks {
    let mut seen: HashSet<IpNet> = HashSet::new();
    for At { value, span } in raw.get().into_iter().flatten() {
        if !seen.insert(value.0) {
            findings.error(*span, format!("`{}` stands here twice", value.0));
        }
    }
    seen.into_iter().collect()
}

pub fn trusted_proxies(raw: &Field<Vec<At<Cidr>>>, findings: &mut Findings) -> Networks {
    let trusted = networks(raw, findings);
    for (_, place) in everybody(raw, &trusted) {
        let message = "everybody is believed to be a proxy: any client can choose its address";
        findings
            .warn(place, message)
            .hint("name the networks that your proxies are in");
    }
    trusted
}

/// The networks that everybody is in whose address has that form, each with its place.
fn everybody<'n>(
    raw: &Field<Vec<At<Cidr>>>,
    networks: &'n Networks,
) -> impl Iterator<Item = (&'n IpNet, Span)> {
    let given = raw.given();
    networks.of_everybody().filter_map(move |everybody| {
        let At { value: items, span } = given?;
        // Several that are everybody together have no place of their own.
        let mut one = items
            .iter()
            .filter(|item| canonical(item.value.0) == *everybody);
        Some((everybody, one.next().map_or(*span, |item| item.span)))
    })
}
