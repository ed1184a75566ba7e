//! Which host groups a request's host belongs to, the tightest first.

use std::collections::HashMap;

use crate::config::checked::HostPattern;

/// A DNS name is shorter (RFC 1035, section 2.3.4); what is longer is in no group.
const MAX_NAME: usize = 255;

/// Groups are numbers given by the caller.
#[derive(Default)]
pub(super) struct Hosts {
    exact: HashMap<Box<[u8]>, usize>,
    /// `*.example.com` as `example.com`.
    wildcard: HashMap<Box<[u8]>, usize>,
}

impl Hosts {
    /// The group of a pattern; a new pattern gets the number that `new` makes.
    pub(super) fn group(&mut self, pattern: &HostPattern, new: impl FnOnce() -> usize) -> usize {
        let (groups, name) = match pattern {
            HostPattern::Exact(name) => (&mut self.exact, name),
            HostPattern::Wildcard(suffix) => (&mut self.wildcard, suffix),
        };
        let mut name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(address) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
            name = address.to_owned();
        }
        let name = name.into_bytes().into_boxed_slice();
        *groups.entry(name).or_insert_with(new)
    }

    /// Shows `visit` the groups of `host`, a name or address without port, until it finds something.
    pub(super) fn search<T>(
        &self,
        host: &str,
        mut visit: impl FnMut(usize) -> Option<T>,
    ) -> Option<T> {
        let mut buffer = [0; MAX_NAME];
        let name = buffer.get_mut(..host.len())?;
        name.copy_from_slice(host.as_bytes());
        name.make_ascii_lowercase();
        if let Some(&group) = self.exact.get(&*name)
            && let Some(found) = visit(group)
        {
            return Some(found);
        }
        if self.wildcard.is_empty() {
            return None;
        }
        // Every dot but a leading one has at least one label in front.
        let dots = (1..name.len()).filter(|at| name[*at] == b'.');
        dots.filter_map(|at| self.wildcard.get(&name[at + 1..]))
            .find_map(|group| visit(*group))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }
}

/// The name or address in an authority: no port, no brackets, no trailing dot. `None` when the
/// authority is of no known form, since another server may then read another name in it.
pub(super) fn name_in(authority: &str) -> Option<&str> {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let port = after.strip_prefix(':').unwrap_or(after);
        let is_whole = after.is_empty() || (after.starts_with(':') && is_port(port));
        return is_whole.then_some(address);
    }
    let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
    let is_clean = !name
        .bytes()
        .any(|b| b.is_ascii_whitespace() || b"@/\\,?#".contains(&b));
    (is_clean && is_port(port)).then(|| name.strip_suffix('.').unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(hosts: &Hosts, host: &str) -> Vec<usize> {
        let mut seen = Vec::new();
        let _: Option<()> = hosts.search(host, |group| {
            seen.push(group);
            None
        });
        seen
    }

    #[test]
    fn exact_comes_before_the_longest_wildcard() {
        let mut hosts = Hosts::default();
        hosts.group(&HostPattern::Wildcard("example.com".into()), || 1);
        hosts.group(&HostPattern::Wildcard("b.example.com".into()), || 2);
        hosts.group(&HostPattern::Exact("a.b.example.com".into()), || 3);
        assert_eq!(groups(&hosts, "A.b.Example.com"), [3, 2, 1]);
        assert_eq!(groups(&hosts, "x.y.b.example.com"), [2, 1]);
        assert_eq!(groups(&hosts, "b.example.com"), [1]);
        assert!(groups(&hosts, "example.com").is_empty());
        assert!(groups(&hosts, ".example.com").is_empty());
        assert!(groups(&hosts, "notexample.com").is_empty());
        assert!(groups(&hosts, &"a.".repeat(400)).is_empty());
    }

    #[test]
    fn an_authority_is_a_name_and_a_port() {
        assert_eq!(name_in("example.com"), Some("example.com"));
        assert_eq!(name_in("example.com.:8080"), Some("example.com"));
        assert_eq!(name_in("[::1]:8080"), Some("::1"));
        assert_eq!(name_in("[::1]"), Some("::1"));
        assert_eq!(name_in(""), Some(""));
        for odd in ["a:b", "a:1:2", "[::1", "[::1]x", "u@a", "a,b", "a b", "a/b"] {
            assert_eq!(name_in(odd), None, "{odd}");
        }
    }
}
