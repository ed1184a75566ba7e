//! Whatever headers a client sends, an upstream is told who calls by the gateway alone.
//!
//! Each request is asked about twice, with the client's headers and without: what is the gateway's word
//! has to be the same, and what is the client's has to arrive.

#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use portcullis::authn::Principal;
use portcullis::config::policy_test::{Credential, TestCaller};
use portcullis::policy::{Asked, Caller, Stages};
use portcullis_fuzz::gateways::{alice, asked, known, stages};
use portcullis_fuzz::names::{FRAMING, HOP_BY_HOP, NOBODYS, PROXYS, is_in, is_spelled};

const PRESETS: [&str; 6] = [
    "x-user",
    "x-forwarded",
    "x-auth-request",
    "remote-user",
    "x-consumer",
    "none",
];

/// What each file sets on some route.
const OWN: [&str; 3] = ["X_Shelf", "X-Nothing", "X-Tag"];
/// What the full ones tell of the caller beside the preset.
const TOLD: [&str; 3] = ["X-Org", "Acme.Team", "X-Proof"];
/// What the route `edited` sets or removes, though it means something by itself.
const EDITED: [&str; 4] = ["User-Agent", "Accept-Language", "Cache-Control", "X-Secret"];
/// Headers that clients send and applications read.
const CLIENTS: [&str; 9] = [
    "Accept",
    "Accept-Encoding",
    "User-Agent",
    "Accept-Language",
    "Cache-Control",
    "If-None-Match",
    "X-Requested-With",
    "X-Secret",
    "Content-Type",
];
const SEPARATORS: [u8; 8] = *b"-_.~!+^|";
const PATHS: [&str; 3] = ["/other", "/public/x", "/edited/7"];

struct Gateway {
    stages: Stages,
    /// It tells more than the preset, and lets `Authorization` pass.
    is_full: bool,
    callers: Vec<Principal>,
}

fn file(preset: &str, is_full: bool) -> String {
    let further = match is_full {
        false => "",
        true => {
            r#"
  user_id: external_id
  forward_authorization: true
  headers: { X-Org: "{claims.org}", Acme.Team: "{user.tier}" }
  assertion: { header: X-Proof }"#
        }
    };
    format!(
        r#"
version: 1
trusted_proxies: [10.0.0.0/8]
auth: {{ api_keys: {{ header: App-Key }} }}
tiers: {{ free: {{ rank: 0 }} }}
identity:
  preset: {preset}{further}
upstreams: {{ app: {{ targets: http://127.0.0.1:8000 }} }}
routes:
  - {{ name: public, prefix: /public, auth: none, limits: [], upstream: app }}
  - name: edited
    path: "/edited/{{id}}"
    auth: optional
    limits: []
    upstream: app
    request_headers:
      remove: [X-Secret, Accept-Language]
      set: {{ User-Agent: gateway, Cache-Control: "{{claims.nothing}}", X_Shelf: "{{path.id}}", X-Nothing: "{{claims.nothing}}" }}
      add: {{ X-Tag: "{{request.method}}" }}
  - {{ name: other, prefix: /, auth: optional, limits: [], upstream: app }}
"#
    )
}

static GATEWAYS: LazyLock<Vec<Gateway>> = LazyLock::new(|| {
    let files = PRESETS
        .iter()
        .flat_map(|preset| [(preset, false), (preset, true)]);
    let gateways = files.map(|(preset, is_full)| {
        let stages = stages(&file(preset, is_full));
        let key = TestCaller {
            key: Credential::ApiKey,
            claims: serde_json::Map::new(),
            ..alice()
        };
        let stranger = TestCaller::default();
        let known = [alice(), key, stranger].map(|c| known(&c, &stages.config).unwrap());
        Gateway {
            is_full,
            callers: [vec![Principal::Anonymous], known.into()].concat(),
            stages,
        }
    });
    gateways.collect()
});

/// A name in some spelling.
fn spelled(name: &str, input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let (cases, separators): (u32, u16) = (input.arbitrary()?, input.arbitrary()?);
    let mut place = 0;
    let spelled = name.bytes().enumerate().map(|(at, byte)| {
        if byte.is_ascii_alphanumeric() {
            return match cases >> (at % 32) & 1 {
                0 => byte,
                _ => byte ^ b' ' * u8::from(byte.is_ascii_alphabetic()),
            };
        }
        place += 3;
        SEPARATORS[usize::from(separators >> ((place - 3) % 16) & 7)]
    });
    Ok(spelled.collect())
}

fn name(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let lists: [&[&str]; 9] = [
        &NOBODYS,
        &PROXYS,
        &FRAMING,
        &HOP_BY_HOP,
        &OWN,
        &TOLD,
        &EDITED,
        &CLIENTS,
        &["Authorization", "Cookie", "Trailer", "Via"],
    ];
    match lists.get(input.int_in_range(0..=lists.len())?) {
        Some(list) => spelled(input.choose(list)?, input),
        None => raw(input, 24),
    }
}

fn raw(input: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    let length = input.int_in_range(0..=most)?;
    Ok(input.bytes(length.min(input.len()))?.to_vec())
}

fn value(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match input.int_in_range(0..=5)? {
        0 => b"7".to_vec(),
        // A list of names, as in `Connection`.
        1 | 2 => {
            let mut list = Vec::new();
            for _ in 0..input.int_in_range(1..=3)? {
                list.extend(name(input)?);
                list.extend_from_slice(input.choose(&[&b","[..], b" , ", b",\t", b";", b",,"])?);
            }
            list
        }
        3 => {
            let mut cookies = raw(input, 8)?;
            for _ in 0..input.int_in_range(1..=3)? {
                cookies.extend_from_slice(input.choose(&[&b";"[..], b"; ", b";\t", b",", b""])?);
                cookies.extend_from_slice(input.choose(&[
                    &b"refresh_token=secret"[..],
                    b"refresh_token =secret",
                    b"refresh_token",
                    b"theme=dark",
                    b"my_refresh_token=1",
                ])?);
            }
            cookies
        }
        4 => b"chunked".to_vec(),
        _ => [&b"client "[..], &raw(input, 24)?].concat(),
    })
}

fn headers(input: &mut Unstructured<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut all = Vec::new();
    while !input.is_empty() && all.len() < 24 {
        let (Ok(name), Ok(value)) = (name(input), value(input)) else {
            break;
        };
        let header = (
            HeaderName::from_bytes(&name),
            HeaderValue::from_bytes(&value),
        );
        if let (Ok(name), Ok(value)) = header {
            all.push((name, value));
        }
    }
    all
}

fn sent(gateway: &Gateway, caller: &Principal, asked: &Asked) -> Option<HeaderMap> {
    let caller = Caller::Stated(caller.clone());
    let decided = gateway.stages.decide(asked, &caller);
    Some(decided.outgoing?.headers)
}

fn values<'m>(map: &'m HeaderMap, name: &HeaderName) -> Vec<&'m HeaderValue> {
    map.get_all(name).iter().collect()
}

fn check(input: &mut Unstructured<'_>) -> Result<()> {
    let gateway = input.choose(&GATEWAYS)?;
    let caller = input.choose(&gateway.callers)?;
    let path = *input.choose(&PATHS)?;
    let is_trusted: bool = input.arbitrary()?;
    let ip: IpAddr = match is_trusted {
        true => [10, 0, 0, 1].into(),
        false => [192, 0, 2, 1].into(),
    };
    let mut asked = asked("GET", path.parse().unwrap(), ip);
    let alone = sent(gateway, caller, &asked).expect("a plain request passes");
    asked.headers = headers(input);
    let Some(sent) = sent(gateway, caller, &asked) else {
        return Ok(());
    };
    let is_edited = path == "/edited/7";
    let is_proxys = |name: &str| is_trusted && is_spelled(name, &PROXYS);
    // What a trusted proxy says is none that `Connection` could take away: it has been acted on.
    let nominated: Vec<HeaderName> = asked
        .headers
        .iter()
        .filter(|(name, _)| name == "connection")
        .flat_map(|(_, value)| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !is_proxys(name.as_str()))
        .collect();
    // What is the gateway's to say, or nobody's.
    let is_guarded = |name: &str| {
        is_in(name, &NOBODYS)
            || is_in(name, &OWN)
            || (gateway.is_full && is_in(name, &TOLD))
            || (is_in(name, &PROXYS) && !is_proxys(name))
            || (is_in(name, &FRAMING) && !is_spelled(name, &FRAMING))
            || (is_edited && is_in(name, &EDITED))
    };

    for (name, value) in &sent {
        let is_fit = |byte: &u8| !matches!(byte, 0 | b'\r' | b'\n');
        assert!(value.as_bytes().iter().all(is_fit), "{name}: {value:?}");
        let text = name.as_str();
        assert!(!is_spelled(text, &HOP_BY_HOP), "{name} is for one hop");
        if is_guarded(text) || nominated.contains(name) && text != "content-length" {
            assert_eq!(values(&sent, name), values(&alone, name), "{name}");
        }
    }
    for name in alone.keys() {
        let is_clients = asked.headers.iter().any(|(said, _)| said == name);
        if !is_clients || is_guarded(name.as_str()) {
            assert_eq!(values(&sent, name), values(&alone, name), "{name}");
        }
    }
    if is_trusted {
        let list = sent["x-forwarded-for"].as_bytes();
        assert!(list.ends_with(b"10.0.0.1"), "{list:?}");
    }
    let takes_authorization = path == "/public/x" || gateway.is_full;
    assert!(takes_authorization || !sent.contains_key("authorization"));
    for line in sent.get_all(COOKIE) {
        for pair in line.as_bytes().split(|byte| *byte == b';') {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            let is_token = pair.contains(&b'=') && name.trim_ascii() == b"refresh_token";
            assert!(!is_token, "{line:?}");
        }
    }
    // What the client says for itself arrives.
    for (name, _) in &asked.headers {
        let text = name.as_str();
        let is_of_gateway = is_guarded(text)
            || is_spelled(text, &HOP_BY_HOP)
            || nominated.contains(name)
            || matches!(
                text,
                "authorization" | "cookie" | "host" | "x-forwarded-for" | "x-request-id"
            );
        if !is_of_gateway {
            let said = asked.headers.iter().filter(|(other, _)| other == name);
            let said: Vec<_> = said.map(|(_, value)| value).collect();
            assert_eq!(values(&sent, name), said, "{name}");
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    // An input that is too short says nothing.
    let _ = check(&mut Unstructured::new(data));
});
