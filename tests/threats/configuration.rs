//! Changes of the configuration that must not open anything.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

#[test]
fn truncated_config() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: admin
              prefix: /admin
              auth: required
              allow: [ { superuser: true } ]
              upstream: app
            - name: open
              prefix: /
              auth: none
              upstream: app
            ",
        )
        .start();
    let whole = gateway.yaml();

    // Every place where a writer could have been interrupted inside the routes; cut at the end of a route
    // the file is whole, as far as anybody can tell, and has fewer routes, never looser ones.
    let start = whole.find("routes:").unwrap();
    let mut cuts: Vec<usize> = (start..whole.len()).step_by(7).collect();
    cuts.extend([0, 1, whole.len() / 2]);
    for cut in cuts {
        gateway.reload_with(&whole[..cut]);
        let admin = gateway.send(&get("/admin"));
        assert!(
            matches!(admin.status, 401 | 404),
            "cut at {cut}, /admin gets {admin:?}\n{}",
            &whole[..cut]
        );
    }
    gateway.reload_with(&whole);
    assert!(origin.requests().iter().all(|r| r.target() != "/admin"));
    gateway.send(&get("/admin")).expect(401);
    gateway.still_serves("/x");
}

#[test]
fn deep_path_in_config() {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin).start();
    let whole = gateway.yaml();
    for (key, segment, count) in [
        ("path", "/a", 30_000),
        ("path", "/{p}", 3_000),
        ("prefix", "/a", 30_000),
        ("regex", "/a", 30_000),
        ("regex", "(/a", 30_000),
        ("path", "/a", 512),
        ("regex", "/a", 4_096),
    ] {
        let path = segment.repeat(count);
        let route = format!("  - {{ name: deep, {key}: '{path}', auth: none, upstream: app }}\n");
        let deep = whole.replacen("routes:\n", &format!("routes:\n{route}"), 1);
        gateway.reload_with(&deep);
        let told = gateway.cli(&["check"], "");
        if count > 5_000 {
            assert_eq!(told.code, 1, "{key} {count}: {told:?}");
            assert!(told.stderr.contains("1 error"), "{key} {count}: {told:?}");
        }
        assert!(gateway.is_running());
        gateway.send(&get("/a".repeat(5_000))).expect(200);
        gateway.still_serves("/x");
    }
}

/// As Kubernetes puts a changed ConfigMap in place.
#[test]
fn config_reload_symlink() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: none, upstream: app }")
        .start();
    let open = gateway.yaml();
    let closed = open.replace("auth: none", "auth: required");
    let folder = gateway.directory();
    let reloads = |result: &str| {
        gateway.metric(&format!(
            "portcullis_config_reloads_total{{result=\"{result}\"}}"
        ))
    };
    let version = |name: &str, text: &str| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("gateway.yaml"), text).unwrap();
        symlink(name, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    version("..v1", &open);
    symlink("..data/gateway.yaml", folder.join("link")).unwrap();
    fs::rename(folder.join("link"), gateway.file()).unwrap();
    gateway.send(&get("/")).expect(200);

    for (name, text, status) in [
        ("..v2", &closed, 401),
        ("..v3", &open, 200),
        ("..v4", &closed, 401),
    ] {
        version(name, text);
        eventually("the swap is seen", || {
            (gateway.send(&get("/")).status == status).then_some(())
        });
    }
    // Where it leads now, somebody writes: half of a file is no file, though it would hold.
    let half = open.replace("prefix: /", "prefix: /half");
    let mut file = fs::File::create(folder.join("..v4/gateway.yaml")).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    let failures = reloads("failure");
    gateway.signal("HUP");
    eventually("a reload that is refused", || {
        (reloads("failure") > failures).then_some(())
    });
    gateway.send(&get("/")).expect(401);
    drop(file);
    eventually("the end of it is seen", || {
        (gateway.send(&get("/")).status == 404).then_some(())
    });
    // And a swap to nothing leaves what is in force.
    symlink("..none", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    gateway.send(&get("/half")).expect(200);
    version("..v5", &closed);
    eventually("the next swap is seen", || {
        (gateway.send(&get("/")).status == 401).then_some(())
    });
    gateway.still_serves("/");
}

#[test]
fn reload_keeps_old_limits() {
    let origin = Origin::start();
    let tiers = |rate: &str| {
        format!("free: {{ rank: 0, rate: {rate} }}\npro: {{ rank: 1 }}\nenterprise: {{ rank: 2 }}")
    };
    let mut gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .tiers(&tiers("10/h"))
        .start();
    let alice = gateway.user("alice", &[]).access;
    let status =
        |gateway: &crate::harness::gateway::Gateway| gateway.send(&get("/").bearer(&alice)).status;
    for _ in 0..6 {
        assert_eq!(status(&gateway), 200);
    }

    // A reload that changes nothing of it gives nothing back.
    gateway.reconfigure(|s| s.top("limits_headers: [ietf]"));
    let left: Vec<_> = (0..5).map(|_| status(&gateway)).collect();
    assert_eq!(left, [200, 200, 200, 200, 429], "counters carry over");

    // A new limit acts at once, in both directions. What was used up stays so, and fills up again
    // at the new rate.
    gateway.reconfigure(|s| s.tiers(&tiers("36000/h")));
    crate::harness::eventually("the wider limit to fill up", || {
        (status(&gateway) == 200).then_some(())
    });
    gateway.reconfigure(|s| s.tiers(&tiers("2/h")));
    assert_eq!(status(&gateway), 429, "the narrower limit acts at once");
    gateway.reconfigure(|s| s.tiers(&tiers("unlimited")));
    for _ in 0..20 {
        assert_eq!(status(&gateway), 200, "no limit acts at once");
    }
    gateway.still_serves("/");
}

#[test]
fn cors_wildcard_credentials() {
    let origin = Origin::start();
    let settings = |cors: &str| {
        Settings::new(&origin)
            .top(&format!("cors: {{ {cors} }}"))
            .routes("- { name: all, prefix: /, auth: none, upstream: app }")
    };
    for origins in [
        "['*']",
        "['*', 'https://app.test']",
        "['https://app.test', '*']",
    ] {
        let cors = format!("origins: {origins}, credentials: true");
        let output = settings(&cors).refused();
        assert!(output.stderr.contains("exclude each other"), "{output:?}");
    }
    let own = "- { name: all, prefix: /, auth: none, upstream: app, cors: { origins: ['*'], credentials: true } }";
    let output = Settings::new(&origin).routes(own).refused();
    assert!(output.stderr.contains("exclude each other"), "{output:?}");
    let output = settings("origins: ['null']").refused();
    assert!(output.stderr.contains("`null`"), "{output:?}");

    let gateway = settings("origins: ['https://app.test'], credentials: true").start();
    let app = get("/x").header("origin", "https://app.test");
    let response = gateway.send(&app).expect(200);
    let allowed = response.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://app.test"));
    for foreign in [
        "null",
        "NULL",
        "",
        "*",
        "https://app.test.evil.test",
        "https://evil.test#https://app.test",
        "https://app.test ,https://evil.test",
        "http://app.test",
    ] {
        let request = get("/x").header("origin", foreign);
        let mut preflight = crate::harness::client::request("OPTIONS", "/x");
        preflight = preflight.header("origin", foreign);
        preflight = preflight.header("access-control-request-method", "GET");
        for request in [request, preflight] {
            let response = gateway.send(&request);
            let told = response.headers.iter();
            let mut told = told.filter(|(name, _)| name.starts_with("access-control-"));
            assert_eq!(told.next(), None, "{foreign:?}");
            assert_eq!(response.header("vary"), Some("origin"));
        }
    }
    // Two lines are two words on who asks.
    let request = get("/x").header("origin", "https://app.test");
    let response = gateway.send(&request.header("origin", "https://evil.test"));
    assert_eq!(response.header("access-control-allow-origin"), None);
    gateway.still_serves("/x");
}
