//! Which addresses lead to the gateway itself, in whatever spelling.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Whether who connects to `target` certainly gets to what listens at `own`.
pub fn is_own(target: SocketAddr, own: SocketAddr) -> bool {
    let (ip, listens_at) = (target.ip().to_canonical(), own.ip().to_canonical());
    // Listening at `::` takes IPv4 as well.
    let takes_any = listens_at.is_unspecified() && (listens_at.is_ipv6() || ip.is_ipv4());
    // Who connects to no address in particular gets to this machine.
    let is_here = ip.is_loopback() || ip.is_unspecified();
    let is_same_family = ip.is_ipv4() == listens_at.is_ipv4();
    let is_there = ip == listens_at
        || (takes_any && is_here)
        || (is_same_family && ip.is_unspecified() && listens_at.is_loopback());
    target.port() == own.port() && is_there
}

/// The address that a host is without anybody being asked: as addresses are written, as resolvers read numbers
/// (`127.1`, `0x7f000001`), and the names that stand for this machine everywhere. In lower case.
pub fn address_of(host: &str) -> Option<IpAddr> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if name == "localhost" || name.ends_with(".localhost") {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let written = host.parse().ok();
    written.or_else(|| numbers(host).map(IpAddr::V4))
}

/// One to four numbers, decimal, octal or hexadecimal, the last of which fills what is left (`inet_aton`).
fn numbers(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = host.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let taken = u32::try_from(first.len()).ok().filter(|taken| *taken < 4)?;
    let room = 32 - 8 * taken;
    let mut bits = 0;
    for part in first {
        bits = (bits << 8) | u32::from(u8::try_from(*part).ok()?);
    }
    if u64::from(*last) >= 1 << room {
        return None;
    }
    let high = u64::from(bits) << room;
    Some(Ipv4Addr::from_bits(
        u32::try_from(high | u64::from(*last)).ok()?,
    ))
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some("") | None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_plain.then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_many_spellings() {
        for spelling in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "0177.0.0.01",
            "localhost",
            "localhost.",
            "gateway.localhost",
        ] {
            let ip = address_of(spelling);
            assert_eq!(ip, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), "{spelling}");
        }
        assert_eq!(address_of("0"), Some(Ipv4Addr::UNSPECIFIED.into()));
        assert_eq!(address_of("255.255.255.255"), address_of("0xffffffff"));
        assert_eq!(address_of("::1"), "::1".parse().ok());
        for other in [
            "",
            ".",
            "app",
            "127.0.0.1.1",
            "256.1",
            "1.2.3.256",
            "1.16777216",
            "4294967296",
            "0x",
            "08",
            "1..2",
            "+1",
            "-1",
            "0x+1",
            "127.1.example",
            "localhost.example",
        ] {
            assert_eq!(address_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_listens_everywhere_is_reached_by_every_way_here() {
        let reaches =
            |target: &str, own: &str| is_own(target.parse().unwrap(), own.parse().unwrap());
        for (target, own) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("127.0.0.9:80", "0.0.0.0:80"),
            ("127.0.0.1:80", "[::]:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("[::1]:80", "[::]:80"),
        ] {
            assert!(reaches(target, own), "{target} {own}");
        }
        for (target, own) in [
            ("127.0.0.1:81", "127.0.0.1:80"),
            ("127.0.0.2:80", "127.0.0.1:80"),
            ("[::1]:80", "0.0.0.0:80"),
            ("[::1]:80", "127.0.0.1:80"),
            ("10.0.0.1:80", "0.0.0.0:80"),
        ] {
            assert!(!reaches(target, own), "{target} {own}");
        }
    }
}
