//! A private Redis of one test: started on a free port, ended with the test however that ends, and stopped,
//! frozen and made to forget in between.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::eventually;
use super::gateway::free_address;

/// Anything but empty: a machine without Redis is a failure.
const REQUIRED: &str = "PORTCULLIS_TEST_REDIS";

pub struct Redis {
    pub address: SocketAddr,
    folder: TempDir,
    /// A shell that ends the server when its input ends, which is when this process does.
    shell: Option<Child>,
    pid: u32,
}

impl Redis {
    /// `None` where there is no Redis, which is said.
    pub fn start_if_there() -> Option<Redis> {
        let found = Command::new("redis-server").arg("--version").output();
        if found.is_ok_and(|output| output.status.success()) {
            return Some(Redis::start());
        }
        let is_required = std::env::var_os(REQUIRED).is_some_and(|value| !value.is_empty());
        assert!(!is_required, "redis-server is not on the PATH");
        // Past the capture of tests' output.
        let _ = writeln!(
            io::stderr(),
            "redis-server is not on the PATH: a test of limits that gateways share is left out"
        );
        None
    }

    fn start() -> Redis {
        let mut redis = Redis {
            address: free_address(),
            folder: tempfile::tempdir().unwrap(),
            shell: None,
            pid: 0,
        };
        redis.run();
        redis.forget();
        redis
    }

    /// Empties the server as if nothing had been used up for long, and not as if it had lost what was.
    pub fn forget(&self) {
        self.call("FLUSHALL");
        let since = "redis.call('HSET','portcullis:since','t','1','run', \
                     string.match(redis.call('INFO','server'),'run_id:(%w+)'))";
        self.call(&format!("EVAL \"{since}\" 0"));
    }

    /// Runs the server, at the same place if it ran before, with what it was told to `SAVE`, if anything.
    pub fn run(&mut self) {
        let script = r#"
            redis-server --bind 127.0.0.1 --port "$1" --save '' --appendonly no >>log 2>&1 &
            echo $!
            cat >/dev/null
            kill -KILL $!; wait $!"#;
        let mut shell = Command::new("sh")
            .args(["-c", script, "sh", &self.address.port().to_string()])
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // An interrupt at the terminal is for the tests; the shell hears of their end.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut pid)
            .unwrap();
        self.pid = pid.trim().parse().unwrap();
        self.shell = Some(shell);
        eventually("Redis answers", || {
            (self.try_call("PING").ok()? == "+PONG").then_some(())
        });
    }

    /// Ends the server at once.
    pub fn stop(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            drop(shell.stdin.take());
            shell.wait().unwrap();
        }
    }

    /// Sends the server a signal, named without `SIG`.
    pub fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.pid);
        let status = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(status.success());
    }

    /// Gives a command, of words without spaces, and returns the first line of the answer.
    #[track_caller]
    pub fn call(&self, command: &str) -> String {
        self.try_call(command).unwrap()
    }

    fn try_call(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// All that the server has, and in how many milliseconds it forgets it.
    pub fn keys(&self) -> Vec<(String, i64)> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(b"KEYS *\r\nQUIT\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        // Of an array: how long each is, then it.
        let lines = answer.lines().skip(1).take_while(|line| *line != "+OK");
        let keys = lines.filter(|line| !line.starts_with('$'));
        let with_time = |key: &str| {
            let time = self.call(&format!("PTTL \"{key}\""));
            (
                key.to_owned(),
                time.trim_start_matches(':').parse().unwrap(),
            )
        };
        keys.map(with_time).collect()
    }

    /// The keys of a gateway's `top` settings that have it share limits by this server.
    pub fn settings(&self) -> String {
        at(self.address)
    }
}

/// The same for whoever reaches it there.
pub fn at(address: SocketAddr) -> String {
    format!("shared: {{ redis: \"redis://{address}\" }}")
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A way to a server on which every answer is late by as much as a test says.
pub struct Detour {
    pub address: SocketAddr,
    milliseconds: Arc<AtomicU64>,
    breaks: Arc<AtomicBool>,
}

impl Detour {
    pub fn to(server: SocketAddr) -> Detour {
        Detour::at(([127, 0, 0, 1], 0).into(), server)
    }

    /// One at this address.
    pub fn at(address: SocketAddr, server: SocketAddr) -> Detour {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let milliseconds = Arc::new(AtomicU64::new(0));
        let late_by = Arc::clone(&milliseconds);
        let breaks = Arc::new(AtomicBool::new(false));
        let breaks_here = Arc::clone(&breaks);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(there) = TcpStream::connect(server) else {
                    continue;
                };
                let late_by = Arc::clone(&late_by);
                let (to, from) = (there.try_clone().unwrap(), client.try_clone().unwrap());
                let breaks = Arc::clone(&breaks_here);
                let is_lost =
                    move |length| length == BUFFER && breaks.swap(false, Ordering::SeqCst);
                std::thread::spawn(move || forward(from, to, &AtomicU64::new(0), is_lost));
                std::thread::spawn(move || forward(there, client, &late_by, |_| false));
            }
        });
        Detour {
            address,
            milliseconds,
            breaks,
        }
    }

    /// The connection on which the next long request is sent breaks before it arrives.
    pub fn break_at_a_long_request(&self) {
        self.breaks.store(true, Ordering::SeqCst);
    }

    /// Whether that is still to come.
    pub fn is_to_break(&self) -> bool {
        self.breaks.load(Ordering::SeqCst)
    }

    pub fn late_by(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap();
        self.milliseconds.store(milliseconds, Ordering::SeqCst);
    }
}

/// What is read at once. Longer requests are those that tell of many counters.
const BUFFER: usize = 4096;

fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    late_by: &AtomicU64,
    is_lost: impl Fn(usize) -> bool,
) {
    let mut buffer = [0; BUFFER];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if is_lost(length) {
            let _ = from.shutdown(std::net::Shutdown::Both);
            break;
        }
        // What the server is slow at, and not what a test waits for.
        std::thread::sleep(Duration::from_millis(late_by.load(Ordering::SeqCst)));
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
