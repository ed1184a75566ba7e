//! `portcullis health`: exit 0 when the gateway of this configuration lives, else 1.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::{FAILED, GOOD};

const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks the admin listener's `/healthz`.
pub fn run(admin: SocketAddr) -> i32 {
    match ask(reachable(admin)) {
        Ok(true) => GOOD,
        Ok(false) => {
            eprintln!("error: the gateway at {admin} is not healthy");
            FAILED
        }
        Err(error) => {
            eprintln!("error: no answer from the admin listener at {admin}: {error}");
            FAILED
        }
    }
}

fn ask(admin: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&admin, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET /healthz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
    )?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(&status == b"HTTP/1.1 200")
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
