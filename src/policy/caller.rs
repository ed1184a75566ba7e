//! Who sends a request that nobody has sent: as a token says, or as it is stated.

use std::sync::Arc;

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
    #[error("an API key has no claims")]
    ClaimsOfKey,
    #[error("no caller can have this: {0}")]
    Untellable(String),
}

const KEYS: &str = "it has user, tier, roles, scopes, superuser, id, name, email, external_id, claims.NAME and key";

/// Reads `user=alice,tier=pro,roles=a+b,superuser`; nothing and `anonymous` are nobody in particular.
pub fn parse_caller(text: &str) -> Result<Option<TestCaller>, NotACaller> {
    if matches!(text.trim(), "" | "anonymous") {
        return Ok(None);
    }
    let mut caller = TestCaller::default();
    for part in text.split(',').map(str::trim) {
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
            ("user" | "username", true) => caller.user = text(),
            ("tier", true) => caller.tier = text(),
            ("roles" | "role", true) => caller.roles = list(),
            ("scopes" | "scope", true) => caller.scopes = list(),
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
            (key, true) if key.starts_with("claims.") => {
                let name = key.trim_start_matches("claims.").to_owned();
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                caller.claims.insert(name, value);
            }
            _ => return Err(NotACaller::Unknown(part.to_owned())),
        }
    }
    Ok(Some(caller))
}

/// The caller in the form that the stages know.
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
            let mut claims = json!({
                "iss": config.auth.issuer, "sub": id, "aud": config.auth.audience, "exp": u64::MAX, "iat": 0,
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
