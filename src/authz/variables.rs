//! What expressions of rules are told of a caller and its request.

use std::borrow::Cow;

use http::HeaderName;

use super::judge::{Case, Compiled};
use super::spelling::Spelling;
use crate::authn::{Claim, User};
use crate::config::cel::{Given, RequestField, Variable, Variables};
use crate::config::checked::UserField;
use crate::request::Facts;
use crate::route::host_name;

/// A case, as a rule sees it.
pub(super) struct Told<'a> {
    pub case: &'a Case<'a>,
    pub rule: &'a Compiled,
}

impl Variables for Told<'_> {
    fn value(&self, variable: &Variable) -> Option<Given<'_>> {
        let Case { user, facts, .. } = self.case;
        match variable {
            Variable::User(field) => of_user(user, *field),
            Variable::Claim(name) => user.claim(name).map(given),
            Variable::Path(name) => {
                let place = self.rule.place(self.case, name)?;
                let part = self.rule.spelling.part(self.case.path(), place)?;
                Some(Given::Text(part))
            }
            Variable::Request(field) => of_request(facts, *field, &self.rule.spelling),
            Variable::Header(name) => of_header(facts, name),
        }
    }

    /// A header is there whatever bytes it has.
    fn is_there(&self, variable: &Variable) -> bool {
        match variable {
            Variable::Header(name) => self.case.facts.head.headers.contains_key(name),
            variable => self.value(variable).is_some(),
        }
    }
}

fn text(text: &str) -> Given<'_> {
    Given::Text(text.into())
}

fn of_user(user: &User, field: UserField) -> Option<Given<'_>> {
    Some(match field {
        UserField::Id => Given::Text(user.id.to_string().into()),
        UserField::Username => text(&user.username),
        UserField::Email => text(user.email.as_deref()?),
        UserField::Name => text(user.name.as_deref()?),
        UserField::ExternalId => text(user.external_id.as_deref()?),
        UserField::Tier => text(&user.tier),
        UserField::Roles => Given::List(&user.roles),
        UserField::Scopes => Given::List(&user.scopes),
        UserField::IsSuperuser => Given::Flag(user.is_superuser),
    })
}

fn given(claim: Claim<'_>) -> Given<'_> {
    match claim {
        Claim::Text(value) => text(value),
        Claim::Words(words) => Given::Text(words.join(" ").into()),
        Claim::List(items) => Given::List(items),
        Claim::Number(number) => Given::Number(number),
        Claim::Flag(flag) => Given::Flag(flag),
        Claim::Id(id) => Given::Text(id.to_string().into()),
        Claim::Further(json) => Given::Json(json),
    }
}

fn of_request<'a>(
    facts: &Facts<'a>,
    field: RequestField,
    spelling: &Spelling,
) -> Option<Given<'a>> {
    let head = facts.head;
    Some(match field {
        RequestField::Method => text(head.method.as_str()),
        RequestField::Host => Given::Text(host_name(facts.host)?),
        RequestField::Path => Given::Text(spelling.path(head.uri.path())),
        RequestField::Query => text(head.uri.query().unwrap_or_default()),
        RequestField::Ip => Given::Text(facts.peer.client.to_string().into()),
    })
}

fn of_header<'a>(facts: &Facts<'a>, name: &HeaderName) -> Option<Given<'a>> {
    Some(Given::Text(match facts.value_of(name)? {
        Cow::Borrowed(value) => std::str::from_utf8(value).ok()?.into(),
        Cow::Owned(value) => String::from_utf8(value).ok()?.into(),
    }))
}
