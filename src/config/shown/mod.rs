//! The configuration in force as people are shown it: in the shape of the file, with every default filled in
//! and no secret.
//!
//! Every structure is taken apart whole, so that a key that is added is shown, or left out on purpose. What
//! is a secret has the type [`Secret`], which nothing here opens.

mod auth;
mod route;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::checked::{
    AccessLog, Admin, Assertion, Config, HeaderLine, Identity, LimitsHeaders, Log, Preset, Rate,
    Redis, Route, Store, Target, Tier, Upstream, UserId,
};
use super::secret::{HIDDEN, Secret, credentials_in, key_in};
use super::text::pace_text;

/// The whole configuration, as JSON.
pub fn shown(config: &Config) -> Value {
    let Config {
        listen,
        admin,
        workers,
        trusted_proxies,
        shutdown_grace,
        store,
        redis,
        auth,
        tiers,
        anonymous,
        upstreams,
        identity,
        cors,
        routes: _,
        max_header,
        limits_headers,
        log,
    } = config;
    let listen: Vec<_> = listen
        .iter()
        .map(|listen| json!({ "address": listen.address.to_string() }))
        .collect();
    let proxies: Vec<_> = trusted_proxies.iter().map(ToString::to_string).collect();
    finished(json!({
        "version": 1,
        "listen": listen,
        "admin": of_admin(admin),
        "workers": workers,
        "trusted_proxies": proxies,
        "shutdown": { "grace": duration(*shutdown_grace) },
        "store": of_store(store),
        "shared": redis.as_ref().map(of_redis),
        "auth": auth::shown(auth),
        "tiers": named(tiers.iter().map(|(name, tier)| (name, of_tier(tier)))),
        "anonymous": anonymous.as_ref().map(|rate| with_rate(json!({}), Some(rate))),
        "upstreams": named(upstreams.iter().map(|u| (&u.name, of_upstream(u)))),
        "identity": of_identity(identity),
        "cors": cors.as_deref().map(route::of_cors),
        "routes": route::all(config),
        "max_header": max_header,
        "limits_headers": of_limits_headers(*limits_headers),
        "log": of_log(log),
    }))
}

/// The routes alone, in the order of the file.
pub fn shown_routes(config: &Config) -> Value {
    finished(Value::Array(route::all(config)))
}

/// One of them.
pub fn shown_route(route: &Route, config: &Config) -> Value {
    finished(route::one(route, config))
}

fn of_admin(admin: &Admin) -> Value {
    let Admin { address, socket } = admin;
    json!({
        "address": address.as_ref().map(SocketAddr::to_string),
        "socket": socket.as_deref().map(path),
    })
}

fn of_store(store: &Store) -> Value {
    match store {
        Store::Sqlite(file) => json!(format!("sqlite:{}", file.display())),
        // The URL holds a password; this says where it leads.
        Store::Postgres(postgres) => json!(postgres.shown),
    }
}

fn of_redis(redis: &Redis) -> Value {
    let Redis { url: _, shown } = redis;
    json!({ "redis": shown })
}

fn of_tier(tier: &Tier) -> Value {
    let Tier { rank, rate } = tier;
    with_rate(json!({ "rank": rank }), rate.as_ref())
}

fn of_upstream(upstream: &Upstream) -> Value {
    let Upstream {
        name: _,
        targets,
        connect_timeout,
        response_timeout,
        idle_timeout,
    } = upstream;
    json!({
        "targets": targets.iter().map(of_target).collect::<Vec<_>>(),
        "connect_timeout": duration(*connect_timeout),
        "response_timeout": duration(*response_timeout),
        "idle_timeout": duration(*idle_timeout),
    })
}

fn of_target(target: &Target) -> String {
    let Target { host, port } = target;
    match host.contains(':') {
        true => format!("http://[{host}]:{port}"),
        false => format!("http://{host}:{port}"),
    }
}

fn of_identity(identity: &Identity) -> Value {
    let Identity {
        user_id,
        preset,
        headers,
        assertion,
        forward_authorization,
    } = identity;
    let assertion = assertion.as_ref().map(
        |Assertion { header, ttl }| json!({ "header": header.as_str(), "ttl": duration(*ttl) }),
    );
    let user_id = match user_id {
        UserId::Id => "id",
        UserId::ExternalId => "external_id",
    };
    let preset = match preset {
        Preset::XUser => "x-user",
        Preset::XForwarded => "x-forwarded",
        Preset::XAuthRequest => "x-auth-request",
        Preset::RemoteUser => "remote-user",
        Preset::XConsumer => "x-consumer",
        Preset::None => "none",
    };
    json!({
        "user_id": user_id,
        "preset": preset,
        "headers": lines(headers, &[]),
        "assertion": assertion,
        "forward_authorization": forward_authorization,
    })
}

fn of_limits_headers(chosen: LimitsHeaders) -> Value {
    let LimitsHeaders { ietf, legacy } = chosen;
    let names = [(ietf, "ietf"), (legacy, "legacy")];
    let chosen = names.iter().filter(|(is, _)| *is);
    json!(chosen.map(|(_, name)| *name).collect::<Vec<_>>())
}

fn of_log(log: &Log) -> Value {
    let Log { access, level } = log;
    let access = match access {
        AccessLog::Json => "json",
        AccessLog::Text => "text",
        AccessLog::Off => "off",
    };
    json!({ "access": access, "level": level })
}

/// Headers and the templates of their values. `parameters` are those of the route's path.
fn lines(lines: &[HeaderLine], parameters: &[&str]) -> Value {
    let lines = lines.iter().map(|line| {
        let HeaderLine { name, value: _ } = line;
        (name.to_string(), json!(line.shown(parameters)))
    });
    Value::Object(lines.collect())
}

fn named<'a>(entries: impl Iterator<Item = (&'a String, Value)>) -> Value {
    let entries = entries.map(|(name, value)| (name.clone(), value));
    Value::Object(entries.collect())
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// Whatever it is.
fn secret(_: &Secret) -> Value {
    json!(HIDDEN)
}

/// As the file would have it.
fn duration(duration: Duration) -> String {
    if duration.subsec_millis() > 0 {
        return format!("{}ms", duration.as_millis());
    }
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let fits = |(length, _): &&(u64, &str)| seconds > 0 && seconds.is_multiple_of(*length);
    match units.iter().find(fits) {
        Some((length, unit)) => format!("{}{unit}", seconds / length),
        None => format!("{seconds}s"),
    }
}

/// A rate as the file would have it, without its burst; `None` is unlimited.
fn pace(rate: Option<&Rate>) -> String {
    let text = |rate: &Rate| pace_text(rate.count.get(), rate.period.as_secs());
    rate.map_or_else(|| "unlimited".to_owned(), text)
}

/// Adds `rate` and `burst` to a mapping.
fn with_rate(mut mapping: Value, rate: Option<&Rate>) -> Value {
    mapping["rate"] = json!(pace(rate));
    mapping["burst"] = json!(rate.map(|rate| rate.burst));
    mapping
}

/// Without what is not there; and, whatever it was called above, without what looks like a secret.
fn finished(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let kept = entries.into_iter().filter(|(_, value)| !value.is_null());
            let kept = kept.map(|(key, value)| match value {
                Value::String(_) if key_in(&key).is_some() => (key, json!(HIDDEN)),
                value => (key, finished(value)),
            });
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(finished).collect()),
        Value::String(text) => json!(without_credentials(text)),
        other => other,
    }
}

fn without_credentials(mut text: String) -> String {
    let found: Vec<_> = credentials_in(&text).collect();
    for range in found.into_iter().rev() {
        text.replace_range(range, HIDDEN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_they_are_typed() {
        let shown = |ms| duration(Duration::from_millis(ms));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(1500), "1500ms");
        assert_eq!(shown(90_000), "90s");
        assert_eq!(shown(1_800_000), "30m");
        assert_eq!(shown(7 * 86_400_000), "7d");
    }

    #[test]
    fn what_looks_like_a_secret_is_none_of_the_output() {
        let value = json!({
            "client_secret": "one",
            "keys": [{ "master_key": "two" }],
            "url": "redis://user:three@host/0",
            "absent": null,
            "password": { "min_length": 8 },
        });
        let expected = json!({
            "client_secret": "***",
            "keys": [{ "master_key": "***" }],
            "url": "redis://***@host/0",
            "password": { "min_length": 8 },
        });
        assert_eq!(finished(value), expected);
    }

    #[test]
    fn credentials_in_headers_are_none_of_the_output() {
        let text = "\
version: 1
upstreams: { app: { targets: http://a } }
identity: { headers: { X-Org: acme, Apikey: sekrit } }
routes:
  - name: all
    prefix: /
    auth: required
    upstream: app
    headers: { X-Gate-Key: sekrit, X-Beta: '1' }
    request_headers:
      set: { Authorization: Bearer sekrit, X-Vault-Key: 'sekrit/{user.id}', X-Plain: 'seen {user.id}' }
      add: { Cookie: sid=sekrit }
    response_headers: { set: { Set-Cookie: sekrit } }
";
        let loaded = super::super::parse(text, Path::new("g.yaml"), &|_| None);
        let config = loaded.unwrap_or_else(|report| panic!("{report}")).config;
        let value = shown(&config);
        assert!(!value.to_string().contains("sekrit"), "{value:#}");
        assert!(!format!("{config:?}").contains("sekrit"), "{config:?}");
        let route = &value["routes"][0];
        let expected = json!({
            "authorization": "***", "x-vault-key": "***", "x-plain": "seen {user.id}",
        });
        assert_eq!(route["request_headers"]["set"], expected);
        assert_eq!(
            route["headers"],
            json!({ "x-gate-key": "***", "x-beta": "1" })
        );
        assert_eq!(value["identity"]["headers"]["x-org"], "acme");
    }
}
