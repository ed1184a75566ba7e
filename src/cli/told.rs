//! What a command prints: text for people or JSON for programs.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::output::{print, print_json};
use crate::accounts::{
    Account, KeyInfo, Millis, Rule, SessionInfo, Target, Tier, TierSource, timestamp,
};
use crate::config::text::visible;

/// What came of a command. It may hold a new password, so it has no `Debug`.
pub struct Told {
    pub text: Zeroizing<String>,
    pub json: Value,
    /// Not all of it went well.
    pub is_failure: bool,
}

impl Told {
    pub fn new(text: String, json: Value) -> Told {
        Told {
            text: Zeroizing::new(text),
            json,
            is_failure: false,
        }
    }

    pub fn print(&self, as_json: bool) -> i32 {
        match as_json {
            true => print_json(&self.json),
            false => print(&self.text),
        }
    }

    /// An account and a line that says what was done with it.
    pub fn account(line: String, account: &Account) -> Told {
        Told::new(format!("{line}\n"), account.to_json())
    }
}

pub fn accounts(accounts: &[Account], total: i64) -> Told {
    let header = ["USERNAME", "E-MAIL", "TIER", "STATE", "CREATED"].map(str::to_owned);
    let rows = accounts.iter().map(|account| {
        [
            account.username.clone(),
            account.email.clone(),
            account.tier.clone(),
            state(account).to_owned(),
            timestamp(account.created_at).unwrap_or_default(),
        ]
    });
    let mut text = table(std::iter::once(header).chain(rows).collect());
    text.push_str(&format!("{} of {total}\n", accounts.len()));
    let data: Vec<Value> = accounts.iter().map(Account::to_json).collect();
    Told::new(text, json!({ "data": data, "total_count": total }))
}

pub fn sessions(sessions: &[SessionInfo]) -> Told {
    let header = ["ID", "LAST USED", "IP", "AGENT"].map(str::to_owned);
    let rows = sessions.iter().map(|session| {
        [
            session.id.to_string(),
            timestamp(session.last_used_at).unwrap_or_default(),
            session.ip.clone(),
            visible(session.user_agent.as_deref().unwrap_or_default()).replace('\n', "?"),
        ]
    });
    let text = table(std::iter::once(header).chain(rows).collect());
    let data: Vec<Value> = sessions.iter().map(SessionInfo::to_json).collect();
    Told::new(text, json!({ "data": data }))
}

pub fn keys(keys: &[KeyInfo]) -> Told {
    let header = ["ID", "NAME", "SCOPES", "EXPIRES", "LAST USED"].map(str::to_owned);
    let or_never = |at: Option<Millis>| at.and_then(timestamp).unwrap_or("never".to_owned());
    let rows = keys.iter().map(|key| {
        [
            key.id.to_string(),
            key.name.clone(),
            key.scopes.join(" "),
            or_never(key.expires_at),
            or_never(key.last_used_at),
        ]
    });
    let text = table(std::iter::once(header).chain(rows).collect());
    let data: Vec<Value> = keys.iter().map(KeyInfo::to_json).collect();
    Told::new(text, json!({ "data": data }))
}

pub fn tiers(tiers: &[Tier]) -> Told {
    let header = ["NAME", "RANK", "RATE", "BURST", "FROM"].map(str::to_owned);
    let rows = tiers.iter().map(|tier| {
        [
            tier.name.clone(),
            tier.rank.to_string(),
            tier.rate().unwrap_or_else(|| "unlimited".to_owned()),
            tier.quota
                .map_or_else(String::new, |quota| quota.burst().to_string()),
            match tier.source {
                TierSource::File => "file".to_owned(),
                TierSource::Store => "store".to_owned(),
            },
        ]
    });
    let text = table(std::iter::once(header).chain(rows).collect());
    let data: Vec<Value> = tiers.iter().map(Tier::to_json).collect();
    Told::new(text, json!({ "data": data }))
}

pub fn rules(rules: &[Rule]) -> Told {
    let header = ["ID", "NAME", "ON", "LIMIT", "PERIOD", "BURST"].map(str::to_owned);
    let rows = rules.iter().map(|rule| {
        let quota = &rule.values.quota;
        [
            rule.id.to_string(),
            rule.values.name.clone(),
            match &rule.values.target {
                Target::Route(route) => route.clone(),
                Target::Path(path, None) => path.clone(),
                Target::Path(path, Some(method)) => format!("{method} {path}"),
            },
            quota.count.to_string(),
            format!("{}s", quota.seconds),
            quota.burst().to_string(),
        ]
    });
    let text = table(std::iter::once(header).chain(rows).collect());
    let data: Vec<Value> = rules.iter().map(Rule::to_json).collect();
    Told::new(text, json!({ "data": data }))
}

pub fn details(account: &Account) -> Told {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows = [
        ("username", account.username.clone()),
        ("id", account.id.to_string()),
        ("external_id", or_none(&account.external_id)),
        ("name", account.name.clone()),
        ("email", account.email.clone()),
        ("profile_image_url", or_none(&account.profile_image_url)),
        ("tier", account.tier.clone()),
        ("roles", account.roles.join(" ")),
        ("superuser", account.is_superuser.to_string()),
        ("state", state(account).to_owned()),
        (
            "created_at",
            timestamp(account.created_at).unwrap_or_default(),
        ),
    ];
    let rows = rows.map(|(name, value)| [name.to_owned(), value]);
    Told::new(table(rows.to_vec()), account.to_json())
}

fn state(account: &Account) -> &'static str {
    match (account.deleted_at, account.is_active, account.is_superuser) {
        (Some(_), _, _) => "deleted",
        (None, false, _) => "disabled",
        (None, true, true) => "superuser",
        (None, true, false) => "active",
    }
}

/// Columns as wide as their widest text.
pub fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
