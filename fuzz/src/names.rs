//! Which headers are whose, written from the documents and apart from the gateway's lists.

/// What presets tell, and what some frameworks believe of the method, the path or the address. No client
/// and no proxy says any of it.
pub const NOBODYS: [&str; 81] = [
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
    "Cf-Connecting-Ip",
    "Cf-Connecting-Ipv6",
    "Client-Ip",
    "Fastly-Client-Ip",
    "Front-End-Https",
    "Proxy",
    "Method-Override",
    "True-Client-Ip",
    "X-Arr-Ssl",
    "X-Azure-Clientip",
    "X-Azure-Socketip",
    "X-Client-Ip",
    "X-Cluster-Client-Ip",
    "X-Envoy-External-Address",
    "X-Envoy-Original-Path",
    "X-Forwarded-Protocol",
    "X-Host",
    "X-Http-Host-Override",
    "X-Original-Forwarded-For",
    "X-Original-Host",
    "X-Originating-Ip",
    "X-Remote-Addr",
    "X-Remote-Ip",
    "X-Scheme",
    "X-Url-Scheme",
    "Daphne-Root-Path",
    "Path-Info",
    "Proxy-Client-Ip",
    "Script-Name",
    "Wl-Proxy-Client-Cert",
    "Wl-Proxy-Client-Ip",
    "Wl-Proxy-Ssl",
    "X-Forwarded-Context",
    "X-Forwarded-Script-Name",
    "X-Proxyuser-Ip",
    "X-Request-Base",
    "X-Script-Name",
    "X-Traversal-Path",
    "X-Api-Key",
    "X-Portcullis-Assertion",
    // Of the files in `fuzz_targets/headers.rs`.
    "App-Key",
];

/// What a trusted proxy may say, in this very spelling.
pub const PROXYS: [&str; 28] = [
    "Client-Cert",
    "Client-Cert-Chain",
    "Ssl-Client-Cert",
    "X-Client-Cert",
    "Ssl-Client-Issuer-Dn",
    "Ssl-Client-S-Dn",
    "Ssl-Client-Subject-Dn",
    "Ssl-Client-Verify",
    "X-Arr-Clientcert",
    "X-Client-Dn",
    "X-Client-Verify",
    "X-Ssl-Client-Cert",
    "X-Ssl-Client-Cn",
    "X-Ssl-Client-Dn",
    "X-Ssl-Client-S-Dn",
    "X-Ssl-Client-Verify",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
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
