//! Which host groups a request's host belongs to, the tightest first.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::Ipv6Addr;

use smallvec::SmallVec;

use crate::config::checked::HostPattern;

/// A DNS name is shorter (RFC 1035, section 2.3.4); what is longer is in no group.
const MAX_NAME: usize = 255;

/// Groups are numbers given by the caller.
#[derive(Default)]
pub(super) struct Hosts {
    exact: HashMap<Box<[u8]>, Ports>,
    /// `*.example.com` as `example.com`.
    wildcard: HashMap<Box<[u8]>, Ports>,
}

/// The groups of one name.
#[derive(Default)]
struct Ports {
    any: Option<usize>,
    each: SmallVec<[(u16, usize); 1]>,
}

impl Ports {
    /// The groups of a request, that of its port first.
    fn groups(&self, port: Option<u16>) -> impl Iterator<Item = usize> {
        let own = self.each.iter().find(|(known, _)| Some(*known) == port);
        own.map(|(_, group)| *group).into_iter().chain(self.any)
    }
}

/// A request's host: the name or address without brackets and trailing dot, and the port that it names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    name: Cow<'a, str>,
    port: Option<u16>,
}

impl Hosts {
    /// The group of a pattern; a new pattern gets the number that `new` makes.
    pub(super) fn group(&mut self, pattern: &HostPattern, new: impl FnOnce() -> usize) -> usize {
        let (groups, name, port) = match pattern {
            HostPattern::Exact(name) => (&mut self.exact, name, None),
            HostPattern::Wildcard(suffix) => (&mut self.wildcard, suffix, None),
            HostPattern::ExactPort(name, port) => (&mut self.exact, name, Some(*port)),
            HostPattern::WildcardPort(suffix, port) => (&mut self.wildcard, suffix, Some(*port)),
        };
        let mut name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(address) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
            name = address.to_owned();
        }
        let ports = groups.entry(name.into_bytes().into()).or_default();
        let Some(port) = port else {
            return *ports.any.get_or_insert_with(new);
        };
        if let Some((_, group)) = ports.each.iter().find(|(known, _)| *known == port) {
            return *group;
        }
        let group = new();
        ports.each.push((port, group));
        group
    }

    /// Shows `visit` the groups of a host until it finds something.
    pub(super) fn search<T>(
        &self,
        host: &Authority<'_>,
        mut visit: impl FnMut(usize) -> Option<T>,
    ) -> Option<T> {
        let mut buffer = [0; MAX_NAME];
        let name = buffer.get_mut(..host.name.len())?;
        name.copy_from_slice(host.name.as_bytes());
        name.make_ascii_lowercase();
        if let Some(ports) = self.exact.get(&*name)
            && let Some(found) = ports.groups(host.port).find_map(&mut visit)
        {
            return Some(found);
        }
        if self.wildcard.is_empty() {
            return None;
        }
        // Every dot but a leading one has at least one label in front.
        let dots = (1..name.len()).filter(|at| name[*at] == b'.');
        dots.filter_map(|at| self.wildcard.get(&name[at + 1..]))
            .flat_map(|ports| ports.groups(host.port))
            .find_map(visit)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }
}

impl Authority<'_> {
    /// Of a request when no route asks for its host.
    pub(super) const UNASKED: Authority<'static> = Authority {
        name: Cow::Borrowed(""),
        port: None,
    };

    /// Reads an authority. `None` when it is of no known form: another server may read another name in
    /// it, as one that decodes does in `secret%2eexample`, and here it would fall to a looser route.
    pub(super) fn read(authority: &str) -> Option<Authority<'_>> {
        let name_and_port = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                // There are several ways to write one address.
                let address = address.parse::<Ipv6Addr>().ok()?.to_string();
                let port = match port {
                    "" => "",
                    port => port.strip_prefix(':')?,
                };
                (Cow::Owned(address), port)
            }
            None => {
                let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
                let name = name.strip_suffix('.').unwrap_or(name);
                let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
                let is_label = |label: &str| !label.is_empty() && label.bytes().all(fits);
                if !authority.is_empty() && !name.split('.').all(is_label) {
                    return None;
                }
                (Cow::Borrowed(name), port)
            }
        };
        let (name, port) = name_and_port;
        let port = match port {
            "" => None,
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        Some(Authority { name, port })
    }
}

/// The name or address of an authority as routes compare it: in lower case, without port, brackets and
/// trailing dot. `None` for what is no authority.
pub fn host_name(authority: &str) -> Option<Cow<'_, str>> {
    let Authority { name, .. } = Authority::read(authority)?;
    Some(match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(hosts: &Hosts, host: &str) -> Vec<usize> {
        let mut seen = Vec::new();
        let _: Option<()> = hosts.search(&Authority::read(host).unwrap(), |group| {
            seen.push(group);
            None
        });
        seen
    }

    #[test]
    fn names_are_told_in_one_spelling() {
        for (authority, name) in [
            ("example.com", Some("example.com")),
            ("Example.COM.:8080", Some("example.com")),
            ("[0:0::1]:80", Some("::1")),
            ("", Some("")),
            ("a b", None),
            ("a:b", None),
        ] {
            assert_eq!(host_name(authority).as_deref(), name, "{authority}");
        }
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
        assert!(groups(&hosts, "notexample.com").is_empty());
        assert!(groups(&hosts, &format!("{}a", "a.".repeat(400))).is_empty());
    }

    #[test]
    fn a_port_that_is_named_comes_first() {
        let mut hosts = Hosts::default();
        hosts.group(&HostPattern::Exact("a.b.c".into()), || 1);
        hosts.group(&HostPattern::ExactPort("a.b.c".into(), 8443), || 2);
        hosts.group(&HostPattern::WildcardPort("b.c".into(), 8443), || 3);
        hosts.group(&HostPattern::Wildcard("c".into()), || 4);
        hosts.group(&HostPattern::ExactPort("[::1]".into(), 80), || 5);
        let again = hosts.group(&HostPattern::ExactPort("A.b.c".into(), 8443), || 6);
        assert_eq!(again, 2);
        assert_eq!(groups(&hosts, "a.b.c:8443"), [2, 1, 3, 4]);
        assert_eq!(groups(&hosts, "a.b.c:08443"), [2, 1, 3, 4]);
        assert_eq!(groups(&hosts, "a.b.c:443"), [1, 4]);
        assert_eq!(groups(&hosts, "a.b.c"), [1, 4]);
        assert_eq!(groups(&hosts, "a.b.c.:"), [1, 4]);
        assert_eq!(groups(&hosts, "x.b.c:8443"), [3, 4]);
        assert_eq!(groups(&hosts, "[0::0:1]:80"), [5]);
    }

    #[test]
    fn an_authority_is_a_name_and_a_port() {
        let read = |text: &'static str| {
            let authority = Authority::read(text)?;
            Some((authority.name.into_owned(), authority.port))
        };
        let some = |name: &str, port| Some((name.to_owned(), port));
        assert_eq!(read("example.com"), some("example.com", None));
        assert_eq!(read("example.com.:8080"), some("example.com", Some(8080)));
        assert_eq!(read("a_b-c.1:"), some("a_b-c.1", None));
        assert_eq!(read("[::1]:8080"), some("::1", Some(8080)));
        assert_eq!(read("[0:0::1]"), some("::1", None));
        assert_eq!(read(""), some("", None));
        for odd in [
            "a:b",
            "a:1:2",
            "a:65536",
            "a:+1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[a]",
            "[::1%25e]",
            "u@a",
            "a,b",
            "a b",
            "a/b",
            "a%2eb",
            "a..b",
            "a..",
            ".a",
            ".",
            ":80",
            "a~b",
            "a!b",
            "a=b",
            "a*b",
            "*.a",
            "a(b)",
        ] {
            assert_eq!(Authority::read(odd), None, "{odd}");
        }
    }
}
