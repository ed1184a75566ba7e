//! Files that hold, and what they resolve to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use portcullis::config::checked::*;
use portcullis::config::{self, Config, Loaded};
use serde_json::json;

pub const SMALLEST: &str = "\
version: 1
upstreams: { app: { targets: http://127.0.0.1:8000 } }
routes: [{ name: all, prefix: /, auth: required, upstream: app }]
";

fn load(text: &str) -> Loaded {
    let env = |name: &str| (name == "PORT").then(|| "9000".to_owned());
    config::parse(text, Path::new("/etc/portcullis/gateway.yaml"), &env)
        .unwrap_or_else(|report| panic!("{report}"))
}

fn config(text: &str) -> Config {
    load(text).config
}

fn rate(count: u32, seconds: u64, burst: u32) -> Rate {
    Rate {
        count: count.try_into().unwrap(),
        period: Duration::from_secs(seconds),
        burst: burst.try_into().unwrap(),
    }
}

#[test]
fn defaults() {
    let loaded = load(SMALLEST);
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.listen[0].address, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(
        config.admin.address,
        Some("127.0.0.1:9901".parse().unwrap())
    );
    assert!(config.workers >= 1);
    assert!(config.trusted_proxies.is_empty());
    assert_eq!(config.shutdown_grace, Duration::from_secs(30));
    let store = PathBuf::from("/etc/portcullis/portcullis.db");
    assert_eq!(config.store, Store::Sqlite(store));
    let free = Tier {
        rank: 0,
        rate: None,
    };
    assert_eq!(config.tiers, [("free".to_owned(), free)].into());
    assert_eq!(config.anonymous, None);
    assert_eq!(config.max_header, 32 * 1024);
    let both = LimitsHeaders {
        ietf: true,
        legacy: true,
    };
    assert_eq!(config.limits_headers, both);
    assert_eq!(config.log.access, AccessLog::Json);
    assert_eq!(config.log.level, "info");
    let identity = Identity {
        user_id: UserId::Id,
        preset: Preset::XUser,
        headers: vec![],
        assertion: None,
        forward_authorization: false,
    };
    assert_eq!(config.identity, identity);
    let app = Upstream {
        name: "app".into(),
        targets: vec![Target {
            host: "127.0.0.1".into(),
            port: 8000,
        }],
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(60),
    };
    assert_eq!(config.upstreams, [app]);
    let all = Route {
        name: "all".into(),
        pattern: Pattern::Prefix(vec![]),
        methods: vec![],
        hosts: vec![],
        headers: vec![],
        auth: AuthMode::Required,
        allow: vec![],
        limits: None,
        concurrency: None,
        upstream: 0,
        max_body: 10 * 1024 * 1024,
        timeout: None,
        rewrite: Rewrite::default(),
        security_headers: SecurityHeaders::Off,
        path_options: PathOptions::default(),
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        cors: None,
        shadow: Shadow::default(),
        ip: AddressRules::default(),
    };
    assert_eq!(config.routes, [all]);
}

#[test]
fn what_is_in_shadow() {
    let text = "version: 1
upstreams: { app: { targets: http://127.0.0.1:8000 } }
routes:
  - { name: one, prefix: /one, auth: optional, shadow: [auth, limits], upstream: app }
  - name: two
    prefix: /two
    auth: required
    allow: [{ superuser: true }]
    shadow: [allow]
    limits: [{ name: a, rate: 1/s, mode: shadow }, { name: b, rate: 1/s, mode: enforce }]
    upstream: app
";
    let loaded = load(text);
    let warnings: Vec<&str> = loaded.warnings.iter().map(|w| &*w.message).collect();
    let open = "with `allow` in shadow this route is open to everybody who is signed in";
    assert_eq!(warnings, [open]);
    let [one, two] = loaded.config.routes.as_slice() else {
        panic!("two routes");
    };
    assert_eq!(one.shadow, Shadow::of([Guard::Auth, Guard::Limits]));
    assert_eq!(two.shadow, Shadow::of([Guard::Allow]));
    let modes = two.limits.iter().flatten().map(|limit| limit.mode);
    assert_eq!(modes.collect::<Vec<_>>(), [Mode::Shadow, Mode::Enforce]);
    let shown = config::shown(&loaded.config);
    assert_eq!(shown["routes"][0]["shadow"], json!(["auth", "limits"]));
    assert_eq!(shown["routes"][1]["limits"][0]["mode"], "shadow");
}

#[test]
fn networks_of_a_route() {
    let of = |ip: &str| {
        let text = SMALLEST.replace("upstream: app", &format!("upstream: app, ip: {ip}"));
        let loaded = load(&text);
        assert_eq!(loaded.warnings, []);
        loaded.config
    };
    let networks =
        |list: &[&str]| -> Networks { list.iter().map(|n| n.parse().unwrap()).collect() };
    let config =
        of("{ allow: [10.0.0.0/8, '::ffff:192.0.2.1', '2001:db8::/32'], deny: [10.9.0.0/16] }");
    let expected = AddressRules {
        allow: networks(&["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]),
        deny: networks(&["10.9.0.0/16"]),
    };
    assert_eq!(config.routes[0].ip, expected);
    let shown = &config::shown(&config)["routes"][0]["ip"];
    assert_eq!(
        shown["allow"],
        json!(["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"])
    );
    assert_eq!(shown["deny"], json!(["10.9.0.0/16"]));
    let only_deny = &of("{ allow: [], deny: ['::/0'] }").routes[0].ip;
    assert!(only_deny.allow.is_empty() && !only_deny.deny.is_empty());
}

#[test]
fn defaults_of_auth() {
    let auth = config(SMALLEST).auth;
    let expected = Auth {
        base_path: "/api/v1".into(),
        issuer: "http://localhost:8080".into(),
        audience: vec!["api".into()],
        leeway: Duration::from_secs(30),
        keys_dir: "/etc/portcullis/keys".into(),
        rate: Some(rate(30, 60, 30)),
        user_rate: Some(rate(300, 60, 300)),
        introspect_rate: Some(rate(6000, 60, 6000)),
        failure_rate: Some(rate(300, 60, 300)),
        access_token_ttl: Duration::from_secs(1800),
        refresh_token: RefreshToken {
            ttl: Duration::from_secs(604_800),
            reuse_grace: Duration::from_secs(10),
            delivery: Delivery::Cookie,
        },
        cookie: Cookie {
            name: "refresh_token".into(),
            secure: true,
            same_site: SameSite::Lax,
            path: "/api/v1".into(),
            domain: None,
        },
        signing: Signing::Generated(KeyAlgorithm::EdDsa),
        master_key: None,
        password: PasswordPolicy {
            min_length: 8,
            complexity: true,
            hash: PasswordHash::Bcrypt,
            bcrypt_cost: 12,
        },
        registration: Registration::Closed,
        serve: Group::ALL.to_vec(),
        docs: Docs::Open,
        username_reuse: UsernameReuse::Never,
        default_tier: "free".into(),
        lockout: Lockout {
            failures: std::num::NonZeroU32::MIN.saturating_add(4),
            window: Duration::from_secs(60),
            base: Duration::from_secs(60),
            max: Duration::from_secs(3600),
        },
        compat: vec![],
        users: None,
        api_keys: ApiKeys {
            enabled: true,
            header: http::HeaderName::from_static("x-api-key"),
        },
    };
    assert_eq!(auth, expected);
}

#[test]
fn the_example_in_the_root_holds_without_warnings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.yaml");
    let loaded = config::load(&path).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.routes.len(), 3);
    assert_eq!(loaded.config.tiers.len(), 3);
}

const EVERYTHING: &str = r#"
version: 1
listen: [{ address: "0.0.0.0:${PORT}" }, { address: "[::1]:8081" }]
admin: { address: 127.0.0.1:0 }
workers: 3
trusted_proxies: [10.0.0.0/8, 192.0.2.1, "2001:db8::/32", "::ffff:172.16.0.0/108"]
shutdown: { grace: 0s }
store: sqlite:/var/lib/p.db
auth:
  base_path: /auth
  issuer: https://api.example.com/
  audience: [api, app]
  leeway: 0s
  keys_dir: /var/lib/keys
  rate: unlimited
  user_rate: 50/s
  introspect_rate: unlimited
  failure_rate: 20/h
  access_token: { ttl: 5m }
  refresh_token: { ttl: 30d, reuse_grace: 0s, delivery: body }
  cookie: { name: __Host-r, secure: true, same_site: strict, path: /, domain: null }
  signing: { algorithm: HS256, secret: "Zt1kq8V0mJxw2c5yHn7LrQe4UoSbGdAf" }
  password: { min_length: 12, complexity: false, bcrypt_cost: 16 }
  registration: open
  default_tier: basic
  lockout: { failures: 3, window: 10s, base: 1s, max: 2s }
  api_keys: { enabled: false, header: Apikey }
  username_reuse: { after: 90d }
  compat: [fastapi-boilerplate]
tiers:
  basic: { rank: 0, rate: 100/min }
  gold: { rank: 5, rate: 10/s, burst: 50 }
  metal: { rank: 9 }
anonymous: { rate: 60/min, burst: 5 }
upstreams:
  a: { targets: [http://a:1, http://b], connect_timeout: 500ms, response_timeout: 1s, idle_timeout: 1h }
  b: { targets: "http://[::1]:${PORT}/" }
identity: { user_id: external_id, preset: remote-user, forward_authorization: true }
cors: { origins: ["https://a.example", "http://[::1]:3000", "capacitor://localhost"], methods: [GET], headers: [], expose: [ETag], credentials: true, max_age: 0s }
routes:
  - name: one
    path: /u/{who}/x/{id}/{*rest}
    methods: [GET, PURGE]
    hosts: [API.example.com, "*.example.org", "api.example.com:8443", "[0::1]:80"]
    headers: { X-Beta: 1, accept: "a b" }
    auth: optional
    allow:
      - { superuser: true, tiers: [basic, gold], roles: [editor], scopes: [posts:write] }
      - { min_tier: gold }
      - { owner: "{who}" }
      - { owner: { path: "{id}", equals: "{user.external_id}" } }
      - { claims: { org: acme, level: 3, beta: true, code: "007", room: 007, "realm_access.roles": admin } }
      - { owner: { path: "{who}", equals: user.id } }
      - { owner: { path: "{who}", equals: "{claims.realm.org}" } }
      - { owner: { path: "{who}", equals: claims.email } }
      - { owner: { lookup: "GET /o/{who}?id={id}", field: /a~1b/0, equals: "{claims.org}" }, tiers: [gold] }
      - { cel: 'user.tier == "gold" && path.id != "0"', roles: [editor] }
      - cel: user.tier in ["gold", "basic"] && request.headers["x-device"].matches('^[a-z]+$')
      - cel: >-
          claims.realm.roles.exists(role,
            role.startsWith("admin-") && role.endsWith(path.id))
    limits:
      - { name: w, key: user, rate: 30/min, burst: 10, cost: 2, tiers: { gold: { rate: 5/s, burst: 9 }, metal: unlimited, basic: 300/min } }
      - { name: h, key: header:X-Device, rate: 1/d }
      - { name: i, key: ip, rate: unlimited }
      - { name: r, key: route, rate: 7/h }
      - { name: k, key: api_key, rate: 100000/mo }
      - { name: c, key: "claim:realm.org", rate: 7/h, tiers: { gold: unlimited } }
    concurrency: { key: "claim:realm.org", max: 20 }
    upstream: b
    max_body: 512
    timeout: 90s
    security_headers: standard
    path_options: { case_insensitive: true, merge_slashes: true, trailing_slash: ignore }
  - { name: two, prefix: /v/w, auth: none, upstream: a, limits: [], cors: { origins: ["*"] } }
  - { name: three, prefix: /w, auth: none, upstream: a, cors: {} }
max_header: 8KiB
limits_headers: [legacy]
log: { access: off, level: debug }
"#;

#[test]
fn networks_may_be_many() {
    let list = |second: u32| -> String {
        let addresses =
            (0..40_000_u32).map(|at| format!("10.{second}.{}.{}, ", at / 256, at % 256));
        addresses.collect()
    };
    let rules = format!("ip: {{ allow: [{}], deny: [{}] }}", list(1), list(2));
    let text = SMALLEST.replace("auth: required", &format!("auth: required, {rules}"));
    let text = format!("{text}trusted_proxies: [{}]\n", list(3));
    let config = config(&text);
    let ip = &config.routes[0].ip;
    assert!(ip.admits("10.1.9.9".parse().unwrap()) && !ip.admits("10.2.9.9".parse().unwrap()));
    assert!(config.trusted_proxies.contains("10.3.9.9".parse().unwrap()));
    assert_eq!(config::changes(&config, &config), []);
}

#[test]
fn everything_that_can_be_said() {
    let loaded = load(EVERYTHING);
    // What no login puts into a token and what callers say of themselves can be said all the same.
    let warnings: Vec<&str> = loaded.warnings.iter().map(|w| &*w.message).collect();
    let expected = [
        "no login puts the claim `org` into a token",
        "no login puts the claim `realm.org` into a token",
        "this rule goes by `email`, which callers say of themselves: anybody who is signed in can change it",
        "no login puts the claim `org` into a token",
        "anybody who registers meets this rule: `auth.registration` is open, and new accounts have the tier `basic`",
        "no login puts the claim `realm` into a token",
    ];
    assert_eq!(warnings, expected);
    let config = loaded.config;
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.listen[0].address.port(), 9000);
    assert_eq!(config.workers, 3);
    let trusts = |text: &str| config.trusted_proxies.contains(text.parse().unwrap());
    assert!(["10.9.9.9", "192.0.2.1", "2001:db8::7", "172.31.0.1"].map(trusts) == [true; 4]);
    assert!(!trusts("192.0.2.2") && !trusts("172.32.0.1"));
    assert_eq!(config.store, Store::Sqlite("/var/lib/p.db".into()));
    assert_eq!(config.auth.rate, None);
    assert_eq!(config.auth.introspect_rate, None);
    assert_eq!(config.auth.user_rate, Some(rate(50, 1, 50)));
    assert_eq!(config.auth.failure_rate, Some(rate(20, 3600, 20)));
    let quarter = Duration::from_secs(90 * 86_400);
    assert_eq!(config.auth.username_reuse, UsernameReuse::After(quarter));
    assert_eq!(config.auth.compat, [Compat::FastapiBoilerplate]);
    assert_eq!(config.auth.cookie.path, "/");
    assert!(!config.auth.api_keys.enabled);
    assert_eq!(config.auth.api_keys.header, "apikey");
    assert_eq!(config.auth.refresh_token.delivery, Delivery::Body);
    assert!(matches!(&config.auth.signing, Signing::Hs256(s) if s.expose().len() == 32));
    assert_eq!(config.tiers["gold"].rate, Some(rate(10, 1, 50)));
    assert_eq!(config.tiers["basic"].rate, Some(rate(100, 60, 100)));
    assert_eq!(config.tiers["metal"].rate, None);
    assert_eq!(config.anonymous, Some(rate(60, 60, 5)));
    assert_eq!(config.upstreams[0].targets[1].port, 80);
    assert_eq!(
        config.upstreams[0].connect_timeout,
        Duration::from_millis(500)
    );
    assert_eq!(config.upstreams[1].targets[0].host, "::1");
    assert_eq!(config.upstreams[1].targets[0].port, 9000);
    assert_eq!(config.max_header, 8192);
    assert!(config.limits_headers.legacy && !config.limits_headers.ietf);
    assert_eq!(config.log.access, AccessLog::Off);

    let [one, two, three] = config.routes.as_slice() else {
        panic!("three routes");
    };
    let cors = config.cors.as_ref().unwrap();
    let origins = [
        "https://a.example",
        "http://[::1]:3000",
        "capacitor://localhost",
    ];
    let origins = origins.map(http::HeaderValue::from_static).to_vec();
    assert_eq!(cors.origins, Origins::Listed(origins));
    assert_eq!(cors.methods, [http::Method::GET]);
    assert!(cors.headers.is_empty() && cors.credentials && cors.max_age.is_zero());
    assert_eq!(cors.expose, [http::header::ETAG]);
    assert_eq!(&one.cors, &config.cors);
    let open = two.cors.as_ref().unwrap();
    assert_eq!(open.origins, Origins::Any);
    assert!(open.methods.is_empty() && open.expose.is_empty() && !open.credentials);
    assert_eq!(open.headers, ["authorization", "content-type"]);
    assert_eq!(open.max_age, Duration::from_secs(600));
    assert_eq!(three.cors, None);
    assert_eq!(one.upstream, 1);
    assert_eq!(one.max_body, 512);
    assert_eq!(one.security_headers, SecurityHeaders::Standard);
    assert_eq!(two.security_headers, SecurityHeaders::Off);
    assert_eq!(one.timeout, Some(Duration::from_secs(90)));
    let options = PathOptions {
        case_insensitive: true,
        merge_slashes: true,
        trailing_slash: TrailingSlash::Ignore,
    };
    assert_eq!(one.path_options, options);
    assert_eq!(two.path_options, PathOptions::default());
    let hosts = [
        HostPattern::Exact("api.example.com".into()),
        HostPattern::Wildcard("example.org".into()),
        HostPattern::ExactPort("api.example.com".into(), 8443),
        HostPattern::ExactPort("[::1]".into(), 80),
    ];
    assert_eq!(one.hosts, hosts);
    let header = |name, value| RouteHeader {
        name: HeaderName::from_static(name),
        value: HeaderValue::from_static(value),
    };
    assert_eq!(
        one.headers,
        [header("accept", "a b"), header("x-beta", "1")]
    );
    assert_eq!(one.allow[0].superuser, Some(true));
    assert_eq!(one.allow[0].tiers, ["basic", "gold"]);
    assert_eq!(one.allow[1].min_rank, Some(5));
    let owner = |parameter: &str, equals| Owner {
        parameter: parameter.into(),
        equals,
    };
    assert_eq!(one.allow[2].owner, Some(owner("who", OwnerField::Username)));
    assert_eq!(
        one.allow[3].owner,
        Some(owner("id", OwnerField::ExternalId))
    );
    let claims = &one.allow[4].claims;
    let claims = claims.iter().map(|c| (c.name.as_str(), c.value.clone()));
    let expected = [
        ("org", json!("acme")),
        ("level", json!(3)),
        ("beta", json!(true)),
        ("code", json!("007")),
        ("room", json!("007")),
        ("realm_access.roles", json!("admin")),
    ];
    assert!(claims.eq(expected));
    assert_eq!(one.allow[5].owner, Some(owner("who", OwnerField::Id)));
    let claim = |name: &str| OwnerField::Claim(name.into());
    assert_eq!(one.allow[6].owner, Some(owner("who", claim("realm.org"))));
    assert_eq!(one.allow[7].owner, Some(owner("who", claim("email"))));
    let look_up = one.allow[8].look_up.as_ref().unwrap();
    assert_eq!(look_up.target.to_string(), "GET /o/{who}?id={id}");
    assert_eq!(
        look_up.target.parameters().collect::<Vec<_>>(),
        ["who", "id"]
    );
    assert_eq!(look_up.field.to_string(), "/a~1b/0");
    assert_eq!(look_up.equals, claim("org"));
    assert_eq!(one.allow[8].tiers, ["gold"]);
    let cel = |rule: usize| one.allow[rule].cel.as_ref().unwrap();
    assert_eq!(cel(9).source(), r#"user.tier == "gold" && path.id != "0""#);
    assert_eq!(one.allow[9].roles, ["editor"]);
    let asked: Vec<String> = cel(10).variables().map(ToString::to_string).collect();
    assert_eq!(asked, ["user.tier", "request.headers[\"x-device\"]"]);
    let asked: Vec<String> = cel(11).variables().map(ToString::to_string).collect();
    assert_eq!(asked, ["claims[\"realm\"]", "path.id"]);
    let limits = one.limits.as_ref().unwrap();
    assert_eq!(limits[0].rate, Some(rate(30, 60, 10)));
    assert_eq!(limits[0].cost.get(), 2);
    assert_eq!(limits[0].tiers["gold"], Some(rate(5, 1, 9)));
    assert_eq!(limits[0].tiers["metal"], None);
    assert_eq!(limits[0].tiers["basic"], Some(rate(300, 60, 300)));
    assert_eq!(limits[1].key, LimitKey::Header("x-device".parse().unwrap()));
    assert_eq!(limits[2].rate, None);
    assert_eq!(limits[4].key, LimitKey::ApiKey);
    assert_eq!(limits[4].rate, Some(rate(100_000, 30 * 86_400, 100_000)));
    assert_eq!(limits[5].key, LimitKey::Claim("realm.org".into()));
    let concurrency = one.concurrency.as_ref().unwrap();
    assert_eq!(concurrency.key, LimitKey::Claim("realm.org".into()));
    assert_eq!(concurrency.max.get(), 20);
    assert_eq!(two.pattern, Pattern::Prefix(vec!["v".into(), "w".into()]));
    assert_eq!(two.limits, Some(vec![]));
    assert_eq!(two.timeout, None);
}

#[test]
fn what_is_shown_has_the_shape_of_the_file() {
    let shown = config::shown(&config(EVERYTHING));
    let cors = json!({
        "origins": ["https://a.example", "http://[::1]:3000", "capacitor://localhost"],
        "methods": ["GET"], "headers": [], "expose": ["etag"], "credentials": true, "max_age": "0s",
    });
    assert_eq!(shown["cors"], cors);
    assert_eq!(shown["routes"][0]["cors"], cors);
    assert_eq!(shown["routes"][0]["security_headers"], "standard");
    assert_eq!(shown["routes"][1]["cors"]["origins"], json!(["*"]));
    assert_eq!(shown["routes"][2]["cors"], json!({}));
    assert_eq!(shown["routes"][2]["rewrite"], json!({ "host": "preserve" }));

    let text = SMALLEST.replace(
        "auth: required",
        "auth: required, rewrite: { set_prefix: /v2, host: upstream }",
    );
    assert_ne!(text, SMALLEST);
    let shown = config::shown(&config(&format!("{text}identity: {{ assertion: {{}} }}\n")));
    let assertion = json!({ "header": "x-portcullis-assertion", "ttl": "1m" });
    assert_eq!(shown["identity"]["assertion"], assertion);
    let rewrite = json!({ "set_prefix": "/v2", "host": "upstream" });
    assert_eq!(shown["routes"][0]["rewrite"], rewrite);
}

#[test]
fn assertions_have_a_header_and_a_life() {
    let of = |yaml: &str| {
        let text = format!("{SMALLEST}identity: {{ assertion: {yaml} }}\n");
        let assertion = config(&text).identity.assertion.unwrap();
        (assertion.header.to_string(), assertion.ttl.as_secs())
    };
    assert_eq!(of("{}"), ("x-portcullis-assertion".into(), 60));
    assert_eq!(of("{ header: X-Proof, ttl: 5m }"), ("x-proof".into(), 300));
}

#[test]
fn redis_is_named_by_its_url() {
    let redis = |url: &str| {
        let text = format!("{SMALLEST}shared: {{ redis: \"{url}\" }}\n");
        config(&text).redis.unwrap()
    };
    for (url, shown) in [
        ("redis://127.0.0.1", "redis://127.0.0.1:6379"),
        ("valkey://cache:7000/", "redis://cache:7000"),
        ("redis://user:hunter2@cache/3", "redis://cache:6379/3"),
        ("redis://:hunter2@[::1]:6380/0", "redis://[::1]:6380/0"),
    ] {
        let redis = redis(url);
        assert_eq!(redis.shown, shown);
        assert_eq!(redis.url.expose(), url);
        assert!(!format!("{redis:?}").contains("hunter2"));
    }
    assert_eq!(config(SMALLEST).redis, None);
}

#[test]
fn secrets_do_not_show() {
    let config = config(EVERYTHING);
    assert!(!format!("{config:?}").contains("Zt1kq8V0"));
}

#[test]
fn a_secret_may_stand_in_a_file_beside() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("key"),
        "Zt1kq8V0mJxw2c5yHn7LrQe4UoSbGdAf\r\n",
    )
    .unwrap();
    let text = format!("{SMALLEST}auth: {{ signing: {{ algorithm: HS256, secret_file: key }} }}\n");
    let path = folder.path().join("gateway.yaml");
    let loaded = config::parse(&text, &path, &|_| None).unwrap();
    let Signing::Hs256(secret) = loaded.config.auth.signing else {
        panic!("HS256");
    };
    assert_eq!(secret.expose(), "Zt1kq8V0mJxw2c5yHn7LrQe4UoSbGdAf");
}

#[test]
fn users_of_another_application() {
    let query = "SELECT id, username, password_hash FROM members WHERE username = $1";
    let users = |store: &str| {
        let text = format!("{SMALLEST}auth: {{ users: {{ query: \"{query}\", {store} }} }}\n");
        config(&text).auth.users.unwrap()
    };
    let table = users("store: 'sqlite:app/app.db'");
    assert_eq!(table.query, query);
    assert_eq!(
        table.store,
        Store::Sqlite("/etc/portcullis/app/app.db".into())
    );
    let table = users("store: 'postgres://reader:hunter2@db/app'");
    assert_eq!(table.store.to_string(), "postgres://db/app");
    assert!(!format!("{table:?}").contains("hunter2"));
    let old = config(SMALLEST);
    let mut new = old.clone();
    new.auth.users = Some(table);
    assert_eq!(config::needs_restart(&old, &new), ["auth.users"]);
}

#[test]
fn aliases_stand_for_values() {
    let text = SMALLEST.replace(
        "routes: [",
        "routes: [{ name: a, path: /a, auth: none, upstream: app, limits: &l [{ name: x, rate: 1/s }] },
          { name: b, path: /b, auth: none, upstream: app, limits: *l }, ",
    );
    let config = config(&text);
    assert_eq!(config.routes[0].limits, config.routes[1].limits);
}

#[test]
fn routes_that_differ_do_not_tie() {
    let route = |name: &str, rest: &str| {
        format!("  - {{ name: {name}, auth: none, upstream: app, {rest} }}\n")
    };
    let text = SMALLEST.split("routes:").next().unwrap().to_owned()
        + "routes:\n"
        + &route("a", "path: '/x/{id}', methods: [GET]")
        + &route("b", "path: '/x/{name}', methods: [POST]")
        + &route("c", "path: '/x/{id}', methods: [GET], hosts: [a.example]")
        + &route("d", "path: '/x/{id}', hosts: ['*.example']")
        + &route("e", "path: /x/y")
        + &route("f", "path: /x/y/")
        + &route("g", "prefix: /x/y/z")
        + &route("h", "path: /x/y, headers: { X-Beta: 1 }")
        + &route("i", "path: /x/y, headers: { X-Beta: 2 }")
        + &route("j", "path: /x/y, headers: { X-Beta: 1, X-Gamma: 1 }")
        + &route("k", "path: /x/y, hosts: ['a.example:80']")
        + &route("l", "path: /x/y, hosts: ['a.example:81', a.example]")
        + &route("m", "regex: /x/y")
        + &route("n", "regex: /x/y., headers: { X-Beta: 1 }")
        + &route("o", "regex: /x/y.")
        + &route("p", "path: /p, path_options: { trailing_slash: ignore }")
        + &route("q", "path: /P")
        + &route("r", "prefix: /p")
        + &route(
            "s",
            "path: '/p/{*rest}', path_options: { case_insensitive: true }, methods: [GET], hosts: [p.example]",
        );
    assert_eq!(config(&text).routes.len(), 19);
}

#[test]
fn a_tier_that_makes_no_difference_is_told() {
    let warned = |tiers: &str, route: &str| {
        let text = format!(
            "version: 1\ntiers: {{ {tiers} }}\nupstreams: {{ app: {{ targets: http://a }} }}\n\
             routes: [{{ name: all, prefix: /, upstream: app, {route} }}]\n"
        );
        let warnings = load(&text).warnings.into_iter();
        warnings
            .map(|w| (w.line, w.column, w.message))
            .collect::<Vec<_>>()
    };
    let told = |column| {
        vec![(
            2,
            column,
            "the tier `gold` makes no difference on any route".into(),
        )]
    };
    let plain = "free: {}, gold: { rank: 1 }";
    let limited = "free: { rate: 1/s }, gold: {}";
    assert_eq!(warned(plain, "auth: required"), told(20));
    assert_eq!(warned(limited, "auth: none"), told(31));
    assert_eq!(warned(limited, "auth: required, limits: []"), told(31));
    for (tiers, route) in [
        (limited, "auth: required"),
        (plain, "auth: required, allow: [{ tiers: [gold] }]"),
        (plain, "auth: required, allow: [{ min_tier: gold }]"),
        (
            plain,
            "auth: required, limits: [{ name: x, rate: 1/s, tiers: { gold: 2/s } }]",
        ),
    ] {
        assert_eq!(warned(tiers, route), [], "{tiers} {route}");
    }
}

#[test]
fn what_a_reload_can_change() {
    let old = config(EVERYTHING);
    assert_eq!(
        config::needs_restart(&old, &old.clone()),
        Vec::<&str>::new()
    );
    let mut new = config(SMALLEST);
    new.listen = old.listen.clone();
    new.admin = old.admin.clone();
    new.workers = old.workers;
    new.store = old.store.clone();
    new.max_header = old.max_header;
    new.auth = old.auth.clone();
    new.log.level = old.log.level.clone();
    assert_eq!(config::needs_restart(&old, &new), Vec::<&str>::new());
    new.listen.pop();
    new.auth.signing = Signing::Generated(KeyAlgorithm::EdDsa);
    assert_eq!(
        config::needs_restart(&old, &new),
        ["listen", "auth.signing"]
    );
}

#[test]
fn the_schema_knows_the_keys_of_the_file() {
    let schema = config::schema();
    let route = &schema["properties"]["routes"]["items"];
    assert_eq!(route["additionalProperties"], false);
    for key in ["name", "auth", "upstream"] {
        let required = route["required"].as_array().unwrap();
        assert!(required.iter().any(|name| name == key), "{key}");
    }
    let auth = &schema["properties"]["auth"]["properties"];
    assert_eq!(auth["registration"]["anyOf"][0]["enum"][0], "closed");
    assert_eq!(auth["leeway"]["description"], "Tolerance for clocks.");
}
