//! What would become of a request, and why: each stage is asked in turn, and explains itself.

mod headers;
mod pass;
mod render;
mod why;

use self::headers::Changes;
use crate::authn::Principal;
use crate::authz::Key;
use crate::config::checked::Guard;
use crate::forward::Outgoing;
use crate::limit::{Bucket, Cap};
use crate::request::Refusal;

pub(super) use self::pass::unless_it_waits;

/// What became of a request that was only asked about.
pub struct Decided {
    /// What the last stage that it came to said.
    pub outcome: Outcome,
    /// An index into the routes of the configuration.
    pub route: Option<usize>,
    /// The limits that it is held to, those by user once it is known who calls.
    pub buckets: Vec<Bucket>,
    pub outgoing: Option<Outgoing>,
}

/// The same, and why.
pub struct Explanation {
    decided: Decided,
    method: String,
    /// As the client wrote it, without the query.
    path: String,
    host: String,
    client: String,
    canonical: String,
    readings: usize,
    pub route: Option<String>,
    is_stated: bool,
    steps: Steps,
}

/// What the stages say of themselves. It takes far longer than to decide: routes that did not get the request
/// are looked through, and rules are put into words.
#[derive(Default)]
struct Steps {
    /// The route in the words of the file.
    route_text: String,
    near: Vec<(String, String)>,
    caller: Option<Principal>,
    rules: Vec<RuleText>,
    /// The route's `concurrency`.
    cap: Option<Cap>,
    /// What guards in shadow would refuse.
    would_refuse: Vec<(Guard, Refusal)>,
    /// What the upstream gets in place of the client's headers.
    request: Changes,
    response: Changes,
    notes: Vec<String>,
}

/// Where a request ends.
pub enum Outcome {
    Forwarded,
    /// It is for the auth API, which the gateway serves itself.
    AuthApi,
    /// A browser asks whether a page may call, and the gateway says yes.
    Preflight,
    Refused {
        stage: &'static str,
        refusal: Refusal,
    },
}

struct RuleText {
    text: String,
    /// The first key that does not hold, and why; `None` for a rule that does.
    fails: Option<(Key, String)>,
}

impl Decided {
    /// `allow` or `deny`.
    pub fn decision(&self) -> &'static str {
        match self.refusal() {
            Some(_) => "deny",
            None => "allow",
        }
    }

    /// The path that the upstream gets, without the query.
    pub fn forwarded_path(&self) -> Option<&str> {
        self.outgoing
            .as_ref()
            .map(|outgoing| outgoing.target.path())
    }

    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.outcome {
            Outcome::Refused { refusal, .. } => Some(refusal),
            Outcome::Forwarded | Outcome::AuthApi | Outcome::Preflight => None,
        }
    }
}

impl Explanation {
    pub fn is_refused(&self) -> bool {
        self.decided.refusal().is_some()
    }
}
