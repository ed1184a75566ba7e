//! Networks that decide on something, as typed.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde_json::Value as Json;

use super::super::decode::{At, Decode, scalar};
use super::super::diagnose::{Findings, shown};
use super::super::schema;
use super::super::section::section;
use super::super::yaml::Node;

section! {
    RawAddressRules, "`ip`" {
        /// The networks that the route is for; all others are refused.
        allow: Vec<At<Cidr>>;
        /// Networks that are refused in any case.
        deny: Vec<At<Cidr>>;
    }
}

/// A network, or one address. What is written is the network itself, and not an address within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr(pub IpNet);

impl Decode for Cidr {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let what = "a network such as `10.0.0.0/8` or an address";
        let text = &scalar(node, what, findings)?.text;
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Cidr(IpNet::from(address)));
        }
        let Ok(network) = text.parse::<IpNet>() else {
            let message = format!("expected {what}, found {}", shown(text));
            let finding = findings.error(node.span, message);
            if let Some(hint) = hint(text) {
                finding.hint(hint);
            }
            return None;
        };
        if network != network.trunc() {
            let message = format!("{} is an address within a network", shown(text));
            findings.error(node.span, message).hint(format!(
                "for the network `{}`, for that address alone `{}`",
                network.trunc(),
                network.addr()
            ));
            return None;
        }
        Some(Cidr(network))
    }

    fn schema() -> Json {
        schema::text("^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$")
    }
}

/// What may have been meant by something that is no network.
fn hint(text: &str) -> Option<String> {
    if text.parse::<SocketAddr>().is_ok() {
        return Some("ports take no part: leave it out".to_owned());
    }
    if let Some((address, length)) = text.split_once('/')
        && let Ok(address) = address.parse::<IpAddr>()
    {
        let most = IpNet::from(address).max_prefix_len();
        return Some(match length.parse::<IpAddr>() {
            Ok(_) => "the mask is the number of its bits, as in `10.0.0.0/8`".to_owned(),
            Err(_) => format!("behind the `/` comes a number from 0 to {most}"),
        });
    }
    if text.contains('*') || text.contains('-') {
        return Some("ranges are written as networks: `10.0.0.0/8`".to_owned());
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_name = text.bytes().all(is_name) && text.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_name.then(|| "names are not looked up: write the addresses".to_owned())
}
