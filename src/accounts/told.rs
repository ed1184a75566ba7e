//! Accounts and sessions as the API and the command line tell them.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::store::{Account, Millis, SessionInfo};

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

/// RFC 3339, in UTC. `None` for times past the year 9999.
pub fn timestamp(millis: Millis) -> Option<String> {
    let nanos = i128::from(millis) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    time.format(&Rfc3339).ok()
}
