//! A client of a running gateway's admin listener: one request, one answer, by the socket if there is one.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::checked::Admin;

/// No answer is larger.
const LARGEST: u64 = 16 << 20;

/// Where the listener is reached.
pub enum At {
    Socket(PathBuf),
    Address(SocketAddr),
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl At {
    /// The socket, which asks for no token, before the address.
    pub fn of(admin: &Admin) -> Option<At> {
        let address = admin.address.map(|address| At::Address(reachable(address)));
        admin.socket.clone().map(At::Socket).or(address)
    }

    /// The address, before the socket, which this user may not be let to.
    pub fn for_anybody(admin: &Admin) -> Option<At> {
        let address = admin.address.map(|address| At::Address(reachable(address)));
        address.or_else(|| admin.socket.clone().map(At::Socket))
    }

    /// `patience` is for all of it.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        patience: Duration,
    ) -> io::Result<Answer> {
        let end = Instant::now() + patience;
        let (stream, host) = match self {
            At::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                (Stream::Unix(stream), "localhost".to_owned())
            }
            At::Address(address) => {
                let stream = TcpStream::connect_timeout(address, patience)?;
                (Stream::Tcp(stream), address.to_string())
            }
        };
        exchange(Until { stream, end }, method, path, &host, token)
    }
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connection whose every step fails once the time has come.
struct Until {
    stream: Stream,
    end: Instant,
}

impl Until {
    fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(late()),
            false => Ok(left),
        }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it takes too long")
}

/// What a timeout of a socket is told as.
fn or_late<T>(done: io::Result<T>) -> io::Result<T> {
    done.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => late(),
        _ => error,
    })
}

impl Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = Some(self.left()?);
        or_late(match &mut self.stream {
            Stream::Unix(stream) => {
                stream.set_read_timeout(left)?;
                stream.read(buffer)
            }
            Stream::Tcp(stream) => {
                stream.set_read_timeout(left)?;
                stream.read(buffer)
            }
        })
    }
}

impl Write for Until {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = Some(self.left()?);
        or_late(match &mut self.stream {
            Stream::Unix(stream) => {
                stream.set_write_timeout(left)?;
                stream.write(bytes)
            }
            Stream::Tcp(stream) => {
                stream.set_write_timeout(left)?;
                stream.write(bytes)
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Socket(path) => write!(f, "{}", path.display()),
            At::Address(address) => write!(f, "{address}"),
        }
    }
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    host: &str,
    token: Option<&str>,
) -> io::Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    if let Some(token) = token {
        // What would end the line is no token.
        if token.chars().any(|c| c.is_control()) {
            return Err(io::Error::other("the token holds control characters"));
        }
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    head.push_str("Content-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(LARGEST).read_to_end(&mut bytes)?;
    answer(&bytes).ok_or_else(|| io::Error::other("the answer is no HTTP"))
}

/// The listener says the length of what it sends, and closes behind it.
fn answer(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length: usize = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok()).flatten()
    })?;
    let body = bytes.get(end + 4..)?.get(..length)?.to_vec();
    Some(Answer { status, body })
}

/// A listener on all addresses is reached on the loopback one.
fn reachable(admin: SocketAddr) -> SocketAddr {
    let ip = match admin.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, admin.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_comes_in_drops_is_not_waited_for() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = At::Address(listener.local_addr().unwrap());
        let drips = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            for _ in 0..1000 {
                if client.write_all(b"H").is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let answer = at.ask("GET", "/healthz", None, Duration::from_millis(100));
        let error = answer.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        drips.join().unwrap();
    }

    #[test]
    fn an_answer_is_whole_or_none() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let read = answer(whole).unwrap();
        assert_eq!((read.status, read.body.as_slice()), (200, &b"ok"[..]));
        for end in 0..whole.len() {
            assert!(answer(&whole[..end]).is_none(), "{end}");
        }
        assert!(answer(b"HTTP/1.1 200 OK\r\n\r\nok").is_none());
    }
}
