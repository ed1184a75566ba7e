//! Rules and routes in the words of the file.

use crate::authz::Key;
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
    let keys = Key::ALL.iter().filter_map(|name| key(rule, *name, config));
    format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
}

/// One key of a rule as the file has it; `None` for one that it does not have.
pub fn key(rule: &Rule, key: Key, config: &Config) -> Option<String> {
    let list = |values: &[String]| match values {
        [] => None,
        values => Some(format!("[{}]", values.join(", "))),
    };
    let value = match key {
        Key::Identity => return None,
        Key::Superuser => rule.superuser?.to_string(),
        Key::Owner => match (&rule.owner, &rule.look_up) {
            (Some(owner), _) => format!("{{{}}} = {}", owner.parameter, owner.equals),
            (None, Some(look_up)) => format!(
                "{} of {} = {}",
                look_up.field, look_up.target, look_up.equals
            ),
            (None, None) => return None,
        },
        Key::Tiers => list(&rule.tiers)?,
        Key::MinTier => {
            let rank = rule.min_rank?;
            let tier = config.tier_of_rank(rank);
            tier.map_or_else(|| format!("rank {rank}"), str::to_owned)
        }
        Key::Roles => list(&rule.roles)?,
        Key::Scopes => list(&rule.scopes)?,
        Key::Claims if rule.claims.is_empty() => return None,
        Key::Claims => {
            let claims = rule.claims.iter();
            let claims = claims.map(|claim| format!("{}: {}", claim.name, claim.value));
            format!("{{ {} }}", claims.collect::<Vec<_>>().join(", "))
        }
        Key::Cel => format!("'{}'", rule.cel.as_ref()?.source()),
    };
    Some(format!("{}: {value}", key.as_str()))
}
