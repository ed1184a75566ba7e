//! Where administration is served.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::super::checked::{Admin, Listen};
use super::super::decode::At;
use super::super::diagnose::Findings;
use super::super::raw::RawConfig;

/// Systems take 103 to 107 bytes, and the socket has a longer name until it is ready.
const LONGEST_SOCKET: usize = 96;

/// The address alone unless the file names a socket, and only what it names then.
pub fn admin(raw: &RawConfig, listen: &[Listen], dir: &Path, findings: &mut Findings) -> Admin {
    let given = raw.admin.get();
    let socket = given.and_then(|admin| admin.socket.given());
    let address = given.and_then(|admin| admin.address.given());
    let address = match address {
        Some(at) => Some(own_address(at, listen, findings)),
        None if socket.is_some() => None,
        None => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9901))),
    };
    Admin {
        address,
        socket: socket.map(|at| path(at, dir, findings)),
    }
}

fn own_address(given: &At<SocketAddr>, listen: &[Listen], findings: &mut Findings) -> SocketAddr {
    let address = given.value;
    let is_taken = listen.iter().any(|l| covers(l.address, address));
    if address.port() != 0 && is_taken {
        findings
            .error(
                given.span,
                format!("`{address}` is an address of `listen` as well"),
            )
            .hint("administration is never served where the public comes in: use another port");
    }
    address
}

/// Both cannot be bound at once.
fn covers(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    a.port() == b.port() && (a.ip() == b.ip() || any(a.ip()) || any(b.ip()))
}

fn path(given: &At<String>, dir: &Path, findings: &mut Findings) -> PathBuf {
    const EXAMPLE: &str = "for example `socket: /run/portcullis.sock`";
    let path = dir.join(&given.value);
    let bytes = path.as_os_str().as_bytes();
    if given.value.is_empty() || given.value.ends_with('/') {
        findings
            .error(given.span, "the path of the socket is missing")
            .hint(EXAMPLE);
    } else if given.value.starts_with("unix:") {
        findings
            .error(given.span, "a socket is named by its path alone")
            .hint(EXAMPLE);
    } else if bytes.contains(&0) || given.value.starts_with('@') {
        findings
            .error(
                given.span,
                "a socket is a file: any user could open another",
            )
            .hint(EXAMPLE);
    } else if bytes.len() > LONGEST_SOCKET {
        let message = format!(
            "the path of the socket has {} bytes: no system takes more than {LONGEST_SOCKET} for certain",
            bytes.len()
        );
        findings.error(given.span, message).hint(EXAMPLE);
    }
    path
}
