//! Who is calling.

use std::sync::Arc;

use http::HeaderValue;
use uuid::Uuid;

use super::api_keys::ApiKey;
use super::changes::AccountState;
use super::claims::Claims;
use super::further::Further;

/// What the identify stage gives out.
#[derive(Debug, Clone)]
pub enum Principal {
    Anonymous,
    User(Arc<User>),
}

impl Principal {
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Principal::Anonymous => None,
            Principal::User(user) => Some(user),
        }
    }
}

/// How a caller shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Jwt,
    ApiKey,
}

impl Method {
    /// As upstreams, log and metrics are told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Jwt => "jwt",
            Method::ApiKey => "api_key",
        }
    }
}

/// A caller that is known, as the account is now.
#[derive(Debug, Clone)]
pub struct User {
    pub id: Uuid,
    /// Of an API key, its grant.
    pub session: Uuid,
    /// The id of the API key, if it is one.
    pub key: Option<Uuid>,
    pub version: u64,
    pub username: String,
    pub name: Option<String>,
    pub email: Option<String>,
    pub external_id: Option<String>,
    pub tier: String,
    pub roles: Vec<String>,
    pub scopes: Vec<String>,
    pub is_superuser: bool,
    /// When the token or key expires, in seconds since 1970.
    pub expires_at: u64,
    /// What the token says beside that; nothing for an API key.
    pub further: Further,
    pub told: HeaderForm,
}

/// The caller in the form that headers take, made once for a token and not for each request.
#[derive(Debug, Clone)]
pub struct HeaderForm {
    pub id: HeaderValue,
    /// The id of the API key, if it is one.
    pub key: Option<HeaderValue>,
    pub username: HeaderValue,
    pub name: Option<HeaderValue>,
    pub email: Option<HeaderValue>,
    pub external_id: Option<HeaderValue>,
    pub tier: HeaderValue,
    /// With commas between.
    pub roles: HeaderValue,
    /// With spaces between.
    pub scopes: HeaderValue,
}

/// A part of an identity holds a byte that no header may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller's {0} cannot stand in a header")]
pub struct Untellable(&'static str);

impl User {
    /// The caller of a verified token.
    pub fn new(claims: Claims) -> Result<User, Untellable> {
        let scopes = claims.scope.split(' ').filter(|s| !s.is_empty());
        let mut user = User {
            id: claims.sub,
            session: claims.sid,
            key: None,
            version: claims.av,
            scopes: scopes.map(str::to_owned).collect(),
            told: HeaderForm::default(),
            username: claims.username,
            name: claims.name,
            email: claims.email,
            external_id: claims.external_id,
            tier: claims.tier,
            roles: claims.roles,
            is_superuser: claims.is_superuser,
            expires_at: claims.exp,
            further: claims.further,
        };
        user.told = HeaderForm::of(&user)?;
        Ok(user)
    }

    /// The caller of an API key.
    pub fn of_key(key: ApiKey) -> Result<User, Untellable> {
        let mut user = User {
            id: key.account.id,
            session: key.grant,
            key: Some(key.id),
            version: 0,
            username: String::new(),
            name: None,
            email: None,
            external_id: None,
            tier: String::new(),
            roles: Vec::new(),
            scopes: key.scopes,
            is_superuser: false,
            expires_at: key.expires_at.unwrap_or(u64::MAX),
            further: Further::default(),
            told: HeaderForm::default(),
        };
        user.take(&key.account);
        user.told = HeaderForm::of(&user)?;
        Ok(user)
    }

    /// The second from which it is nobody's word any more, with the tolerance for clocks of those who gave it
    /// out; a key's time is the gateway's own.
    pub fn ends_at(&self, leeway: u64) -> u64 {
        match self.method() {
            Method::Jwt => self.expires_at.saturating_add(leeway),
            Method::ApiKey => self.expires_at,
        }
    }

    pub fn method(&self) -> Method {
        match self.key {
            Some(_) => Method::ApiKey,
            None => Method::Jwt,
        }
    }

    /// The same caller after a change to the account.
    pub fn changed(&self, state: &AccountState) -> Result<User, Untellable> {
        let mut user = self.clone();
        user.take(state);
        user.told = HeaderForm::of(&user)?;
        Ok(user)
    }

    fn take(&mut self, state: &AccountState) {
        self.version = state.version;
        self.username.clone_from(&state.username);
        self.name = Some(state.name.clone());
        self.email = Some(state.email.clone()).filter(|email| !email.is_empty());
        self.external_id.clone_from(&state.external_id);
        self.tier.clone_from(&state.tier);
        self.roles.clone_from(&state.roles);
        // Keys lie about in programs: none of them administers anything, whoever it belongs to.
        self.is_superuser = state.is_superuser && self.key.is_none();
    }
}

impl Default for HeaderForm {
    fn default() -> Self {
        let empty = HeaderValue::from_static("");
        HeaderForm {
            id: empty.clone(),
            key: None,
            username: empty.clone(),
            name: None,
            email: None,
            external_id: None,
            tier: empty.clone(),
            roles: empty.clone(),
            scopes: empty,
        }
    }
}

impl HeaderForm {
    fn of(user: &User) -> Result<HeaderForm, Untellable> {
        let optional =
            |text: &Option<String>, what| text.as_deref().map(|t| told(t, what)).transpose();
        Ok(HeaderForm {
            id: told(&user.id.to_string(), "sub")?,
            key: optional(&user.key.map(|id| id.to_string()), "key")?,
            username: told(&user.username, "username")?,
            name: optional(&user.name, "name")?,
            email: optional(&user.email, "email")?,
            external_id: optional(&user.external_id, "external_id")?,
            tier: told(&user.tier, "tier")?,
            roles: told(&user.roles.join(","), "roles")?,
            scopes: told(&user.scopes.join(" "), "scope")?,
        })
    }
}

fn told(text: &str, what: &'static str) -> Result<HeaderValue, Untellable> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Untellable(what))
}
