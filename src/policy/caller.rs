//! Who sends a request that nobody has sent: as a token says, or as it is stated.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::IgnoredAny;
use serde_json::json;
use uuid::Uuid;

use crate::authn::{AccountState, ApiKey, Authenticator, Claims, Principal, STANDARD_CLAIMS, User};
use crate::config::Config;
use crate::config::policy_test::{Credential, TestCaller};

/// Where the caller is known from.
pub enum Caller<'a> {
    /// Stated by whoever asks.
    Stated(Principal),
    /// The credentials among the request's headers, which are checked.
    Presented(&'a Authenticator),
}

/// Why a text states no caller.
#[derive(Debug, thiserror::Error)]
pub enum NotACaller {
    #[error("`{0}` is no part of a caller: {KEYS}")]
    Unknown(String),
    #[error("`{0}` is not a UUID")]
    Id(String),
    #[error("the key is `token` or `api`, not `{0}`")]
    Key(String),
    #[error("superuser is `true` or `false`, not `{0}`")]
    Superuser(String),
    #[error("the claim `{0}` has a key of its own")]
    Claim(String),
    #[error("`{0}` is no JSON: {1}")]
    Json(String, String),
    #[error("an API key has no claims")]
    ClaimsOfKey,
    #[error("no caller can have this: {0}")]
    Untellable(String),
}

const KEYS: &str = "it has user, tier, roles, scopes, superuser, id, name, email, external_id, claims.NAME and key";

/// Reads `user=alice,tier=pro,roles=a+b,superuser`; nothing and `anonymous` are nobody in particular.
///
/// # Errors
/// The first part that states nothing.
pub fn parse_caller(text: &str) -> Result<Option<TestCaller>, NotACaller> {
    if matches!(text.trim(), "" | "anonymous") {
        return Ok(None);
    }
    let mut caller = TestCaller::default();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let part;
        (part, rest) = first_part(text)?;
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let text = || Some(value.to_owned());
        let list = || {
            value
                .split('+')
                .filter(|v| !v.is_empty())
                .map(str::to_owned)
                .collect()
        };
        match (key, part.contains('=')) {
            ("superuser", false) => caller.is_superuser = true,
            ("superuser", true) => {
                caller.is_superuser = value
                    .parse()
                    .map_err(|_| NotACaller::Superuser(value.to_owned()))?;
            }
            ("user", true) => caller.user = text(),
            ("tier", true) => caller.tier = text(),
            ("roles", true) => caller.roles = list(),
            ("scopes", true) => caller.scopes = list(),
            ("name", true) => caller.name = text(),
            ("email", true) => caller.email = text(),
            ("external_id", true) => caller.external_id = text(),
            ("id", true) => {
                let id = value
                    .parse()
                    .map_err(|_| NotACaller::Id(value.to_owned()))?;
                caller.id = Some(id);
            }
            ("key", true) => {
                caller.key = match value {
                    "api" => Credential::ApiKey,
                    "token" => Credential::Token,
                    other => return Err(NotACaller::Key(other.to_owned())),
                };
            }
            (key, true) => match key.strip_prefix(CLAIM).filter(|name| !name.is_empty()) {
                Some(name) => {
                    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                    caller.claims.insert(name.to_owned(), value);
                }
                None => return Err(NotACaller::Unknown(part.to_owned())),
            },
            _ => return Err(NotACaller::Unknown(part.to_owned())),
        }
    }
    Ok(Some(caller))
}

/// What stands before the name of a claim.
const CLAIM: &str = "claims.";

/// The part that a text begins with, and what follows its comma. The value of a claim that begins as a
/// list, an object or a string of JSON goes to the end of that.
fn first_part(text: &str) -> Result<(&str, Option<&str>), NotACaller> {
    let text = text.trim_start();
    let claim = text.strip_prefix(CLAIM).and_then(|rest| {
        let (name, value) = rest.split_once('=')?;
        let is_json = !name.contains(',') && value.starts_with(['[', '{', '"']);
        is_json.then_some(value)
    });
    let Some(value) = claim else {
        return Ok(match text.split_once(',') {
            Some((part, rest)) => (part.trim_end(), Some(rest)),
            None => (text.trim_end(), None),
        });
    };
    let no_json = |why: &str| NotACaller::Json(value.to_owned(), why.to_owned());
    let mut values = serde_json::Deserializer::from_str(value).into_iter::<IgnoredAny>();
    if let Some(Err(error)) = values.next() {
        return Err(no_json(&error.to_string()));
    }
    let (part, rest) = text.split_at(text.len() - value.len() + values.byte_offset());
    match rest.trim_start() {
        "" => Ok((part, None)),
        rest => match rest.strip_prefix(',') {
            Some(rest) => Ok((part, Some(rest))),
            None => Err(no_json("a comma follows it")),
        },
    }
}

/// The caller in the form that the stages know.
///
/// # Errors
/// What no token or key could say.
pub fn principal(caller: Option<&TestCaller>, config: &Config) -> Result<Principal, NotACaller> {
    let Some(caller) = caller else {
        return Ok(Principal::Anonymous);
    };
    let username = caller.user.as_deref().unwrap_or("somebody");
    let tier = caller.tier.as_ref().unwrap_or(&config.auth.default_tier);
    let id = caller.id.unwrap_or_default();
    let untellable = |error: &dyn std::fmt::Display| NotACaller::Untellable(error.to_string());
    let user = match caller.key {
        Credential::Token => {
            let now = now();
            let until = now.saturating_add(config.auth.access_token_ttl.as_secs());
            let mut claims = json!({
                "iss": config.auth.issuer, "sub": id, "aud": config.auth.audience, "exp": until, "iat": now,
                "jti": Uuid::nil(), "sid": Uuid::nil(), "av": 0, "token_type": "access",
                "username": username, "tier": tier, "roles": caller.roles,
                "scope": caller.scopes.join(" "), "is_superuser": caller.is_superuser,
                "email": caller.email, "name": caller.name, "external_id": caller.external_id,
            });
            for (name, value) in &caller.claims {
                if STANDARD_CLAIMS.contains(&name.as_str()) {
                    return Err(NotACaller::Claim(name.clone()));
                }
                claims[name] = value.clone();
            }
            let claims: Claims = serde_json::from_value(claims).map_err(|e| untellable(&e))?;
            User::new(claims).map_err(|e| untellable(&e))?
        }
        Credential::ApiKey if !caller.claims.is_empty() => return Err(NotACaller::ClaimsOfKey),
        Credential::ApiKey => {
            let key = ApiKey {
                id: Uuid::nil(),
                grant: Uuid::nil(),
                scopes: caller.scopes.clone(),
                created_at: 0,
                expires_at: None,
                account: AccountState {
                    id,
                    version: 0,
                    active: true,
                    username: username.to_owned(),
                    name: caller.name.clone().unwrap_or_default(),
                    email: caller.email.clone().unwrap_or_default(),
                    external_id: caller.external_id.clone(),
                    tier: tier.clone(),
                    roles: caller.roles.clone(),
                    is_superuser: caller.is_superuser,
                },
            };
            User::of_key(key).map_err(|e| untellable(&e))?
        }
    };
    Ok(Principal::User(Arc::new(user)))
}

/// Whether the gateway reads what the caller is known by.
pub(super) fn is_read(principal: &Principal, config: &Config) -> bool {
    let has_key = principal.user().is_some_and(|user| user.key.is_some());
    config.auth.api_keys.enabled || !has_key
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_read_as_they_are_written() {
        let caller = parse_caller("user=alice,tier=pro,roles=a+b,superuser,scopes=x:y,key=api");
        let caller = caller.unwrap().unwrap();
        assert_eq!(caller.user.as_deref(), Some("alice"));
        assert_eq!(caller.tier.as_deref(), Some("pro"));
        assert_eq!(caller.roles, ["a", "b"]);
        assert_eq!(caller.scopes, ["x:y"]);
        let text = parse_caller("user=a,claims.org=acme,claims.level=3")
            .unwrap()
            .unwrap();
        assert_eq!(text.claims["org"], "acme");
        assert_eq!(text.claims["level"], 3);
        assert!(caller.is_superuser && caller.key == Credential::ApiKey);
        assert_eq!(parse_caller("anonymous").unwrap(), None);
        assert_eq!(parse_caller("").unwrap(), None);
        for bad in [
            "alice",
            "usr=alice",
            "id=7",
            "superuser=maybe",
            "claims=x",
            "key=x",
            "user",
        ] {
            assert!(parse_caller(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_claim_is_a_value_of_json_or_else_text_to_the_comma() {
        let text = r#"user=a, claims.teams=["red","blue"],claims.of={"a,b":[1]} , claims.note="x,y",claims.claims.x=1,claims.n=-2,claims.t=a b,superuser"#;
        let caller = parse_caller(text).unwrap().unwrap();
        let claims = serde_json::json!({
            "teams": ["red", "blue"], "of": { "a,b": [1] }, "note": "x,y", "claims.x": 1, "n": -2, "t": "a b",
        });
        assert_eq!(serde_json::Value::from(caller.claims), claims);
        assert!(caller.is_superuser);
        for bad in [
            "claims.a=[1",
            "claims.a=[1]x",
            "claims.a={1}",
            "claims.a=\"x",
            "claims.=1",
        ] {
            assert!(parse_caller(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stated_caller_s_token_ends_when_one_of_now_would() {
        let config = crate::route::sample::config(Vec::new());
        let caller = parse_caller("user=alice").unwrap();
        let ends = || now() + config.auth.access_token_ttl.as_secs();
        let before = ends();
        let principal = principal(caller.as_ref(), &config).unwrap();
        let expires_at = principal.user().unwrap().expires_at;
        assert!((before..=ends()).contains(&expires_at), "{expires_at}");
    }

    #[test]
    fn what_is_not_stated_of_an_api_key_s_account_is_not_there() {
        let config = crate::route::sample::config(Vec::new());
        for text in ["user=alice", "user=alice,key=api"] {
            let caller = parse_caller(text).unwrap();
            let principal = principal(caller.as_ref(), &config).unwrap();
            let user = principal.user().unwrap();
            assert_eq!((&user.email, &user.external_id), (&None, &None), "{text}");
            assert_eq!(user.told.email, None, "{text}");
        }
    }

    #[test]
    fn an_api_key_is_no_superuser() {
        let config = crate::route::sample::config(Vec::new());
        let is_superuser = |text: &str| {
            let caller = parse_caller(text).unwrap();
            let principal = principal(caller.as_ref(), &config).unwrap();
            principal.user().unwrap().is_superuser
        };
        assert!(is_superuser("user=root,superuser"));
        assert!(!is_superuser("user=root,superuser,key=api"));
    }
}
