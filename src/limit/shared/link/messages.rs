//! What is said to Redis and what it answers, by the form of the scripts.

use std::iter;
use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError, RedisResult, cmd};

use super::{LinkError, PAGE, SINCE};
use crate::limit::shared::signed;

/// How long a Redis that has just heard of gateways is only told what was used up before: all of them do so meanwhile.
/// Longer than the pause between two heartbeats, and between two tries to reach it.
pub(in crate::limit::shared) const GRACE: Duration = Duration::from_secs(4);
/// How long it is not believed to know what is used up: all of them tell it meanwhile what they let through since,
/// from their first heartbeat after the grace on.
const TRUST: Duration = Duration::from_millis(5500);

/// What Redis says to a heartbeat.
#[derive(Debug, Clone, Copy)]
pub(in crate::limit::shared) struct Beat {
    /// Gateways that live, the one that asks with them.
    pub(in crate::limit::shared) living: u32,
    /// Those that have said so since the gateway was back.
    pub(in crate::limit::shared) back: u32,
    /// Those that lived when one of them last said so, which Redis remembers when it was out of reach itself.
    pub(in crate::limit::shared) before: u32,
    /// When it first heard of any, in milliseconds since 1970 by its own clock.
    pub(in crate::limit::shared) since: i64,
    /// What time it is by that clock, in microseconds.
    pub(in crate::limit::shared) now: i64,
    /// How long the answer took.
    pub(in crate::limit::shared) took: Duration,
}

/// How far a Redis may be believed that may have lost what was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::limit::shared) enum Phase {
    /// It is being told what was used up before.
    New,
    /// It is told what is let through, and does not know it of all gateways yet.
    Told,
    /// It knows all.
    Trusted,
}

impl Beat {
    pub(in crate::limit::shared) fn phase(&self) -> Phase {
        let age = (self.now / 1000).saturating_sub(self.since);
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        match age {
            _ if age < GRACE => Phase::New,
            _ if age < TRUST => Phase::Told,
            _ => Phase::Trusted,
        }
    }
}

/// What a call goes by beside its counters.
pub(in crate::limit::shared) struct Call<'a> {
    /// The gateway.
    pub(in crate::limit::shared) id: &'a str,
    /// See [`Beat::since`], as far as this gateway has heard.
    pub(in crate::limit::shared) since: i64,
    /// After which nothing is done, in microseconds since 1970 by the clock of Redis.
    pub(in crate::limit::shared) until: i64,
}

/// What Redis says to a request that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::limit::shared) enum Answer {
    /// Whether all was charged, and what each counter owes then, in nanoseconds.
    Counted(bool, Vec<u64>),
    /// Nothing was done.
    Not(Hindrance),
}

/// Why Redis does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::limit::shared) enum Hindrance {
    /// It has lost what was used up, and this gateway has not heard of that yet.
    IsNew,
    /// It was told too late.
    IsLate,
}

impl Hindrance {
    pub(super) fn of(answer: &[i64]) -> Option<Hindrance> {
        match answer {
            [-1] => Some(Hindrance::IsNew),
            [-2] => Some(Hindrance::IsLate),
            _ => None,
        }
    }
}

impl From<Hindrance> for LinkError {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::IsNew => LinkError::IsNew,
            Hindrance::IsLate => LinkError::Late,
        }
    }
}

/// A counter that is told of. Times are in nanoseconds.
pub(in crate::limit::shared) struct Told {
    pub(in crate::limit::shared) name: String,
    /// What was let through, which may be less than nothing.
    pub(in crate::limit::shared) used: i64,
    /// What was used up before, as far as is known here.
    pub(in crate::limit::shared) believed: u64,
    /// What there is in all.
    pub(in crate::limit::shared) whole: u64,
    /// More than that is never owed.
    pub(in crate::limit::shared) most: u64,
    /// Other counters, of whose debt a part is taken over where this one is not known yet.
    pub(in crate::limit::shared) kin: Vec<(String, f64)>,
}

/// A counter that is to be charged. Times are in nanoseconds.
pub(in crate::limit::shared) struct Asked {
    pub(in crate::limit::shared) told: Told,
    /// What a request takes.
    pub(in crate::limit::shared) amount: u64,
    /// What there is in all for this request, which counters of about as much share.
    pub(in crate::limit::shared) whole: u64,
}

/// How a counter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::limit::shared) struct Stands {
    /// Nanoseconds until it is full.
    pub(in crate::limit::shared) owed: u64,
    /// How many gateways are at it; `None` when that is not known yet.
    pub(in crate::limit::shared) share: Option<u32>,
}

impl Stands {
    pub(super) fn of(pair: &[i64]) -> Self {
        Stands {
            owed: nanos(pair[0]),
            share: u32::try_from(pair[1]).ok().filter(|share| *share > 0),
        }
    }
}

/// What Redis says to a telling.
#[derive(Debug)]
pub(in crate::limit::shared) struct Settled {
    /// Of each counter; `None` where nothing was done.
    pub(in crate::limit::shared) stands: Vec<Option<Stands>>,
    /// Why nothing was done of some.
    pub(in crate::limit::shared) fault: Option<LinkError>,
}

impl Settled {
    /// Of so many counters, by the answers page by page. `None` for answers of another form.
    pub(super) fn of(counters: usize, pages: Vec<RedisResult<Vec<i64>>>) -> Option<Settled> {
        let mut settled = Settled {
            stands: Vec::with_capacity(counters),
            fault: None,
        };
        for page in pages {
            let asked = PAGE.min(counters - settled.stands.len());
            let fault = match page {
                Ok(answer) if answer.len() == 2 * asked => {
                    let stands = answer.chunks_exact(2).map(|pair| Some(Stands::of(pair)));
                    settled.stands.extend(stands);
                    continue;
                }
                Ok(answer) => Hindrance::of(&answer)?.into(),
                Err(error) => LinkError::Redis(error),
            };
            settled.stands.extend(iter::repeat_n(None, asked));
            settled.fault = Some(fault);
        }
        (settled.stands.len() == counters).then_some(settled)
    }
}

impl Told {
    fn write_keys(&self, call: &mut Cmd) {
        call.arg(&self.name);
        for (name, _) in &self.kin {
            call.arg(name);
        }
    }

    pub(super) fn write(&self, call: &mut Cmd) {
        call.arg(micros(self.used));
        for nanos in [self.believed, self.whole, self.most] {
            call.arg(micros(signed(nanos)));
        }
        call.arg(self.kin.len());
        for (_, part) in &self.kin {
            call.arg(format!("{part:.12}"));
        }
    }
}

impl Call<'_> {
    /// A call of a script that tells of these counters, as far as all such scripts are alike.
    pub(super) fn begin<'t>(
        &self,
        script: &str,
        counters: impl Iterator<Item = &'t Told> + Clone,
    ) -> Cmd {
        let keys: usize = counters.clone().map(|told| 1 + told.kin.len()).sum();
        let mut call = cmd("EVALSHA");
        call.arg(script).arg(1 + keys).arg(SINCE);
        for told in counters {
            told.write_keys(&mut call);
        }
        call.arg(self.since).arg(self.until).arg(self.id);
        call
    }
}

/// Microseconds with three decimals: Lua's numbers hold times since 1970 in those, and not in nanoseconds.
pub(super) fn micros(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    format!("{sign}{}.{:03}", nanos / 1000, nanos % 1000)
}

pub(super) fn nanos(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).saturating_mul(1000)
}

pub(super) fn unexpected() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "an answer of another form").into()
}
