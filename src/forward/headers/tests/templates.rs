//! What the file says of headers, filled in for one request.

use super::*;

fn user(field: UserField) -> Part {
    Part::Value(Variable::User(field))
}

fn claim(name: &str) -> Part {
    Part::Value(Variable::Claim(name.to_owned()))
}

fn of_request(field: RequestField) -> Part {
    Part::Value(Variable::Request(field))
}

#[test]
fn templates_are_filled_in() {
    let id = claims(7).sub.to_string();
    let cases = [
        (vec![user(UserField::Id)], &*id),
        (vec![user(UserField::Username), text("!")], "alice!"),
        (vec![user(UserField::Email)], "alice@example.com"),
        (vec![user(UserField::Name)], "Alice Äö"),
        (vec![user(UserField::ExternalId)], "42"),
        (vec![user(UserField::Tier)], "free"),
        (vec![user(UserField::Roles)], "editor,writer"),
        (vec![user(UserField::Scopes)], "a b"),
        (vec![text("s="), user(UserField::IsSuperuser)], "s=false"),
        (vec![claim("org"), text("/"), claim("level")], "acme/3"),
        (vec![Part::Value(Variable::Path(0))], "al~ice"),
        (vec![Part::Value(Variable::Path(1))], "x/y"),
        (vec![of_request(RequestField::Id)], "the-request-id"),
        (vec![of_request(RequestField::Method)], "GET"),
        (vec![of_request(RequestField::Host)], "a.test"),
        (vec![of_request(RequestField::Path)], "/users/al~ice/x/y"),
        (vec![of_request(RequestField::Ip)], "192.0.2.7"),
        (vec![of_request(RequestField::Scheme)], "http"),
    ];
    for (parts, expected) in cases {
        let sent = Sent {
            identity_headers: vec![line("x-it", &parts)],
            ..Sent::default()
        };
        let headers = sent.with(&[("host", "a.test"), ("X_It", "forged")]);
        assert_eq!(lines(&headers, "x-it"), [expected], "{parts:?}");
        assert!(!headers.contains_key("x_it"));
    }
}

#[test]
fn without_a_value_there_is_no_header_and_never_a_broken_one() {
    for parts in [
        vec![claim("nothing")],
        vec![text("org="), claim("nothing")],
        vec![claim("teams")],
        vec![claim("evil")],
        vec![claim("tab")],
        vec![text("x"), claim("nul")],
        vec![Part::Value(Variable::Path(9))],
    ] {
        let sent = Sent {
            identity_headers: vec![line("x-it", &parts)],
            edits: HeaderEdits {
                set: vec![line("accept-language", &parts)],
                add: vec![line("x-added", &parts)],
                ..HeaderEdits::default()
            },
            ..Sent::default()
        };
        let claimed = [
            ("x-it", "forged"),
            ("accept-language", "en"),
            ("x_added", "1"),
        ];
        let headers = sent.with(&claimed);
        for gone in ["x-it", "accept-language", "x-added", "x_added"] {
            assert!(!headers.contains_key(gone), "{gone} {parts:?}");
        }
        assert_ne!(lines(&headers, "x-user-id"), ["1"]);
    }
    let name = Claims {
        name: Some("a\tb".into()),
        ..claims(7)
    };
    for parts in [
        vec![user(UserField::Name)],
        vec![text("x"), user(UserField::Name)],
    ] {
        let sent = Sent {
            principal: Principal::User(Arc::new(User::new(name.clone()).unwrap())),
            identity_headers: vec![line("x-it", &parts)],
            ..Sent::default()
        };
        let headers = sent.with(&[("x-it", "forged")]);
        assert!(!headers.contains_key("x-it"), "{parts:?}");
    }
    let anonymous = Sent {
        principal: Principal::Anonymous,
        identity_headers: vec![
            line("x-who", &[user(UserField::Username)]),
            line("x-org", &[claim("org")]),
            line("x-from", &[of_request(RequestField::Ip)]),
        ],
        ..Sent::default()
    };
    let headers = anonymous.with(&[("x-who", "root"), ("x_org", "root")]);
    assert!(!headers.contains_key("x-who") && !headers.contains_key("x_org"));
    assert_eq!(lines(&headers, "x-from"), ["192.0.2.7"]);
}

#[test]
fn a_route_removes_sets_and_adds_in_this_order() {
    let sent = Sent {
        edits: HeaderEdits {
            remove: ["x-user-email", "x-secret", "x-both"]
                .map(HeaderName::from_static)
                .to_vec(),
            set: vec![
                line("x-both", &[text("1")]),
                line("user-agent", &[text("gw")]),
            ],
            add: vec![line("x-both", &[text("2")]), line("accept", &[text("a/b")])],
        },
        ..Sent::default()
    };
    let headers = sent.with(&[
        ("X_Secret", "1"),
        ("x-secret", "1"),
        ("x-both", "0"),
        ("user-agent", "curl"),
        ("accept", "c/d"),
    ]);
    for gone in ["x_secret", "x-secret", "x-user-email"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(lines(&headers, "x-both"), ["1", "2"]);
    assert_eq!(lines(&headers, "user-agent"), ["gw"]);
    assert_eq!(lines(&headers, "accept"), ["c/d", "a/b"]);
    assert_eq!(lines(&headers, "x-user-name"), ["alice"]);
}

#[test]
fn what_a_route_sets_is_said_once_though_it_means_something_by_itself() {
    let sent = Sent {
        edits: HeaderEdits {
            set: vec![
                line("user-agent", &[text("gateway")]),
                line("cache-control", &[claim("none")]),
            ],
            ..HeaderEdits::default()
        },
        ..Sent::default()
    };
    let headers = sent.with(&[
        ("User-Agent", "mine"),
        ("user_agent", "mine"),
        ("User.Agent", "mine"),
        ("Cache_Control", "mine"),
        ("cache^control", "mine"),
        ("user-agents", "mine"),
    ]);
    let mine = headers.iter().filter(|(_, value)| *value == "mine");
    assert_eq!(
        mine.map(|(name, _)| name).collect::<Vec<_>>(),
        ["user-agents"]
    );
    assert_eq!(lines(&headers, "user-agent"), ["gateway"]);
}
