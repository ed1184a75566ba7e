//! The names that only the gateway may say to an upstream, and how a client's use of them is found.
//!
//! Servers that map headers to variables (CGI, WSGI, PHP) read `X_User_Id` and `X-User-Id` as one, some
//! `X.User.Id` as well, so in names all that is no letter or digit counts as one character; case is already
//! folded by [`HeaderName`].

use std::cmp::Ordering;

use http::HeaderName;

use crate::config::Config;
use crate::config::field_names::{
    API_KEY, FRAMING, IDENTITY, OVERRIDES, PROXY, are_one, folded, is_odd, is_of_message, order,
};

/// Whose word a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The gateway's alone, or nobody's.
    Always,
    /// The gateway's or a trusted proxy's.
    Proxy,
}

/// What a configuration reserves beside the names that always are.
#[derive(Debug)]
pub struct Names {
    /// Where clients put their API keys, and what the file sets on some route; sorted, since each header of
    /// each request is looked for.
    own: Vec<HeaderName>,
    /// What routes and rules go by, sorted in the same way. Clients may send it, in this spelling alone: an
    /// upstream that reads another as the same would get what no route was chosen by.
    choosing: Vec<HeaderName>,
}

impl Names {
    /// A field with a meaning of its own is not reserved where a route sets it: it says nothing of the
    /// caller, and the other routes' clients go on needing it.
    pub fn of(config: &Config) -> Names {
        let assertion = config.identity.assertion.iter();
        let own = config.headers_told().map(|line| &line.name);
        let own = own
            .chain(assertion.map(|assertion| &assertion.header))
            .cloned();
        let mut own: Vec<HeaderName> = own
            .filter(|name| !is_of_message(&folded(name.as_str())))
            .collect();
        // A credential for the gateway, which no backend is to see.
        own.push(config.auth.api_keys.header.clone());
        Names {
            own: sorted(own),
            choosing: sorted(config.headers_asked().cloned().collect()),
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        find(&self.own, name).is_some()
    }

    /// Whether it is another spelling of what a route or a rule goes by.
    fn is_alike(&self, name: &[u8]) -> bool {
        find(&self.choosing, name).is_some_and(|known| known.as_str().as_bytes() != name)
    }

    /// Whether a route or a rule goes by it, in whatever spelling.
    pub(super) fn chooses(&self, name: &HeaderName) -> bool {
        find(&self.choosing, name.as_str().as_bytes()).is_some()
    }
}

fn sorted(mut names: Vec<HeaderName>) -> Vec<HeaderName> {
    names.sort_unstable_by(by_name);
    names.dedup_by(|a, b| by_name(a, b).is_eq());
    names
}

fn find<'n>(sorted: &'n [HeaderName], name: &[u8]) -> Option<&'n HeaderName> {
    let found = sorted.binary_search_by(|known| order(known.as_str().as_bytes(), name));
    sorted.get(found.ok()?)
}

fn by_name(one: &HeaderName, other: &HeaderName) -> Ordering {
    order(one.as_str().as_bytes(), other.as_str().as_bytes())
}

/// Says whether a name, in whatever spelling, is reserved.
pub fn reserved(name: &HeaderName, names: &Names) -> Option<Reserved> {
    let name = name.as_str().as_bytes();
    let is_one = |entry: &&str| are_one(name, entry.as_bytes());
    if is_odd(name) && FRAMING.iter().any(is_one) {
        return Some(Reserved::Always);
    }
    if names.has(name) || names.is_alike(name) {
        return Some(Reserved::Always);
    }
    // Nearly every header of an ordinary request ends here.
    if !begins_as_one(name) {
        return None;
    }
    let is = |list: &[&str]| list.iter().any(is_one);
    if is(IDENTITY) || is(OVERRIDES) || is_one(&API_KEY) {
        Some(Reserved::Always)
    } else if is(PROXY) {
        Some(if is_odd(name) {
            Reserved::Always
        } else {
            Reserved::Proxy
        })
    } else {
        None
    }
}

/// Whether some name of the lists begins with the same two characters.
fn begins_as_one(name: &[u8]) -> bool {
    let [first, second, ..] = name else {
        return false;
    };
    let seconds = BEGINNINGS.get(usize::from(first.wrapping_sub(b'a')));
    seconds.is_some_and(|seconds| seconds & bit(*second) != 0)
}

/// For each letter that a name of the lists begins with, what may come second.
const BEGINNINGS: [u32; 26] = {
    let mut beginnings = [0; 26];
    let lists = [IDENTITY, OVERRIDES, PROXY, &[API_KEY]];
    let mut list = 0;
    while list < lists.len() {
        let mut at = 0;
        while at < lists[list].len() {
            let name = lists[list][at].as_bytes();
            beginnings[(name[0] - b'a') as usize] |= bit(name[1]);
            at += 1;
        }
        list += 1;
    }
    beginnings
};

/// Letters each have one, and all else, of which one spelling has this and another that, has one together.
const fn bit(character: u8) -> u32 {
    match character {
        b'a'..=b'z' => 1 << (character - b'a'),
        _ => 1 << 26,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checked::{Assertion, HeaderLine, Pattern, Template};

    fn of(name: &str) -> Option<Reserved> {
        let own = ["app-key", "acme_org-id", "acme-org_id", "x", "zz-a", "b_a"];
        let choosing = ["x-beta", "x_odd"];
        let names = Names {
            own: sorted(own.map(HeaderName::from_static).into()),
            choosing: sorted(choosing.map(HeaderName::from_static).into()),
        };
        reserved(&HeaderName::from_bytes(name.as_bytes()).unwrap(), &names)
    }

    #[test]
    fn what_the_file_sets_is_the_gateway_s_in_every_spelling() {
        for spelling in ["Acme-Org-Id", "ACME_ORG_ID", "acme_org-id", "acme-org_id"] {
            assert_eq!(of(spelling), Some(Reserved::Always), "{spelling}");
        }
        for spelling in ["X", "Zz_A", "zz-a", "b-a", "B.A"] {
            assert_eq!(of(spelling), Some(Reserved::Always), "{spelling}");
        }
        for other in ["acme-org", "acme-org-if", "y", "zz-b", "a-a", "ba"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn what_routes_go_by_has_one_spelling() {
        for spelling in ["X-Beta", "x-beta", "X_Odd"] {
            assert_eq!(of(spelling), None, "{spelling}");
        }
        for spelling in ["X_Beta", "x.beta", "X-Odd", "x~odd"] {
            assert_eq!(of(spelling), Some(Reserved::Always), "{spelling}");
        }
    }

    #[test]
    fn fields_with_a_meaning_of_their_own_stay_the_clients() {
        let mut config = crate::route::sample::config(Vec::new());
        let line = |name| HeaderLine {
            name: HeaderName::from_static(name),
            value: Template::Fixed(http::HeaderValue::from_static("x")),
        };
        let mut route = crate::route::sample::route(Pattern::Prefix(vec![]));
        route.request_headers.set = vec![line("accept-language"), line("x-a"), line("x-a")];
        route.request_headers.add = vec![line("authorization"), line("x-b")];
        route.response_headers.set = vec![line("x-c")];
        config.routes = vec![route];
        config.identity.headers = vec![line("x-d")];
        config.identity.assertion = Some(Assertion {
            header: HeaderName::from_static("x-e"),
            ttl: std::time::Duration::from_secs(60),
        });
        let own = Names::of(&config).own;
        assert_eq!(own, ["x-a", "x-b", "x-d", "x-e", "x-api-key"]);
    }

    #[test]
    fn the_api_key_is_nobody_s_whatever_field_it_is_in() {
        for spelling in ["App-Key", "APP_KEY", "app_key", "X-Api-Key", "x_api_key"] {
            assert_eq!(of(spelling), Some(Reserved::Always), "{spelling}");
        }
        assert_eq!(of("app-keys"), None);
    }

    #[test]
    fn every_spelling_is_found() {
        for spelling in [
            "X-User-Id",
            "x_user_id",
            "X_USER-ID",
            "x-user_id",
            "X.User.Id",
            "X~User!Id",
        ] {
            assert_eq!(of(spelling), Some(Reserved::Always), "{spelling}");
        }
        for entry in IDENTITY {
            assert_eq!(of(&entry.replace('-', "_")), Some(Reserved::Always));
        }
        for entry in PROXY {
            assert_eq!(of(&entry.to_uppercase()), Some(Reserved::Proxy));
            assert_eq!(of(&entry.replace('-', "_")), Some(Reserved::Always));
        }
        for entry in OVERRIDES {
            assert_eq!(of(&entry.replace('-', "_")), Some(Reserved::Always));
        }
    }

    #[test]
    fn framing_is_not_said_twice() {
        assert_eq!(of("Transfer_Encoding"), Some(Reserved::Always));
        assert_eq!(of("content_length"), Some(Reserved::Always));
        assert_eq!(of("content.length"), Some(Reserved::Always));
        assert_eq!(of("content-length"), None);
        assert_eq!(of("transfer-encoding"), None);
    }

    #[test]
    fn ordinary_names_are_left_alone() {
        for name in [
            "x-user-ids",
            "x-requested-with",
            "referer",
            "range",
            "from",
            "x-user",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
