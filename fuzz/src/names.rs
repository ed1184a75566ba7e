//! Which headers are whose, written from the documents and apart from the gateway's lists.

/// What presets tell, and what some frameworks believe of the method, the path or the address. No client
/// and no proxy says any of it.
pub const NOBODYS: [&str; 43] = [
    "X-User-Id",
    "X-User-Name",
    "X-User-Email",
    "X-User-Tier",
    "X-User-Roles",
    "X-User-Scopes",
    "X-User-Superuser",
    "X-Auth-Method",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Access-Token",
    "Remote-User",
    "Remote-Email",
    "Remote-Groups",
    "Remote-Name",
    "X-Consumer-Id",
    "X-Consumer-Username",
    "X-Consumer-Custom-Id",
    "X-Consumer-Groups",
    "X-Credential-Identifier",
    "X-Anonymous-Consumer",
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-Method",
    "X-Forwarded-Path",
    "X-Forwarded-Uri",
    "X-Http-Method",
    "X-Http-Method-Override",
    "X-Method-Override",
    "X-Original-Method",
    "X-Original-Uri",
    "X-Original-Url",
    "X-Real-Ip",
    "X-Rewrite-Url",
    "X-Api-Key",
    "X-Portcullis-Assertion",
    // Of the files in `fuzz_targets/headers.rs`.
    "App-Key",
];

/// What a trusted proxy may say, in this very spelling.
pub const PROXYS: [&str; 9] = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Request-Id",
];

/// What a message is. In another spelling nobody says it.
pub const FRAMING: [&str; 5] = [
    "Connection",
    "Content-Length",
    "Content-Type",
    "Host",
    "Transfer-Encoding",
];

/// RFC 9110, section 7.6.1, and what the gateway answers itself.
pub const HOP_BY_HOP: [&str; 9] = [
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "TE",
    "Transfer-Encoding",
    "Upgrade",
    "Expect",
];

/// As CGI and its heirs make a variable of a name: all that is no letter or digit is one character.
pub fn variable(name: &str) -> String {
    let upper = name.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    });
    upper.collect()
}

pub fn is_in(name: &str, list: &[&str]) -> bool {
    let name = variable(name);
    list.iter().any(|entry| variable(entry) == name)
}

/// Whether it stands there in this spelling, case aside.
pub fn is_spelled(name: &str, list: &[&str]) -> bool {
    list.iter().any(|entry| entry.eq_ignore_ascii_case(name))
}
