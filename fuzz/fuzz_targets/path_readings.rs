//! What is let through as public is public to every server behind, whatever spellings routes take.

#![no_main]

use std::net::SocketAddr;
use std::sync::LazyLock;

use http::Request;
use libfuzzer_sys::fuzz_target;
use portcullis::config::Config;
use portcullis::request::{Facts, Peer};
use portcullis::route::{self, Table};
use portcullis_fuzz::gateways::config;
use portcullis_fuzz::policies::{Options, Shape, merged};
use portcullis_fuzz::servers::{SERVERS, loosely_decoded};

/// The options of the public routes and of those that guard something, and whether all else is public.
fn file(public: Options, guards: Options, has_rest: bool) -> String {
    let rest = match has_rest {
        true => "  - { name: rest, prefix: /, auth: none, upstream: app }\n",
        false => "",
    };
    format!(
        "
version: 1
upstreams: {{ app: {{ targets: http://127.0.0.1:8000 }} }}
routes:
  - {{ name: public, prefix: /public, auth: none, upstream: app, {} }}
  - {{ name: file, path: '/files/{{*file}}', auth: none, upstream: app, {} }}
  - {{ name: admin, prefix: /admin, auth: required, upstream: app, {} }}
  - name: own
    path: '/users/{{username}}/posts/{{id}}'
    auth: required
    allow: [{{ owner: '{{username}}' }}]
    upstream: app
    {}
{rest}",
        public.yaml(true),
        public.yaml(false),
        guards.yaml(true),
        guards.yaml(false),
    )
}

/// What the routes of [`file`] hold a plain path to, without the table.
const GUARDS: [(&str, Shape); 2] = [
    ("admin", Shape::Below("/admin")),
    ("own", Shape::Path("/users/{}/posts/{}")),
];

fn guard(path: &[u8], options: Options) -> Option<&'static str> {
    let guard = GUARDS.iter().find(|(_, shape)| shape.takes(path, options));
    guard.map(|(name, _)| *name)
}

struct Gateway {
    config: Config,
    table: Table,
    guards: Options,
    /// Some route takes any case, so servers behind may.
    folds: bool,
}

/// One for all combinations of options.
static GATEWAYS: LazyLock<Vec<Gateway>> = LazyLock::new(|| {
    let all = (0..128).map(|bits| {
        let (public, guards) = (Options::of(bits >> 3), Options::of(bits));
        let config = config(&file(public, guards, bits & 64 != 0));
        Gateway {
            table: Table::build(&config, &[]),
            config,
            guards,
            folds: public.any_case || guards.any_case,
        }
    });
    all.collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((last, path)) = data.split_last() else {
        return;
    };
    let gateway = &GATEWAYS[usize::from(*last) % 128];
    let mut target = b"/".to_vec();
    target.extend_from_slice(path);
    let Ok(request) = Request::get(target.as_slice()).body(()) else {
        return;
    };
    let (head, ()) = request.into_parts();
    let socket = SocketAddr::from(([192, 0, 2, 1], 1));
    let peer = Peer {
        socket,
        client: socket.ip(),
        is_trusted: false,
    };
    let facts = Facts {
        head: &head,
        host: "localhost",
        peer: &peer,
    };
    let Ok(matched) = route::find(&gateway.table, &facts) else {
        return;
    };
    let raw = head.uri.path().as_bytes();
    let route = matched
        .route()
        .map(|index| gateway.config.routes[index].name.as_str());
    for (server, read) in SERVERS {
        let Some(read) = read(raw) else { continue };
        for any_case in [false, true] {
            let options = Options {
                any_case: gateway.guards.any_case || (any_case && gateway.folds),
                ..gateway.guards
            };
            let guard = guard(&read, options);
            assert!(
                guard.is_none() || guard == route,
                "{server} reads {:?} as {:?}, which {guard:?} guards; it went to {route:?} under {options:?}",
                String::from_utf8_lossy(raw),
                String::from_utf8_lossy(&read),
            );
            if route == Some("own") && guard == Some("own") {
                let read = match options.merged {
                    true => merged(&read),
                    false => read.clone(),
                };
                // `url` encodes what others leave as it is.
                let name = |path: &[u8]| path.split(|b| *b == b'/').nth(2).map(loosely_decoded);
                let decided = matched
                    .param(head.uri.path(), 0)
                    .map(|name| name.as_bytes().to_vec());
                assert_eq!(name(&read), decided, "{server}");
            }
        }
    }
});
