//! The real binary, started on free ports in a directory of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Connection, Request, get, post};
use super::origin::Origin;
use super::response::Response;
use super::{DEADLINE, eventually, indent};

/// Of every account that the tests make, unless they say otherwise.
pub const PASSWORD: &str = "Correct-Horse-7";

/// A signing secret for tests that make tokens of their own.
pub const SECRET: &str = "m4Zr1qT9vX7eKc2LwB8nYp5sHd3gUf6J";

/// The parts of a gateway.yaml that a test cares about; the rest has values that suit tests.
#[derive(Clone)]
pub struct Settings {
    upstream: String,
    upstream_options: String,
    store: String,
    /// A file that is taken as it is, but for its addresses.
    whole: Option<String>,
    /// The largest file that the process may write, in KiB.
    file_limit: Option<u64>,
    admin_socket: Option<String>,
    /// The file is a pipe that gives its text once.
    is_piped: bool,
    top: String,
    auth: String,
    tiers: String,
    more_upstreams: String,
    routes: String,
    shutdown_grace: String,
    workers: usize,
    environment: Vec<(String, String)>,
}

impl Settings {
    /// One route, open to all, to that origin.
    pub fn new(origin: &Origin) -> Settings {
        Settings::toward(&origin.url())
    }

    pub fn toward(upstream: &str) -> Settings {
        Settings {
            upstream: upstream.to_owned(),
            upstream_options: String::new(),
            store: "sqlite:portcullis.db".to_owned(),
            whole: None,
            file_limit: None,
            admin_socket: None,
            is_piped: false,
            top: String::new(),
            auth: String::new(),
            tiers: "free: { rank: 0 }\npro: { rank: 1 }\nenterprise: { rank: 2 }".to_owned(),
            more_upstreams: String::new(),
            routes: "- { name: all, prefix: /, auth: none, upstream: app }".to_owned(),
            shutdown_grace: "20s".to_owned(),
            workers: 2,
            environment: Vec::new(),
        }
    }

    /// The `routes`.
    pub fn routes(mut self, yaml: &str) -> Self {
        self.routes = yaml.to_owned();
        self
    }

    /// Keys of the upstream `app` besides its targets.
    pub fn upstream(mut self, yaml: &str) -> Self {
        self.upstream_options = yaml.to_owned();
        self
    }

    /// A file to be served as it is: on a free port in place of 8080, in front of the origin in place of
    /// port 8000, and with a listener for administration, which it may not have itself.
    pub fn whole(mut self, yaml: &str) -> Self {
        self.whole = Some(yaml.to_owned());
        self
    }

    /// The `store`.
    pub fn store(mut self, url: &str) -> Self {
        self.store = url.to_owned();
        self
    }

    /// As on a disk that is nearly full: no file gets larger than so many KiB.
    pub fn file_limit(mut self, kib: u64) -> Self {
        self.file_limit = Some(kib);
        self
    }

    /// A Unix socket for administration, beside the address.
    pub fn admin_socket(mut self, path: &str) -> Self {
        self.admin_socket = Some(path.to_owned());
        self
    }

    /// By a pipe in the file's place, as a shell's `<(…)` makes it.
    pub fn by_a_pipe(mut self) -> Self {
        self.is_piped = true;
        self
    }

    /// Upstreams besides `app`.
    pub fn more_upstreams(mut self, yaml: &str) -> Self {
        self.more_upstreams = yaml.to_owned();
        self
    }

    /// Keys of `auth`.
    pub fn auth(mut self, yaml: &str) -> Self {
        self.auth = yaml.to_owned();
        self
    }

    /// The `tiers`; `free` is the one of new accounts.
    pub fn tiers(mut self, yaml: &str) -> Self {
        self.tiers = yaml.to_owned();
        self
    }

    /// Top-level keys that stand nowhere else.
    pub fn top(mut self, yaml: &str) -> Self {
        self.top = yaml.to_owned();
        self
    }

    pub fn shutdown_grace(mut self, duration: &str) -> Self {
        self.shutdown_grace = duration.to_owned();
        self
    }

    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The whole file.
    pub fn to_yaml(&self, public: SocketAddr, admin: SocketAddr) -> String {
        if let Some(whole) = &self.whole {
            let whole = whole.replace("127.0.0.1:8080", &public.to_string());
            let whole = whole.replace("http://127.0.0.1:8000", &self.upstream);
            return format!("{whole}\nadmin: {{ address: {admin} }}\n");
        }
        let mut auth = indent(2, &self.auth);
        let defaults = [
            ("issuer", "issuer: http://issuer.test"),
            ("rate", "rate: unlimited"),
            ("password", "password: { bcrypt_cost: 4 }"),
        ];
        for (key, line) in defaults {
            if !auth.lines().any(|l| l.starts_with(&format!("  {key}:"))) {
                auth.push_str(&format!("  {line}\n"));
            }
        }
        let socket = self.admin_socket.as_ref();
        let socket = socket.map_or_else(String::new, |path| format!(", socket: {path}"));
        let mut yaml = format!(
            "version: 1\n\
             listen:\n  - address: {public}\n\
             admin: {{ address: {admin}{socket} }}\n\
             workers: {}\n\
             shutdown: {{ grace: {} }}\n\
             store: {}\n\
             auth:\n{auth}",
            self.workers, self.shutdown_grace, self.store
        );
        yaml.push_str(&indent(0, &self.top));
        yaml.push_str("tiers:\n");
        yaml.push_str(&indent(2, &self.tiers));
        yaml.push_str(&format!(
            "upstreams:\n  app:\n    targets: [ \"{}\" ]\n",
            self.upstream
        ));
        yaml.push_str(&indent(4, &self.upstream_options));
        yaml.push_str(&indent(2, &self.more_upstreams));
        yaml.push_str("routes:\n");
        yaml.push_str(&indent(2, &self.routes));
        yaml
    }

    /// Starts the gateway and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Gateway {
        let mut last_words = String::new();
        // Another process may take a port between the moment it is found free and the gateway's start.
        for _ in 0..5 {
            match Gateway::spawn(self.clone()).until_ready() {
                Ok(gateway) => return gateway,
                Err(words) if words.to_lowercase().contains("in use") => last_words = words,
                Err(words) => panic!("the gateway did not start:\n{words}"),
            }
        }
        panic!("the gateway found no free port:\n{last_words}");
    }

    /// Starts the gateway in a directory that was prepared, and waits until it is ready.
    #[track_caller]
    pub fn start_on(self, prepare: impl FnOnce(&Path)) -> Gateway {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        prepare(dir.path());
        Gateway::spawn_in(dir, self)
            .until_ready()
            .unwrap_or_else(|words| panic!("the gateway did not start:\n{words}"))
    }

    /// Starts the gateway with a configuration that it must refuse, and gives out what it says.
    #[track_caller]
    pub fn refused(self) -> Output {
        let dir = tempfile::tempdir().unwrap();
        let yaml = self.to_yaml(free_address(), free_address());
        std::fs::write(dir.path().join("gateway.yaml"), yaml).unwrap();
        let mut command = portcullis(dir.path());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        let output = run(command.args(["serve", "-c", "gateway.yaml"]), "");
        assert_ne!(output.code, 0, "it was accepted: {output:?}");
        output
    }
}

/// What a finished command left behind.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The binary, to be run in `dir` without the caller's own settings.
pub fn portcullis(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .current_dir(dir)
        .env_remove("PORTCULLIS_CONFIG")
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1");
    command
}

/// Runs a command to its end, killing it at the deadline.
#[track_caller]
pub fn run(command: &mut Command, stdin: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let end = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "{command:?} did not end: {}{}",
                stdout.join().unwrap(),
                stderr.join().unwrap()
            );
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    let output = Output {
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    };
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    output
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A pipe: whoever opens one end of it waits for the other.
pub fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// An address that nobody listens on, below the range that the system gives to outgoing connections.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test binaries that run at the same time begin in different places.
    let start = std::process::id().wrapping_mul(211);
    for _ in 0..20_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + (start.wrapping_add(step) % 20_000) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn follow(&self, from: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = self.0.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.lock().unwrap().push(text);
                line.clear();
            }
        })
    }

    fn get(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A running gateway; killed when dropped, and then held to have written no panic.
pub struct Gateway {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    settings: Settings,
    /// Shared with the gateway that takes this one's place on a restart.
    dir: Arc<TempDir>,
    child: Child,
    stdout: Lines,
    stderr: Lines,
    readers: Vec<JoinHandle<()>>,
}

/// What a login gives out.
#[derive(Clone, Debug)]
pub struct Session {
    pub access: String,
    pub refresh: String,
}

impl Gateway {
    fn spawn(settings: Settings) -> Gateway {
        Gateway::spawn_in(Arc::new(tempfile::tempdir().unwrap()), settings)
    }

    fn spawn_in(dir: Arc<TempDir>, settings: Settings) -> Gateway {
        let (public, admin) = (free_address(), free_address());
        let file = dir.path().join("gateway.yaml");
        let text = settings.to_yaml(public, admin);
        if settings.is_piped {
            make_pipe(&file);
            let file = file.clone();
            std::thread::spawn(move || std::fs::write(file, text).unwrap());
        } else {
            std::fs::write(&file, text).unwrap();
        }
        let mut command = portcullis(dir.path());
        if let Some(kib) = settings.file_limit {
            // What is too large is an error of the write, and not the end of the process.
            let limited = r#"trap '' XFSZ; ulimit -S -f "$1"; shift; exec "$@""#;
            let binary = command.get_program().to_owned();
            command = Command::new("sh");
            command.current_dir(dir.path()).args(["-c", limited, "sh"]);
            command.arg((kib * 2).to_string()).arg(binary);
        }
        for (name, value) in &settings.environment {
            command.env(name, value);
        }
        let mut child = command
            .arg("serve")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (Lines::default(), Lines::default());
        let readers = vec![
            stdout.follow(child.stdout.take().unwrap()),
            stderr.follow(child.stderr.take().unwrap()),
        ];
        Gateway {
            public,
            admin,
            settings,
            dir,
            child,
            stdout,
            stderr,
            readers,
        }
    }

    fn until_ready(mut self) -> Result<Gateway, String> {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.readers.drain(..).for_each(|r| r.join().unwrap());
                let words = self.stderr().join("\n");
                return Err(format!("{status}\n{words}"));
            }
            if get("/readyz")
                .try_send(self.admin)
                .is_ok_and(|r| r.status == 200)
            {
                return Ok(self);
            }
            if Instant::now() > end {
                return Err(format!("not ready: {}", self.stderr().join("\n")));
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Ends this process and starts another on the same files, at other addresses.
    #[track_caller]
    pub fn restart(mut self) -> Gateway {
        self.signal("TERM");
        let status = self.wait_for_exit();
        assert!(status.success(), "{status}");
        self.start_again()
    }

    /// Starts another process on the files of one that has ended.
    #[track_caller]
    pub fn start_again(self) -> Gateway {
        let next = Gateway::spawn_in(Arc::clone(&self.dir), self.settings.clone());
        next.until_ready()
            .unwrap_or_else(|words| panic!("the gateway did not start again:\n{words}"))
    }

    /// Ends this process at once, as a crash would, and starts another on the same files.
    #[track_caller]
    pub fn crash_and_restart(mut self) -> Gateway {
        self.signal("KILL");
        self.wait_for_exit();
        self.start_again()
    }

    /// There is room on the disk again.
    #[track_caller]
    pub fn lift_file_limit(&self) {
        let status = Command::new("prlimit")
            .args([
                "--pid",
                &self.child.id().to_string(),
                "--fsize=unlimited:unlimited",
            ])
            .status()
            .unwrap();
        assert!(status.success());
    }

    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        request.send(self.public)
    }

    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.public)
    }

    /// Shows that, whatever came before, an ordinary request is still answered: not by an error of the
    /// server or the gateway, and with a request id.
    #[track_caller]
    pub fn still_serves(&self, path: &str) {
        let response = self.send(&get(path));
        assert!(response.status < 500, "{response:?}");
        assert!(response.header("x-request-id").is_some(), "{response:?}");
        get("/healthz").send(self.admin).expect(200);
    }

    /// Runs a command of the binary beside the gateway's configuration.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut command = portcullis(self.dir.path());
        for (name, value) in &self.settings.environment {
            command.env(name, value);
        }
        run(command.args(arguments).arg("-c").arg(self.file()), stdin)
    }

    /// Adds an account with [`PASSWORD`] and an e-mail address at `example.test`.
    #[track_caller]
    pub fn user_add(&self, name: &str, options: &[&str]) {
        let email = format!("{name}@example.test");
        let mut arguments = vec!["user", "add", name, "--email", &email, "--password-stdin"];
        arguments.extend(options);
        let output = self.cli(&arguments, &format!("{PASSWORD}\n"));
        assert_eq!(output.code, 0, "{output:?}");
    }

    /// Adds an account and signs it in.
    #[track_caller]
    pub fn user(&self, name: &str, options: &[&str]) -> Session {
        self.user_add(name, options);
        self.login(name)
    }

    #[track_caller]
    pub fn login(&self, name: &str) -> Session {
        let credentials = json!({ "username": name, "password": PASSWORD });
        let response = self
            .send(&post("/api/v1/login").json(&credentials))
            .expect(200);
        Session {
            access: access_token(&response),
            refresh: refresh_cookie(&response).expect("no refresh cookie"),
        }
    }

    /// Presents a refresh token by cookie.
    #[track_caller]
    pub fn refresh(&self, token: &str) -> Response {
        let cookie = format!("refresh_token={token}");
        self.send(&post("/api/v1/refresh").header("cookie", &cookie))
    }

    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// The gateway.yaml.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("gateway.yaml")
    }

    pub fn yaml(&self) -> String {
        self.settings.to_yaml(self.public, self.admin)
    }

    /// Changes the settings, writes them and waits until they were read and taken or refused.
    #[track_caller]
    pub fn reconfigure(&mut self, change: impl FnOnce(Settings) -> Settings) {
        self.settings = change(self.settings.clone());
        self.reload_with(&self.yaml());
    }

    /// Writes this as the gateway.yaml and waits until it was read and taken or refused.
    #[track_caller]
    pub fn reload_with(&self, yaml: &str) {
        std::fs::write(self.file(), yaml).unwrap();
        let before = self.metric("portcullis_config_reloads_total");
        self.signal("HUP");
        eventually("the reload", || {
            (self.metric("portcullis_config_reloads_total") > before).then_some(())
        });
    }

    /// Sends a signal, named without `SIG`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        // Every POSIX shell has `kill` built in; a separate program may be missing.
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        eventually("the gateway's end", || self.child.try_wait().unwrap())
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sum of all series of a metric whose lines begin with `name`, which may go on into the labels.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let text = get("/metrics").send(self.admin).expect(200).text();
        text.lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| name.contains('{') || rest.starts_with(['{', ' ']))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// The lines of the access log so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.get()
    }

    pub fn stderr(&self) -> Vec<String> {
        self.stderr.get()
    }

    /// Waits until the log, which another thread reads, has these words.
    #[track_caller]
    pub fn says(&self, words: &str) {
        eventually(&format!("{words:?} in the log"), || {
            let lines = self.stderr();
            lines.iter().any(|line| line.contains(words)).then_some(())
        });
    }

    /// Waits for the access log's line of a request, by its id.
    #[track_caller]
    pub fn log_of(&self, response: &Response) -> Value {
        let id = response
            .header("x-request-id")
            .expect("no request id")
            .to_owned();
        eventually("the request in the access log", || {
            self.stdout().iter().find_map(|line| {
                let entry: Value = serde_json::from_str(line).unwrap_or_else(|e| {
                    panic!("stdout holds a line that is no JSON ({e}): {line}")
                });
                (entry["request_id"] == *id).then_some(entry)
            })
        })
    }

    /// The most memory that the process ever held, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let stderr = self.stderr().join("\n");
        if std::thread::panicking() {
            eprintln!("the gateway's stderr:\n{stderr}");
            let log = self.stdout();
            let last = &log[log.len().saturating_sub(20)..];
            eprintln!("the end of its access log:\n{}", last.join("\n"));
        } else {
            assert!(!stderr.contains("panicked"), "{stderr}");
        }
    }
}

#[track_caller]
pub fn access_token(response: &Response) -> String {
    let body = response.json();
    let token = body["access_token"].as_str();
    token
        .unwrap_or_else(|| panic!("no access token: {response:?}"))
        .to_owned()
}

/// The refresh token that a response sets as a cookie, if it does.
pub fn refresh_cookie(response: &Response) -> Option<String> {
    let cookie = response
        .header_all("set-cookie")
        .into_iter()
        .find_map(|cookie| cookie.strip_prefix("refresh_token="))?;
    Some(cookie.split(';').next().unwrap_or_default().to_owned())
}
