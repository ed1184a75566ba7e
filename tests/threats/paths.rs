//! Paths that one server reads one way and the next one another.

use crate::harness::client::{get, request};
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

const ROUTES: &str = "
    - { name: public, prefix: /public, auth: none, upstream: open }
    - { name: admin, prefix: /admin, auth: required, allow: [ { superuser: true } ], upstream: app }
    - { name: rest, prefix: /, auth: required, upstream: app }
";

#[test]
fn dotdot_public_prefix() {
    let (guarded, open) = (Origin::start(), Origin::start());
    let gateway = Settings::new(&guarded)
        .more_upstreams(&format!("open: {{ targets: [\"{}\"] }}", open.url()))
        .routes(ROUTES)
        .start();
    let alice = gateway.user("alice", &[]);

    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/%2E%2E/admin",
        "/public/.%2e/admin",
        "/public/%2e./admin",
        "/public/..%2fadmin",
        "/public/..%2Fadmin",
        "/public/..%5cadmin",
        "/public/..\\admin",
        "/public\\..\\admin",
        "/public/..;/admin",
        "/public/..;x=y/admin",
        "/public;/../admin",
        "/public/x/../../admin",
        "/public/./../admin",
        "/public//../admin",
        "//public/admin",
        "///public/admin",
        "/\\public/admin",
        "/%2fpublic/admin",
        "/public/..//x/admin",
        "/public/%252e%252e/admin",
        "/public/..%252fadmin",
        "/public/%25252e%25252e/admin",
        "/public/../../admin",
        "/%2e%2e/admin",
        "/public/..%00/admin",
        "/public%00/../admin",
        "/public/%2e%2e%2fadmin",
        "/public/..%c0%afadmin",
        "/public/%c0%ae%c0%ae/admin",
        "/public/..%ef%bc%8fadmin",
    ] {
        for token in [None, Some(&alice.access)] {
            let mut request = get(path);
            if let Some(token) = token {
                request = request.bearer(token);
            }
            let mut client = gateway.connect();
            client.send(request.to_bytes());
            let response = client.read_response();
            let reached = open.requests().iter().any(|r| r.target() == path);
            let harmless = ["%ef", "%2525"].iter().any(|odd| path.contains(odd));
            assert!(
                matches!(response.status, 400 | 401 | 403 | 404)
                    || (harmless && response.status == 200),
                "{path}: {response:?}"
            );
            assert!(harmless || !reached, "{path} reached the open upstream");
            assert!(
                guarded.requests().is_empty() || token.is_some(),
                "{path} reached the guarded upstream without a token"
            );
            assert!(
                guarded
                    .requests()
                    .iter()
                    .all(|r| !r.target().contains("admin")),
                "{path} reached the admin pages"
            );
        }
    }

    // From the other side: spellings of a guarded path that a looser route might catch.
    for path in [
        "//admin",
        "/./admin",
        "/%61dmin",
        "/admin%2f..%2fpublic",
        "/admin/../public",
        "/admin;/public/..",
        "/admin%3b/x",
        "/admin%00",
        "/\\admin",
        "/admin%20",
        "/x/..//admin",
        "/x%2f..%2fadmin",
    ] {
        let mut client = gateway.connect();
        client.send(get(path).bearer(&alice.access).to_bytes());
        let response = client.read_response();
        if response.status == 200 {
            // Only where no reading of it is the guarded path.
            assert!(
                ["/admin%20", "/admin%3b/x"].contains(&path),
                "{path}: {response:?}"
            );
        }
    }
    assert!(
        guarded.requests().iter().all(|r| r.target() != "//admin"),
        "a merged slash reached the admin pages"
    );
    gateway.still_serves("/public/x");
    assert_eq!(open.last_request().target(), "/public/x");
}

const BESIDE_PUBLIC: &str = "
    - { name: admin, prefix: /admin, auth: required, upstream: app }
    - { name: own, path: '/users/{name}', auth: required, allow: [ { owner: '{name}' } ], upstream: app }
    - { name: public, prefix: /, auth: none, upstream: app }
";

/// Each path is refused without reaching the upstream, and those that no policy depends on go out byte for byte.
fn hold_to(refused: &[&str], forwarded: &[&str]) {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(BESIDE_PUBLIC).start();
    for &path in refused {
        let mut client = gateway.connect();
        client.send(get(path).to_bytes());
        let response = client.read_response();
        assert_eq!(response.status, 400, "{path}: {response:?}");
        response.expect_problem(400, "ambiguous-path");
    }
    assert_eq!(origin.requests().len(), 0);
    for &path in forwarded {
        gateway.connect().exchange(&get(path)).expect(200);
        assert_eq!(origin.last_request().target(), path);
    }
}

#[test]
fn semicolon_cut() {
    hold_to(
        &[
            "/@/.%2e/admin;x=/../1",
            "/%2e/admin;x=1/.%2e/x",
            "/x/../admin%3b/../../y",
            "/admin;/../x",
            "/users/bob;/../../x",
        ],
        &["/semi;colon=1/x", "/a%3bb/c;d/e", "/;/;"],
    );
}

#[test]
fn overlong_utf8() {
    hold_to(
        &[
            "/%c0%ae%c0%ae/admin",
            "/%C0%AE./admin",
            "/x%c0%af..%c0%afadmin",
            "/%c0%afadmin",
            "/x/..%c1%9cadmin",
            "/%e0%80%ae/admin",
            "/x%e0%80%af..%e0%80%afadmin",
            "/%f0%80%80%ae/admin",
            "/%c1%a1dmin",
            "/%25c0%25ae/admin",
            "/x%c0%2f..%c0%2fadmin",
            "/%c0%6e%c0%6e/admin",
            "/x%c0%80",
            "/x%c1/%c0%ae%c0%ae/%c0%ae%c0%ae/admin",
            "/%c0%c0/%c0%ae%c0%ae/%c0%ae%c0%ae/admin",
            "/.%c0%89./admin",
        ],
        &[
            "/caf%c3%a9/%e0%a4%85/%f0%9f%98%80",
            "/latin-1/%c0",
            "/x/%c0%ae/y",
            "/euc-kr/%c0%cc%b8%a7",
        ],
    );
}

#[test]
fn encoded_slash_still_works() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: none, upstream: app }")
        .start();

    for path in [
        "/projects/group%2Fname",
        "/projects/group%2fname/raw?ref=a%2Fb",
        "/a%20b/%E2%82%AC",
        "/100%25",
        "/semi;colon=1/x",
        "/a//b",
        "/plus+and~tilde!*'()",
        "/@user:name,list=1&x",
        "/dots...in..names./v1.2",
    ] {
        gateway.connect().exchange(&get(path)).expect(200);
        assert_eq!(
            origin.last_request().target(),
            path,
            "not forwarded as it came"
        );
    }
}

#[test]
fn query_fragment_skip_auth() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: public, prefix: /public, auth: none, upstream: app }
            - { name: health, path: /healthz, auth: none, upstream: app }
            - { name: rest, prefix: /, auth: required, upstream: app }
            ",
        )
        .start();

    for path in [
        "/admin?/public",
        "/admin?x=/public/y",
        "/admin?/../public",
        "/admin#/public",
        "/admin%3f/public",
        "/admin%23/public",
        "/admin?%2f..%2fhealthz",
        "/?/healthz",
        "/admin#/healthz",
        "/admin?#/public",
        "?/public",
        "#/public",
    ] {
        let mut client = gateway.connect();
        client.send(get(path).to_bytes());
        let response = client.read_response();
        assert!(matches!(response.status, 400 | 401), "{path}: {response:?}");
    }
    // Nor does what stands there take a public path out of its route.
    gateway
        .connect()
        .exchange(&get("/healthz?next=/admin"))
        .expect(200);
    assert_eq!(origin.only_request().target(), "/healthz?next=/admin");
    gateway.still_serves("/public");
}

#[test]
fn forwarded_uri_spoof() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: public, prefix: /public, auth: none, upstream: app }
            - { name: hosted, prefix: /, hosts: [open.test], auth: none, upstream: app }
            - { name: read, prefix: /, methods: [GET], auth: required, upstream: app }
            - { name: write, prefix: /form, methods: [POST], auth: none, upstream: app }
            ",
        )
        .start();

    for (name, value) in [
        ("X-Forwarded-Uri", "/public"),
        ("X-Forwarded-Path", "/public"),
        ("X-Forwarded-Prefix", "/public"),
        ("X-Original-Url", "/public"),
        ("X-Original-Uri", "/public"),
        ("X-Rewrite-Url", "/public"),
        ("X-Envoy-Original-Path", "/public"),
        ("X-Forwarded-Host", "open.test"),
        ("X-Host", "open.test"),
        ("X-Forwarded-Server", "open.test"),
        ("Forwarded", "host=open.test;for=10.0.0.1;proto=https"),
        ("X-HTTP-Method-Override", "POST"),
        ("X-HTTP-Method", "POST"),
        ("X-Method-Override", "POST"),
        ("X-Forwarded-Method", "POST"),
        ("Method-Override", "POST"),
        ("Method_Override", "POST"),
        ("X-Forwarded-Protocol", "https"),
        ("X-Forwarded-Ssl", "on"),
        ("X-Url-Scheme", "https"),
        ("X-Scheme", "https"),
        ("Front-End-Https", "on"),
        ("Client-IP", "10.0.0.1"),
        ("True-Client-IP", "10.0.0.1"),
        ("X-Client-IP", "10.0.0.1"),
        ("X-Cluster-Client-IP", "10.0.0.1"),
        ("CF-Connecting-IP", "10.0.0.1"),
        ("X_Client_Ip", "10.0.0.1"),
        ("Client_Ip", "10.0.0.1"),
        ("X-Original-Host", "open.test"),
        ("X-Forwarded-Client-Cert", "Subject=\"CN=root\""),
        ("Ssl_Client_Cert", "root"),
        ("Ssl-Client-Verify", "SUCCESS"),
        ("Ssl-Client-Subject-Dn", "CN=root"),
        ("Script_Name", "/form"),
        ("SCRIPT_NAME", "/form"),
        ("Script-Name", "/form"),
        ("X-Script-Name", "/form"),
        ("Path_Info", "/form"),
        ("Daphne-Root-Path", "/form"),
        ("Wl-Proxy-Client-Ip", "10.0.0.1"),
        ("Proxy-Client-Ip", "10.0.0.1"),
    ] {
        let request = get("/form").header(name, value);
        let response = gateway.connect().exchange(&request);
        assert_eq!(response.status, 401, "{name}: {response:?}");
        // Where the request passes, nothing of it is believed either.
        let response = gateway
            .connect()
            .exchange(&get("/public").header(name, value))
            .expect(200);
        let log = gateway.log_of(&response);
        assert_eq!(log["route"], "public", "{name}");
        assert_eq!(log["client_ip"], "127.0.0.1", "{name}");
        assert_eq!(log["method"], "GET", "{name}");
        let received = origin.last_request();
        let is_kept = received.headers().iter().any(|(_, told)| told == value);
        assert!(!is_kept, "{name}: {received:?}");
        assert_eq!(
            received.header("x-forwarded-host").as_deref(),
            Some("gateway.test"),
            "{name}"
        );
        assert_eq!(
            received.header("x-forwarded-proto").as_deref(),
            Some("http"),
            "{name}"
        );
    }
    let overridden = request("POST", "/public").header("X-HTTP-Method-Override", "DELETE");
    gateway.connect().exchange(&overridden).expect(200);
    assert_eq!(origin.last_request().method(), "POST");
    for (name, value) in [
        ("Method-Override", "DELETE"),
        ("METHOD_OVERRIDE", "DELETE"),
        ("Proxy", "http://evil.test"),
        ("proxy", "http://evil.test"),
    ] {
        let request = request("POST", "/public").header(name, value);
        gateway.connect().exchange(&request).expect(200);
        let received = origin.last_request();
        assert!(
            received.headers().iter().all(|(_, v)| v != value),
            "{received:?}"
        );
    }
    gateway.still_serves("/public");
}

#[test]
fn dotdot_public_prefix_rewritten() {
    let origin = Origin::start();
    let routes = "
        - { name: files, prefix: /files, auth: none, upstream: app,
            rewrite: { strip_prefix: /files, set_prefix: /public } }
        - { name: bare, prefix: /bare, auth: none, upstream: app, rewrite: { strip_prefix: /bare } }
    ";
    let gateway = Settings::new(&origin).routes(routes).start();

    // Each is a path of one route however it is read, and would climb out with another beginning.
    for path in [
        "/files/../files/x",
        "/files/%2e%2e/files/x",
        "/files/..%2ffiles/x",
        "/files/..;/files/x",
        "/files/..\\files/x",
        "/files/%252e%252e/files/x",
        "/files/./../files/x",
        "/bare/../bare/x",
        "/bare//evil.test/x",
        "/bare/\\evil.test/x",
    ] {
        let mut client = gateway.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.read_response().expect_problem(400, "ambiguous-path");
    }
    assert_eq!(origin.requests().len(), 0);
    gateway.send(&get("/files/a/../b")).expect(200);
    let received = origin.only_request();
    assert!(received.target().starts_with("/public/"), "{received:?}");
    gateway.still_serves("/files/x");
}

#[test]
fn case_split_view() {
    let (guarded, open) = (Origin::start(), Origin::start());
    let gateway = Settings::new(&guarded)
        .more_upstreams(&format!("open: {{ targets: [\"{}\"] }}", open.url()))
        .routes(
            "
            - { name: admin, prefix: /admin, auth: required, upstream: app }
            - { name: keys, prefix: /keys, auth: required, upstream: app, path_options: { case_insensitive: true } }
            - { name: files, prefix: /files, auth: none, upstream: open, path_options: { case_insensitive: true } }
            - { name: rest, prefix: /, auth: none, upstream: open }
            ",
        )
        .start();

    for path in [
        "/ADMIN",
        "/Admin/x",
        "/FILES/../Admin",
        "/%41dmin",
        "/x//..//ADMIN/x",
        "//ADMIN",
        // Letters beyond ASCII that are those of ASCII to who folds case as Unicode does.
        "/%E2%84%AAeys/1",
        "/key%C5%BF/1",
        "/%25E2%2584%25AAEYS/1",
        "/adm%C4%B1n",
        "/%C4%B0/../adm%C4%B0n",
    ] {
        gateway
            .connect()
            .exchange(&get(path))
            .expect_problem(400, "ambiguous-path");
    }
    // Neither are they sent as they are, where that is let through at all.
    for path in ["/\u{212a}eys/1", "/key\u{17f}"] {
        let mut client = gateway.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.read_response().status, 400, "{path}");
    }
    gateway
        .send(&get("/admin"))
        .expect_problem(401, "token-missing");
    assert!(open.requests().is_empty() && guarded.requests().is_empty());
    gateway.connect().exchange(&get("/FILES/x")).expect(200);
    gateway.connect().exchange(&get("/Other")).expect(200);
    let street = get("/files/stra%C3%9Fe/%C3%89");
    gateway.connect().exchange(&street).expect(200);
    gateway.still_serves("/files");
}

#[test]
fn host_in_disguise() {
    let (guarded, open) = (Origin::start(), Origin::start());
    let gateway = Settings::new(&guarded)
        .more_upstreams(&format!("open: {{ targets: [\"{}\"] }}", open.url()))
        .routes(
            "
            - { name: secret, prefix: /, hosts: [secret.example], auth: required, upstream: app }
            - { name: loose, prefix: /, auth: none, upstream: open }
            ",
        )
        .start();

    for host in [
        "secret%2eexample",
        "secret%2Eexample",
        "%73ecret.example",
        "secret..example",
        "secret.example..",
        ".secret.example",
        "secret.example%00",
        "secret~.example",
        "secret.example(x)",
        "secret.example:80:80",
        "[secret.example]",
        "x@secret.example",
    ] {
        let response = gateway.connect().exchange(&get("/").header("Host", host));
        assert_eq!(response.status, 400, "{host}: {response:?}");
    }
    for host in [
        "secret.example",
        "SECRET.EXAMPLE",
        "secret.example.",
        "secret.example:1",
    ] {
        let response = gateway.connect().exchange(&get("/").header("Host", host));
        assert_eq!(response.status, 401, "{host}: {response:?}");
    }
    assert!(open.requests().is_empty() && guarded.requests().is_empty());
    gateway.still_serves("/");
}

const SPELLINGS: &str = r#"
    - { name: section, path: "/docs/{section}", auth: required, upstream: app,
        path_options: { case_insensitive: true }, allow: [{ cel: 'path.section != "secret"' }] }
    - { name: whole, prefix: /whole, auth: required, upstream: app,
        path_options: { case_insensitive: true }, allow: [{ cel: 'request.path != "/whole/secret"' }] }
    - { name: rest, path: "/rest/{*rest}", auth: required, upstream: app,
        path_options: { case_insensitive: true, merge_slashes: true, trailing_slash: ignore },
        allow: [{ cel: '!(path.rest in ["secret", "a/secret"])' }] }
    - { name: end, path: "/end/{section}", auth: required, upstream: app,
        path_options: { trailing_slash: ignore, merge_slashes: true }, allow: [{ cel: 'request.path != "/end/secret"' }] }
    - { name: regex, regex: "/re/(?P<section>.*)", auth: required, upstream: app,
        path_options: { case_insensitive: true, trailing_slash: ignore }, allow: [{ cel: '!path.section.matches("^secret$")' }] }
"#;

/// An expression that keeps one path away keeps away all that the route takes for the same.
#[test]
fn expression_of_another_spelling() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(SPELLINGS).start();
    let alice = gateway.user("alice", &[]);
    let send = |path: &str| {
        let mut connection = gateway.connect();
        connection.send(get(path).bearer(&alice.access).to_bytes());
        connection.read_response().status
    };
    for path in [
        "/docs/secret",
        "/docs/SECRET",
        "/DOCS/Secret",
        "/whole/secret",
        "/whole/SECRET",
        "/Whole/sEcret",
        "/rest/secret",
        "/rest/secret/",
        "/rest/SECRET",
        "/REST/Secret/",
        "/rest/a/Secret",
        "/end/secret",
        "/end/secret/",
        "/re/secret",
        "/re/Secret",
        "/re/SECRET/",
    ] {
        assert_eq!(send(path), 403, "{path}");
    }
    for path in [
        "/docs/%53ecret",
        "/docs/SECRET;x",
        "/whole//secret",
        "/whole/%53ECRET",
        "/rest//secret",
        "/rest/a//SECRET",
        "/rest/secret//",
        "/end//secret",
        "/end/secret//",
        "/end/secret/.",
        "/re/Secret//",
        "/re/%73ecret",
    ] {
        let status = send(path);
        assert!(matches!(status, 400 | 403 | 404), "{path}: {status}");
    }
    assert_eq!(origin.requests().len(), 0);
    for path in ["/docs/SECRET", "/Whole/Secret", "/rest/Secret/"] {
        let told = gateway.cli(&["explain", "GET", path, "--as", "user=alice"], "");
        assert_eq!(told.code, 3, "{told:?}");
    }
    for path in [
        "/docs/Other",
        "/WHOLE/other",
        "/rest/Other/",
        "/end/Secret",
        "/end/other/",
        "/re/secrets/",
    ] {
        assert_eq!(send(path), 200, "{path}");
        assert_eq!(origin.last_request().target(), path);
    }
}

const TELLING: &str = r#"
    - { name: tenant, path: "/t/{tenant}/{*rest}", auth: none, upstream: app,
        request_headers: { set: { X-Tenant: "{path.tenant}" } } }
    - { name: added, path: "/a/{tenant}/{*rest}", auth: none, upstream: app,
        request_headers: { add: { X-Rest: "of {path.rest}" } } }
    - { name: whole, prefix: /w, auth: none, upstream: app, request_headers: { set: { X-Path: "{request.path}" } } }
    - { name: answer, path: "/r/{tenant}/{*rest}", auth: none, upstream: app,
        response_headers: { set: { X-Tenant: "{path.tenant}" } } }
"#;

/// What the gateway tells of a path is what the server behind finds in it.
#[test]
fn path_told_in_a_header() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(TELLING).start();
    for path in [
        "/t/evil/../acme/x",
        "/t/evil/%2e%2e/acme/x",
        "/t/evil;a/x",
        "/t/%65vil/x",
        "/t/evil%2F..%2Facme/x",
        "/t//acme/x",
        "/a/evil/x/../y",
        "/a/evil/x%20y",
        "/w/x/../y",
        "/w/%65vil",
    ] {
        let mut connection = gateway.connect();
        connection.send(get(path).to_bytes());
        let refused = connection.read_response();
        assert!(matches!(refused.status, 400 | 404), "{path}: {refused:?}");
    }
    assert_eq!(origin.requests().len(), 0);
    for (path, name, told) in [
        ("/t/acme/x", "x-tenant", Some("acme")),
        // What no header tells may have escapes.
        ("/t/acme/x%20y/z%2F", "x-tenant", Some("acme")),
        ("/a/%65vil/x/y", "x-rest", Some("of x/y")),
        ("/w/x", "x-path", Some("/w/x")),
        ("/r/%65vil/x%20y", "x-tenant", None),
    ] {
        gateway.send(&get(path)).expect(200);
        let received = origin.last_request();
        assert_eq!(received.target(), path);
        assert_eq!(received.header(name).as_deref(), told, "{path}");
    }
    // Told on every route.
    let gateway = Settings::new(&origin)
        .top("identity: { headers: { X-Path: \"{request.path}\" } }")
        .routes(TELLING)
        .start();
    let odd = gateway.send(&get("/r/x/y%20z"));
    odd.expect_problem(400, "ambiguous-path");
    gateway.still_serves("/r/x/y");
}
