//! What the gateway takes from a request's head and what it adds.

use uuid::Uuid;

use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

const TRUST_LOOPBACK: &str = "trusted_proxies: [127.0.0.0/8]";

#[test]
fn hop_by_hop_headers_end_here_in_both_directions() {
    let origin = Origin::with(|exchange| {
        exchange.send(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Private\r\n\
             Connection: keep-alive, x-other\r\nKeep-Alive: timeout=5\r\nX-Private: 1\r\n\
             X-Other: 2\r\nProxy-Authenticate: Basic\r\nX-Kept: 3\r\n\r\nok",
        )
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, X-One\r\nX-One: 1\r\n\
         connection: x-TWO ,, x-three\r\nX-Two: 2\r\nX-Three: 3\r\nKeep-Alive: timeout=9\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTE: gzip\r\n\
         Upgrade: nothing\r\nX-Kept: 4\r\n\r\n",
    );
    let response = client.read_response().expect(200);

    let received = origin.only_request();
    for name in [
        "x-one",
        "x-two",
        "x-three",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
    ] {
        assert_eq!(received.header(name), None, "{received:?}");
    }
    assert_eq!(received.header("x-kept").as_deref(), Some("4"));
    for name in ["x-private", "x-other", "keep-alive", "proxy-authenticate"] {
        assert_eq!(response.header(name), None, "{response:?}");
    }
    assert_eq!(response.header("x-kept"), Some("3"));
    client.exchange(&get("/again")).expect(200);
}

#[test]
fn naming_a_needed_header_in_connection_does_not_remove_it() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: host, content-length, x-forwarded-for, \
         x-request-id\r\nContent-Length: 4\r\n\r\nbody",
    );
    let response = client.read_response();

    // Refusing such a request is as good as forwarding it whole.
    if response.status == 200 {
        let received = origin.only_request();
        assert_eq!(received.header("host").as_deref(), Some("a.test"));
        assert_eq!(
            received.header("x-forwarded-for").as_deref(),
            Some("127.0.0.1")
        );
        assert!(received.header("x-request-id").is_some());
        assert_eq!(response.header("x-body-length"), Some("4"));
    } else {
        assert_eq!(response.status, 400, "{response:?}");
        assert_eq!(origin.requests().len(), 0);
    }
}

#[test]
fn the_host_is_told_to_the_origin_as_the_client_sent_it() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client
        .exchange(&get("/").header("Host", "Api.Example.test:8080"))
        .expect(200);

    assert_eq!(
        origin.only_request().header("host").as_deref(),
        Some("Api.Example.test:8080")
    );
}

#[test]
fn the_absolute_form_is_forwarded_as_a_path_and_its_host_counts() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send("GET http://real.test/x?y=1 HTTP/1.1\r\nHost: other.test\r\n\r\n");
    client.read_response().expect(200);

    // RFC 9112, section 3.2.2: the authority of the absolute form replaces Host.
    let received = origin.only_request();
    assert_eq!(received.line(), "GET /x?y=1 HTTP/1.1");
    assert_eq!(received.header("host").as_deref(), Some("real.test"));
    assert_eq!(
        received.header("x-forwarded-host").as_deref(),
        Some("real.test")
    );
}

#[test]
fn an_unknown_peer_has_its_forwarding_headers_replaced() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let host = gateway.public.to_string();
    let forged = get("/")
        .header("host", &host)
        .header("x-forwarded-for", "203.0.113.9")
        .header("X-Forwarded-For", "198.51.100.7")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "forged.test")
        .header("x-forwarded-port", "443")
        .header("forwarded", "for=203.0.113.9;proto=https;host=forged.test")
        .header("x-real-ip", "203.0.113.9");
    gateway.connect().exchange(&forged).expect(200);

    let received = origin.only_request();
    assert_eq!(
        received.header("x-forwarded-for").as_deref(),
        Some("127.0.0.1")
    );
    assert_eq!(
        received.header("x-forwarded-proto").as_deref(),
        Some("http")
    );
    assert_eq!(received.header("x-forwarded-host"), Some(host));
    assert_eq!(
        received.header("x-forwarded-port"),
        Some(gateway.public.port().to_string())
    );
    let head = String::from_utf8_lossy(&received.head).into_owned();
    assert!(!head.contains("203.0.113.9"), "{head}");
    assert!(!head.contains("forged.test"), "{head}");
}

#[test]
fn a_trusted_proxy_has_its_forwarding_headers_carried_on() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).top(TRUST_LOOPBACK).start();

    let proxied = get("/")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "public.test")
        .header("x-forwarded-port", "443");
    let response = gateway.connect().exchange(&proxied).expect(200);

    let received = origin.only_request();
    assert_eq!(
        received.header_all("x-forwarded-for").join(", "),
        "203.0.113.9, 127.0.0.1"
    );
    assert_eq!(
        received.header("x-forwarded-proto").as_deref(),
        Some("https")
    );
    assert_eq!(
        received.header("x-forwarded-host").as_deref(),
        Some("public.test")
    );
    assert_eq!(received.header("x-forwarded-port").as_deref(), Some("443"));
    let log = gateway.log_of(&response);
    assert_eq!(log["client_ip"], "203.0.113.9");
    assert_eq!(log["peer_ip"], "127.0.0.1");
}

#[test]
fn of_several_hops_the_right_most_unknown_one_is_the_client() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.0/8, 10.0.0.0/8, \"2001:db8:1::/48\"]")
        .start();

    for (chain, client) in [
        ("1.1.1.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("203.0.113.9,10.9.9.9 , 2001:db8:1::7", "203.0.113.9"),
        ("2001:db8:2::1", "2001:db8:2::1"),
    ] {
        let response = gateway.send(&get("/").header("x-forwarded-for", chain));
        assert_eq!(gateway.log_of(&response)["client_ip"], client, "{chain}");
    }
}

#[test]
fn every_request_has_an_id_of_its_own() {
    let origin =
        Origin::with(|exchange| exchange.respond(200, "X-Request-Id: the-origins-own\r\n", b""));
    let gateway = Settings::new(&origin).start();

    let mut seen = std::collections::HashSet::new();
    let mut client = gateway.connect();
    for _ in 0..3 {
        let request = get("/").header("x-request-id", "chosen-by-a-stranger");
        let response = client.exchange(&request).expect(200);
        let id = response.header("x-request-id").unwrap();
        let version = Uuid::parse_str(id).map(|id| id.get_version_num());
        assert_eq!(version, Ok(7), "{id}");
        assert_eq!(
            origin.last_request().header("x-request-id").as_deref(),
            Some(id)
        );
        assert_eq!(gateway.log_of(&response)["status"], 200);
        assert!(seen.insert(id.to_owned()));
    }
}

#[test]
fn a_trusted_proxys_request_id_is_kept() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).top(TRUST_LOOPBACK).start();

    let response = gateway
        .send(&get("/").header("x-request-id", "edge-42"))
        .expect(200);

    assert_eq!(response.header("x-request-id"), Some("edge-42"));
    let received = origin.only_request();
    assert_eq!(received.header("x-request-id").as_deref(), Some("edge-42"));
}

#[test]
fn a_request_id_that_is_not_one_word_is_not_kept() {
    let origin = Origin::start();
    let log = "log: { access: text }";
    let top = format!("{TRUST_LOOPBACK}\n{log}");
    let gateway = Settings::new(&origin).top(&top).start();
    let forged = "x 192.0.2.7 GET \"/admin\" 200 1.000ms 0->0 user=- route=all allow";
    let tabbed = forged.replace(' ', "\t");
    for id in [forged, &tabbed, "", &"x".repeat(129)] {
        let request = get("/").header("x-request-id", id);
        let response = gateway.connect().exchange(&request).expect(200);
        let kept = response.header("x-request-id").unwrap().to_owned();
        assert!(Uuid::parse_str(&kept).is_ok(), "{kept}");
        eventually("the request in the access log", || {
            let lines = gateway.stdout();
            let word = |line: &String| line.split(' ').nth(1).map(str::to_owned);
            lines
                .iter()
                .any(|line| word(line).as_ref() == Some(&kept))
                .then_some(())
        });
    }
    assert!(!gateway.stdout().iter().any(|line| line.contains("admin")));
}

#[test]
fn the_caller_is_told_to_the_origin() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &["--tier", "pro"]);
    let boss = gateway.user("boss", &["--superuser"]);

    gateway.send(&get("/").bearer(&alice.access)).expect(200);
    let me = gateway
        .send(&get("/api/v1/users/me").bearer(&alice.access))
        .json();
    let received = origin.last_request();
    assert_eq!(received.header("x-user-id").as_deref(), me["id"].as_str());
    for (name, value) in [
        ("x-user-name", "alice"),
        ("x-user-email", "alice@example.test"),
        ("x-user-tier", "pro"),
        ("x-user-superuser", "false"),
        ("x-auth-method", "jwt"),
    ] {
        assert_eq!(
            received.header(name).as_deref(),
            Some(value),
            "{received:?}"
        );
    }

    gateway.send(&get("/").bearer(&boss.access)).expect(200);
    let received = origin.last_request();
    assert_eq!(received.header("x-user-superuser").as_deref(), Some("true"));
    assert_eq!(received.header("x-user-tier").as_deref(), Some("free"));
}

#[test]
fn no_caller_is_told_where_there_is_none() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: optional, upstream: app }")
        .start();

    gateway.send(&get("/")).expect(200);

    let received = origin.only_request();
    let told: Vec<_> = received
        .headers()
        .into_iter()
        .filter(|(name, _)| name.to_ascii_lowercase().starts_with("x-user"))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(received.header("x-auth-method"), None);
}

#[test]
fn authorization_passes_only_where_told_to() {
    let origin = Origin::start();
    let routes = "
        - { name: open, prefix: /open, auth: none, upstream: app }
        - { name: all, prefix: /, auth: required, upstream: app }
    ";
    let mut gateway = Settings::new(&origin).routes(routes).start();
    let alice = gateway.user("alice", &[]);
    let bearer = format!("Bearer {}", alice.access);

    gateway.send(&get("/x").bearer(&alice.access)).expect(200);
    assert_eq!(origin.last_request().header("authorization"), None);
    gateway
        .send(&get("/open/x").bearer(&alice.access))
        .expect(200);
    assert_eq!(
        origin.last_request().header("authorization"),
        Some(bearer.clone())
    );

    gateway.reconfigure(|s| s.top("identity: { forward_authorization: true }"));
    gateway.send(&get("/x").bearer(&alice.access)).expect(200);
    assert_eq!(origin.last_request().header("authorization"), Some(bearer));
}

#[test]
fn only_the_refresh_cookie_is_taken_out() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    let request = get("/")
        .header("Cookie", "a=1; refresh_token=secret; b=\"2\"")
        .header("Cookie", "refresh_token=secret2")
        .header("Cookie", "refresh_token_x=3;c=4");
    client.exchange(&request).expect(200);

    let received = origin.only_request();
    let head = String::from_utf8_lossy(&received.head).into_owned();
    assert!(!head.contains("secret"), "{head}");
    let cookies = received.header_all("cookie").join("; ").replace("; ", ";");
    assert_eq!(cookies, "a=1;b=\"2\";refresh_token_x=3;c=4");
}
