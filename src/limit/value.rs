//! Whose counter within a limit, and how it is written where it has to be read again.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

/// What a counter belongs to within its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    User(Uuid),
    /// An API key, by its id.
    ApiKey(Uuid),
    Address(Network),
    /// Everyone together.
    Everyone,
    /// What a header says, see [`Value::of_header`].
    Header(u128),
    /// What a claim says.
    Claim(u128),
}

/// An IPv4 address or an IPv6 /64: what one subscriber is given, and can change addresses within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    V4(u32),
    V6(u64),
}

impl Value {
    pub fn of_header(value: &[u8]) -> Value {
        Value::Header(bits_of(value))
    }

    pub fn of_claim(text: &str) -> Value {
        Value::Claim(bits_of(text.as_bytes()))
    }

    /// A kind and 128 bits, from which [`Value::unpack`] makes it again.
    pub(super) fn pack(self) -> (u32, u128) {
        match self {
            Value::User(id) => (1, id.as_u128()),
            Value::ApiKey(id) => (2, id.as_u128()),
            Value::Address(Network::V4(bits)) => (3, bits.into()),
            Value::Address(Network::V6(bits)) => (4, bits.into()),
            Value::Everyone => (5, 0),
            Value::Header(bits) => (6, bits),
            Value::Claim(bits) => (7, bits),
        }
    }

    pub(super) fn unpack(kind: u32, bits: u128) -> Option<Value> {
        Some(match kind {
            1 => Value::User(Uuid::from_u128(bits)),
            2 => Value::ApiKey(Uuid::from_u128(bits)),
            3 => Value::Address(Network::V4(u32::try_from(bits).ok()?)),
            4 => Value::Address(Network::V6(u64::try_from(bits).ok()?)),
            5 => Value::Everyone,
            6 => Value::Header(bits),
            7 => Value::Claim(bits),
            _ => return None,
        })
    }
}

/// A text of any length: the same bits in every process, and nobody finds two texts that share them.
fn bits_of(text: &[u8]) -> u128 {
    let hash = digest(&SHA256, text);
    let (first, _) = hash.as_ref().split_at(16);
    first
        .iter()
        .fold(0, |all, byte| all << 8 | u128::from(*byte))
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        // `::ffff:192.0.2.1` is how a dual-stack socket shows an IPv4 peer.
        match address.to_canonical() {
            IpAddr::V4(address) => Network::V4(address.to_bits()),
            IpAddr::V6(address) => Network::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::V4(bits) => write!(f, "{}", Ipv4Addr::from_bits(*bits)),
            Network::V6(bits) => {
                write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*bits) << 64))
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::User(id) => write!(f, "user {id}"),
            Value::ApiKey(id) => write!(f, "api_key {id}"),
            Value::Address(network) => write!(f, "ip {network}"),
            Value::Everyone => f.write_str("route"),
            Value::Header(bits) => write!(f, "header {bits:032x}"),
            Value::Claim(bits) => write!(f, "claim {bits:032x}"),
        }
    }
}

/// No value is written like that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoValue;

impl FromStr for Value {
    type Err = NoValue;

    fn from_str(text: &str) -> Result<Value, NoValue> {
        if text == "route" {
            return Ok(Value::Everyone);
        }
        let (kind, rest) = text.split_once(' ').ok_or(NoValue)?;
        let id = || Uuid::parse_str(rest).map_err(|_| NoValue);
        let bits = || u128::from_str_radix(rest, 16).map_err(|_| NoValue);
        match kind {
            "user" => Ok(Value::User(id()?)),
            "api_key" => Ok(Value::ApiKey(id()?)),
            "ip" => {
                let address = rest.strip_suffix("/64").unwrap_or(rest).parse::<IpAddr>();
                Ok(Value::Address(address.map_err(|_| NoValue)?.into()))
            }
            "header" => Ok(Value::Header(bits()?)),
            "claim" => Ok(Value::Claim(bits()?)),
            _ => Err(NoValue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn ipv6_goes_by_64_and_mapped_ipv4_as_ipv4() {
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff::2"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_ne!(network("::"), network("0.0.0.0"));
    }

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        for (value, text) in [
            (
                Value::User(id),
                "user 01234567-89ab-cdef-0123-456789abcdef".to_owned(),
            ),
            (Value::ApiKey(id), format!("api_key {id}")),
            (Value::Address(network("192.0.2.1")), "ip 192.0.2.1".into()),
            (
                Value::Address(network("2001:db8::7")),
                "ip 2001:db8::/64".into(),
            ),
            (Value::Everyone, "route".into()),
            // The first half of SHA-256, as anybody can compute it.
            (
                Value::of_header(b"abc"),
                "header ba7816bf8f01cfea414140de5dae2223".into(),
            ),
            (
                Value::of_claim("abc"),
                "claim ba7816bf8f01cfea414140de5dae2223".into(),
            ),
        ] {
            assert_eq!(value.to_string(), text);
            assert_eq!(text.parse(), Ok(value));
            let (kind, bits) = value.pack();
            assert_eq!(Value::unpack(kind, bits), Some(value));
        }
        for text in ["", "user", "user x", "ip x", "header x", "claim", "other 1"] {
            assert_eq!(text.parse::<Value>(), Err(NoValue), "{text}");
        }
        assert_eq!(Value::unpack(0, 0), None);
        assert_eq!(Value::unpack(3, u128::MAX), None);
    }
}
