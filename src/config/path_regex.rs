//! The `regex` of a route: it covers a whole path, in time that goes by the path's length alone.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

use super::checked::{PathOptions, TrailingSlash};
use super::regex_shape::{
    DEEPEST, leading_segments, may_begin_with_slash, parse, size, takes_all_below, write_example,
};

/// Bytes that a compiled regex may take, and again what a thread keeps while it searches. A search
/// costs its states times the path's bytes at worst.
const SIZE: usize = 128 * 1024;

/// So many ways are tried to make a path that matches.
const EXAMPLES: usize = 16;

/// Whether letters are told apart by their case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// As the file says.
    AsAsked,
    Any,
}

/// A regex of paths and the names of its groups, which are the path's parameters.
#[derive(Clone)]
pub struct PathRegex {
    text: String,
    options: PathOptions,
    regex: Regex,
    /// The same for any case, where that is another one and paths are read so.
    caseless: Option<Regex>,
    leading_segments: Vec<String>,
    takes_all_below: bool,
    size: usize,
    /// The named groups, in their order, with the numbers that the regex gives them.
    groups: Vec<(String, usize)>,
    examples: Box<OnceLock<Vec<String>>>,
}

/// What is wrong with a regex, and which bytes of it.
#[derive(Debug, PartialEq, Eq)]
pub struct RegexFault {
    pub message: String,
    pub range: Option<Range<usize>>,
    pub hint: &'static str,
}

impl PathRegex {
    /// `folds` says that paths are also read without regard to case, which some route asks for.
    ///
    /// # Errors
    ///
    /// What is wrong with the text as a regex of paths.
    pub fn new(text: &str, options: PathOptions, folds: bool) -> Result<PathRegex, RegexFault> {
        // By itself first: `a)|(b` is no regex, but would be one between the anchors.
        let alone = parse(text).map_err(|error| fault_of(&error))?;
        if !may_begin_with_slash(&alone) {
            return Err(RegexFault {
                message: "a path begins with `/`, and this does not".to_owned(),
                range: None,
                hint: "the regex covers the whole path: begin it with `/`",
            });
        }
        let whole = match options.trailing_slash {
            TrailingSlash::Strict => format!(r"\A(?:{text})\z"),
            TrailingSlash::Ignore => format!(r"\A(?:{})/?\z", without_trailing_slash(text)),
        };
        let parsed = parse(&whole).map_err(|_| RegexFault {
            message: "a comment at the end hides what follows it".to_owned(),
            range: None,
            hint: "remove the comment",
        })?;
        let regex = compile(&whole, options.case_insensitive)?;
        let caseless = match folds && !options.case_insensitive {
            true => Some(compile(&whole, true)?),
            false => None,
        };
        let names = regex.capture_names().enumerate();
        let groups = names.filter_map(|(number, name)| Some((name?.to_owned(), number)));
        Ok(PathRegex {
            text: text.to_owned(),
            options,
            caseless,
            groups: groups.collect(),
            leading_segments: leading_segments(&parsed),
            takes_all_below: takes_all_below(&alone),
            examples: Box::default(),
            size: size(&parsed),
            regex,
        })
    }

    /// As typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it ends in `/.*` or `/.+`, so that where its paths begin is none of them.
    pub fn takes_all_below(&self) -> bool {
        self.takes_all_below
    }

    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|(name, _)| name.as_str())
    }

    pub fn is_match(&self, path: &[u8], case: Case) -> bool {
        self.regex(case).is_match(path)
    }

    fn regex(&self, case: Case) -> &Regex {
        match case {
            Case::AsAsked => &self.regex,
            Case::Any => self.caseless.as_ref().unwrap_or(&self.regex),
        }
    }

    /// Shows `each` where the groups stand in a path that matches; `None` for one that took no part.
    pub fn locate(&self, path: &[u8], case: Case, mut each: impl FnMut(Option<Range<usize>>)) {
        if self.groups.is_empty() {
            return;
        }
        let regex = self.regex(case);
        let mut places = regex.capture_locations();
        let found = regex.captures_read(&mut places, path).is_some();
        for (_, number) in &self.groups {
            let place = places.get(*number).filter(|_| found);
            each(place.map(|(start, end)| start..end));
        }
    }

    /// The segments that every path of this regex begins with.
    pub fn leading_segments(&self) -> &[String] {
        &self.leading_segments
    }

    /// How many characters and classes it is made of, with each repetition written out: what a match costs at worst
    /// for each byte of a path.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether to ask for [`PathRegex::examples`] costs nothing any more.
    pub fn has_made_examples(&self) -> bool {
        self.examples.get().is_some()
    }

    /// Paths of this regex that come to mind, made when they are first asked for.
    pub fn examples(&self) -> &[String] {
        self.examples.get_or_init(|| {
            let Ok(parsed) = parse(&self.text) else {
                return Vec::new();
            };
            let mut examples: Vec<String> = Vec::new();
            for choice in 0..EXAMPLES {
                let mut path = Vec::new();
                write_example(&parsed, choice, &mut path);
                if let Ok(path) = String::from_utf8(path)
                    && !examples.contains(&path)
                    // A regex such as `(/.*)?` takes nothing as well, which no request has for its path.
                    && path.starts_with('/')
                    && self.is_match(path.as_bytes(), Case::AsAsked)
                {
                    examples.push(path);
                }
            }
            examples
        })
    }
}

impl PartialEq for PathRegex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
            && self.options == other.options
            && self.caseless.is_some() == other.caseless.is_some()
    }
}

impl Eq for PathRegex {}

impl fmt::Debug for PathRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PathRegex").field(&self.text).finish()
    }
}

fn compile(whole: &str, is_caseless: bool) -> Result<Regex, RegexFault> {
    RegexBuilder::new(whole)
        .unicode(false)
        .case_insensitive(is_caseless)
        .nest_limit(DEEPEST + 2)
        .size_limit(SIZE)
        .dfa_size_limit(SIZE)
        .build()
        .map_err(|_| RegexFault {
            message: "this regex is too large".to_owned(),
            range: None,
            hint: "counted repetitions such as `{1,500}` make it large: use `+`, or fewer of them",
        })
}

/// A slash has no other meaning in a regex than itself, with a backslash before it or without.
fn without_trailing_slash(text: &str) -> &str {
    let Some(rest) = text.strip_suffix('/') else {
        return text;
    };
    let backslashes = rest.bytes().rev().take_while(|byte| *byte == b'\\').count();
    match backslashes % 2 {
        0 => rest,
        _ => &rest[..rest.len() - 1],
    }
}

fn fault_of(error: &regex_syntax::Error) -> RegexFault {
    let (kind, span) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), Some(error.span())),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), Some(error.span())),
        other => (other.to_string(), None),
    };
    let range = span.map(|span| span.start.offset..span.end.offset);
    RegexFault {
        message: format!("this is no regex: {kind}"),
        range: range.filter(|range| !range.is_empty()),
        hint: "the syntax is that of https://docs.rs/regex; a backslash takes its meaning from `. + * ? ( ) [ ] { } | ^ $`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(text: &str) -> PathRegex {
        with(text, PathOptions::default())
    }

    fn with(text: &str, options: PathOptions) -> PathRegex {
        PathRegex::new(text, options, true).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    #[test]
    fn the_whole_path_is_covered() {
        for (text, path, is_match) in [
            ("/v[0-9]+", "/v12", true),
            ("/v[0-9]+", "/v12/x", false),
            ("/v[0-9]+", "/x/v12", false),
            ("/a|/ab", "/ab", true),
            ("/a|/b", "/a/b", false),
            ("(?m)/a$", "/a\n/b", false),
            ("^/a$", "/a", true),
            ("(?i)/a", "/A", true),
            (r"/\w+", "/\u{e9}", false),
            ("(?x) /a # a comment\n /b", "/a/b", true),
        ] {
            assert_eq!(
                regex(text).is_match(path.as_bytes(), Case::AsAsked),
                is_match,
                "{text} {path}"
            );
        }
    }

    #[test]
    fn options_make_other_spellings_the_same() {
        let options = |case_insensitive, trailing_slash| PathOptions {
            case_insensitive,
            trailing_slash,
            merge_slashes: false,
        };
        let takes = |regex: &PathRegex, path: &str| regex.is_match(path.as_bytes(), Case::AsAsked);
        let caseless = with("/a[b-c]", options(true, TrailingSlash::Strict));
        assert!(takes(&caseless, "/AB") && !takes(&caseless, "/AB/"));
        assert!(caseless.leading_segments().is_empty());
        let strict = regex("/a[b-c]");
        assert!(!takes(&strict, "/AB"));
        assert!(strict.is_match(b"/AB", Case::Any));
        for text in ["/a/b+", "/a/b+/", r"/a/b+\/"] {
            let slashed = with(text, options(false, TrailingSlash::Ignore));
            for (path, is_match) in [
                ("/a/bb", true),
                ("/a/b/", true),
                ("/a/b//", false),
                ("/a", false),
            ] {
                assert_eq!(takes(&slashed, path), is_match, "{text} {path}");
            }
            assert_eq!(slashed.leading_segments(), ["a"]);
        }
        let slashed = with(r"/a\\/", options(false, TrailingSlash::Ignore));
        assert!(takes(&slashed, r"/a\") && takes(&slashed, r"/a\/"));
    }

    #[test]
    fn leading_segments_are_those_that_every_path_has() {
        for (text, segments) in [
            ("/api/v[0-9]+/x", &["api"][..]),
            ("/api/v1", &["api", "v1"]),
            ("^/api/(?P<id>[0-9]+)$", &["api"]),
            ("/api/(?P<version>v1)/x/.*", &["api", "v1", "x"]),
            ("/api(/.*)?", &["api"]),
            ("/api(/.*|/?)", &["api"]),
            ("/api(/.*|s)?", &[]),
            ("/api/?x", &[]),
            ("/api/+x", &["api"]),
            ("/api[/]x", &["api", "x"]),
            ("/api.*", &[]),
            ("/api/?", &["api"]),
            ("/a|/b", &[]),
            ("(?i)/api/x", &[]),
            ("/.*", &[]),
            ("/", &[""]),
            ("/api/", &["api", ""]),
            (r"/a\.b/c+", &["a.b"]),
            (".*[.]json", &[]),
        ] {
            assert_eq!(regex(text).leading_segments(), segments, "{text}");
        }
    }

    #[test]
    fn groups_are_parameters() {
        let regex = regex("/(?P<a>[a-z]+)(/(?<b>[0-9]+))?(/x)?");
        assert_eq!(regex.groups().collect::<Vec<_>>(), ["a", "b"]);
        let places = |path: &str| {
            let mut places = Vec::new();
            regex.locate(path.as_bytes(), Case::AsAsked, |place| places.push(place));
            places
        };
        assert_eq!(places("/ab/12/x"), [Some(1..3), Some(4..6)]);
        assert_eq!(places("/ab/x"), [Some(1..3), None]);
    }

    #[test]
    fn what_is_no_regex_of_paths_is_told() {
        let at = |text: &str| {
            PathRegex::new(text, PathOptions::default(), false)
                .unwrap_err()
                .range
        };
        assert_eq!(at("/a(b"), Some(2..3));
        assert_eq!(at("/a)|(/b"), Some(2..3));
        assert_eq!(at("/[b-a]"), Some(2..5));
        for bad in [
            "",
            "users",
            "(?i)users/.*",
            r"/(a)\1",
            "/a(?=b)",
            "/(?P<a>x)(?P<a>y)",
            "/(?x)a # comment",
            "/a{1,5000}",
            "/(a{1,99}){1,99}",
            r"/\pL",
            &"(".repeat(5000),
            &format!("/{}a{}", "(".repeat(100), ")".repeat(100)),
        ] {
            assert!(
                PathRegex::new(bad, PathOptions::default(), false).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn examples_match() {
        for text in [
            "/v[0-9]+/(?P<id>[0-9a-f]{8}-[0-9a-f]{4})",
            "/a|/b",
            "/x/.*",
            r"/x/[^a]+\.(json|xml)",
            "/[^/]+/(a|b|c)?",
        ] {
            assert!(!regex(text).examples().is_empty(), "{text}");
        }
        assert_eq!(regex("/v[0-9]+/x").examples()[0], "/v1/x");
        assert!(regex("/x/.*").examples().contains(&"/x/Z/Z".to_owned()));
        assert!(regex(r"/a\bb").examples().is_empty());
        let taken = regex("(/.*)?");
        assert!(taken.examples().iter().all(|path| path.starts_with('/')));
    }
}
