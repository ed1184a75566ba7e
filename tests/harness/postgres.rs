//! A private PostgreSQL for the tests of a process: started when the first one asks, stopped with the
//! process however that ends.

use std::io::{Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Anything but empty: a machine without PostgreSQL is a failure.
const REQUIRED: &str = "PORTCULLIS_TEST_POSTGRES";
const DEADLINE: Duration = Duration::from_secs(60);
/// PostgreSQL does not run as root; this is `nobody`.
const UNPRIVILEGED: u32 = 65534;

#[allow(dead_code, reason = "each user takes its part")]
pub struct Cluster {
    /// Where its socket, its data and its log are.
    pub folder: PathBuf,
    /// Of the server.
    pub pid: u32,
}

/// The URL of a new, empty database. `None` where there is no PostgreSQL, which is said once.
pub fn database() -> Option<String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(Cluster::start_if_there).as_ref()?;
    let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    Some(cluster.database(&name))
}

#[allow(dead_code, reason = "each user takes its part")]
impl Cluster {
    pub fn start_if_there() -> Option<Cluster> {
        let is_there = |program: &str| {
            let found = Command::new(program).arg("--version").output();
            found.is_ok_and(|output| output.status.success())
        };
        if ["initdb", "postgres", "psql"].into_iter().all(is_there) {
            return Some(Cluster::start());
        }
        let is_required = std::env::var_os(REQUIRED).is_some_and(|value| !value.is_empty());
        assert!(
            !is_required,
            "initdb, postgres and psql are not on the PATH"
        );
        // Past the capture of tests' output.
        let _ = writeln!(
            std::io::stderr(),
            "PostgreSQL is not on the PATH: its suite is left out (what bears its name runs on SQLite)"
        );
        None
    }

    pub fn start() -> Cluster {
        let folder = tempfile::Builder::new().prefix("portcullis-pg-").tempdir();
        let folder = folder.unwrap().keep();
        if is_root() {
            chown(&folder, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
        let mut cluster = Cluster { folder, pid: 0 };
        cluster.run(
            "initdb -D data -U test --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync \
             >log 2>&1 || exit 1",
        );
        cluster
    }

    /// Runs the server again, after it was ended.
    pub fn run_again(&mut self) {
        self.run("");
    }

    /// Starts the server, after `first` has been done, and waits until it answers.
    fn run(&mut self, first: &str) {
        // The shell ends the server when its input ends, which is when this process does.
        let script = format!(
            r#"{first}
            postgres -D data -k "$PWD" -c listen_addresses= -c fsync=off -c max_connections=300 \
                -c shared_buffers=32MB >>log 2>&1 &
            echo $!
            cat >/dev/null
            kill -INT $!; wait $!
            cd /; rm -rf "$1""#
        );
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script, "sh"])
            .arg(&self.folder)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // An interrupt at the terminal is for the tests; the shell hears of their end.
            .process_group(0);
        if is_root() {
            shell.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        #[allow(clippy::zombie_processes, reason = "it ends after this process")]
        let mut shell = shell.spawn().unwrap();
        let mut pid = String::new();
        let mut byte = [0];
        let mut said = shell.stdout.take().unwrap();
        while said.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            pid.push(char::from(byte[0]));
        }
        // Kept to the end of the process, and so is its input.
        static SHELLS: Mutex<Vec<Child>> = Mutex::new(Vec::new());
        SHELLS.lock().unwrap().push(shell);
        let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        self.pid = pid
            .parse()
            .unwrap_or_else(|_| panic!("initdb failed: {}", log()));
        let end = Instant::now() + DEADLINE;
        while !self.sql("postgres", "SELECT 1") {
            assert!(Instant::now() < end, "PostgreSQL does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends the server and all that it has started a signal, named without `SIG`.
    pub fn signal_all(&self, name: &str) {
        let script = format!(
            "kill -{name} {pid} $(cat /proc/{pid}/task/{pid}/children)",
            pid = self.pid
        );
        // A child may have ended by itself meanwhile.
        let _ = Command::new("sh").args(["-c", &script]).status().unwrap();
    }

    /// Makes a database and gives its URL.
    pub fn database(&self, name: &str) -> String {
        assert!(self.sql("postgres", &format!("CREATE DATABASE {name}")));
        self.url(name)
    }

    /// Has whoever asks for a table wait, for longer than any test.
    pub fn lock(&self, database: &str, table: &str) {
        let lock = format!("BEGIN; LOCK TABLE {table}; SELECT pg_sleep(600)");
        let mut lock = psql(&self.folder, database, &lock);
        #[allow(clippy::zombie_processes, reason = "it ends with the server")]
        lock.stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let look = format!("SET lock_timeout = 10; SELECT FROM {table} LIMIT 1");
        let end = Instant::now() + DEADLINE;
        while self.sql(database, &look) {
            assert!(Instant::now() < end, "nobody holds the lock");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.display();
        format!("postgres://test@localhost/{database}?host={folder}")
    }

    /// Whether a statement could be done.
    pub fn sql(&self, database: &str, statement: &str) -> bool {
        let output = psql(&self.folder, database, statement).output().unwrap();
        output.status.success()
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn psql(folder: &Path, database: &str, statement: &str) -> Command {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-U", "test", "-d", database, "-h"])
        .arg(folder)
        .args(["-c", statement]);
    psql
}
