//! An explanation as text for people and as JSON for programs.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};
use uuid::Uuid;

use super::pass::AUTH_API;
use super::{Explanation, Outcome};
use crate::authn::Principal;
use crate::config::text::{rate_text, visible};
use crate::limit::Bucket;

impl Explanation {
    /// What came of it in one line.
    pub fn verdict(&self) -> String {
        match &self.decided.outcome {
            Outcome::Forwarded => {
                let upstream = self
                    .decided
                    .outgoing
                    .as_ref()
                    .map_or("", |o| o.upstream.as_str());
                format!("forwarded to `{upstream}`")
            }
            Outcome::AuthApi => "served by the auth API".to_owned(),
            Outcome::Preflight => "a preflight, answered by `cors`".to_owned(),
            Outcome::Refused { stage, refusal } => format!(
                "refused by {stage}: {} {}: {}",
                refusal.code().status().as_u16(),
                refusal.code().as_str(),
                refusal.detail()
            ),
        }
    }

    /// The URLs that it may go to, one for each target.
    fn urls(&self) -> Vec<String> {
        let outgoing = self.decided.outgoing.iter();
        let urls = outgoing.flat_map(|outgoing| {
            let target = &outgoing.target;
            outgoing
                .targets
                .iter()
                .map(move |host| format!("http://{host}{target}"))
        });
        urls.collect()
    }

    pub fn to_json(&self) -> Value {
        let refusal = self.decided.refusal();
        let stage = match &self.decided.outcome {
            Outcome::Refused { stage, .. } => Some(*stage),
            Outcome::Forwarded | Outcome::AuthApi | Outcome::Preflight => None,
        };
        let user = self.steps.caller.as_ref().and_then(Principal::user);
        let identity = match (&self.steps.caller, user) {
            (None, _) => Value::Null,
            (Some(_), None) => json!({ "anonymous": true }),
            (Some(_), Some(user)) => json!({
                "anonymous": false,
                "id": user.id,
                "username": user.username,
                "tier": user.tier,
                "roles": user.roles,
                "scopes": user.scopes,
                "is_superuser": user.is_superuser,
                "external_id": user.external_id,
                "auth": user.method().as_str(),
            }),
        };
        let added = |lines: &[(String, String)]| -> Vec<Value> {
            let lines = lines.iter();
            lines
                .map(|(name, value)| json!({ "name": name, "value": value }))
                .collect()
        };
        json!({
            "decision": self.decided.decision(),
            "served_by": match self.decided.outcome {
                Outcome::Forwarded => Some("upstream"),
                Outcome::AuthApi => Some("auth-api"),
                Outcome::Preflight => Some("cors"),
                Outcome::Refused { .. } => None,
            },
            "stage": stage,
            "status": refusal.map(|r| r.code().status().as_u16()),
            "code": refusal.map(|r| r.code().as_str()),
            "detail": refusal.map(|r| r.detail()),
            "cause": refusal.and_then(|r| r.cause()),
            "request": {
                "method": self.method, "path": self.path, "host": self.host, "client_ip": self.client,
            },
            "canonical_path": self.canonical,
            "readings": self.readings,
            "route": self.route,
            "near": self.steps.near.iter().map(|(route, why)| json!({ "route": route, "why": why })).collect::<Vec<_>>(),
            "identity": identity,
            "rules": self.steps.rules.iter().map(|rule| json!({
                "rule": rule.text,
                "holds": rule.fails.is_none(),
                "fails": rule.fails.as_ref().map(|(key, _)| key.as_str()),
                "why": rule.fails.as_ref().map(|(_, why)| why),
            })).collect::<Vec<_>>(),
            "concurrency": self.steps.cap.as_ref().map(|cap| json!({ "key": cap.key, "max": cap.max, "shadow": cap.is_shadow })),
            "limits": self.decided.buckets.iter().map(bucket_json).collect::<Vec<_>>(),
            "would_refuse": self.steps.would_refuse.iter().map(|(guard, refusal)| json!({
                "part": guard.as_str(),
                "status": refusal.code().status().as_u16(),
                "code": refusal.code().as_str(),
            })).collect::<Vec<_>>(),
            "headers": { "removed": self.steps.request.removed, "added": added(&self.steps.request.lines()) },
            "upstream": self.decided.outgoing.as_ref().map(|outgoing| &outgoing.upstream),
            "path": self.decided.forwarded_path(),
            "upstream_urls": self.urls(),
            "response": { "removed": self.steps.response.removed, "added": added(&self.steps.response.lines()) },
            "notes": self.steps.notes,
        })
    }
}

fn bucket_json(bucket: &Bucket) -> Value {
    json!({
        "name": bucket.name,
        "key": bucket.key,
        "rate": rate_text(bucket.rate),
        "limit": bucket.rate.map(|rate| rate.count),
        "period": bucket.rate.map(|rate| rate.period.as_secs()),
        "burst": bucket.rate.map(|rate| rate.burst),
        "cost": bucket.cost,
        "charged": charged(bucket),
        "shadow": bucket.is_shadow,
    })
}

fn charged(bucket: &Bucket) -> &'static str {
    match bucket.is_early {
        true => "before authentication",
        false => "after authentication",
    }
}

fn in_shadow(is_shadow: bool) -> &'static str {
    match is_shadow {
        true => ", in shadow",
        false => "",
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text)?;
        f.write_str(&visible(&text))
    }
}

impl Explanation {
    fn write(&self, out: &mut String) -> fmt::Result {
        let row = |out: &mut String, name: &str, text: &str| writeln!(out, "{name:<10}{text}");
        row(
            out,
            "request",
            &format!(
                "{} {} for {} from {}",
                self.method, self.path, self.host, self.client
            ),
        )?;
        row(out, "decision", &self.verdict())?;
        if let Some(cause) = self.decided.refusal().and_then(|refusal| refusal.cause()) {
            row(out, "", cause)?;
        }
        match self.readings {
            0 | 1 => row(out, "path", &self.canonical)?,
            n => row(out, "path", &format!("{} ({n} readings)", self.canonical))?,
        }
        match (&self.route, &self.decided.outcome) {
            (Some(name), _) => row(out, "route", &format!("{name}: {}", self.steps.route_text))?,
            (
                None,
                Outcome::AuthApi
                | Outcome::Refused {
                    stage: AUTH_API, ..
                },
            ) => {
                row(out, "route", "none: the auth API comes first")?;
            }
            (None, _) => row(out, "route", "none")?,
        }
        for (name, why) in &self.steps.near {
            row(out, "", &format!("not {name}: {why}"))?;
        }
        self.write_caller(out)?;
        for rule in &self.steps.rules {
            match &rule.fails {
                None => row(out, "rule", &format!("holds: {}", rule.text))?,
                Some((key, why)) => {
                    row(out, "rule", &format!("fails: {}", rule.text))?;
                    row(out, "", &format!("by {}: {why}", key.as_str()))?;
                }
            }
        }
        for bucket in &self.decided.buckets {
            let cost = match bucket.cost.get() {
                1 => String::new(),
                cost => format!(", a request costs {cost}"),
            };
            let text = format!(
                "{}: {} for {}{cost}, {}{}",
                bucket.name,
                rate_text(bucket.rate),
                bucket.key,
                charged(bucket),
                in_shadow(bucket.is_shadow)
            );
            row(out, "limit", &text)?;
        }
        if let Some(cap) = &self.steps.cap {
            let (max, key, shadow) = (cap.max, &cap.key, in_shadow(cap.is_shadow));
            let text = format!("concurrency: {max} at once for {key}{shadow}");
            row(out, "limit", &text)?;
        }
        for (guard, refusal) in &self.steps.would_refuse {
            let (guard, code) = (guard.as_str(), refusal.code());
            let (status, code) = (code.status().as_u16(), code.as_str());
            row(
                out,
                "shadow",
                &format!("{guard} would refuse: {status} {code}"),
            )?;
        }
        if !self.steps.request.removed.is_empty() {
            row(out, "removed", &self.steps.request.removed.join(", "))?;
        }
        for (name, value) in self.steps.request.lines() {
            row(out, "added", &format!("{name}: {value}"))?;
        }
        for url in self.urls() {
            row(out, "upstream", &url)?;
        }
        if !self.steps.response.removed.is_empty() {
            let removed = self.steps.response.removed.join(", ");
            row(out, "response", &format!("without {removed}"))?;
        }
        for (name, value) in self.steps.response.lines() {
            row(out, "response", &format!("with {name}: {value}"))?;
        }
        for note in &self.steps.notes {
            row(out, "note", note)?;
        }
        Ok(())
    }

    fn write_caller(&self, out: &mut String) -> fmt::Result {
        let Some(caller) = &self.steps.caller else {
            return Ok(());
        };
        let Some(user) = caller.user() else {
            return writeln!(out, "{:<10}anonymous", "caller");
        };
        let mut text = format!("{}, tier {}", user.username, user.tier);
        for (name, values) in [("roles", &user.roles), ("scopes", &user.scopes)] {
            if !values.is_empty() {
                let _ = write!(text, ", {name} {}", values.join(" "));
            }
        }
        if user.is_superuser {
            text += ", superuser";
        }
        if !is_unstated(user.id) {
            let _ = write!(text, ", id {}", user.id);
        }
        let _ = write!(text, ", by {}", user.method().as_str());
        if self.is_stated {
            text += " (as stated)";
        }
        writeln!(out, "{:<10}{text}", "caller")
    }
}

/// An account without a stated id has this one.
fn is_unstated(id: Uuid) -> bool {
    id.is_nil()
}
