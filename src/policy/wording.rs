//! Rules and routes in the words of the file.

use crate::config::Config;
use crate::config::checked::{AuthMode, HostPattern, Route, Rule};
use crate::config::shown_header;
use crate::config::text::pattern_text;

/// Whom a route asks who they are.
pub fn auth(route: &Route) -> String {
    let word = route.auth.as_str();
    match route.shadow.auth && route.auth != AuthMode::None {
        true => format!("{word} in shadow"),
        false => word.to_owned(),
    }
}

/// `path /a/{b}, methods GET POST, hosts a.example, auth required`
pub fn route(route: &Route) -> String {
    let mut text = pattern_text(&route.pattern);
    if !route.methods.is_empty() {
        text += &format!(", methods {}", methods(route));
    }
    if !route.hosts.is_empty() {
        let hosts: Vec<String> = route.hosts.iter().map(HostPattern::to_string).collect();
        text += &format!(", hosts {}", hosts.join(" "));
    }
    if !route.headers.is_empty() {
        text += &format!(", headers {}", headers(route));
    }
    text + ", auth " + &auth(route)
}

/// `GET POST`, or `all`.
pub fn methods(route: &Route) -> String {
    match route.methods.is_empty() {
        true => "all".to_owned(),
        false => route
            .methods
            .iter()
            .map(http::Method::as_str)
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// `x-beta=1 x-gamma=2`
pub fn headers(route: &Route) -> String {
    let headers = route.headers.iter().map(|header| {
        let value = shown_header(&header.name, &header.value);
        format!("{}={value}", header.name)
    });
    headers.collect::<Vec<_>>().join(" ")
}

/// `{ owner: {username}, tiers: [pro] }`
pub fn rule(rule: &Rule, config: &Config) -> String {
    let keys = KEYS.iter().filter_map(|name| key(rule, name, config));
    format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
}

/// Every key that a rule may have, in the order in which they are told.
const KEYS: [&str; 8] = [
    "superuser",
    "owner",
    "tiers",
    "min_tier",
    "roles",
    "scopes",
    "claims",
    "cel",
];

/// One key of a rule as the file has it; `None` for one that it does not have.
pub fn key(rule: &Rule, name: &str, config: &Config) -> Option<String> {
    let list = |values: &[String]| match values {
        [] => None,
        values => Some(format!("[{}]", values.join(", "))),
    };
    let value = match name {
        "superuser" => rule.superuser?.to_string(),
        "owner" => match (&rule.owner, &rule.look_up) {
            (Some(owner), _) => format!("{{{}}} = {}", owner.parameter, owner.equals),
            (None, Some(look_up)) => format!(
                "{} of {} = {}",
                look_up.field, look_up.target, look_up.equals
            ),
            (None, None) => return None,
        },
        "tiers" => list(&rule.tiers)?,
        "min_tier" => {
            let rank = rule.min_rank?;
            let tier = config.tier_of_rank(rank);
            tier.map_or_else(|| format!("rank {rank}"), str::to_owned)
        }
        "roles" => list(&rule.roles)?,
        "scopes" => list(&rule.scopes)?,
        "claims" if !rule.claims.is_empty() => {
            let claims = rule.claims.iter();
            let claims = claims.map(|claim| format!("{}: {}", claim.name, claim.value));
            format!("{{ {} }}", claims.collect::<Vec<_>>().join(", "))
        }
        "cel" => format!("'{}'", rule.cel.as_ref()?.source()),
        _ => return None,
    };
    Some(format!("{name}: {value}"))
}
