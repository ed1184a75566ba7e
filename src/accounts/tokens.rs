//! Access tokens: what they say and how they are signed.

use jsonwebtoken::Header;
use serde::Serialize;
use uuid::Uuid;

use super::keys::Keys;
use super::settings::Settings;
use super::store::{Account, Millis};
use crate::authn::{ACCESS_TOKEN_TYPE, Claims, Further, TokenType};
use crate::config::Config;
use crate::config::checked::{Preset, UserField, UserId};

/// Which of the claims that tell of a person a token carries: those that somebody needs and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenContents {
    pub email: bool,
    pub name: bool,
    pub external_id: bool,
}

impl TokenContents {
    /// What the preset of identity headers, the routes' rules, limits and templates use.
    pub fn of(config: &Config) -> TokenContents {
        let identity = &config.identity;
        let named = |name, field| {
            let mut rules = config.routes.iter().flat_map(|route| &route.allow);
            let mut limits = config
                .routes
                .iter()
                .flat_map(|route| route.limits.iter().flatten());
            rules.any(|rule| rule.names_claim(name))
                || limits.any(|limit| limit.key.names_claim(name))
                || config.routes.iter().any(|route| {
                    let cap = route.concurrency.as_ref();
                    cap.is_some_and(|cap| cap.key.names_claim(name))
                })
                || config.templates().any(|template| template.uses(field))
        };
        TokenContents {
            email: matches!(
                identity.preset,
                Preset::XUser | Preset::XForwarded | Preset::XAuthRequest | Preset::RemoteUser
            ) || named("email", UserField::Email),
            name: identity.preset == Preset::RemoteUser || named("name", UserField::Name),
            external_id: identity.preset == Preset::XConsumer
                || identity.user_id == UserId::ExternalId
                || named("external_id", UserField::ExternalId),
        }
    }
}

/// When a token made now expires; tokens count in whole seconds.
pub(super) fn expiry(now: Millis, settings: &Settings) -> Millis {
    expiry_in(now, settings.access_ttl)
}

/// The same for one that lives for `ttl`.
pub(super) fn expiry_in(now: Millis, ttl: Millis) -> Millis {
    now.saturating_add(ttl) / 1000 * 1000
}

/// A signed access token for an account in a session.
pub(super) fn mint(
    keys: &Keys,
    settings: &Settings,
    account: &Account,
    session: Uuid,
    now: Millis,
    expires_at: Millis,
    further: Further,
) -> jsonwebtoken::errors::Result<String> {
    let contents = settings.contents;
    let claims = Claims {
        iss: settings.issuer.clone(),
        sub: account.id,
        aud: settings.audience.clone(),
        exp: seconds(expires_at),
        iat: seconds(now),
        nbf: None,
        jti: Uuid::now_v7(),
        sid: session,
        av: account.version,
        token_type: TokenType::Access,
        username: account.username.clone(),
        tier: account.tier.clone(),
        roles: account.roles.clone(),
        scope: String::new(),
        is_superuser: account.is_superuser,
        email: contents
            .email
            .then(|| account.email.clone())
            .filter(|email| !email.is_empty()),
        name: contents.name.then(|| account.name.clone()),
        external_id: account.external_id.clone().filter(|_| contents.external_id),
        further,
    };
    sign(keys, ACCESS_TOKEN_TYPE, &claims)
}

pub(super) fn sign(
    keys: &Keys,
    kind: &str,
    claims: &impl Serialize,
) -> jsonwebtoken::errors::Result<String> {
    let mut header = Header::new(keys.algorithm);
    header.typ = Some(kind.to_owned());
    header.kid = Some(keys.kid.clone());
    jsonwebtoken::encode(&header, claims, &keys.signing)
}

pub(super) fn seconds(millis: Millis) -> u64 {
    u64::try_from(millis / 1000).unwrap_or(0)
}
