//! What reaches an upstream of what a client and the gateway say.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use http::Request;

use super::super::template::{Filled, Scene, values};
use super::{Hop, Names, Told, clean_trailers, toward_client, toward_upstream};
use crate::authn::sample::claims;
use crate::authn::{Claims, Principal, User};
use crate::config::checked::{
    Assertion, AuthMode, HeaderEdits, HeaderLine, HostRewrite, Identity, Part, Preset,
    RequestField, Template, UserField, UserId, Variable,
};
use crate::config::text as config_text;
use crate::request::{Facts, Peer};
use crate::route::{Table, find, sample};

mod callers;
mod templates;

/// That every test asks for.
const PATH: &str = "/users/al~ice/x/y?q=1";
const ID: HeaderValue = HeaderValue::from_static("the-request-id");

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

fn alice() -> Principal {
    let claims = Claims {
        roles: vec!["editor".into(), "writer".into()],
        scope: "a b".into(),
        email: Some("alice@example.com".into()),
        name: Some("Alice Äö".into()),
        external_id: Some("42".into()),
        further: serde_json::from_value(serde_json::json!({
            "org": "acme",
            "level": 3,
            "teams": ["red"],
            "evil": "a\r\nX-User-Id: 1",
            "tab": "a\tb",
            "nul": "a\u{0}b",
        }))
        .unwrap(),
        ..claims(7)
    };
    Principal::User(Arc::new(User::new(claims).unwrap()))
}

struct Sent {
    preset: Preset,
    principal: Principal,
    auth: AuthMode,
    is_trusted: bool,
    forward_authorization: bool,
    assertion: Option<(HeaderName, HeaderValue)>,
    identity_headers: Vec<HeaderLine>,
    edits: HeaderEdits,
    host: HostRewrite,
    is_handshake: bool,
}

impl Default for Sent {
    fn default() -> Self {
        Sent {
            preset: Preset::XUser,
            principal: alice(),
            auth: AuthMode::Required,
            is_trusted: false,
            forward_authorization: false,
            assertion: None,
            identity_headers: Vec::new(),
            edits: HeaderEdits::default(),
            host: HostRewrite::Preserve,
            is_handshake: false,
        }
    }
}

impl Sent {
    fn with(&self, lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = headers(lines);
        let identity = Identity {
            user_id: UserId::Id,
            preset: self.preset,
            headers: self.identity_headers.clone(),
            assertion: self.assertion.clone().map(|(header, _)| Assertion {
                header,
                ttl: Duration::from_secs(60),
            }),
            forward_authorization: self.forward_authorization,
        };
        let hop = Hop {
            peer: HeaderValue::from_static("192.0.2.1"),
            port: HeaderValue::from_static("8080"),
        };
        let mut route = sample::route(config_text::path("/users/{username}/{*rest}").unwrap());
        route.request_headers = self.edits.clone();
        let mut config = sample::config(vec![route]);
        config.identity = identity.clone();
        let head = Request::get(PATH).header("host", "a.test");
        let (head, ()) = head.body(()).unwrap().into_parts();
        let peer = Peer {
            socket: ([192, 0, 2, 1], 5000).into(),
            client: [192, 0, 2, 7].into(),
            is_trusted: self.is_trusted,
        };
        let facts = Facts {
            head: &head,
            host: "a.test",
            peer: &peer,
        };
        let matched = find(&Table::build(&config, &[]), &facts).unwrap();
        let scene = Scene {
            principal: &self.principal,
            matched: &matched,
            method: &head.method,
            path: head.uri.path(),
            host: head.headers.get("host"),
            scheme: super::scheme(&headers, self.is_trusted),
            ip: peer.client,
            request_id: &ID,
        };
        let told = Told {
            host: &HeaderValue::from_static("upstream:8000"),
            host_rewrite: &self.host,
            hop: &hop,
            is_trusted: self.is_trusted,
            request_id: &ID,
            identity: &identity,
            principal: &self.principal,
            auth: self.auth,
            refresh_cookie: "refresh_token",
            names: &Names::of(&config),
            assertion: self
                .assertion
                .as_ref()
                .map(|(name, value)| (name, value.clone())),
            identity_values: &values(&identity.headers, &scene),
            edits: &Filled::of(&self.edits, &scene),
            is_handshake: self.is_handshake,
        };
        toward_upstream(&mut headers, &told);
        headers
    }
}

fn line(name: &'static str, parts: &[Part]) -> HeaderLine {
    HeaderLine {
        name: HeaderName::from_static(name),
        value: Template::Composed(parts.to_vec()),
    }
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn lines(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect()
}

#[test]
fn connection_takes_away_what_the_client_sent_and_nothing_of_ours() {
    let headers = Sent::default().with(&[
        ("host", "a"),
        ("connection", "keep-alive, X-User-Id"),
        (
            "connection",
            "x-mine,, x-forwarded-for , host, content-length",
        ),
        ("content-length", "3"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "websocket"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic x"),
    ]);
    for gone in [
        "connection",
        "x-mine",
        "keep-alive",
        "upgrade",
        "te",
        "proxy-authorization",
    ] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(lines(&headers, "x-user-id").len(), 1);
    assert_eq!(lines(&headers, "x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(lines(&headers, "host"), ["a"]);
    assert_eq!(lines(&headers, "content-length"), ["3"]);
}

#[test]
fn a_handshake_is_said_afresh() {
    let sent = Sent {
        is_handshake: true,
        ..Sent::default()
    };
    let headers = sent.with(&[
        ("host", "a"),
        ("connection", "Upgrade, x-mine, X-User-Id"),
        ("upgrade", "WebSocket"),
        ("content-length", "0"),
        ("x-mine", "1"),
        ("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw=="),
    ]);
    assert_eq!(lines(&headers, "connection"), ["upgrade"]);
    assert_eq!(lines(&headers, "upgrade"), ["websocket"]);
    assert_eq!(headers["sec-websocket-key"], "x3JJHMbDL1EzLkh9GBhXDw==");
    assert!(headers.contains_key("x-user-id"));
    for gone in ["x-mine", "content-length"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
}

#[test]
fn only_a_trusted_proxy_is_believed() {
    let claimed = [
        ("host", "a"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "public.example"),
        ("x-original-url", "/admin"),
        ("forwarded", "for=6.6.6.6"),
        ("x-user-id", "1"),
    ];
    let headers = Sent::default().with(&claimed);
    assert_eq!(lines(&headers, "x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(lines(&headers, "x-forwarded-proto"), ["http"]);
    assert_eq!(lines(&headers, "x-forwarded-host"), ["a"]);
    assert_eq!(lines(&headers, "x-forwarded-port"), ["8080"]);
    assert!(!headers.contains_key("x-original-url") && !headers.contains_key("forwarded"));

    let trusting = Sent {
        is_trusted: true,
        ..Sent::default()
    };
    let headers = trusting.with(&claimed);
    assert_eq!(
        lines(&headers, "x-forwarded-for"),
        ["6.6.6.6, 7.7.7.7, 192.0.2.1"]
    );
    assert_eq!(lines(&headers, "x-forwarded-proto"), ["https"]);
    assert_eq!(lines(&headers, "x-forwarded-host"), ["public.example"]);
    // Identity is the gateway's alone, whoever sends it.
    assert_ne!(lines(&headers, "x-user-id"), ["1"]);
}

#[test]
fn credentials_stay_here_unless_told_otherwise() {
    let sent = [
        ("authorization", "Bearer t"),
        ("cookie", "a=1; refresh_token=secret; b=2"),
        ("cookie", "refresh_token = \"other\""),
        ("cookie", "refresh_tokens=3"),
    ];
    let headers = Sent::default().with(&sent);
    assert!(!headers.contains_key("authorization"));
    assert_eq!(lines(&headers, "cookie"), ["a=1; b=2; refresh_tokens=3"]);
    assert_eq!(headers[super::X_REQUEST_ID], ID);

    let forwarding = Sent {
        forward_authorization: true,
        ..Sent::default()
    };
    assert!(forwarding.with(&sent).contains_key("authorization"));
    let public = Sent {
        auth: AuthMode::None,
        principal: Principal::Anonymous,
        ..Sent::default()
    };
    assert!(public.with(&sent).contains_key("authorization"));
    let only = Sent::default().with(&[("cookie", "refresh_token=secret")]);
    assert!(!only.contains_key("cookie"));
}

#[test]
fn trailers_say_nothing_that_headers_may_not() {
    let mut trailers = headers(&[
        ("x-user-id", "1"),
        ("x_user_id", "1"),
        ("content-length", "9"),
        ("authorization", "Bearer t"),
        ("app_key", "pck_1_2"),
        ("x_org", "1"),
        ("X_Inside", "1"),
        ("x-checksum", "abc"),
    ]);
    let mut config = sample::config(Vec::new());
    config.auth.api_keys.header = HeaderName::from_static("app-key");
    config.identity.headers = vec![line("x-org", &[])];
    let removed = [HeaderName::from_static("x-inside")];
    clean_trailers(&mut trailers, &Names::of(&config), &removed);
    assert_eq!(trailers, headers(&[("x-checksum", "abc")]));
}

#[test]
fn a_response_keeps_what_is_for_the_client() {
    let mut response = headers(&[
        ("connection", "close, x-internal"),
        ("x-internal", "1"),
        ("transfer-encoding", "chunked"),
        ("set-cookie", "a=1"),
        ("server", "old"),
        ("x-powered-by", "old"),
    ]);
    let edits = HeaderEdits {
        remove: vec![HeaderName::from_static("x-powered-by")],
        set: vec![line("server", &[text("new")])],
        add: vec![line("set-cookie", &[text("b=2")])],
    };
    let filled = Filled {
        edits: &edits,
        set: vec![Some(HeaderValue::from_static("new"))],
        add: vec![Some(HeaderValue::from_static("b=2"))],
    };
    toward_client(&mut response, &filled);
    let expected = headers(&[
        ("set-cookie", "a=1"),
        ("server", "new"),
        ("set-cookie", "b=2"),
    ]);
    assert_eq!(response, expected);
}

#[test]
fn only_a_trusted_proxy_s_one_word_makes_it_https() {
    let scheme = |lines: &[(&str, &str)], is_trusted| super::scheme(&headers(lines), is_trusted);
    let https = [("x-forwarded-proto", "HTTPS")];
    assert_eq!(scheme(&https, true), "https");
    assert_eq!(scheme(&https, false), "http");
    assert_eq!(scheme(&[], true), "http");
    assert_eq!(scheme(&[("x-forwarded-proto", "x, https")], true), "http");
    let twice = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-proto", "http"),
    ];
    assert_eq!(scheme(&twice, true), "http");
}

#[test]
fn the_host_that_the_upstream_is_told_is_the_route_s_to_say() {
    let name = HostRewrite::Name(HeaderValue::from_static("app.internal:81"));
    for (host, expected) in [
        (HostRewrite::Preserve, "a.test"),
        (HostRewrite::Upstream, "upstream:8000"),
        (name, "app.internal:81"),
    ] {
        let sent = Sent {
            host,
            ..Sent::default()
        };
        let headers = sent.with(&[("host", "a.test")]);
        assert_eq!(lines(&headers, "host"), [expected]);
        assert_eq!(lines(&headers, "x-forwarded-host"), ["a.test"]);
    }
}
