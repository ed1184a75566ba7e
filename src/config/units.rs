//! Durations, sizes and rates as they are typed.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Value, json};

use super::decode::{Decode, scalar};
use super::diagnose::{Findings, shown};
use super::schema;
use super::yaml::Node;

const DAY: u64 = 86_400;
/// Ten years: far from where clocks and sums of times overflow.
const LONGEST: Duration = Duration::from_secs(3650 * DAY);

const DURATION: &str = "a duration such as `500ms`, `30s`, `5m`, `2h` or `7d`";
const SIZE: &str = "a size such as `512B`, `64KiB`, `10MiB`, `1GiB` or a number of bytes";
const RATE: &str =
    "a rate such as `10/s`, `100/min`, `1000/h`, `5000/d`, `100000/mo` or `unlimited`";

/// What may follow a rate's count, and how many seconds it stands for.
pub(super) const RATE_UNITS: [(&str, u64); 5] = [
    ("/s", 1),
    ("/min", 60),
    ("/h", 3600),
    ("/d", DAY),
    ("/mo", 30 * DAY),
];

/// What is wrong, and what to do about it.
pub(super) type Fault = (String, Option<String>);

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A rate without its burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Unlimited,
    Per { count: NonZeroU32, period: Duration },
}

/// The leading digits, and what follows them.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    Some((digits.parse().ok()?, unit))
}

fn unexpected(what: &str, text: &str, hint: Option<String>) -> Fault {
    (format!("expected {what}, found {}", shown(text)), hint)
}

/// A duration outside of the file.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|(message, hint)| match hint {
        Some(hint) => format!("{message}; {hint}"),
        None => message,
    })
}

fn duration(text: &str) -> Result<Duration, Fault> {
    let Some((count, unit)) = split(text) else {
        return Err(unexpected(DURATION, text, None));
    };
    let instead = |unit: &str| Some(format!("write `{count}{unit}`"));
    let seconds = match unit {
        "ms" => {
            let duration = Duration::from_millis(count);
            return match duration <= LONGEST {
                true => Ok(duration),
                false => Err(too_long(text)),
            };
        }
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => DAY,
        "" => {
            let hint = format!("a unit is missing: `{count}s`?");
            return Err(unexpected(DURATION, text, Some(hint)));
        }
        "sec" | "secs" | "second" | "seconds" | "S" => {
            return Err(unexpected(DURATION, text, instead("s")));
        }
        "min" | "mins" | "minute" | "minutes" | "M" => {
            return Err(unexpected(DURATION, text, instead("m")));
        }
        "hour" | "hours" | "hr" | "H" => return Err(unexpected(DURATION, text, instead("h"))),
        "day" | "days" | "D" => return Err(unexpected(DURATION, text, instead("d"))),
        "w" | "week" | "weeks" => {
            let hint = format!("write `{}d`", count.saturating_mul(7));
            return Err(unexpected(DURATION, text, Some(hint)));
        }
        _ => return Err(unexpected(DURATION, text, None)),
    };
    match count.checked_mul(seconds).map(Duration::from_secs) {
        Some(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(too_long(text)),
    }
}

fn too_long(text: &str) -> Fault {
    (format!("{} is longer than 3650d", shown(text)), None)
}

fn size(text: &str) -> Result<Size, Fault> {
    let Some((count, unit)) = split(text) else {
        return Err(unexpected(SIZE, text, None));
    };
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => {
            let hint = match unit.to_ascii_lowercase().as_str() {
                "k" | "kb" | "ki" | "kib" => Some(format!("write `{count}KiB`")),
                "m" | "mb" | "mi" | "mib" => Some(format!("write `{count}MiB`")),
                "g" | "gb" | "gi" | "gib" => Some(format!("write `{count}GiB`")),
                _ => None,
            };
            return Err(unexpected(SIZE, text, hint));
        }
    };
    match count.checked_mul(1 << shift) {
        // Content-Length and file offsets are signed in many places.
        Some(bytes) if bytes <= i64::MAX as u64 => Ok(Size(bytes)),
        _ => Err((format!("{} is too large", shown(text)), None)),
    }
}

pub(super) fn pace(text: &str) -> Result<Pace, Fault> {
    if text == "unlimited" {
        return Ok(Pace::Unlimited);
    }
    let Some((count, rest)) = split(text) else {
        let unlimited = matches!(text, "none" | "off" | "Unlimited" | "infinite" | "-1");
        let hint = unlimited.then(|| "write `unlimited`".to_owned());
        return Err(unexpected(RATE, text, hint));
    };
    let instead = |unit: &str| Some(format!("write `{count}/{unit}`"));
    let known = RATE_UNITS.iter().find(|(unit, _)| *unit == rest);
    let seconds = match (known, rest) {
        (Some((_, seconds)), _) => *seconds,
        (None, "") => {
            let hint = format!("per what? `{count}/min`, for example");
            return Err(unexpected(RATE, text, Some(hint)));
        }
        (None, "/sec" | "/second" | "/S") => return Err(unexpected(RATE, text, instead("s"))),
        (None, "/m" | "/minute" | "/M") => return Err(unexpected(RATE, text, instead("min"))),
        (None, "/hour" | "/hr" | "/H") => return Err(unexpected(RATE, text, instead("h"))),
        (None, "/day" | "/D") => return Err(unexpected(RATE, text, instead("d"))),
        (None, "/month" | "/mon" | "/Mo") => return Err(unexpected(RATE, text, instead("mo"))),
        (None, _) => return Err(unexpected(RATE, text, None)),
    };
    match u32::try_from(count).ok().map(NonZeroU32::new) {
        Some(Some(count)) => Ok(Pace::Per {
            count,
            period: Duration::from_secs(seconds),
        }),
        Some(None) => {
            let message = "a rate of 0 would let nothing through".to_owned();
            Err((message, Some("expected at least 1".to_owned())))
        }
        None => Err((
            format!("{} is too large: at most {}", shown(text), u32::MAX),
            Some("write `unlimited` for no limit".to_owned()),
        )),
    }
}

fn decode<T>(
    node: &Node,
    what: &str,
    read: fn(&str) -> Result<T, Fault>,
    findings: &mut Findings,
) -> Option<T> {
    match read(&scalar(node, what, findings)?.text) {
        Ok(value) => Some(value),
        Err((message, hint)) => {
            let finding = findings.error(node.span, message);
            if let Some(hint) = hint {
                finding.hint(hint);
            }
            None
        }
    }
}

impl Decode for Duration {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        decode(node, DURATION, duration, findings)
    }

    fn schema() -> Value {
        schema::text("^[0-9]+(ms|s|m|h|d)$")
    }
}

impl Decode for Size {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        decode(node, SIZE, size, findings)
    }

    fn schema() -> Value {
        let bytes = schema::whole_number(0, i64::MAX.cast_unsigned());
        json!({ "anyOf": [schema::text("^[0-9]+(B|KiB|MiB|GiB)?$"), bytes] })
    }
}

impl Decode for Pace {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        decode(node, RATE, pace, findings)
    }

    fn schema() -> Value {
        schema::text("^(unlimited|[1-9][0-9]*/(s|min|h|d|mo))$")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |s| Ok(Duration::from_secs(s));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0s"), seconds(0));
        assert_eq!(duration("30s"), seconds(30));
        assert_eq!(duration("5m"), seconds(300));
        assert_eq!(duration("2h"), seconds(7200));
        assert_eq!(duration("7d"), seconds(7 * DAY));
        assert_eq!(duration("3650d"), seconds(3650 * DAY));
        for bad in [
            "", "s", "-1s", "1.5s", "1 s", "30", "1y", "٣s", "+1s", "3651d",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for huge in [
            "18446744073709551615d",
            "99999999999999999999s",
            "18446744073709551615ms",
        ] {
            assert!(duration(huge).is_err(), "{huge}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("0"), Ok(Size(0)));
        assert_eq!(size("512B"), Ok(Size(512)));
        assert_eq!(size("64KiB"), Ok(Size(65_536)));
        assert_eq!(size("10MiB"), Ok(Size(10_485_760)));
        assert_eq!(size("1GiB"), Ok(Size(1 << 30)));
        for bad in [
            "",
            "KiB",
            "-1",
            "1.5MiB",
            "10 MiB",
            "1TiB",
            "9223372036854775808",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(size("10MB").unwrap_err().1.unwrap(), "write `10MiB`");
        assert_eq!(size("64k").unwrap_err().1.unwrap(), "write `64KiB`");
    }

    #[test]
    fn rates() {
        let per = |count, period| {
            Ok(Pace::Per {
                count: NonZeroU32::new(count).unwrap(),
                period: Duration::from_secs(period),
            })
        };
        assert_eq!(pace("10/s"), per(10, 1));
        assert_eq!(pace("100/min"), per(100, 60));
        assert_eq!(pace("1000/h"), per(1000, 3600));
        assert_eq!(pace("5000/d"), per(5000, DAY));
        assert_eq!(pace("100000/mo"), per(100_000, 30 * DAY));
        assert_eq!(pace("unlimited"), Ok(Pace::Unlimited));
        for bad in [
            "",
            "/s",
            "0/s",
            "10 / s",
            "10/w",
            "4294967296/s",
            "-1/s",
            "10",
            "10/s/s",
        ] {
            assert!(pace(bad).is_err(), "{bad}");
        }
        assert_eq!(pace("30/m").unwrap_err().1.unwrap(), "write `30/min`");
        assert_eq!(pace("30/month").unwrap_err().1.unwrap(), "write `30/mo`");
    }
}
