//! Files of many routes, requests for them and a caller: what the benchmark of routes and the test of
//! allocations have in common.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use http::Request;
use http::request::Parts;
use portcullis::authn::{Claims, Principal, User};
use portcullis::authz::{self, Decision, Permit, Policies};
use portcullis::config::{self, Config, Plans};
use portcullis::request::{Facts, Peer, Refusal};
use portcullis::route::{self, Table};

/// Routes of one service, as [`file`] has them.
pub const ROUTES: usize = 5;

/// What routes refer to.
pub const HEAD: &str = "version: 1\n\
     tiers: { free: { rank: 0, rate: 100/min }, pro: { rank: 1 } }\n\
     upstreams: { app: { targets: http://127.0.0.1:8000 } }\n\
     routes:\n";

/// A gateway.yaml of that many services with [`ROUTES`] routes each.
pub fn file(services: usize) -> String {
    let mut text = String::from(HEAD);
    for s in 0..services {
        let _ = write!(
            text,
            "  - {{ name: health-{s}, path: /service-{s}/healthz, methods: [GET], auth: none, upstream: app }}\n  \
             - {{ name: user-{s}, path: \"/service-{s}/users/{{username}}\", auth: required, upstream: app,\n      \
             path_options: {{ trailing_slash: ignore }}, allow: [{{ owner: \"{{username}}\" }}, {{ superuser: true }}] }}\n  \
             - {{ name: post-{s}, path: \"/service-{s}/users/{{username}}/posts/{{id}}\", methods: [PATCH, DELETE],\n      \
             auth: required, upstream: app, allow: [{{ owner: \"{{username}}\" }}, {{ min_tier: pro, roles: [editor] }}] }}\n  \
             - {{ name: files-{s}, path: \"/service-{s}/files/{{*file}}\", auth: optional, upstream: app }}\n  \
             - {{ name: rest-{s}, prefix: /service-{s}, auth: required, upstream: app }}\n"
        );
    }
    text
}

/// The paths and methods of requests to one service, each with the place of its route among [`ROUTES`].
pub const REQUESTS: [(&str, &str, usize); 5] = [
    ("GET", "/healthz", 0),
    ("GET", "/users/alice", 1),
    ("PATCH", "/users/alice/posts/4711", 2),
    ("GET", "/files/2026/11/report.pdf", 3),
    ("POST", "/orders/4711/lines", 4),
];

/// What requests are matched and decided by.
pub struct Gateway {
    table: Table,
    policies: Policies,
    peer: Peer,
    alice: Principal,
}

impl Gateway {
    pub fn new(config: &Config) -> Gateway {
        let claims: Claims = serde_json::from_value(serde_json::json!({
            "iss": "http://localhost:8080",
            "sub": "01a212ab-dd20-745c-ad24-662b5a6e6356",
            "aud": ["api"],
            "exp": 4_000_000_000_u64,
            "iat": 0,
            "jti": "01a212ab-dd20-745c-ad24-662b5a6e6357",
            "sid": "01a212ab-dd20-745c-ad24-662b5a6e6358",
            "av": 1,
            "token_type": "access",
            "username": "alice",
            "tier": "free",
            "roles": ["editor"],
            "scope": "read",
            "is_superuser": false,
        }))
        .expect("claims");
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Gateway {
            table: Table::build(config, &["/api/v1/login".to_owned()]),
            policies: Policies::build(config, &Plans::default()),
            peer: Peer {
                socket: SocketAddr::new(ip, 1),
                client: ip,
                is_trusted: false,
            },
            alice: Principal::User(Arc::new(User::new(claims).expect("a user"))),
        }
    }

    /// Finds a request's route and decides on it.
    pub fn serve(&self, head: &Parts) -> Result<Permit, Refusal> {
        let host = head.headers.get("host").and_then(|h| h.to_str().ok());
        let facts = Facts {
            head,
            host: host.unwrap_or_default(),
            peer: &self.peer,
        };
        let matched = route::find(&self.table, &facts)?;
        match authz::decide(&self.policies, matched, self.alice.clone(), &facts)? {
            Decision::Permit(permit) => Ok(permit),
            Decision::Asks(_) => panic!("no rule here asks an upstream"),
        }
    }
}

pub fn load(text: &str) -> Config {
    let loaded = config::parse(text, Path::new("gateway.yaml"), &|_| None);
    loaded.expect("a file that holds").config
}

pub fn request(method: &str, path: &str) -> Parts {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "api.example.com")
        .header("x-beta", "1");
    request.body(()).expect("a request").into_parts().0
}
