//! Drain on a signal, and reload under load.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::client::{Connection, get};
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::Origin;
use crate::harness::{Gate, eventually};

/// Answers `/slow` once the gate is open, everything else at once.
fn gated(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::with(move |exchange| {
        exchange.read_body()?;
        if exchange.request().target() == "/slow" {
            gate.pass();
            return exchange.respond(200, "", b"finished");
        }
        exchange.respond(200, "", b"quick")
    })
}

/// A client whose request waits at the origin.
#[track_caller]
fn in_flight(gateway: &Gateway, origin: &Origin) -> Connection {
    let before = origin.requests().len();
    let mut client = gateway.connect();
    client.send(get("/slow").to_bytes());
    origin.wait_for(before + 1);
    client
}

#[track_caller]
fn wait_until_it_accepts_no_more(gateway: &Gateway) {
    eventually("the end of accepting", || {
        Connection::try_open(gateway.public).is_err().then_some(())
    });
}

#[test]
fn a_drain_lets_requests_finish_and_takes_no_new_ones() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::default();
        let origin = gated(&gate);
        let mut gateway = Settings::new(&origin).start();
        let mut idle = gateway.connect();
        idle.exchange(&get("/")).expect(200);
        let mut busy = in_flight(&gateway, &origin);

        gateway.signal(signal);
        wait_until_it_accepts_no_more(&gateway);
        let ready = get("/readyz").try_send(gateway.admin);
        assert!(
            !ready.is_ok_and(|r| r.status == 200),
            "ready while draining"
        );
        assert!(gateway.is_running(), "it did not wait");
        gate.open();

        let response = busy.read_response().expect(200);
        assert_eq!(response.body, b"finished");
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(
            idle.read_until_closed(),
            b"",
            "an idle connection is closed in silence"
        );
        let status = gateway.wait_for_exit();
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

#[test]
fn a_response_under_way_is_not_cut_by_a_drain() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
            gate.pass();
            exchange.send("half")
        })
    };
    let mut gateway = Settings::new(&origin).start();
    let mut client = gateway.connect();
    client.send(get("/").to_bytes());
    client.read_head().unwrap();

    gateway.signal("TERM");
    wait_until_it_accepts_no_more(&gateway);
    gate.open();

    assert_eq!(client.read_exact(8).unwrap(), b"halfhalf");
    assert_eq!(gateway.wait_for_exit().code(), Some(0));
}

#[test]
fn without_requests_a_drain_is_immediate() {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin).shutdown_grace("1h").start();
    let mut idle = gateway.connect();
    idle.exchange(&get("/")).expect(200);
    // A connection that has not said anything yet, and one that is half way through its head.
    let _silent = gateway.connect();
    let mut partial = gateway.connect();
    partial.send("GET / HTTP/1.1\r\nHost");

    gateway.signal("TERM");
    drop(partial);

    assert_eq!(gateway.wait_for_exit().code(), Some(0));
}

#[test]
fn a_drain_ends_with_its_grace() {
    let gate = Gate::default();
    let origin = gated(&gate);
    let mut gateway = Settings::new(&origin).shutdown_grace("300ms").start();
    let mut busy = in_flight(&gateway, &origin);

    gateway.signal("TERM");
    gateway.wait_for_exit();
    busy.read_until_closed();
    gate.open();
    // What was cut is logged as well.
    eventually("the request in the access log", || {
        let lines = gateway.stdout();
        let line = lines.iter().find(|line| line.contains("/slow"))?;
        line.contains("\"status\":499").then_some(())
    });
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let gate = Gate::default();
    let origin = gated(&gate);
    let mut gateway = Settings::new(&origin).shutdown_grace("1h").start();
    let _busy = in_flight(&gateway, &origin);

    gateway.signal("TERM");
    wait_until_it_accepts_no_more(&gateway);
    assert!(gateway.is_running());
    gateway.signal("TERM");
    gateway.wait_for_exit();
    gate.open();
}

#[test]
fn reloads_under_load_fail_no_request_and_cut_no_connection() {
    let gate = Gate::default();
    let origin = gated(&gate);
    let routes = |extra: &str| {
        format!(
            "- {{ name: all, prefix: /, auth: none, upstream: app }}\n\
             - {{ name: extra, path: /{extra}, auth: required, upstream: app }}"
        )
    };
    let mut gateway = Settings::new(&origin).routes(&routes("r0")).start();
    let public = gateway.public;
    let mut busy = in_flight(&gateway, &origin);

    let done = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut kept = Connection::open(public);
                    while !done.load(Ordering::SeqCst) {
                        kept.exchange(&get("/x")).expect(200);
                        Connection::open(public).exchange(&get("/y")).expect(200);
                        served.fetch_add(2, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for n in 1..=8 {
            let before = served.load(Ordering::SeqCst);
            gateway.reconfigure(|s| s.routes(&routes(&format!("r{n}"))));
            eventually("requests after the reload", || {
                let stuck = clients.iter().any(|c| c.is_finished());
                (stuck || served.load(Ordering::SeqCst) > before + 8).then_some(())
            });
            gateway
                .send(&get(format!("/r{n}")))
                .expect_problem(401, "token-missing");
            gateway.send(&get(format!("/r{}", n - 1))).expect(200);
        }
        done.store(true, Ordering::SeqCst);
        clients.into_iter().for_each(|c| c.join().unwrap());
    });

    gate.open();
    assert_eq!(busy.read_response().expect(200).body, b"finished");
}

#[test]
fn an_invalid_file_changes_nothing_and_says_why() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    let good = gateway.yaml();

    for (bad, reason) in [
        (good.replace("auth: none", "auth: nobody"), "nobody"),
        (
            good.replace("upstream: app", "upstream: missing"),
            "missing",
        ),
        (good.replace("prefix: /", "prefxi: /"), "prefxi"),
        ("version: 1\nlisten: [".to_owned(), "gateway.yaml"),
        (String::new(), "gateway.yaml"),
    ] {
        let said = gateway.stderr().len();
        gateway.reload_with(&bad);
        eventually(&format!("{reason:?} in the log"), || {
            let words = gateway.stderr()[said..].join("\n");
            words.contains(reason).then_some(())
        });
        gateway.send(&get("/")).expect(200);
    }
    gateway.reload_with(&good);
    gateway.send(&get("/")).expect(200);
}

#[test]
fn what_only_a_restart_can_change_is_refused_by_name() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    let good = gateway.yaml();

    for (from, to, key) in [
        ("workers: 2", "workers: 3", "workers"),
        (
            "store: sqlite:portcullis.db",
            "store: sqlite:other.db",
            "store",
        ),
    ] {
        let said = gateway.stderr().len();
        // The whole file is refused, with the change that could have been made.
        let both = good
            .replace(from, to)
            .replace("auth: none", "auth: required");
        gateway.reload_with(&both);
        eventually(&format!("{key:?} in the log"), || {
            let words = gateway.stderr()[said..].join("\n");
            words.contains(key).then_some(())
        });
        gateway.send(&get("/")).expect(200);
    }
    gateway.reload_with(&good.replace("auth: none", "auth: required"));
    gateway.send(&get("/")).expect_problem(401, "token-missing");
}

#[test]
fn accounts_and_sessions_outlive_a_restart() {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let kept = gateway.user("alice", &[]);
    let ended = gateway.login("alice");
    gateway
        .send(&crate::harness::client::post("/api/v1/logout").bearer(&ended.access))
        .expect(200);

    gateway = gateway.restart();

    gateway.send(&get("/").bearer(&kept.access)).expect(200);
    gateway.send(&get("/").bearer(&ended.access)).expect(401);
    gateway.refresh(&kept.refresh).expect(200);
    gateway.refresh(&ended.refresh).expect(401);
    gateway.login("alice");
}

#[test]
fn an_address_that_is_taken_stops_the_start() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let dir = tempfile::tempdir().unwrap();
    let free = crate::harness::gateway::free_address();
    let yaml = Settings::new(&origin).to_yaml(gateway.public, free);
    std::fs::write(dir.path().join("gateway.yaml"), yaml).unwrap();
    let mut command = crate::harness::gateway::portcullis(dir.path());
    let output = crate::harness::gateway::run(command.arg("serve"), "");

    assert_eq!(output.code, 1, "{output:?}");
    let address = gateway.public.to_string();
    assert!(output.stderr.contains(&address), "{output:?}");
    gateway.still_serves("/");
}
