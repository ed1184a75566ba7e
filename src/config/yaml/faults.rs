//! What is no YAML, and what to do about it.

use granit_parser::{ErrorKind, ScanError};

use super::super::source::Span;
use super::{DEEPEST, Reader, Stop};

impl Reader<'_> {
    pub(super) fn stop(&mut self, span: Span, message: impl Into<String>) -> Stop {
        self.findings.error(span, message);
        Stop
    }

    pub(super) fn refuse(&mut self, error: &ScanError) -> Stop {
        let at = self.offset(error.marker());
        let span = Span::new(at, at + 1);
        self.hide_secret_of_line(span);
        let line = self.source.line_text(span);
        let in_flow = line.contains("${") && line.contains(['{', '[']);
        let message = match error.kind() {
            ErrorKind::RecursionLimitExceeded => format!("more than {DEEPEST} levels deep"),
            ErrorKind::UnknownAnchor => "this alias has no anchor".to_owned(),
            kind => format!("not valid YAML: {kind}"),
        };
        let hint = match error.kind() {
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInPlainScalar => Some("indent with spaces, not with tabs"),
            ErrorKind::DirectiveDisallowed => Some("lines that begin with `%` are not used here"),
            ErrorKind::UnknownAnchor => Some("text that begins with `*` or `&` needs quotes"),
            _ if in_flow => Some("within { } and [ ] a variable needs quotes: \"${NAME}\""),
            ErrorKind::UnclosedQuotedScalar => Some("close the quote"),
            ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidIndentation => {
                Some("check the indentation; text that holds `: ` needs quotes")
            }
            _ => None,
        };
        let finding = self.findings.error(span, message);
        if let Some(hint) = hint {
            finding.hint(hint);
        }
        Stop
    }
}
