//! What gateways share beside the store.

use std::path::Path;

use redis::IntoConnectionInfo as _;
use url::Url;

use super::super::checked::Redis;
use super::super::decode::{At, Field};
use super::super::diagnose::Findings;
use super::super::raw::RawShared;
use super::super::secret::Secret;
use super::super::source::Span;
use super::secret;

const HINT: &str = "for example `redis: redis://user:password@127.0.0.1:6379/0`; what is special in a password is percent-encoded";

/// `None` also when it is not as it should be.
pub fn shared(raw: &Field<RawShared>, dir: &Path, findings: &mut Findings) -> Option<Redis> {
    let at = raw.given()?;
    match (&at.value.redis, &at.value.redis_file) {
        (Field::Absent, Field::Absent) => {
            findings.error(at.span, "nothing is shared here").hint(HINT);
            None
        }
        (Field::Given(At { value, span }), Field::Absent) => redis(value, *span, findings),
        (Field::Absent, Field::Given(At { value, span })) => {
            let text = secret::from_file(&dir.join(value), *span, findings)?;
            redis(text.expose(), *span, findings)
        }
        (_, Field::Given(file)) => {
            findings
                .error(file.span, "the address of Redis is given twice")
                .hint("keep `redis` or `redis_file`");
            None
        }
        _ => None,
    }
}

fn redis(text: &str, span: Span, findings: &mut Findings) -> Option<Redis> {
    findings.hide(span);
    let mut fault = |message: &str, hint: &str| {
        findings.error(span, message).hint(hint);
        None
    };
    let url = Url::parse(text).ok().filter(|_| text.contains("://"));
    let Some(url) = url else {
        return fault("expected the URL of a Redis server", HINT);
    };
    match url.scheme() {
        "redis" | "valkey" => {}
        "rediss" | "valkeys" => {
            return fault(
                "the gateway does not speak TLS to Redis",
                "put both on a network that nobody else is on, or a tunnel between them",
            );
        }
        _ => return fault("expected the URL of a Redis server", HINT),
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return fault("the host of Redis is missing", HINT);
    };
    if url.query().is_some() || url.fragment().is_some() {
        return fault("a Redis URL has no options behind its path", HINT);
    }
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return fault("the path of a Redis URL is the number of a database", HINT);
    }
    // What is left: the address of no host, and what is no text when it is decoded.
    if text.into_connection_info().is_err() {
        return fault("nobody can be reached by this URL", HINT);
    }
    let port = url.port().unwrap_or(6379);
    let shown = match database {
        "" => format!("redis://{host}:{port}"),
        database => format!("redis://{host}:{port}/{database}"),
    };
    Some(Redis {
        url: Secret::new(text.to_owned()),
        shown,
    })
}
