//! A caller's claims by their names: those of the account as it is now, all others as the token has them.

use std::borrow::Cow;

use serde_json::Value;
use uuid::Uuid;

use super::principal::User;

/// The standard claims that [`User::claim`] tells. The others of [`super::STANDARD_CLAIMS`] are about the
/// token and not about its holder.
pub const TELLING_CLAIMS: [&str; 11] = [
    "sub",
    "sid",
    "exp",
    "username",
    "tier",
    "roles",
    "scope",
    "is_superuser",
    "email",
    "name",
    "external_id",
];

/// The value of a claim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim<'a> {
    Text(&'a str),
    /// One word for each, with spaces between: `scope`.
    Words(&'a [String]),
    List(&'a [String]),
    Number(u64),
    Flag(bool),
    Id(Uuid),
    Further(&'a Value),
}

impl User {
    /// A claim, which for a further one may be the way to it: `realm_access.roles`.
    pub fn claim(&self, name: &str) -> Option<Claim<'_>> {
        match name {
            "sub" => Some(Claim::Id(self.id)),
            // An API key has neither a session nor a token that says when it ends.
            "sid" => self.key.is_none().then_some(Claim::Id(self.session)),
            "exp" => self.key.is_none().then_some(Claim::Number(self.expires_at)),
            "username" => Some(Claim::Text(&self.username)),
            "tier" => Some(Claim::Text(&self.tier)),
            "roles" => Some(Claim::List(&self.roles)),
            "scope" => Some(Claim::Words(&self.scopes)),
            "is_superuser" => Some(Claim::Flag(self.is_superuser)),
            "email" => self.email.as_deref().map(Claim::Text),
            "name" => self.name.as_deref().map(Claim::Text),
            "external_id" => self.external_id.as_deref().map(Claim::Text),
            _ => self.further.get(name).map(Claim::Further),
        }
    }
}

impl<'a> Claim<'a> {
    /// For templates: texts as they are, numbers and booleans as JSON writes them; nothing else has a text.
    pub fn text(self) -> Option<Cow<'a, str>> {
        Some(match self {
            Claim::Text(text) => text.into(),
            Claim::Words(words) => words.join(" ").into(),
            Claim::Number(number) => number.to_string().into(),
            Claim::Flag(flag) => if flag { "true" } else { "false" }.into(),
            Claim::Id(id) => id.to_string().into(),
            Claim::Further(Value::String(text)) => text.into(),
            Claim::Further(Value::Number(number)) => number.to_string().into(),
            Claim::Further(Value::Bool(flag)) => if *flag { "true" } else { "false" }.into(),
            Claim::List(_) | Claim::Further(_) => return None,
        })
    }

    /// It is this value, or a list that has it. Types count: the text `"1"` is not the number 1.
    pub fn is_or_has(self, value: &Value) -> bool {
        match (self, value) {
            (Claim::Text(text), Value::String(value)) => text == value,
            (Claim::Words(all) | Claim::List(all), Value::String(value)) => all.contains(value),
            (Claim::Number(number), Value::Number(value)) => value.as_u64() == Some(number),
            (Claim::Flag(flag), Value::Bool(value)) => flag == *value,
            (Claim::Id(id), Value::String(value)) => {
                let mut buffer = Uuid::encode_buffer();
                &*id.hyphenated().encode_lower(&mut buffer) == value
            }
            (Claim::Further(Value::Array(items)), value) => {
                items.iter().any(|item| same(item, value))
            }
            (Claim::Further(claim), value) => same(claim, value),
            _ => false,
        }
    }
}

/// `1` and `1.0` are one number in JSON.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.is_f64() != b.is_f64() && a.as_f64() == b.as_f64())
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::further::Further;
    use super::super::sample::claims;
    use super::*;

    fn user() -> User {
        let further = json!({
            "org": "acme",
            "level": 3,
            "beta": true,
            "teams": ["red", 7],
            "realm_access": { "roles": ["admin"], "deep": { "er": "yes" } },
            "https://example.com/plan": "gold",
            "nothing": null,
        });
        let mut claims = claims(7);
        claims.further = serde_json::from_value::<Further>(further).unwrap();
        claims.scope = "a b".into();
        claims.roles = vec!["editor".into()];
        User::new(claims).unwrap()
    }

    #[test]
    fn claims_have_a_text_when_it_is_clear_which() {
        let user = user();
        let text = |name| {
            user.claim(name)
                .and_then(|claim| claim.text().map(Cow::into_owned))
        };
        for (name, expected) in [
            ("org", "acme"),
            ("level", "3"),
            ("beta", "true"),
            ("realm_access.deep.er", "yes"),
            ("https://example.com/plan", "gold"),
            ("username", "alice"),
            ("is_superuser", "false"),
            ("scope", "a b"),
            ("exp", "4000000000"),
            ("sub", "00000000-0000-0000-0000-000000000007"),
        ] {
            assert_eq!(text(name).as_deref(), Some(expected), "{name}");
        }
        for name in [
            "teams",
            "roles",
            "realm_access",
            "nothing",
            "email",
            "external_id",
            "none",
            "",
            ".",
            "org.x",
            "realm_access.",
            "iss",
            "aud",
            "jti",
        ] {
            assert_eq!(text(name), None, "{name}");
        }
    }

    #[test]
    fn a_claim_is_a_value_of_its_type_or_a_list_that_has_it() {
        let user = user();
        let holds = |name, value| {
            user.claim(name)
                .is_some_and(|claim| claim.is_or_has(&value))
        };
        for (name, value) in [
            ("org", json!("acme")),
            ("level", json!(3)),
            ("level", json!(3.0)),
            ("beta", json!(true)),
            ("teams", json!("red")),
            ("teams", json!(7)),
            ("realm_access.roles", json!("admin")),
            ("roles", json!("editor")),
            ("scope", json!("b")),
            ("tier", json!("free")),
            ("is_superuser", json!(false)),
            ("sub", json!("00000000-0000-0000-0000-000000000007")),
        ] {
            assert!(holds(name, value.clone()), "{name} {value}");
        }
        for (name, value) in [
            ("org", json!("Acme")),
            ("level", json!("3")),
            ("beta", json!("true")),
            ("teams", json!("7")),
            ("teams", json!("re")),
            ("realm_access", json!("roles")),
            ("scope", json!("a b")),
            ("exp", json!("4000000000")),
            ("nothing", json!("")),
            ("none", json!(false)),
        ] {
            assert!(!holds(name, value.clone()), "{name} {value}");
        }
    }

    #[test]
    fn a_change_to_the_account_shows_and_the_token_s_own_claims_stay() {
        let mut forged = claims(7);
        forged.further = serde_json::from_value(json!({ "org": "acme" })).unwrap();
        let user = User::new(forged).unwrap();
        let state = super::super::AccountState {
            id: user.id,
            version: 2,
            active: true,
            username: "renamed".into(),
            name: "Renamed".into(),
            email: "new@example.com".into(),
            external_id: Some("42".into()),
            tier: "pro".into(),
            roles: vec!["editor".into()],
            is_superuser: true,
        };
        let user = user.changed(&state).unwrap();
        for (name, value) in [
            ("username", json!("renamed")),
            ("name", json!("Renamed")),
            ("email", json!("new@example.com")),
            ("external_id", json!("42")),
            ("tier", json!("pro")),
            ("roles", json!("editor")),
            ("is_superuser", json!(true)),
            ("org", json!("acme")),
        ] {
            assert!(user.claim(name).unwrap().is_or_has(&value), "{name}");
        }
    }
}
