//! What reaches an upstream of what a client and the gateway say.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Hop, Told, clean_trailers, toward_client, toward_upstream};
use crate::authn::sample::claims;
use crate::authn::{Claims, Principal, User};
use crate::config::checked::{AuthMode, Identity, Preset, UserId};

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
}

impl Default for Sent {
    fn default() -> Self {
        Sent {
            preset: Preset::XUser,
            principal: alice(),
            auth: AuthMode::Required,
            is_trusted: false,
            forward_authorization: false,
        }
    }
}

impl Sent {
    fn with(&self, lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = headers(lines);
        let identity = Identity {
            user_id: UserId::Id,
            preset: self.preset,
            forward_authorization: self.forward_authorization,
        };
        let hop = Hop {
            peer: HeaderValue::from_static("192.0.2.1"),
            port: HeaderValue::from_static("8080"),
        };
        let told = Told {
            host: &HeaderValue::from_static("upstream:8000"),
            hop: &hop,
            is_trusted: self.is_trusted,
            request_id: &ID,
            identity: &identity,
            principal: &self.principal,
            auth: self.auth,
            refresh_cookie: "refresh_token",
            api_key: &HeaderName::from_static("x-api-key"),
        };
        toward_upstream(&mut headers, &told);
        headers
    }
}

fn lines(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect()
}

#[test]
fn each_preset_tells_the_caller_in_its_own_names() {
    let id = claims(7).sub.to_string();
    let told: [(Preset, &[(&str, &str)]); 6] = [
        (
            Preset::XUser,
            &[
                ("x-user-id", &id),
                ("x-user-name", "alice"),
                ("x-user-email", "alice@example.com"),
                ("x-user-tier", "free"),
                ("x-user-roles", "editor,writer"),
                ("x-user-scopes", "a b"),
                ("x-user-superuser", "false"),
                ("x-auth-method", "jwt"),
            ],
        ),
        (
            Preset::XForwarded,
            &[
                ("x-forwarded-user", &id),
                ("x-forwarded-email", "alice@example.com"),
                ("x-forwarded-groups", "editor,writer"),
                ("x-forwarded-preferred-username", "alice"),
            ],
        ),
        (
            Preset::XAuthRequest,
            &[
                ("x-auth-request-user", &id),
                ("x-auth-request-email", "alice@example.com"),
                ("x-auth-request-groups", "editor,writer"),
                ("x-auth-request-preferred-username", "alice"),
            ],
        ),
        (
            Preset::RemoteUser,
            &[
                ("remote-user", "alice"),
                ("remote-email", "alice@example.com"),
                ("remote-groups", "editor,writer"),
                ("remote-name", "Alice Äö"),
            ],
        ),
        (
            Preset::XConsumer,
            &[
                ("x-consumer-id", &id),
                ("x-consumer-username", "alice"),
                ("x-consumer-custom-id", "42"),
                ("x-consumer-groups", "editor,writer"),
                ("x-credential-identifier", &id),
                ("x-anonymous-consumer", "false"),
            ],
        ),
        (Preset::None, &[]),
    ];
    // Host and what every request is told beside the identity.
    let others = 6;
    for (preset, expected) in told {
        let sent = Sent {
            preset,
            ..Sent::default()
        };
        let headers = sent.with(&[("host", "a")]);
        for (name, value) in expected {
            assert_eq!(lines(&headers, name), [*value], "{preset:?} {name}");
        }
        assert_eq!(headers.len(), expected.len() + others, "{preset:?}");
    }
}

#[test]
fn a_caller_without_identity_is_told_as_such_or_not_at_all() {
    let anonymous = |preset| Sent {
        preset,
        principal: Principal::Anonymous,
        ..Sent::default()
    };
    let spoofed = [("x-user-id", "1"), ("X_Consumer_Username", "root")];
    let headers = anonymous(Preset::XUser).with(&spoofed);
    assert!(!headers.contains_key("x-user-id") && !headers.contains_key("x_consumer_username"));
    let headers = anonymous(Preset::XConsumer).with(&spoofed);
    assert_eq!(lines(&headers, "x-anonymous-consumer"), ["true"]);
    assert!(!headers.contains_key("x-consumer-username"));
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
        ("x-checksum", "abc"),
    ]);
    clean_trailers(&mut trailers, &HeaderName::from_static("app-key"));
    assert_eq!(trailers, headers(&[("x-checksum", "abc")]));
}

#[test]
fn a_response_keeps_what_is_for_the_client() {
    let mut response = headers(&[
        ("connection", "close, x-internal"),
        ("x-internal", "1"),
        ("transfer-encoding", "chunked"),
        ("set-cookie", "a=1"),
    ]);
    toward_client(&mut response);
    assert_eq!(response, headers(&[("set-cookie", "a=1")]));
}
