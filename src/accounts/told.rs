//! Accounts and sessions as the API and the command line tell them.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::api_keys::MadeKey;
use super::store::{Account, Entry, KeyInfo, Millis, Rule, SessionInfo, Subject, Target};
use super::tiers::{Tier, TierSource};
use crate::authn::KEY_PREFIX;
use crate::config::text::pace_text;
use crate::request::schema::{
    flag, list, number, text, text_or_null, time, time_or_null, told, uuid,
};

impl Account {
    /// As its owner and superusers see it.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "external_id": self.external_id,
            "name": self.name,
            "username": self.username,
            "email": Some(&self.email).filter(|email| !email.is_empty()),
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

    pub fn schema() -> Value {
        let properties = json!({
            "id": uuid(),
            "external_id": text_or_null(),
            "name": text(),
            "username": text(),
            "email": text_or_null(),
            "profile_image_url": text_or_null(),
            "tier": text(),
            "roles": list(text()),
            "is_superuser": flag(),
            "is_active": flag(),
            "created_at": time(),
            "updated_at": time_or_null(),
            "deleted_at": time_or_null(),
        });
        told("User", &[], properties)
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

    /// The properties of [`SessionInfo::to_json`].
    pub fn properties() -> Value {
        json!({
            "id": uuid(),
            "created_at": time(),
            "last_used_at": time(),
            "expires_at": time(),
            "ip": text(),
            "user_agent": text_or_null(),
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

    /// The schema of [`KeyInfo::to_json`].
    pub fn schema() -> Value {
        told("ApiKey", &[], KeyInfo::properties())
    }

    fn properties() -> Value {
        json!({
            "id": uuid(),
            "name": text(),
            "prefix": text(),
            "scopes": list(text()),
            "created_at": time(),
            "expires_at": time_or_null(),
            "last_used_at": time_or_null(),
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

    /// The schema of [`MadeKey::to_json`].
    pub fn schema() -> Value {
        let mut properties = KeyInfo::properties();
        properties["key"] = text();
        told("NewApiKey", &[], properties)
    }
}

impl Tier {
    /// `rate` is as the file has it, and null for a tier that is not limited.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "rank": self.rank,
            "rate": self.rate(),
            "burst": self.quota.map(|quota| quota.burst()),
            "source": match self.source {
                TierSource::File => "file",
                TierSource::Store => "store",
            },
            "created_at": timestamp(self.created_at),
            "updated_at": self.updated_at.and_then(timestamp),
        })
    }

    pub fn schema() -> Value {
        let properties = json!({
            "id": number(1),
            "name": text(),
            "rank": number(0),
            "rate": text_or_null(),
            "burst": { "type": ["integer", "null"], "minimum": 1 },
            "source": { "enum": ["file", "store"] },
            "created_at": time(),
            "updated_at": time_or_null(),
        });
        told("Tier", &[], properties)
    }

    /// Such as `100/min`.
    pub fn rate(&self) -> Option<String> {
        let quota = self.quota?;
        let seconds = u64::from(quota.seconds.get());
        Some(pace_text(quota.count.get(), seconds))
    }
}

impl Rule {
    pub fn to_json(&self) -> Value {
        let quota = &self.values.quota;
        let (route, path, method) = match &self.values.target {
            Target::Route(route) => (Some(route), None, None),
            Target::Path(path, method) => (None, Some(path), method.as_ref()),
        };
        json!({
            "id": self.id,
            "tier": self.tier,
            "name": self.values.name,
            "route": route,
            "path": path,
            "method": method,
            "limit": quota.count,
            "period": quota.seconds,
            "burst": quota.burst(),
            "created_at": timestamp(self.created_at),
            "updated_at": self.updated_at.and_then(timestamp),
        })
    }
    pub fn schema() -> Value {
        let properties = json!({
            "id": number(1),
            "tier": text(),
            "name": text(),
            "route": text_or_null(),
            "path": text_or_null(),
            "method": text_or_null(),
            "limit": number(1),
            "period": number(1),
            "burst": number(1),
            "created_at": time(),
            "updated_at": time_or_null(),
        });
        told("LimitRule", &[], properties)
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

    pub fn schema() -> Value {
        let subject = json!({
            "type": ["object", "null"],
            "required": ["id", "username"],
            "properties": { "id": uuid(), "username": text() },
        });
        let properties = json!({
            "id": number(1),
            "at": time(),
            "action": text(),
            "via": text(),
            "by": subject,
            "ip": text_or_null(),
            "user": subject,
            "details": { "type": "object" },
        });
        told("AuditEntry", &[], properties)
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
