//! What no message may show of a file, though it stands on a line that one is about.

use super::super::secret;
use super::super::source::Span;
use super::{Node, Reader, Value};

impl Reader<'_> {
    /// Of headers and their values.
    pub(super) fn hide_credentials(&mut self, headers: &Node) {
        let Value::Mapping(entries) = &headers.value else {
            return;
        };
        for entry in entries {
            if secret::is_header(&entry.key.text) {
                self.hide(&entry.value);
            }
        }
    }

    fn hide(&mut self, node: &Node) {
        match &node.value {
            Value::Scalar(_) | Value::Unset => self.findings.hide(node.span),
            Value::Sequence(items) => items.iter().for_each(|item| self.hide(item)),
            Value::Mapping(entries) => entries.iter().for_each(|entry| {
                self.findings.hide(entry.key.span);
                self.hide(&entry.value);
            }),
        }
    }

    /// Where there is no tree, the line alone must tell what may not be shown.
    pub(super) fn hide_secret_of_line(&mut self, span: Span) {
        let line = self.source.line_text(span);
        let Some(word) = secret::key_in(line) else {
            return;
        };
        let Some(colon) = line[word..].find(':') else {
            return;
        };
        let column = self.source.position(span).column - 1;
        let head: usize = line.chars().take(column).map(char::len_utf8).sum();
        let line_start = span.start - head;
        let from = line_start + word + colon + 1;
        self.findings.hide(Span::new(from, line_start + line.len()));
    }
}
