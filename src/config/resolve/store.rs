//! Where accounts are kept.

use std::path::{Path, PathBuf};

use url::Url;

use super::super::checked::{Postgres, Store};
use super::super::decode::{At, Field};
use super::super::diagnose::{Findings, shown};
use super::super::raw::{Algorithm, RawConfig};
use super::super::secret::Secret;
use super::super::source::Span;
use super::secret;

const HINT: &str =
    "for example `store: sqlite:portcullis.db` or `store: postgres://user:password@host/database`";

pub fn store(raw: &RawConfig, dir: &Path, findings: &mut Findings) -> Store {
    given(&raw.store, &raw.store_file, dir, findings)
        .unwrap_or_else(|| Store::Sqlite(dir.join("portcullis.db")))
}

/// What `store` or `store_file` says; `None` when there is neither.
pub fn given(
    store: &Field<String>,
    file: &Field<String>,
    dir: &Path,
    findings: &mut Findings,
) -> Option<Store> {
    let stand_in = || Store::Sqlite(PathBuf::new());
    Some(match (store, file) {
        (Field::Absent, Field::Absent) => return None,
        (Field::Given(At { value, span }), Field::Absent) => {
            parse(value, *span, dir, findings).unwrap_or_else(stand_in)
        }
        (Field::Absent, Field::Given(At { value, span })) => {
            match secret::from_file(&dir.join(value), *span, findings) {
                Some(text) => parse(text.expose(), *span, dir, findings).unwrap_or_else(stand_in),
                None => stand_in(),
            }
        }
        (_, Field::Given(file)) => {
            findings
                .error(file.span, "the store is given twice")
                .hint("keep `store` or `store_file`");
            stand_in()
        }
        _ => stand_in(),
    })
}

fn parse(text: &str, span: Span, dir: &Path, findings: &mut Findings) -> Option<Store> {
    match text.split_once(':') {
        Some(("sqlite", path)) => sqlite(path, text, span, dir, findings),
        Some(("postgres" | "postgresql", _)) => postgres(text, span, findings),
        _ => {
            // A URL of another kind may hold a password too.
            findings.hide(span);
            findings
                .error(span, "expected a SQLite file or a PostgreSQL URL")
                .hint(HINT);
            None
        }
    }
}

fn sqlite(
    path: &str,
    text: &str,
    span: Span,
    dir: &Path,
    findings: &mut Findings,
) -> Option<Store> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.ends_with('/') {
        findings
            .error(span, "the path of the database is missing")
            .hint("for example `store: sqlite:portcullis.db`");
    } else if path == ":memory:" {
        findings
            .error(
                span,
                "a database in memory would forget all accounts when the gateway stops",
            )
            .hint("for example `store: sqlite:portcullis.db`");
    } else if path.contains('?') {
        findings
            .error(span, format!("{} has options behind a `?`", shown(text)))
            .hint("only the path is given; the rest is set by the gateway");
    }
    Some(Store::Sqlite(dir.join(path)))
}

/// What the options behind a `?` mean is for the driver to say, when it connects.
fn postgres(text: &str, span: Span, findings: &mut Findings) -> Option<Store> {
    findings.hide(span);
    let url = Url::parse(text)
        .ok()
        .filter(|url| text.contains("://") && !url.path().is_empty());
    let Some(url) = url else {
        findings
            .error(span, "expected the URL of a PostgreSQL database")
            .hint("for example `postgres://user:password@host:5432/database?sslmode=require`; what is special in a password is percent-encoded");
        return None;
    };
    let socket = url.query_pairs().find(|(name, _)| name == "host");
    let host = match (url.host_str(), &socket) {
        (Some(host), None) => host.to_owned(),
        (_, Some((_, host))) => host.clone().into_owned(),
        (None, None) => "localhost".to_owned(),
    };
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    Some(Store::Postgres(Postgres {
        shown: format!("postgres://{host}{port}{}", url.path()),
        url: Secret::new(text.to_owned()),
    }))
}

/// Gateways on one PostgreSQL database must have the same keys, and the files of one are not the
/// other's.
pub fn check_keys(raw: &RawConfig, store: &Store, findings: &mut Findings) {
    let auth = raw.auth.get();
    let signing = auth.and_then(|auth| auth.signing.get());
    // What is there but wrong has been reported.
    let is_shared = matches!(raw.auth, Field::Invalid)
        || auth.is_some_and(|auth| {
            !auth.master_key.is_absent()
                || !auth.master_key_file.is_absent()
                || matches!(auth.signing, Field::Invalid)
        })
        || signing.is_some_and(|signing| {
            !signing.keys.is_absent()
                || matches!(signing.algorithm, Field::Invalid)
                || signing.algorithm.copied() == Some(Algorithm::Hs256)
        });
    if matches!(store, Store::Postgres(_)) && !is_shared {
        let span = raw.store.span().or(raw.store_file.span());
        findings
            .error(
                span.unwrap_or_default(),
                "gateways on a PostgreSQL store share their keys, and none are given",
            )
            .hint("give all of them one `auth.master_key`, or the same `auth.signing.keys`");
    }
}
