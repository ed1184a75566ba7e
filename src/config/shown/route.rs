//! Routes, their rules and limits, as they are shown.

use http::{HeaderName, Method};
use serde_json::{Map, Value, json};

use super::super::cel::Expression;
use super::super::checked::{
    AddressRules, Concurrency, Config, Cors, Guard, HeaderEdits, HostPattern, HostRewrite, Limit,
    LookUp, Mode, Networks, Origins, Owner, PathOptions, Rate, Rewrite, Route, RouteHeader, Rule,
    SecurityHeaders, TrailingSlash,
};
use super::super::secret::shown_header;
use super::super::text::pattern_key;
use super::{duration, lines, named, with_rate};

/// In the order of the file.
pub fn all(config: &Config) -> Vec<Value> {
    let routes = config.routes.iter();
    routes.map(|route| one(route, config)).collect()
}

pub(super) fn one(route: &Route, config: &Config) -> Value {
    let Route {
        name,
        pattern,
        methods,
        hosts,
        headers,
        auth,
        allow,
        limits,
        concurrency,
        upstream,
        max_body,
        timeout,
        rewrite,
        path_options,
        security_headers,
        request_headers,
        response_headers,
        cors,
        shadow,
        ip,
    } = route;
    let security_headers = match security_headers {
        SecurityHeaders::Off => "off",
        SecurityHeaders::Standard => "standard",
    };
    let AddressRules { allow: from, deny } = ip;
    let networks =
        |networks: &Networks| networks.iter().map(ToString::to_string).collect::<Vec<_>>();
    let parameters = pattern.parameters();
    let (kind, text) = pattern_key(pattern);
    let limits = limits.as_ref();
    let rules: Vec<_> = allow.iter().map(|rule| of_rule(rule, config)).collect();
    let headers = headers
        .iter()
        .map(|RouteHeader { name, value }| (name.to_string(), json!(shown_header(name, value))));
    json!({
        "name": name,
        kind: text,
        "methods": some(methods.iter().map(Method::as_str).collect::<Vec<_>>()),
        "hosts": some(hosts.iter().map(HostPattern::to_string).collect::<Vec<_>>()),
        "headers": Value::Object(headers.collect()),
        "auth": auth.as_str(),
        "allow": some(rules),
        "limits": limits.map(|limits| limits.iter().map(of_limit).collect::<Vec<_>>()),
        "concurrency": concurrency.as_ref().map(of_concurrency),
        "upstream": config.upstreams.get(*upstream).map(|upstream| &upstream.name),
        "max_body": max_body,
        "timeout": timeout.map(duration),
        "rewrite": of_rewrite(rewrite),
        "path_options": of_path_options(*path_options),
        "security_headers": security_headers,
        "request_headers": of_edits(request_headers, &parameters),
        "response_headers": of_edits(response_headers, &parameters),
        "cors": cors.as_deref().map_or_else(|| json!({}), of_cors),
        "ip": (ip != &AddressRules::default()).then(|| json!({ "allow": networks(from), "deny": networks(deny) })),
        "shadow": shadow.guards().map(Guard::as_str).collect::<Vec<_>>(),
    })
}

/// What an empty list means is that the key is not there.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn of_path_options(options: PathOptions) -> Value {
    let PathOptions {
        case_insensitive,
        merge_slashes,
        trailing_slash,
    } = options;
    let trailing_slash = match trailing_slash {
        TrailingSlash::Strict => "strict",
        TrailingSlash::Ignore => "ignore",
    };
    json!({
        "case_insensitive": case_insensitive,
        "merge_slashes": merge_slashes,
        "trailing_slash": trailing_slash,
    })
}

fn of_rewrite(rewrite: &Rewrite) -> Value {
    let Rewrite {
        strip_prefix,
        strip_any_case: _,
        set_prefix,
        host,
    } = rewrite;
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let host = match host {
        HostRewrite::Preserve => "preserve".into(),
        HostRewrite::Upstream => "upstream".into(),
        HostRewrite::Name(name) => String::from_utf8_lossy(name.as_bytes()),
    };
    json!({ "strip_prefix": some(strip_prefix), "set_prefix": some(set_prefix), "host": host })
}

pub(super) fn of_cors(cors: &Cors) -> Value {
    let Cors {
        origins,
        methods,
        headers,
        expose,
        exposed: _,
        credentials,
        max_age,
    } = cors;
    let origins = match origins {
        Origins::Any => vec!["*".into()],
        Origins::Listed(listed) => {
            let listed = listed.iter();
            listed
                .map(|origin| String::from_utf8_lossy(origin.as_bytes()))
                .collect()
        }
    };
    let names = |names: &[HeaderName]| -> Value { names.iter().map(HeaderName::as_str).collect() };
    json!({
        "origins": origins,
        "methods": some(methods.iter().map(Method::as_str).collect::<Vec<_>>()),
        "headers": names(headers),
        "expose": names(expose),
        "credentials": credentials,
        "max_age": duration(*max_age),
    })
}

fn of_edits(edits: &HeaderEdits, parameters: &[&str]) -> Value {
    let HeaderEdits { remove, set, add } = edits;
    let remove = remove.iter().map(|name| name.as_str());
    json!({
        "set": lines(set, parameters),
        "add": lines(add, parameters),
        "remove": remove.collect::<Vec<_>>(),
    })
}

fn of_rule(rule: &Rule, config: &Config) -> Value {
    let Rule {
        superuser,
        owner,
        look_up,
        tiers,
        min_rank,
        roles,
        scopes,
        claims,
        cel,
    } = rule;
    let claims = claims
        .iter()
        .map(|claim| (claim.name.clone(), claim.value.clone()));
    let claims: Map<String, Value> = claims.collect();
    json!({
        "superuser": superuser,
        "owner": owner.as_ref().map(of_owner).or_else(|| look_up.as_ref().map(of_look_up)),
        "tiers": some(tiers.clone()),
        "min_tier": min_rank.and_then(|rank| config.tier_of_rank(rank)),
        "roles": some(roles.clone()),
        "scopes": some(scopes.clone()),
        "claims": (!claims.is_empty()).then_some(claims),
        "cel": cel.as_ref().map(Expression::source),
    })
}

fn of_owner(owner: &Owner) -> Value {
    let Owner { parameter, equals } = owner;
    json!({ "path": format!("{{{parameter}}}"), "equals": format!("{{{equals}}}") })
}

fn of_look_up(look_up: &LookUp) -> Value {
    let LookUp {
        target,
        field,
        equals,
    } = look_up;
    json!({
        "lookup": target.to_string(),
        "field": field.to_string(),
        "equals": format!("{{{equals}}}"),
    })
}

fn of_concurrency(concurrency: &Concurrency) -> Value {
    let Concurrency { key, max } = concurrency;
    json!({ "key": key.to_string(), "max": max })
}

fn of_limit(limit: &Limit) -> Value {
    let Limit {
        name,
        key,
        rate,
        tiers,
        cost,
        mode,
    } = limit;
    let mode = match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
    };
    let quota = |rate: &Option<Rate>| with_rate(json!({}), rate.as_ref());
    let tiers = tiers.iter().map(|(tier, rate)| (tier, quota(rate)));
    let shown = json!({
        "name": name,
        "key": key.to_string(),
        "tiers": named(tiers),
        "cost": cost,
        "mode": mode,
    });
    with_rate(shown, rate.as_ref())
}
