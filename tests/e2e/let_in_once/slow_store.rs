//! Streams while the store takes long to say whose API key one is.

use super::{backend, has_ended};
use crate::harness::Gate;
use crate::harness::client::Request;
use crate::harness::gateway::{Gateway, SECRET, Settings};
use crate::harness::postgres::Cluster;
use crate::harness::websocket::{Socket, handshake};

/// What could be a key, and is nobody's.
fn key(nth: usize) -> String {
    format!("pck_{nth:032x}_{}", "a".repeat(43))
}

#[test]
fn what_is_told_without_the_store_does_not_wait_for_it() {
    const IN_LINE: usize = 60;
    let Some(cluster) = Cluster::start_if_there() else {
        return;
    };
    let origin = backend(&Gate::default());
    let before = "
        - { name: keys, prefix: /keys, auth: none, upstream: app }
        - { name: tokens, prefix: /tokens, auth: required, upstream: app }
        - { name: bosses, prefix: /bosses, auth: required, upstream: app }
    ";
    let after = before.replace("auth: none", "auth: optional").replace(
        "/bosses, auth: required",
        "/bosses, auth: required, allow: [{ superuser: true }]",
    );
    let mut gateway = Settings::new(&origin)
        .store(&cluster.database("gateway"))
        .auth(&format!(
            "signing: {{ algorithm: HS256, secret: {SECRET} }}"
        ))
        .routes(before)
        .start();
    let alice = gateway.user("alice", &[]).access;
    let foreign = |path: &str| handshake(path).header("X-API-Key", "of-the-app");
    let mut in_line: Vec<_> = (0..IN_LINE)
        .map(|nth| open(&gateway, &handshake("/keys").header("X-API-Key", &key(nth))))
        .collect();
    let mut staying = open(&gateway, &foreign("/tokens").bearer(&alice));
    let mut ending: Vec<_> = (0..4)
        .map(|_| open(&gateway, &foreign("/bosses").bearer(&alice)))
        .collect();
    // What is no key needs no look-up to be refused.
    ending.push(open(&gateway, &foreign("/keys")));

    cluster.lock("gateway", "api_keys");
    gateway.reconfigure(|settings| settings.routes(&after));
    for socket in ending {
        has_ended(&gateway, socket.connection, &socket.response, "refused");
    }
    staying.echo("a token needs no look-up");
    for socket in &mut in_line {
        socket.echo("nobody can tell");
    }
}

#[track_caller]
fn open(gateway: &Gateway, request: &Request) -> Socket {
    let mut socket = Socket::open(gateway, request);
    socket.echo("hello");
    socket
}
