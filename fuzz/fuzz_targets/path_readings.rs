//! What is let through as public is public to every server behind.

#![no_main]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;

use http::Request;
use libfuzzer_sys::fuzz_target;
use portcullis::config;
use portcullis::request::{Facts, Peer};
use portcullis::route::{self, Table};
use portcullis_fuzz::{SERVERS, loosely_decoded};

const CONFIG: &str = "
version: 1
upstreams: { app: { targets: http://127.0.0.1:8000 } }
routes:
  - { name: public, prefix: /public, auth: none, upstream: app }
  - { name: file, path: '/files/{*file}', auth: none, upstream: app }
  - { name: admin, prefix: /admin, auth: required, upstream: app }
  - name: own
    path: '/users/{username}/posts/{id}'
    auth: required
    allow: [{ owner: '{username}' }]
    upstream: app
";

/// What the routes of [`CONFIG`] hold a plain path to, without the table.
fn guard(path: &[u8]) -> Option<&'static str> {
    let is_below = |prefix: &[u8]| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
    if is_below(b"/admin") {
        return Some("admin");
    }
    match segments.as_slice() {
        [b"users", name, b"posts", id] if !name.is_empty() && !id.is_empty() => Some("own"),
        _ => None,
    }
}

static GATEWAY: LazyLock<(config::Config, Table)> = LazyLock::new(|| {
    let loaded = config::parse(CONFIG, Path::new("gateway.yaml"), &|_| None);
    let config = loaded
        .unwrap_or_else(|report| panic!("{}", report.render(false)))
        .config;
    let table = Table::build(&config, &[]);
    (config, table)
});

fuzz_target!(|path: &[u8]| {
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
    let (config, table) = &*GATEWAY;
    let Ok(matched) = route::find(table, &facts) else {
        return;
    };
    let raw = head.uri.path().as_bytes();
    let route = matched
        .route()
        .map(|index| config.routes[index].name.as_str());
    for (server, read) in SERVERS {
        let Some(read) = read(raw) else { continue };
        let guard = guard(&read);
        assert!(
            guard.is_none() || guard == route,
            "{server} reads {:?} as {:?}, which {guard:?} guards; it went to {route:?}",
            String::from_utf8_lossy(raw),
            String::from_utf8_lossy(&read),
        );
        if route == Some("own") && guard == Some("own") {
            // `url` encodes what others leave as it is.
            let name = |path: &[u8]| path.split(|b| *b == b'/').nth(2).map(loosely_decoded);
            let decided = matched
                .param(head.uri.path(), 0)
                .map(|name| name.as_bytes().to_vec());
            assert_eq!(name(&read), decided, "{server}");
        }
    }
});
