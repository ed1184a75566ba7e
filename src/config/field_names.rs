//! The names of fields that mean something to the gateway, for those who remove them from requests
//! and those who let a file name another.

use std::cmp::Ordering;

use super::checked::Preset;

/// Where API keys are, unless the file names another field. No backend is to see it either way.
pub const API_KEY: &str = "x-api-key";

/// Where assertions are, unless the file names another field.
pub const ASSERTION: &str = "x-portcullis-assertion";

/// Removed from every client, whatever the preset: identity and request id.
pub const IDENTITY: &[&str] = &[
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-user",
    "x-anonymous-consumer",
    "x-auth-method",
    "x-auth-request-access-token",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-auth-request-user",
    "x-consumer-custom-id",
    "x-consumer-groups",
    "x-consumer-id",
    "x-consumer-username",
    "x-credential-identifier",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    ASSERTION,
    "x-user-email",
    "x-user-id",
    "x-user-name",
    "x-user-roles",
    "x-user-scopes",
    "x-user-superuser",
    "x-user-tier",
];

/// Removed from everybody. Some frameworks behind would serve another path or method than the one that
/// was decided on, or believe another address, scheme or host; the proxies in front pass these on as clients send them.
/// Gunicorn takes `Script-Name`, and Daphne `Daphne-Root-Path`, off the beginning of the path.
/// `Proxy` becomes `HTTP_PROXY` where headers become variables (CGI), by which the backend itself asks others.
pub const OVERRIDES: &[&str] = &[
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "daphne-root-path",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "method-override",
    "path-info",
    "proxy",
    "proxy-client-ip",
    "script-name",
    "true-client-ip",
    "wl-proxy-client-cert",
    "wl-proxy-client-ip",
    "wl-proxy-ssl",
    "x-arr-ssl",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-envoy-original-path",
    "x-forwarded",
    "x-forwarded-context",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-protocol",
    "x-forwarded-script-name",
    "x-forwarded-uri",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-request-base",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-traversal-path",
    "x-url-scheme",
];

/// Removed from clients, believed from trusted proxies in this very spelling.
/// With those of client certificates who terminated TLS says whose connection it is.
pub const PROXY: &[&str] = &[
    "client-cert",
    "client-cert-chain",
    "ssl-client-cert",
    "ssl-client-issuer-dn",
    "ssl-client-s-dn",
    "ssl-client-subject-dn",
    "ssl-client-verify",
    "x-arr-clientcert",
    "x-client-cert",
    "x-client-dn",
    "x-client-verify",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-tls-client-cert",
    "x-forwarded-tls-client-cert-info",
    "x-request-id",
    "x-ssl-client-cert",
    "x-ssl-client-cn",
    "x-ssl-client-dn",
    "x-ssl-client-s-dn",
    "x-ssl-client-verify",
];

/// What a message is; another spelling of one of these is an attempt to say it twice.
pub const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

/// What a message carries for others than its application, or the application reads as something
/// else than a key of its caller.
const MESSAGE: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "cookie",
    "date",
    "expect",
    "from",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];

/// Families of names, by what they begin with.
const FAMILIES: &[&str] = &[
    "access-control-",
    "content-",
    "if-",
    "proxy-",
    "ratelimit",
    "sec-",
    "x-ratelimit-",
];

/// What one hop says to the next, and where a message ends.
const HOP: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a field says how its message is to be read. Names from here on are in lower case, with `-`.
pub fn is_framing(name: &str) -> bool {
    HOP.contains(&name) || name.starts_with("proxy-")
}

/// Whether a field means something by itself, whoever sends it.
pub fn is_of_message(name: &str) -> bool {
    [FRAMING, MESSAGE].iter().any(|list| list.contains(&name))
        || FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Whether a preset tells the caller by it.
pub fn is_of_preset(name: &str, preset: Preset) -> bool {
    let begins = |with: &str| name.starts_with(with);
    IDENTITY.contains(&name)
        && match preset {
            Preset::XUser => begins("x-user-") || name == "x-auth-method",
            Preset::XForwarded => begins("x-forwarded-"),
            Preset::XAuthRequest => begins("x-auth-request-"),
            Preset::RemoteUser => begins("remote-"),
            Preset::XConsumer => {
                begins("x-consumer-")
                    || matches!(name, "x-credential-identifier" | "x-anonymous-consumer")
            }
            Preset::None => false,
        }
}

/// Whether the gateway tells clients something by it.
pub fn is_told_to_clients(name: &str) -> bool {
    name == "x-request-id" || name.starts_with("ratelimit") || name.starts_with("x-ratelimit-")
}

/// A name as the lists here have it, whatever its spelling.
pub fn folded(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

/// Whether a field of that name has a use already, in whatever spelling.
pub fn is_in_use(name: &str) -> bool {
    let name = folded(name);
    let lists = [IDENTITY, OVERRIDES, PROXY];
    lists.iter().any(|list| list.contains(&name.as_str())) || is_of_message(&name)
}

/// What says who is calling, and is for nothing else.
const CREDENTIALS: &[&str] = &["authorization", "cookie", "proxy-authorization"];

/// Whether a route may go by a field of that name: one that means the same from whoever it comes, and that
/// the gateway does not read, set or remove by itself.
pub fn may_choose_route(name: &str) -> bool {
    let name = folded(name);
    let is_framing = FRAMING.contains(&name.as_str()) && name != "content-type";
    let lists = [IDENTITY, OVERRIDES, PROXY, CREDENTIALS];
    !is_framing && !lists.iter().any(|list| list.contains(&name.as_str()))
}

/// Whether two names, in lower case, are one to servers that map fields to variables (CGI, WSGI, PHP).
pub fn are_one(name: &[u8], other: &[u8]) -> bool {
    order(name, other).is_eq()
}

/// An order of names that puts those that are one at one place.
pub fn order(name: &[u8], other: &[u8]) -> Ordering {
    // Some make an underscore of a hyphen alone, some of everything that is no letter or digit.
    let fold = |byte: &u8| {
        if byte.is_ascii_alphanumeric() {
            *byte
        } else {
            b'-'
        }
    };
    // Lengths first: most names differ by that.
    let lengths = name.len().cmp(&other.len());
    lengths.then_with(|| name.iter().map(fold).cmp(other.iter().map(fold)))
}

/// Whether a name has a character that is usual in none: a sign that it may be another's spelling.
pub fn is_odd(name: &[u8]) -> bool {
    !name
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}
