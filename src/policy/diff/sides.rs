//! Two routes, each with the configuration that it is in, and all that differs between them: what they ask
//! of callers, and what they do with a request that passes.

use super::covers::is_same_parameter;
use super::keys::{self, Meaning};
use super::{Change, Kind, Part, addresses, limits, rules};
use crate::config::checked::{Cors, HeaderEdits, Origins, Route};
use crate::config::{Config, shown_route};

/// A route with its configuration: ranks, tiers and upstreams are read there.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub route: &'a Route,
    pub config: &'a Config,
}

impl<'a> Side<'a> {
    /// `None` for what is no route of this configuration.
    pub fn of(config: &'a Config, route: usize) -> Option<Side<'a>> {
        let route = config.routes.get(route)?;
        Some(Side { route, config })
    }
}

/// Of keys whose change is not told by comparing what they do.
pub const MEANINGS: &[(&str, Meaning)] = &[
    ("name", Meaning::Nothing),
    // Where requests go is told by asking both tables.
    ("path", Meaning::Other),
    ("prefix", Meaning::Other),
    ("regex", Meaning::Other),
    ("methods", Meaning::Other),
    ("hosts", Meaning::Other),
    ("headers", Meaning::Other),
    ("path_options.case_insensitive", Meaning::Other),
    ("path_options.merge_slashes", Meaning::Other),
    ("path_options.trailing_slash", Meaning::Other),
    ("auth", Meaning::Nothing),
    ("allow", Meaning::Nothing),
    ("limits", Meaning::Nothing),
    ("shadow", Meaning::Nothing),
    ("concurrency", Meaning::Nothing),
    ("ip", Meaning::Nothing),
    // What the same request is answered by, and what that is told.
    ("upstream", Meaning::Unknown),
    ("rewrite", Meaning::Unknown),
    ("request_headers", Meaning::Unknown),
    // What keeps browsers from something may be among these.
    ("response_headers", Meaning::Unknown),
    ("timeout", Meaning::Other),
    ("max_body", Meaning::More),
    ("security_headers", Meaning::Words(&["standard", "off"])),
];

/// What the second does otherwise than the first. Keys that say which requests a route takes are named,
/// and are neither looser nor tighter here.
pub fn compare(about: &str, old: Side<'_>, new: Side<'_>) -> Vec<Change> {
    let mut changes = rules::compare(about, old, new);
    changes.extend(limits::compare(about, old, new));
    changes.extend(limits::compare_caps(about, old.route, new.route));
    changes.extend(addresses::compare(about, &old.route.ip, &new.route.ip));
    let (was, is) = (old.route.cors.as_deref(), new.route.cors.as_deref());
    let of_cors = match (was, is) {
        (Some(_), Some(_)) => &keys::CORS[..],
        _ => &[("cors", Meaning::Nothing)],
    };
    changes.extend(answers_pages(about, was, is));
    let shown_old = shown_route(old.route, old.config);
    let shown_new = shown_route(new.route, new.config);
    let meanings = [MEANINGS, of_cors].concat();
    let of_keys = keys::compare(|_| about.to_owned(), &shown_old, &shown_new, &meanings);
    changes.extend(of_keys);
    let edits: [(_, Edits); 2] = [
        ("request_headers", |route| &route.request_headers),
        ("response_headers", |route| &route.response_headers),
    ];
    for (way, edits) in edits {
        let is_other = edits(old.route) != edits(new.route);
        let unshown = keys::unshown(about, way, is_other, (&shown_old, &shown_new));
        changes.extend(unshown);
        changes.extend(told_elsewhere(about, way, edits, (old.route, new.route)));
    }
    changes
}

type Edits = fn(&Route) -> &HeaderEdits;

/// Of what headers tell of the path, what stands at another place of it.
fn told_elsewhere(
    about: &str,
    way: &str,
    edits: Edits,
    (old, new): (&Route, &Route),
) -> Option<Change> {
    if edits(old) != edits(new) {
        return None;
    }
    let names = [old, new].map(|route| route.pattern.parameters());
    let mut told = edits(new).lines().flat_map(|line| line.value.parameters());
    let name = told.find_map(|number| {
        let [was, is] = [&names[0], &names[1]].map(|names| names.get(number).copied());
        let is_same = |was| is_same_parameter((was, old), (is.unwrap_or_default(), new));
        is.filter(|_| !was.is_some_and(is_same))
    })?;
    let what = format!("{way} tells another part of the path by {{path.{name}}}");
    Some(Change::new(Kind::Loosened, about, Part::Key, what))
}

/// Without `cors` the upstream says which pages may call: nothing shows that one of the two lets through less.
fn answers_pages(about: &str, was: Option<&Cors>, is: Option<&Cors>) -> Option<Change> {
    let what = match (was, is) {
        (Some(_), None) => "cors is left to the upstream".to_owned(),
        (None, Some(cors)) => {
            let pages = match &cors.origins {
                Origins::Any => "any page".to_owned(),
                Origins::Listed(listed) => {
                    let text = |origin: &http::HeaderValue| {
                        String::from_utf8_lossy(origin.as_bytes()).into_owned()
                    };
                    listed.iter().map(text).collect::<Vec<_>>().join(" ")
                }
            };
            format!("cors is no longer left to the upstream: {pages} may call")
        }
        (Some(_), Some(_)) | (None, None) => return None,
    };
    Some(Change::new(Kind::Loosened, about, Part::Key, what))
}
