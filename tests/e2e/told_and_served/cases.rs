//! A file that has most of what decides on a request, and requests to it.

pub const TOP: &str = r#"
trusted_proxies: [127.0.0.1]
anonymous: { rate: 5000/s }
identity: { headers: { X-Org: "{claims.org}" } }
cors: { origins: [https://app.test], credentials: true }
"#;

pub const ROUTES: &str = r#"
- { name: health, path: /healthz, methods: [GET], auth: none, upstream: app }
- { name: hello, path: /hello, auth: optional, upstream: app }
- name: own-posts
  path: /users/{username}/posts/{id}
  methods: [PATCH, DELETE]
  auth: required
  allow: [{ owner: "{username}" }, { superuser: true }, { tiers: [pro], roles: [chief] }]
  limits: [{ name: writes, key: user, rate: 5000/s }]
  request_headers: { set: { X-Post: "{path.id} of {user.username}" }, remove: [X-Draft] }
  upstream: app
- { name: own-account, path: "/accounts/{id}", auth: required, allow: [{ owner: { path: "{id}", equals: "{user.id}" } }], upstream: app }
- { name: orgs, path: "/orgs/{org}", auth: required, allow: [{ owner: { path: "{org}", equals: "{claims.org}" }, claims: { level: 3 } }], upstream: app }
- { name: ranks, prefix: /ranks, auth: required, allow: [{ min_tier: pro }], upstream: app }
- { name: roles, prefix: /roles, auth: required, allow: [{ roles: [chief, editor] }], upstream: app }
- { name: scopes, prefix: /scopes, auth: required, allow: [{ scopes: [posts:write] }], upstream: app }
- { name: users, prefix: /no-admins, auth: required, allow: [{ superuser: false }], upstream: app }
- { name: drafts, path: "/drafts/{id}", auth: required, allow: [{ cel: 'user.tier == "pro" && path.id != "0" && request.method != "DELETE"' }], upstream: app }
- { name: lasting, path: /lasting, auth: required, allow: [{ cel: 'claims.exp > 1000 && claims.exp < 99999999999' }], upstream: app }
- { name: edits, path: "/edits/{id}", auth: required, allow: [{ owner: { lookup: "GET /api/posts/{id}", field: /by, equals: "{user.username}" } }], upstream: app }
- { name: inside, prefix: /inside, auth: none, ip: { allow: [10.0.0.0/8], deny: [10.6.6.0/24] }, upstream: app }
- { name: beta, path: /beta, headers: { X-Beta: "1" }, auth: none, upstream: app }
- { name: reports, prefix: /reports, hosts: [r.example.com, "*.r.example.com"], auth: optional, upstream: app }
- { name: files, prefix: /files, methods: [GET], auth: none, upstream: app, cors: { origins: ["*"] }, concurrency: { key: ip, max: 7 }, rewrite: { strip_prefix: /files, set_prefix: /v2, host: upstream } }
- { name: numbers, regex: "/n/(?P<n>[0-9]+)", auth: none, upstream: app, request_headers: { set: { X-Number: "{path.n}" } } }
- { name: tail, path: "/tail/{*rest}", auth: none, upstream: app }
- { name: tried, prefix: /tried, auth: required, shadow: [auth, allow], allow: [{ roles: [nobody] }], upstream: app }
- { name: half-tried, prefix: /half-tried, auth: required, shadow: [auth], allow: [{ tiers: [pro] }], upstream: app }
- { name: folded, path: /Folded, auth: required, path_options: { case_insensitive: true, trailing_slash: ignore }, upstream: app }
- name: counted
  prefix: /counted
  auth: optional
  limits:
    - { name: each, key: user, rate: 4000/min, burst: 70, tiers: { pro: { rate: 9000/h, burst: 80 } } }
    - { name: by-address, key: ip, rate: 3000/s }
    - { name: tried-out, key: route, rate: 100/d, mode: shadow }
  upstream: app
- { name: uncounted, prefix: /uncounted, auth: optional, limits: [], upstream: app }
- { name: rest, prefix: /, auth: required, upstream: app }
"#;

pub const TIERS: &str = "free: { rank: 0, rate: 5000/s }
pro: { rank: 1, rate: 7000/min, burst: 900 }
enterprise: { rank: 2 }";

/// A method, a target, who asks and further headers, the host's among them.
pub type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const PAGE: (&str, &str) = ("Origin", "https://app.test");
const STRANGE_PAGE: (&str, &str) = ("Origin", "https://evil.test");
const ASKS_GET: (&str, &str) = ("Access-Control-Request-Method", "GET");
const ASKS_PUT: (&str, &str) = ("Access-Control-Request-Method", "PUT");
const REPORTS: (&str, &str) = ("Host", "r.example.com");
const UPGRADES: (&str, &str) = ("Connection", "Upgrade, X-Mine");
const TO_WEBSOCKET: (&str, &str) = ("Upgrade", "WebSocket");
const INSIDE: (&str, &str) = ("X-Forwarded-For", "10.1.2.3");

/// `ID` in a target is that of alice's account.
pub const CASES: &[Case] = &[
    ("GET", "/healthz", "nobody", &[]),
    ("HEAD", "/healthz", "nobody", &[]),
    ("GET", "/healthz", "alice", &[]),
    ("POST", "/healthz", "nobody", &[]),
    ("POST", "/healthz", "bob", &[]),
    ("GET", "/healthz/", "nobody", &[]),
    (
        "GET",
        "/hello",
        "nobody",
        &[("X-User-Name", "root"), ("X-Org", "acme")],
    ),
    ("GET", "/hello?q=1&r=%20", "alice", &[]),
    (
        "GET",
        "/hello",
        "key",
        &[("x-user-id", "1"), ("X_User_Id", "1")],
    ),
    ("GET", "/x", "nobody", &[]),
    (
        "GET",
        "/x",
        "bob",
        &[
            ("X-Forwarded-For", "203.0.113.7"),
            ("X-Forwarded-Proto", "https"),
        ],
    ),
    ("PURGE", "/x", "bob", &[]),
    ("get", "/x", "bob", &[]),
    ("TRACE", "/x", "bob", &[]),
    (
        "PATCH",
        "/users/alice/posts/1",
        "alice",
        &[("X-Draft", "1"), ("X-Post", "2")],
    ),
    ("DELETE", "/users/alice/posts/1", "key", &[]),
    ("PATCH", "/users/alice/posts/1", "bob", &[]),
    ("PATCH", "/users/alice/posts/1", "root", &[]),
    ("PATCH", "/users/bob/posts/1", "alice", &[]),
    ("PATCH", "/users/bob/posts/1", "nobody", &[]),
    ("GET", "/users/bob/posts/1", "alice", &[]),
    ("PATCH", "/users/bob%2Fposts/1", "bob", &[]),
    ("PATCH", "/users/bob/../alice/posts/1", "alice", &[]),
    ("PATCH", "/users/ALICE/posts/1", "alice", &[]),
    ("GET", "/accounts/ID", "alice", &[]),
    ("GET", "/accounts/ID", "bob", &[]),
    ("GET", "/orgs/acme", "alice", &[]),
    ("GET", "/orgs/acme", "key", &[]),
    ("GET", "/orgs/other", "alice", &[]),
    ("GET", "/ranks/1", "bob", &[]),
    ("GET", "/ranks/1", "key", &[]),
    ("GET", "/roles", "alice", &[]),
    ("GET", "/roles", "key", &[]),
    ("GET", "/scopes", "key", &[]),
    ("GET", "/scopes", "bob", &[]),
    ("GET", "/no-admins", "root", &[]),
    ("GET", "/no-admins", "root-key", &[]),
    ("GET", "/drafts/1", "alice", &[]),
    ("DELETE", "/drafts/1", "alice", &[]),
    ("GET", "/drafts/0", "alice", &[]),
    ("GET", "/lasting", "bob", &[]),
    ("GET", "/lasting", "key", &[]),
    ("GET", "/edits/7", "alice", &[]),
    ("GET", "/edits/7", "bob", &[]),
    ("GET", "/edits/8", "alice", &[]),
    ("GET", "/inside/a", "nobody", &[]),
    ("GET", "/inside/a", "nobody", &[INSIDE]),
    (
        "GET",
        "/inside/a",
        "nobody",
        &[("X-Forwarded-For", "10.1.2.3, 10.6.6.6")],
    ),
    (
        "GET",
        "/inside/a",
        "nobody",
        &[("X-Forwarded-For", "10.1.2.3, unknown")],
    ),
    ("GET", "/beta", "nobody", &[("X-Beta", "1")]),
    ("GET", "/beta", "nobody", &[("X-Beta", "2")]),
    ("GET", "/reports/1", "nobody", &[REPORTS]),
    (
        "GET",
        "/reports/1",
        "bob",
        &[("Host", "a.R.example.com:8080")],
    ),
    ("GET", "/reports/1", "nobody", &[]),
    ("GET", "/reports/1", "nobody", &[("Host", "a b")]),
    ("GET", "/files/a%2Fb?x=/files", "nobody", &[STRANGE_PAGE]),
    ("GET", "/files/../files/x", "nobody", &[]),
    ("PUT", "/files/x", "bob", &[]),
    ("OPTIONS", "/files/x", "nobody", &[STRANGE_PAGE, ASKS_GET]),
    ("OPTIONS", "/files/x", "nobody", &[PAGE, ASKS_PUT]),
    ("OPTIONS", "/x", "nobody", &[PAGE, ASKS_PUT]),
    ("OPTIONS", "/x", "nobody", &[STRANGE_PAGE, ASKS_PUT]),
    ("OPTIONS", "/x", "nobody", &[PAGE]),
    (
        "OPTIONS",
        "/x",
        "nobody",
        &[PAGE, ASKS_PUT, ("Content-Length", "3")],
    ),
    ("GET", "/n/12", "nobody", &[]),
    ("GET", "/n/1x", "bob", &[]),
    ("GET", "/tail/a/b/c", "nobody", &[("X-Number", "9")]),
    ("GET", "/tail/", "nobody", &[]),
    ("GET", "/tail/%zz", "nobody", &[]),
    ("GET", "/tail/..;/x", "nobody", &[]),
    ("GET", "/tried", "nobody", &[]),
    ("GET", "/tried", "alice", &[]),
    ("GET", "/half-tried", "nobody", &[]),
    ("GET", "/half-tried", "alice", &[]),
    ("GET", "/half-tried", "bob", &[]),
    ("GET", "/fOLDED/", "bob", &[]),
    ("GET", "/fOLDED/", "nobody", &[]),
    ("GET", "/hello", "alice", &[UPGRADES, TO_WEBSOCKET, PAGE]),
    (
        "GET",
        "/hello",
        "nobody",
        &[UPGRADES, TO_WEBSOCKET, STRANGE_PAGE],
    ),
    (
        "GET",
        "/hello",
        "bob",
        &[UPGRADES, TO_WEBSOCKET, ("Content-Length", "0")],
    ),
    ("GET", "/files/x", "nobody", &[UPGRADES, TO_WEBSOCKET]),
    ("GET", "/hello", "bob", &[UPGRADES, ("Upgrade", "h2c")]),
    ("PUT", "/x", "bob", &[UPGRADES, TO_WEBSOCKET]),
    ("GET", "/x", "nobody", &[UPGRADES, TO_WEBSOCKET]),
    ("GET", "/counted", "nobody", &[]),
    ("GET", "/counted", "alice", &[]),
    ("GET", "/counted", "bob", &[]),
    ("GET", "/counted", "key", &[]),
    ("GET", "/uncounted", "bob", &[]),
    ("PUT", "/x", "bob", &[("Content-Length", "10485761")]),
    ("POST", "/api/v1/logout", "nobody", &[]),
    ("PUT", "/api/v1/login", "nobody", &[]),
    ("GET", "/api/v1/users/me", "nobody", &[]),
    ("GET", "/api/v1/users/me", "alice", &[]),
    ("HEAD", "/api/v1/users/me", "bob", &[]),
    ("GET", "/api/v1/users/me", "key", &[]),
    ("GET", "/api/v1/users/alice", "bob", &[]),
    ("GET", "/api/v1/users/alice", "root", &[]),
    ("GET", "/api/v1/users", "bob", &[]),
    ("GET", "/api/v1/users", "root", &[]),
    ("POST", "/api/v1/users/bob/disable", "alice", &[]),
    ("GET", "/.well-known/jwks.json", "nobody", &[]),
    ("GET", "/api/v1/elsewhere", "bob", &[]),
];
