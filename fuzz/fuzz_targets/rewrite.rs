//! Whatever beginning a path gets, the decision is that of the path as it came, and no server behind
//! reads the new path as something that another route guards, or as one outside of what it begins with.

#![no_main]

use std::sync::LazyLock;

use http::Uri;
use libfuzzer_sys::fuzz_target;
use portcullis::authn::Principal;
use portcullis::policy::{Caller, Decided, Stages};
use portcullis::request::Code;
use portcullis_fuzz::gateways::{alice, asked, known, stages};
use portcullis_fuzz::policies::{Options, Shape};
use portcullis_fuzz::servers::SERVERS;

/// A route: its path, who may use it, and what takes the place of what.
struct Route {
    name: &'static str,
    path: &'static str,
    shape: Shape,
    policy: &'static str,
    strip: &'static str,
    set: &'static str,
}

/// Tighter ones first.
const ROUTES: [Route; 7] = [
    Route {
        name: "secret",
        path: "prefix: /files/secret",
        shape: Shape::Below("/files/secret"),
        policy: "auth: required",
        strip: "/files",
        set: "/v2",
    },
    Route {
        name: "files",
        path: "prefix: /files",
        shape: Shape::Below("/files"),
        policy: "auth: optional",
        strip: "/files",
        set: "/v2",
    },
    Route {
        name: "own",
        path: "path: '/bare/{username}/posts/{id}'",
        shape: Shape::Path("/bare/{}/posts/{}"),
        policy: "auth: required, allow: [{ owner: '{username}' }]",
        strip: "/bare",
        set: "",
    },
    Route {
        name: "bare",
        path: "prefix: /bare",
        shape: Shape::Below("/bare"),
        policy: "auth: optional",
        strip: "/bare",
        set: "",
    },
    Route {
        name: "deep",
        path: "prefix: /a/b/c",
        shape: Shape::Below("/a/b/c"),
        policy: "auth: optional",
        strip: "/a/b",
        set: "/x/y/z",
    },
    Route {
        name: "front",
        path: "prefix: /front",
        shape: Shape::Below("/front"),
        policy: "auth: optional",
        strip: "",
        set: "/v3",
    },
    Route {
        name: "rest",
        path: "prefix: /",
        shape: Shape::Below(""),
        policy: "auth: optional",
        strip: "",
        set: "/rest",
    },
];

fn file(options: Options, is_rewritten: bool) -> String {
    let mut text = String::from(
        "
version: 1
tiers: { free: { rank: 0 } }
upstreams: { app: { targets: http://127.0.0.1:8000 } }
routes:
",
    );
    for route in ROUTES {
        let options = options.yaml(route.path.starts_with("prefix"));
        let Route {
            name, path, policy, ..
        } = route;
        text +=
            &format!("  - {{ name: {name}, {path}, {policy}, limits: [], upstream: app, {options}");
        if is_rewritten {
            let keys = [("strip_prefix", route.strip), ("set_prefix", route.set)];
            let keys = keys.iter().filter(|(_, value)| !value.is_empty());
            let keys: Vec<_> = keys.map(|(key, value)| format!("{key}: {value}")).collect();
            text += &format!(", rewrite: {{ {} }}", keys.join(", "));
        }
        text += " }\n";
    }
    text
}

struct Gateway {
    options: Options,
    rewriting: Stages,
    plain: Stages,
    callers: [Principal; 2],
}

static GATEWAYS: LazyLock<Vec<Gateway>> = LazyLock::new(|| {
    let all = (0..8).map(|bits| {
        let options = Options::of(bits);
        let rewriting = stages(&file(options, true));
        Gateway {
            options,
            callers: [
                Principal::Anonymous,
                known(&alice(), &rewriting.config).unwrap(),
            ],
            rewriting,
            plain: stages(&file(options, false)),
        }
    });
    all.collect()
});

/// The route that guards a plain path, without the table.
fn guard(path: &[u8], options: Options) -> Option<&'static str> {
    let taking = ROUTES.iter().find(|route| route.shape.takes(path, options));
    taking.map(|route| route.name)
}

fn code(decided: &Decided) -> Option<Code> {
    decided.refusal().map(|refusal| refusal.code())
}

fuzz_target!(|data: &[u8]| {
    let Some((last, rest)) = data.split_last() else {
        return;
    };
    let gateway = &GATEWAYS[usize::from(*last) % 8];
    let caller = &gateway.callers[usize::from(*last) / 8 % 2];
    let target = [b"/", rest].concat();
    let Ok(target) = Uri::try_from(target.as_slice()) else {
        return;
    };
    let asked = asked("GET", target, [192, 0, 2, 1].into());
    let caller = || Caller::Stated(caller.clone());
    let ask = |stages: &Stages| stages.decide(&asked, &caller());
    let (before, after) = (ask(&gateway.plain), ask(&gateway.rewriting));
    assert_eq!(before.route, after.route);
    if before.refusal().is_some() {
        assert_eq!(code(&before), code(&after));
        return;
    }
    let Some(outgoing) = &after.outgoing else {
        assert!(matches!(
            code(&after),
            Some(Code::AmbiguousPath | Code::BadRequest)
        ));
        return;
    };
    let taken = gateway.rewriting.explain(&asked, &caller()).route;
    let route = ROUTES
        .iter()
        .find(|route| Some(route.name) == taken.as_deref());
    let route = route.expect("a route of the file");

    // Byte for byte, but for the beginning.
    let (old, new) = (&asked.target, &outgoing.target);
    assert_eq!(old.query(), new.query());
    let kept = &old.path()[route.strip.len()..];
    let exchanged = format!("{}{kept}", route.set);
    match exchanged.is_empty() {
        true => assert_eq!(new.path(), "/"),
        false => assert_eq!(new.path(), exchanged),
    }
    // Nothing that could be taken for a target in another form (RFC 9112, section 3.2).
    let text = new.to_string();
    assert!(text.starts_with('/') && !text.starts_with("//"), "{text}");
    assert_eq!(text.parse::<Uri>().ok().as_ref(), Some(new));
    assert!(
        text.bytes().all(|byte| byte > b' ' && byte != 127),
        "{text}"
    );

    for (server, read) in SERVERS {
        let Some(read) = read(new.path().as_bytes()) else {
            continue;
        };
        let shown = String::from_utf8_lossy(&read);
        let Some(below) = read.strip_prefix(route.set.as_bytes()) else {
            panic!("{server} reads {text} as {shown}, outside of {}", route.set);
        };
        assert!(
            matches!(below.first(), None | Some(b'/')),
            "{server}: {shown}"
        );
        assert!(!read.starts_with(b"//"), "{server}: {shown}");
        let original = [route.strip.as_bytes(), below].concat();
        let guard = guard(&original, gateway.options);
        assert_eq!(guard, Some(route.name), "{server} reads {text} as {shown}");
    }
});
