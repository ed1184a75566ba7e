//! What clients are told of their limits: `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-10), and the older `X-RateLimit-*`.

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::config::checked::{LimitsHeaders, Rate};

use super::clock::{nanos, whole_seconds};
use super::meter::Standing;
use super::policy::Policy;

static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
static X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
static X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The parts of the headers that a policy's quota fixes.
pub(super) struct Announcement {
    /// The name as a String of structured fields (RFC 9651, section 3.3.3).
    name: Box<[u8]>,
    /// The policy as a member of `RateLimit-Policy`.
    policy: Box<[u8]>,
}

/// How a policy stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// An index into [`Limits::policies`](super::policy::Limits::policies).
    pub(super) policy: usize,
    pub(super) standing: Standing,
}

impl Announcement {
    pub(super) fn new(name: &str, rate: &Rate) -> Self {
        let mut quoted = vec![b'"'];
        for char in name.chars() {
            match char {
                '"' | '\\' => quoted.extend([b'\\', char as u8]),
                ' '..='~' => quoted.push(char as u8),
                // A String of structured fields has no others.
                _ => quoted.push(b'_'),
            }
        }
        quoted.push(b'"');
        let mut policy = Line::from_slice(&quoted);
        policy.extend_from_slice(b";q=");
        push_decimal(&mut policy, u64::from(rate.count.get()));
        policy.extend_from_slice(b";w=");
        push_decimal(&mut policy, whole_seconds(nanos(rate.period)));
        Announcement {
            name: quoted.into(),
            policy: policy.as_slice().into(),
        }
    }
}

/// Hands every header of a response to `set`. A response has several of these for each request
/// served, so nothing here goes through `fmt`.
pub(super) fn write(
    chosen: LimitsHeaders,
    policies: &[Policy],
    entries: &[Entry],
    mut set: impl FnMut(&HeaderName, HeaderValue),
) {
    let known = || {
        let with_policy = |entry: &Entry| Some((policies.get(entry.policy)?, entry.standing));
        entries.iter().filter_map(with_policy)
    };
    let least = known().min_by_key(|(_, s)| (s.remaining, std::cmp::Reverse(s.full_in)));
    let Some((tightest, standing)) = least else {
        return;
    };
    if chosen.ietf {
        let (mut quotas, mut standings) = (Line::new(), Line::new());
        for (policy, standing) in known() {
            if !quotas.is_empty() {
                quotas.extend_from_slice(b", ");
                standings.extend_from_slice(b", ");
            }
            quotas.extend_from_slice(&policy.announcement.policy);
            standings.extend_from_slice(&policy.announcement.name);
            standings.extend_from_slice(b";r=");
            push_decimal(&mut standings, u64::from(standing.remaining));
            standings.extend_from_slice(b";t=");
            push_decimal(&mut standings, whole_seconds(standing.full_in));
        }
        for (name, line) in [(&RATELIMIT_POLICY, quotas), (&RATELIMIT, standings)] {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                set(name, value);
            }
        }
    }
    if chosen.legacy {
        let limit = u64::from(tightest.rate.count.get());
        set(&X_RATELIMIT_LIMIT, HeaderValue::from(limit));
        set(
            &X_RATELIMIT_REMAINING,
            HeaderValue::from(standing.remaining),
        );
        let reset = whole_seconds(standing.full_in);
        set(&X_RATELIMIT_RESET, HeaderValue::from(reset));
    }
}

/// On the stack, unless names are long.
type Line = SmallVec<[u8; 128]>;

fn push_decimal(line: &mut Line, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::super::slots::Slots;
    use super::*;

    fn policy(name: &str, count: u32, seconds: u64) -> Policy {
        let count = NonZeroU32::new(count).unwrap();
        let rate = Rate {
            count,
            period: Duration::from_secs(seconds),
            burst: count,
        };
        Policy::new(&Slots::with_capacity(8), name, name, rate, NonZeroU32::MIN)
    }

    fn entry(policy: usize, remaining: u32, full_in: u64) -> Entry {
        let standing = Standing { remaining, full_in };
        Entry { policy, standing }
    }

    fn written(ietf: bool, legacy: bool, policies: &[Policy], entries: &[Entry]) -> Vec<String> {
        let mut lines = Vec::new();
        write(
            LimitsHeaders { ietf, legacy },
            policies,
            entries,
            |name, value| {
                lines.push(format!("{name}: {}", value.to_str().unwrap()));
            },
        );
        lines
    }

    #[test]
    fn one_limit_is_told_in_both_ways() {
        let policies = [policy("writes", 30, 60)];
        assert_eq!(
            written(true, true, &policies, &[entry(0, 7, 5_000_000_001)]),
            [
                "ratelimit-policy: \"writes\";q=30;w=60",
                "ratelimit: \"writes\";r=7;t=6",
                "x-ratelimit-limit: 30",
                "x-ratelimit-remaining: 7",
                "x-ratelimit-reset: 6",
            ]
        );
    }

    #[test]
    fn of_several_limits_the_older_headers_tell_the_tightest() {
        let policies = [policy("a", 10, 1), policy("b", 5, 3600), policy("c", 5, 1)];
        let entries = [entry(0, 9, 1), entry(1, 4, 720_000_000_000), entry(2, 4, 1)];
        let lines = written(true, true, &policies, &entries);
        assert_eq!(
            lines[..2],
            [
                "ratelimit-policy: \"a\";q=10;w=1, \"b\";q=5;w=3600, \"c\";q=5;w=1",
                "ratelimit: \"a\";r=9;t=1, \"b\";r=4;t=720, \"c\";r=4;t=1",
            ]
        );
        assert_eq!(lines[4], "x-ratelimit-reset: 720");
    }

    #[test]
    fn only_what_is_chosen_is_told() {
        let policies = [policy("a", 10, 1)];
        let entries = [entry(0, 0, 0)];
        assert_eq!(written(true, false, &policies, &entries).len(), 2);
        assert_eq!(written(false, true, &policies, &entries).len(), 3);
        assert!(written(false, false, &policies, &entries).is_empty());
        assert!(written(true, true, &policies, &[]).is_empty());
    }

    #[test]
    fn a_name_is_a_string_of_structured_fields() {
        let policies = [policy("a\"b\\é", 4_294_967_295, 86_400)];
        assert_eq!(
            written(true, false, &policies, &[entry(0, 0, 0)]),
            [
                "ratelimit-policy: \"a\\\"b\\\\_\";q=4294967295;w=86400",
                "ratelimit: \"a\\\"b\\\\_\";r=0;t=0",
            ]
        );
    }
}
