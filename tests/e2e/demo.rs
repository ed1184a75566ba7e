//! The demo: one command, and what it prints works when pasted.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::harness::eventually;
use crate::harness::gateway::portcullis;

/// A running demo; killed when dropped.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The commands among what the demo prints: lines that begin with `curl` or `TOKEN=`, with the lines
/// that a backslash adds to them.
fn commands(lines: &[String]) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        let line = line.trim();
        let line = line.strip_prefix("$ ").unwrap_or(line);
        if goes_on {
            let last = commands.last_mut().unwrap();
            last.push('\n');
            last.push_str(line);
        } else if line.starts_with("curl ") || line.contains("=$(curl ") {
            commands.push(line.to_owned());
        } else {
            continue;
        }
        goes_on = line.ends_with('\\');
    }
    commands
}

#[test]
fn commands_are_found_among_prose() {
    let printed = [
        "Try:",
        "  T=$(curl -s x)",
        "  curl -H \\",
        "    a b",
        "curl c",
        "the end",
    ];
    let found = commands(&printed.map(str::to_owned));
    assert_eq!(found, ["T=$(curl -s x)", "curl -H \\\na b", "curl c"]);
}

#[test]
fn what_the_demo_prints_works_when_pasted() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: there is no curl to paste the commands for");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = portcullis(dir.path())
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let errors = Arc::new(Mutex::new(Vec::new()));
    follow(child.stdout.take().unwrap(), &lines);
    follow(child.stderr.take().unwrap(), &errors);
    let mut demo = Demo(child);

    let script = eventually("commands to paste", || {
        if let Some(status) = demo.0.try_wait().unwrap() {
            panic!("the demo ended, {status}: {:?}", errors.lock().unwrap());
        }
        let all = commands(&lines.lock().unwrap());
        (all.len() >= 3).then(|| all.join("\n"))
    });
    for who in ["free", "pro", "enterprise", "superuser"] {
        let printed = lines.lock().unwrap().join("\n");
        assert!(printed.contains(who), "{who} is not told of: {printed}");
    }

    let output = Command::new("sh")
        .args(["-c", &format!("set -e\n{script}")])
        .env_remove("http_proxy")
        .env("no_proxy", "*")
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{script}\n{said}");
    assert!(
        said.contains("alice") || said.contains("X-User") || said.contains("x-user"),
        "{script}\n{said}"
    );
    assert!(!said.contains("token-missing"), "{script}\n{said}");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "the demo leaves files behind: {left:?}");
}

fn follow(from: impl std::io::Read + Send + 'static, to: &Arc<Mutex<Vec<String>>>) {
    let to = Arc::clone(to);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            to.lock().unwrap().push(line);
        }
    });
}
