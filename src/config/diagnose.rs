//! What is wrong with a file: each finding at its place, rendered for people or for machines.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthChar;

use super::secret;
use super::source::{Excerpt, Source, Span};
use super::text::visible;

/// Errors beyond this many are counted, not kept, and so are warnings: nobody reads so many, and a hostile
/// file must not cost memory.
const MOST_FINDINGS: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A remark on a range of bytes, before it is known which line that is.
#[derive(Debug)]
pub struct Finding {
    severity: Severity,
    span: Span,
    message: String,
    hint: Option<String>,
}

impl Finding {
    /// Says what to do about it.
    pub fn hint(&mut self, text: impl Into<String>) {
        self.hint = Some(text.into());
    }
}

/// Collects what is found while a file is read, so that one run tells everything.
#[derive(Debug, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    omitted: Option<Finding>,
    omitted_count: usize,
    errors: usize,
    warnings: usize,
    hidden: Vec<Span>,
}

impl Findings {
    pub fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.errors += 1;
        let is_kept = self.errors <= MOST_FINDINGS;
        self.push(is_kept, Severity::Error, span, message.into())
    }

    pub fn warn(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.warnings += 1;
        let is_kept = self.warnings <= MOST_FINDINGS;
        self.push(is_kept, Severity::Warning, span, message.into())
    }

    /// Keeps this range of the file out of every excerpt: it holds a secret.
    pub fn hide(&mut self, span: Span) {
        self.hidden.push(span);
    }

    /// Whether this range holds a secret, as far as is known yet.
    pub fn is_hidden(&self, span: Span) -> bool {
        let mut hidden = self.hidden.iter();
        hidden.any(|h| h.start <= span.start && span.end <= h.end)
    }

    /// Errors are only counted from now on: a costly hint would be for nobody.
    pub fn is_full(&self) -> bool {
        self.errors >= MOST_FINDINGS
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// An error at that place, whose message is only known later.
    pub fn place(&self, span: Span, source: &Source) -> Diagnostic {
        let mut hidden = self.hidden.clone();
        hidden.sort_by_key(|s| s.start);
        let position = source.position(span);
        Diagnostic {
            severity: Severity::Error,
            file: source.name().to_owned(),
            line: position.line,
            column: position.column,
            end_column: position.end_column,
            message: String::new(),
            hint: None,
            excerpt: source.excerpt(span, &hidden),
        }
    }

    fn push(
        &mut self,
        is_kept: bool,
        severity: Severity,
        span: Span,
        message: String,
    ) -> &mut Finding {
        let finding = Finding {
            severity,
            span,
            message,
            hint: None,
        };
        if is_kept {
            let at = self.kept.len();
            self.kept.push(finding);
            &mut self.kept[at]
        } else {
            self.omitted_count += 1;
            self.omitted.insert(finding)
        }
    }

    /// The findings in the order of the file, each with its line.
    pub fn into_diagnostics(mut self, source: &Source) -> Vec<Diagnostic> {
        self.kept.sort_by_key(|f| (f.span.start, f.span.end));
        self.hidden.sort_by_key(|s| s.start);
        // A value that several aliases stand for is read, and reported, once for each.
        self.kept
            .dedup_by(|a, b| a.span == b.span && a.message == b.message);
        let mut diagnostics: Vec<Diagnostic> = self
            .kept
            .into_iter()
            .map(|f| {
                let position = source.position(f.span);
                Diagnostic {
                    severity: f.severity,
                    file: source.name().to_owned(),
                    line: position.line,
                    column: position.column,
                    end_column: position.end_column,
                    message: f.message,
                    hint: f.hint,
                    excerpt: source.excerpt(f.span, &self.hidden),
                }
            })
            .collect();
        if self.omitted_count > 0 {
            let message = format!("{} more findings are not shown", self.omitted_count);
            let mut omitted = Diagnostic::of_file(source.name(), message);
            if self.errors <= MOST_FINDINGS {
                omitted.severity = Severity::Warning;
            }
            diagnostics.push(omitted);
        }
        diagnostics
    }
}

/// One finding, complete: it needs the file no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub file: String,
    /// From 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// From 1, in characters; 0 when the file as a whole is meant.
    pub column: usize,
    /// Just behind the last character that is meant, on the same line.
    pub end_column: usize,
    pub message: String,
    pub hint: Option<String>,
    excerpt: Option<Excerpt>,
}

impl Diagnostic {
    /// An error that has no place in the file, such as a file that is missing.
    pub fn of_file(file: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: file.to_owned(),
            line: 0,
            column: 0,
            end_column: 0,
            message: message.into(),
            hint: None,
            excerpt: None,
        }
    }

    /// `file:line:column: severity: message`, the line with a caret, the hint.
    pub fn render(&self, colour: bool) -> String {
        let paint = Paint(colour);
        let mut out = String::new();
        let place = match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}:{}", self.file, self.column),
        };
        let severity = paint.severity(self.severity, self.severity.word());
        let message = paint.bold(&self.message);
        let _ = writeln!(out, "{}: {severity}: {message}", paint.bold(&place));
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        if let Some(excerpt) = &self.excerpt {
            let bar = paint.dim("|");
            let pad = " ".repeat(width(excerpt.before()));
            let carets = "^".repeat(width(excerpt.marked()).max(1));
            let carets = paint.severity(self.severity, &carets);
            let _ = writeln!(out, "{gutter} {bar}");
            let _ = writeln!(out, "{} {bar} {}", paint.dim(&number), excerpt.text());
            let _ = writeln!(out, "{gutter} {bar} {pad}{carets}");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{gutter} {} hint: {hint}", paint.dim("="));
        }
        out
    }

    pub fn to_json(&self) -> Value {
        json!({
            "severity": self.severity.word(),
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "end_column": self.end_column,
            "message": self.message,
            "hint": self.hint,
            "source": self.excerpt.as_ref().map(Excerpt::text),
        })
    }

    /// What `to_json` made elsewhere, without the line of the file.
    pub fn from_json(value: &Value) -> Option<Diagnostic> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(visible);
        let number = |key: &str| usize::try_from(value.get(key)?.as_u64()?).ok();
        Some(Diagnostic {
            severity: match text("severity")?.as_str() {
                "warning" => Severity::Warning,
                _ => Severity::Error,
            },
            file: text("file")?,
            line: number("line")?,
            column: number("column")?,
            end_column: number("end_column")?,
            message: text("message")?,
            hint: text("hint"),
            excerpt: None,
        })
    }
}

/// Why a configuration was refused: every error, and the warnings beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// A report about a file that could not be read at all.
    pub fn of_file(path: &Path, message: impl Into<String>, hint: &str) -> Report {
        let mut diagnostic = Diagnostic::of_file(&path.to_string_lossy(), message);
        diagnostic.hint = (!hint.is_empty()).then(|| hint.to_owned());
        Report {
            diagnostics: vec![diagnostic],
        }
    }

    pub fn errors(&self) -> usize {
        let is_error = |d: &&Diagnostic| d.severity == Severity::Error;
        self.diagnostics.iter().filter(is_error).count()
    }

    /// Every diagnostic, then a line that counts them. Ends with a line break.
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            out.push_str(&diagnostic.render(colour));
            out.push('\n');
        }
        let errors = self.errors();
        let warnings = self.diagnostics.len() - errors;
        out.push_str(&counted(errors, "error"));
        if warnings > 0 {
            let _ = write!(out, ", {}", counted(warnings, "warning"));
        }
        out.push('\n');
        out
    }

    pub fn to_json(&self) -> Value {
        json!({
            "valid": false,
            "diagnostics": self.diagnostics.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
        })
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

/// `1 error`, `2 errors`.
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

/// Columns that a terminal gives to a text.
fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn severity(&self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Error => self.with("1;31", text),
            Severity::Warning => self.with("1;33", text),
        }
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }
}

/// The candidate that somebody who typed `text` most likely meant, if one is near enough.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Distance costs length times length; no key of ours is this long.
    if text.len() > 64 {
        return None;
    }
    let typed = text.to_lowercase();
    let length = typed.chars().count();
    let allowed = (length / 3).max(1);
    candidates
        .into_iter()
        .filter(|c| c.chars().count().abs_diff(length) <= allowed)
        .map(|c| (strsim::damerau_levenshtein(&typed, &c.to_lowercase()), c))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Text from the file, fit for a message: without control characters and the credentials of URLs,
/// and not long.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let credentials: Vec<_> = secret::credentials_in(text).collect();
    let mut out = String::from("`");
    for (i, (at, c)) in text.char_indices().enumerate() {
        if i == LONGEST {
            out.push('…');
            break;
        }
        match c {
            _ if credentials.iter().any(|range| range.contains(&at)) => out.push('*'),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.push('`');
    out
}

/// `` `a`, `b` or `c` ``
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
