//! Accounts and sessions as the API and the command line tell them.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::api_keys::MadeKey;
use super::store::{Account, Entry, KeyInfo, Millis, SessionInfo, Subject};
use crate::authn::KEY_PREFIX;

impl Account {
    /// As its owner and superusers see it.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "external_id": self.external_id,
            "name": self.name,
            "username": self.username,
            "email": self.email,
            "profile_image_url": self.profile_image_url,
            "tier": self.tier,
            "roles": self.roles,
            "is_superuser": self.is_superuser,
            "is_active": self.is_active,
            "created_at": timestamp(self.created_at),
            "updated_at": self.updated_at.and_then(timestamp),
            "deleted_at": self.deleted_at.and_then(timestamp),
        })
    }
}

impl SessionInfo {
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "created_at": timestamp(self.created_at),
            "last_used_at": timestamp(self.last_used_at),
            "expires_at": timestamp(self.expires_at),
            "ip": self.ip,
            "user_agent": self.user_agent,
        })
    }
}

impl KeyInfo {
    /// All but the key itself, of which nothing but its beginning is known any more.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "prefix": self.prefix(),
            "scopes": self.scopes,
            "created_at": timestamp(self.created_at),
            "expires_at": self.expires_at.and_then(timestamp),
            "last_used_at": self.last_used_at.and_then(timestamp),
        })
    }

    /// What the key begins with.
    pub fn prefix(&self) -> String {
        format!("{KEY_PREFIX}{}", self.id.simple())
    }
}

impl MadeKey {
    /// With the key.
    pub fn to_json(&self) -> Value {
        let mut told = self.info.to_json();
        told["key"] = json!(self.key.expose());
        told
    }
}

impl Entry {
    pub fn to_json(&self) -> Value {
        let subject = |subject: &Option<Subject>| {
            let subject = subject.as_ref();
            subject.map(|s| json!({ "id": s.id, "username": s.username }))
        };
        json!({
            "id": self.seq,
            "at": timestamp(self.at),
            "action": self.action,
            "via": self.via,
            "by": subject(&self.actor),
            "ip": self.ip,
            "user": subject(&self.subject),
            "details": self.details,
        })
    }
}

/// Reads what [`timestamp`] writes, and other RFC 3339.
pub fn from_timestamp(text: &str) -> Option<Millis> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Millis::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// RFC 3339, in UTC. `None` for times past the year 9999.
pub fn timestamp(millis: Millis) -> Option<String> {
    let nanos = i128::from(millis) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    time.format(&Rfc3339).ok()
}
