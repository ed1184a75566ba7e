//! The caller's identity as headers, by preset.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::authn::{Method, Principal, User};
use crate::config::checked::{Identity, Preset, UserId};

const TRUE: HeaderValue = HeaderValue::from_static("true");
const FALSE: HeaderValue = HeaderValue::from_static("false");
const JWT: HeaderValue = HeaderValue::from_static(Method::Jwt.as_str());
const API_KEY: HeaderValue = HeaderValue::from_static(Method::ApiKey.as_str());

/// Sets the preset's headers. The map holds none of them before.
pub fn tell(identity: &Identity, principal: &Principal, headers: &mut HeaderMap) {
    match principal {
        Principal::User(user) => tell_user(identity, user, headers),
        Principal::Anonymous if identity.preset == Preset::XConsumer => {
            headers.insert(HeaderName::from_static("x-anonymous-consumer"), TRUE);
        }
        Principal::Anonymous => {}
    }
}

fn tell_user(identity: &Identity, user: &User, headers: &mut HeaderMap) {
    let told = &user.told;
    let id = match identity.user_id {
        UserId::Id => Some(&told.id),
        UserId::ExternalId => told.external_id.as_ref(),
    };
    let mut set = |name: &'static str, value: Option<&HeaderValue>| {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    };
    match identity.preset {
        Preset::XUser => {
            set("x-user-id", id);
            set("x-user-name", Some(&told.username));
            set("x-user-email", told.email.as_ref());
            set("x-user-tier", Some(&told.tier));
            set("x-user-roles", Some(&told.roles));
            set("x-user-scopes", Some(&told.scopes));
            let superuser = if user.is_superuser { TRUE } else { FALSE };
            set("x-user-superuser", Some(&superuser));
            let method = match user.method() {
                Method::Jwt => JWT,
                Method::ApiKey => API_KEY,
            };
            set("x-auth-method", Some(&method));
        }
        Preset::XForwarded => {
            set("x-forwarded-user", id);
            set("x-forwarded-email", told.email.as_ref());
            set("x-forwarded-groups", Some(&told.roles));
            set("x-forwarded-preferred-username", Some(&told.username));
        }
        Preset::XAuthRequest => {
            set("x-auth-request-user", id);
            set("x-auth-request-email", told.email.as_ref());
            set("x-auth-request-groups", Some(&told.roles));
            set("x-auth-request-preferred-username", Some(&told.username));
        }
        Preset::RemoteUser => {
            set("remote-user", Some(&told.username));
            set("remote-email", told.email.as_ref());
            set("remote-groups", Some(&told.roles));
            set("remote-name", told.name.as_ref());
        }
        Preset::XConsumer => {
            set("x-consumer-id", id);
            set("x-consumer-username", Some(&told.username));
            set("x-consumer-custom-id", told.external_id.as_ref());
            set("x-consumer-groups", Some(&told.roles));
            set(
                "x-credential-identifier",
                told.key.as_ref().or(Some(&told.id)),
            );
            set("x-anonymous-consumer", Some(&FALSE));
        }
        Preset::None => {}
    }
}
