//! Which upstreams are one backend under several names.

use std::collections::HashMap;

use crate::config::address_of;
use crate::config::checked::{Target, Upstream};

/// For each upstream the first that has a target in common with it, or with one that has.
pub(super) fn backends(upstreams: &[Upstream]) -> Vec<usize> {
    let mut first: Vec<usize> = (0..upstreams.len()).collect();
    let mut known: HashMap<(String, u16), usize> = HashMap::new();
    for (index, upstream) in upstreams.iter().enumerate() {
        for target in &upstream.targets {
            let other = *known.entry(place(target)).or_insert(index);
            let (a, b) = (root(&first, index), root(&first, other));
            first[a.max(b)] = a.min(b);
        }
    }
    (0..upstreams.len())
        .map(|index| root(&first, index))
        .collect()
}

fn root(first: &[usize], mut index: usize) -> usize {
    while first[index] != index {
        index = first[index];
    }
    index
}

fn place(target: &Target) -> (String, u16) {
    let address = address_of(&target.host).map(|address| address.to_canonical().to_string());
    (address.unwrap_or_else(|| target.host.clone()), target.port)
}
