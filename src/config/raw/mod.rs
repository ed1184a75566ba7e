//! The file as typed: units are read and keys are known, but nothing is resolved or compared.

mod address;
mod auth;
mod claim;
mod headers;
mod policy_test;
mod route;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Value as Json, json};

pub use address::{Cidr, RawAddressRules};
pub use auth::{
    Algorithm, RawApiKeys, RawAuth, RawCookie, RawLockout, RawPassword, RawSigning, RawSigningKey,
};
pub use claim::{RawClaimValue, RawOwnerField};
pub use headers::{RawCors, RawHeaderEdits, RawRewrite};
pub use policy_test::{
    RawCaller, RawExpect, RawExpectedLimit, RawRequest, RawTest, RawTestFile, RawUser,
};
pub use route::{RawConcurrency, RawLimit, RawOwned, RawOwner, RawQuota, RawRoute, RawRule};

use super::checked::{AccessLog, Preset, UserId};
use super::decode::{AtLeastOne, Decode, Named, OneOrMore, number, scalar};
use super::diagnose::{Findings, shown};
use super::schema;
use super::section::{choice, section};
use super::units::{Pace, Size};
use super::yaml::Node;

/// More threads than this help nobody and cost memory each.
pub const MOST_WORKERS: u64 = 1024;

section! {
    /// The whole file.
    RawConfig, "the file" {
        /// The version of this format.
        version: u64, required "begin the file with `version: 1`";
        /// Where requests come in.
        listen: AtLeastOne<RawListen>;
        /// Where health, metrics and administration are served.
        admin: RawAdmin;
        /// Data-plane threads.
        workers: Workers;
        /// Peers whose `X-Forwarded-For` is believed.
        trusted_proxies: Vec<super::decode::At<Cidr>>;
        shutdown: RawShutdown;
        /// Where accounts and sessions are kept.
        store: String;
        /// A file that holds it, for URLs with a password.
        store_file: String;
        /// What gateways share beside the store.
        shared: RawShared;
        auth: RawAuth;
        tiers: Named<RawTier>;
        /// The quota of callers without identity.
        anonymous: RawQuota;
        upstreams: Named<RawUpstream>, required "say where the backend is: `upstreams: { app: { targets: [http://127.0.0.1:8000] } }`";
        identity: RawIdentity;
        /// Pages of other origins that may call.
        cors: RawCors;
        routes: AtLeastOne<RawRoute>, required "nothing is forwarded unless a route says so";
        /// The largest head of a request.
        max_header: Size;
        /// Which headers tell callers of their limits.
        limits_headers: Vec<super::decode::At<LimitsHeader>>;
        log: RawLog;
        /// What `portcullis test` holds the policy to.
        tests: AtLeastOne<RawTest>;
    }
}

section! {
    RawListen, "an item of `listen`" {
        address: SocketAddr, required "for example `address: 0.0.0.0:8080`";
    }
}

section! {
    RawAdmin, "`admin`" {
        address: SocketAddr;
        /// A Unix socket that only the gateway's own user may open.
        socket: String;
    }
}

section! {
    RawShutdown, "`shutdown`" {
        /// How long requests under way may take after a signal.
        grace: Duration;
    }
}

section! {
    RawShared, "`shared`" {
        /// By which limits are held together.
        redis: String;
        /// A file that holds it, for URLs with a password.
        redis_file: String;
    }
}

section! {
    RawTier, "a tier" {
        /// Higher is better; `min_tier` compares it.
        rank: u32;
        rate: Pace;
        burst: std::num::NonZeroU32;
    }
}

section! {
    RawUpstream, "an upstream" {
        targets: OneOrMore<String>, required "for example `targets: [http://127.0.0.1:8000]`";
        connect_timeout: Duration;
        /// To the response's headers.
        response_timeout: Duration;
        /// How long an unused connection is kept.
        idle_timeout: Duration;
    }
}

section! {
    RawIdentity, "`identity`" {
        /// Which id of an account the upstream is told.
        user_id: UserId;
        /// The set of headers that tell it.
        preset: Preset;
        /// Headers beside the preset's, whose values are templates.
        headers: Named<String>;
        /// A short-lived signed token that tells the caller.
        assertion: RawAssertion;
        forward_authorization: bool;
    }
}

section! {
    RawAssertion, "`identity.assertion`" {
        /// The header that holds it.
        header: String;
        /// How long it is good for.
        ttl: Duration;
    }
}

section! {
    RawLog, "`log`" {
        access: AccessLog;
        level: Level;
    }
}

choice! { UserId { "id" => UserId::Id, "external_id" => UserId::ExternalId } }

choice! { Preset {
    "x-user" => Preset::XUser,
    "x-forwarded" => Preset::XForwarded,
    "x-auth-request" => Preset::XAuthRequest,
    "remote-user" => Preset::RemoteUser,
    "x-consumer" => Preset::XConsumer,
    "none" => Preset::None,
} }

choice! { AccessLog {
    "json" => AccessLog::Json,
    "text" => AccessLog::Text,
    "off" => AccessLog::Off,
} }

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitsHeader {
    Ietf,
    Legacy,
}

choice! { LimitsHeader { "ietf" => LimitsHeader::Ietf, "legacy" => LimitsHeader::Legacy } }

/// How much is logged, as `tracing` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(pub &'static str);

choice! { Level {
    "error" => Level("error"),
    "warn" => Level("warn"),
    "info" => Level("info"),
    "debug" => Level("debug"),
    "trace" => Level("trace"),
} }

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    Auto,
    Count(u64),
}

impl Decode for Workers {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let what = "`auto` or a number of threads";
        match scalar(node, what, findings)?.text.as_str() {
            "auto" => Some(Workers::Auto),
            _ => number(node, what, findings).map(Workers::Count),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [schema::words(&["auto"]), schema::whole_number(1, MOST_WORKERS)] })
    }
}

impl Decode for SocketAddr {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let what = "an address and a port such as `0.0.0.0:8080` or `[::]:8080`";
        let text = &scalar(node, what, findings)?.text;
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let finding = findings.error(node.span, format!("expected {what}, found {}", shown(text)));
        if text.parse::<u16>().is_ok() {
            finding.hint(format!(
                "for all addresses of this machine: `0.0.0.0:{text}`"
            ));
        } else if let Some(port) = text.strip_prefix(':') {
            finding.hint(format!(
                "for all addresses of this machine: `0.0.0.0:{port}`"
            ));
        } else if let Some(port) = text.strip_prefix("localhost:") {
            finding.hint(format!("names are not looked up: `127.0.0.1:{port}`"));
        } else if text.parse::<IpAddr>().is_ok() {
            finding.hint("the port is missing");
        }
        None
    }

    fn schema() -> Json {
        schema::text(r"^([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$")
    }
}
