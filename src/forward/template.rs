//! Templates of header values, filled in for one request.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderValue, Method};

use crate::authn::{HeaderForm, Principal, User};
use crate::config::checked::{
    HeaderEdits, HeaderLine, Part, RequestField, Template, UserField, Variable,
};
use crate::route::Matched;

/// What templates may name.
pub struct Scene<'a> {
    pub principal: &'a Principal,
    pub matched: &'a Matched,
    pub method: &'a Method,
    /// As the client sent it.
    pub path: &'a str,
    /// As the client sent it; absent in HTTP/1.0.
    pub host: Option<&'a HeaderValue>,
    pub scheme: &'a str,
    pub ip: IpAddr,
    pub request_id: &'a HeaderValue,
}

/// The values of lines, in their order; `None` where one is absent or cannot stand in a header.
pub type Values = Vec<Option<HeaderValue>>;

/// The edits of a message with their values.
pub struct Filled<'e> {
    pub edits: &'e HeaderEdits,
    pub set: Values,
    pub add: Values,
}

impl<'e> Filled<'e> {
    /// Allocates nothing where there is nothing to edit.
    pub fn of(edits: &'e HeaderEdits, scene: &Scene<'_>) -> Self {
        Filled {
            edits,
            set: values(&edits.set, scene),
            add: values(&edits.add, scene),
        }
    }
}

pub fn values(lines: &[HeaderLine], scene: &Scene<'_>) -> Values {
    let lines = lines.iter();
    lines.map(|line| fill(&line.value, scene)).collect()
}

/// Without a value of something that it names there is none at all: half of it would say another thing.
fn fill(template: &Template, scene: &Scene<'_>) -> Option<HeaderValue> {
    let parts = match template {
        Template::Fixed(value) => return Some(value.clone()),
        Template::Composed(parts) => parts,
    };
    if let [Part::Value(Variable::User(field))] = parts.as_slice() {
        return told(scene.principal.user()?, *field).filter(|value| is_visible(value.as_bytes()));
    }
    let mut value = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => value.extend_from_slice(text.as_bytes()),
            Part::Value(Variable::User(field)) => {
                let told = told(scene.principal.user()?, *field)?;
                value.extend_from_slice(told.as_bytes());
            }
            Part::Value(Variable::Claim(name)) => {
                let claim = scene.principal.user()?.claim(name)?;
                value.extend_from_slice(claim.text()?.as_bytes());
            }
            Part::Value(Variable::Path(number)) => {
                let text = scene.matched.param(scene.path, *number)?;
                value.extend_from_slice(text.as_bytes());
            }
            Part::Value(Variable::Request(field)) => {
                value.extend_from_slice(&of_request(scene, *field)?);
            }
        }
    }
    let value = Bytes::from(value);
    is_visible(&value).then(|| HeaderValue::from_maybe_shared(value).ok())?
}

/// A tab is allowed in a header, but it is a control character all the same.
fn is_visible(value: &[u8]) -> bool {
    !value.iter().any(u8::is_ascii_control)
}

fn told(user: &User, field: UserField) -> Option<HeaderValue> {
    let HeaderForm {
        id,
        username,
        name,
        email,
        external_id,
        tier,
        roles,
        scopes,
        ..
    } = &user.told;
    match field {
        UserField::Id => Some(id),
        UserField::Username => Some(username),
        UserField::Email => email.as_ref(),
        UserField::Name => name.as_ref(),
        UserField::ExternalId => external_id.as_ref(),
        UserField::Tier => Some(tier),
        UserField::Roles => Some(roles),
        UserField::Scopes => Some(scopes),
        UserField::IsSuperuser => {
            return Some(HeaderValue::from_static(match user.is_superuser {
                true => "true",
                false => "false",
            }));
        }
    }
    .cloned()
}

fn of_request<'s>(scene: &'s Scene<'_>, field: RequestField) -> Option<Cow<'s, [u8]>> {
    Some(match field {
        RequestField::Id => scene.request_id.as_bytes().into(),
        RequestField::Method => scene.method.as_str().as_bytes().into(),
        RequestField::Host => scene.host?.as_bytes().into(),
        RequestField::Path => scene.path.as_bytes().into(),
        RequestField::Ip => scene.ip.to_string().into_bytes().into(),
        RequestField::Scheme => scene.scheme.as_bytes().into(),
    })
}
