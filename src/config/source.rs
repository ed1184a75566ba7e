//! The text of a file, and where in it a range of bytes stands.

use std::ops::Range;
use std::sync::OnceLock;

use super::secret;

/// A range of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    /// A part of this span, by offsets from its start.
    pub fn part(self, range: Range<usize>) -> Span {
        Span {
            start: (self.start + range.start).min(self.end),
            end: (self.start + range.end).min(self.end),
        }
    }
}

/// Where a span begins, and how far it goes on that line; from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
    pub end_column: usize,
}

/// The line of a span, or the part of it around the span when it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    text: String,
    marked: Range<usize>,
}

impl Excerpt {
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn before(&self) -> &str {
        &self.text[..self.marked.start]
    }

    /// The characters that are meant; empty at the end of a line.
    pub fn marked(&self) -> &str {
        &self.text[self.marked.clone()]
    }
}

/// Characters shown of a long line, on either side of where the span begins.
const EXCERPT_REACH: usize = 100;

#[derive(Debug)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<usize>,
    /// Where the credentials of URLs stand, once somebody is to be shown something.
    credentials: OnceLock<Vec<Range<usize>>>,
}

impl Source {
    /// `name` is what people are told the file is called.
    pub fn new(name: String, text: String) -> Source {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let line_starts = std::iter::once(0)
            .chain(breaks.map(|(i, _)| i + 1))
            .collect();
        Source {
            name,
            text,
            line_starts,
            credentials: OnceLock::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span, as typed.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The number of the line that holds a byte, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    pub fn position(&self, span: Span) -> Position {
        let (line, range) = self.line_of(span);
        let span = self.within(span, &range);
        let column = 1 + self.text[range.start..span.start].chars().count();
        Position {
            line,
            column,
            end_column: column + self.text[span.start..span.end].chars().count(),
        }
    }

    /// The whole line that a span begins on.
    pub fn line_text(&self, span: Span) -> &str {
        &self.text[self.line_of(span).1]
    }

    /// The line of a span with the `hidden` ranges (in order) and the credentials of URLs starred
    /// out, or `None` for a file without text.
    pub fn excerpt(&self, span: Span, hidden: &[Span]) -> Option<Excerpt> {
        if self.text.is_empty() {
            return None;
        }
        let (_, line) = self.line_of(span);
        let span = self.within(span, &line);
        let head = &self.text[line.start..span.start];
        let reach = head.char_indices().rev().nth(EXCERPT_REACH - 1);
        let from = line.start + reach.map_or(0, |(i, _)| i);
        let tail = &self.text[span.start..line.end];
        let reach = tail.char_indices().nth(EXCERPT_REACH);
        let to = span.start + reach.map_or(tail.len(), |(i, _)| i);

        let mut text = String::new();
        if from > line.start {
            text.push('…');
        }
        let mut marked = 0..0;
        // None of them goes over the end of a line.
        let credentials = self
            .credentials
            .get_or_init(|| secret::credentials_in(&self.text).collect());
        let first = credentials.partition_point(|c| c.end <= from);
        let is_credential = |at: usize| {
            let nearest = credentials[first..].iter().find(|c| at < c.end);
            nearest.is_some_and(|c| c.contains(&at))
        };
        let mut hidden = hidden.iter().filter(|h| h.end > from).peekable();
        for (i, c) in self.text[from..to].char_indices() {
            let at = from + i;
            if at == span.start {
                marked.start = text.len();
            }
            if at == span.end {
                marked.end = text.len();
            }
            while hidden.next_if(|h| h.end <= at).is_some() {}
            match c {
                _ if hidden.peek().is_some_and(|h| h.start <= at) => text.push('*'),
                _ if is_credential(at) => text.push('*'),
                '\t' => text.push_str("    "),
                // Escape sequences in a file must not reach a terminal.
                c if c.is_control() => text.push('\u{fffd}'),
                c => text.push(c),
            }
        }
        if span.start >= to {
            marked.start = text.len();
        }
        if span.end >= to {
            marked.end = text.len();
        }
        if to < line.end {
            text.push('…');
        }
        Some(Excerpt { text, marked })
    }

    /// The number and the bytes of the line that a span begins on, without its line break.
    fn line_of(&self, span: Span) -> (usize, Range<usize>) {
        let line = self.line(span.start.min(self.text.len())).max(1);
        let start = self.line_starts[line - 1];
        let end = self
            .line_starts
            .get(line)
            .map_or(self.text.len(), |e| e - 1);
        let text = &self.text[start..end];
        (line, start..start + text.trim_end_matches('\r').len())
    }

    /// The part of a span that lies on a line, cut at characters.
    fn within(&self, span: Span, line: &Range<usize>) -> Span {
        let floor = |at: usize| {
            self.text
                .floor_char_boundary(at.clamp(line.start, line.end))
        };
        let start = floor(span.start);
        Span::new(start, floor(span.end.max(start)))
    }
}
