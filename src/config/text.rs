//! Values that are written as in the file but come from elsewhere: names, rates, paths and methods; and
//! texts from anywhere, fit to be shown.

use http::Method;

use super::checked::{Pattern, Rate, Segment};
use super::resolve::{METHODS, pattern};
use super::units::{self, Pace};

/// A text as it may reach a terminal: of whatever stands in a file or comes from elsewhere, nothing drives it.
pub fn visible(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "?")
}

/// 1 to 64 of `A-Z a-z 0-9 - _ .`: what can stand in headers, labels, logs and paths as it is.
pub fn is_name(text: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // In a path the two that are left out are steps.
    (1..=64).contains(&text.len()) && text.chars().all(is_fit) && !matches!(text, "." | "..")
}

/// The requests of a rate such as `100/min`, and the seconds of its period; `None` for `unlimited`.
///
/// # Errors
///
/// What was expected instead.
pub fn pace(text: &str) -> Result<Option<(u32, u64)>, String> {
    match units::pace(text) {
        Ok(Pace::Unlimited) => Ok(None),
        Ok(Pace::Per { count, period }) => Ok(Some((count.get(), period.as_secs()))),
        Err((message, hint)) => Err(match hint {
            Some(hint) => format!("{message}; {hint}"),
            None => message,
        }),
    }
}

/// The text of a rate that has the period of one of its units.
pub fn pace_text(count: u32, seconds: u64) -> String {
    let unit = units::RATE_UNITS.iter().find(|(_, s)| *s == seconds);
    unit.map_or_else(
        || format!("{count}/{seconds}s"),
        |(unit, _)| format!("{count}{unit}"),
    )
}

/// A rate as the file has it, with its burst where that is not the count: `30/min, burst 10`.
pub fn rate_text(rate: Option<Rate>) -> String {
    let Some(rate) = rate else {
        return "unlimited".to_owned();
    };
    let pace = pace_text(rate.count.get(), rate.period.as_secs());
    match rate.burst == rate.count {
        true => pace,
        false => format!("{pace}, burst {}", rate.burst),
    }
}

/// A route's pattern as the file has it: `path /users/{name}` or `prefix /`.
pub fn pattern_text(pattern: &Pattern) -> String {
    let (key, value) = pattern_key(pattern);
    format!("{key} {value}")
}

/// The key of a route for such a pattern, and its value.
pub fn pattern_key(pattern: &Pattern) -> (&'static str, String) {
    match pattern {
        Pattern::Prefix(literals) => ("prefix", format!("/{}", literals.join("/"))),
        Pattern::Regex(regex) => ("regex", regex.text().to_owned()),
        Pattern::Path(segments) => {
            let segments = segments.iter().map(|segment| match segment {
                Segment::Literal(text) => text.clone(),
                Segment::Param(name) => format!("{{{name}}}"),
                Segment::Rest(name) => format!("{{*{name}}}"),
            });
            (
                "path",
                format!("/{}", segments.collect::<Vec<_>>().join("/")),
            )
        }
    }
}

/// Bytes of a path's template.
pub const LONGEST_PATH: usize = pattern::LONGEST;

/// A path's template such as `/users/{name}/{*rest}`.
///
/// # Errors
///
/// What was expected instead.
pub fn path(text: &str) -> Result<Pattern, String> {
    pattern::path(text).map_err(|fault| format!("{}; {}", fault.message, fault.hint))
}

/// A method that a route can have.
pub fn method(text: &str) -> Option<Method> {
    let known = METHODS.contains(&text);
    Method::from_bytes(text.as_bytes()).ok().filter(|_| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_drive_a_terminal_is_not_visible() {
        assert_eq!(visible("a\x1b[31m\u{9b}2J\r\x7f\tb\né"), "a?[31m?2J???b\né");
    }

    #[test]
    fn values_are_read_as_the_file_s_are() {
        assert_eq!(pace("100/min"), Ok(Some((100, 60))));
        assert_eq!(pace("unlimited"), Ok(None));
        for bad in ["", "100", "0/s", "1/w", "-1/s"] {
            assert!(pace(bad).is_err(), "{bad}");
        }
        for text in ["1/s", "2/min", "3/h", "4/d"] {
            let (count, seconds) = pace(text).unwrap().unwrap();
            assert_eq!(pace_text(count, seconds), text);
        }
        assert!(is_name("a-B_0.") && is_name("..."));
        for bad in ["", "a b", "a/b", "é", ".", "..", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
        for text in ["/a/{b}", "/", "/a/", "/a/{b}/{*c}"] {
            assert_eq!(pattern_text(&path(text).unwrap()), format!("path {text}"));
        }
        assert!(path("/a/{b").unwrap_err().contains("parameter"));
        assert_eq!(method("PATCH"), Some(Method::PATCH));
        for bad in ["", "patch", "CONNECT", "TRACE", "FOO", "GET "] {
            assert_eq!(method(bad), None, "{bad}");
        }
    }
}
