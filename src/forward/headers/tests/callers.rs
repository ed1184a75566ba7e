//! How the caller is told.

use super::*;

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
fn an_assertion_is_the_gateway_s_word_and_a_route_may_keep_it_back() {
    let name = HeaderName::from_static("x-proof");
    let mut sent = Sent {
        assertion: Some((name.clone(), HeaderValue::from_static("a.b.c"))),
        ..Sent::default()
    };
    let forged = [
        ("x-proof", "forged"),
        ("X_PROOF", "forged"),
        ("connection", "x-proof"),
    ];
    let headers = sent.with(&forged);
    assert_eq!(lines(&headers, "x-proof"), ["a.b.c"]);
    assert!(!headers.contains_key("x_proof"));
    sent.edits.remove = vec![name];
    assert!(!sent.with(&forged).contains_key("x-proof"));
}
