//! YAML to a tree in which everything knows its place, within bounds that no file can exceed.

mod faults;
mod hide;
mod node;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

use super::diagnose::{Findings, shown};
use super::expand;
use super::secret;
use super::source::{Source, Span};

pub use node::{Entry, Key, Node, Scalar, Value};

/// Mappings and lists within one another; a gateway.yaml needs seven.
const DEEPEST: usize = 64;
/// What all aliases of a file may stand for together, in nodes. "Billion laughs" ends here.
const MOST_ALIASED: usize = 100_000;
/// Bytes of a text that count as a further node.
const BYTES_OF_NODE: usize = 64;
/// So many keys are compared one by one more quickly than they are hashed.
const FEW: usize = 16;

/// Keys whose values are headers, whatever they are called.
const HEADERS: [&str; 3] = ["set", "add", "headers"];

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The tree of the only document in a file; `None` when it is no YAML, which `findings` then says.
/// Errors that leave a tree, such as a duplicate key or an unset variable, are only in `findings`.
pub fn read(source: &Source, env: Env<'_>, findings: &mut Findings) -> Option<Rc<Node>> {
    read_with(source, Some(env), findings)
}

/// The same of a file in which nothing stands for variables.
pub fn read_as_it_is(source: &Source, findings: &mut Findings) -> Option<Rc<Node>> {
    read_with(source, None, findings)
}

fn read_with(source: &Source, env: Option<Env<'_>>, findings: &mut Findings) -> Option<Rc<Node>> {
    let text = source.text();
    if let Some((at, c)) = text.char_indices().find(|(_, c)| is_forbidden(*c)) {
        let span = Span::new(at, at + c.len_utf8());
        let message = format!("the character U+{:04X} has no place in YAML", u32::from(c));
        findings
            .error(span, message)
            .hint("is this a text file? A tab or an escape is written \"\\t\", \"\\x1b\"");
        return None;
    }
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: false,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        source,
        env,
        findings,
        anchors: HashMap::new(),
        open: HashSet::new(),
        aliased: 0,
    };
    reader.document().ok()
}

/// Where a key already stands. Entries beyond the first few are found by `index`, which is filled here.
fn earlier(entries: &[Entry], index: &mut HashMap<String, Span>, key: &str) -> Option<Span> {
    let (few, more) = entries.split_at(entries.len().min(FEW));
    let indexed = index.len();
    index.extend(
        more[indexed..]
            .iter()
            .map(|entry| (entry.key.text.clone(), entry.key.span)),
    );
    let among_few = few.iter().find(|entry| entry.key.text == key);
    among_few
        .map(|entry| entry.key.span)
        .or_else(|| index.get(key).copied())
}

fn weight(text: &str) -> usize {
    1 + text.len() / BYTES_OF_NODE
}

/// YAML 1.2, 5.1: what a stream may not hold.
fn is_forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')
}

/// Reading cannot go on; why has been reported.
struct Stop;

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    source: &'a Source,
    env: Option<Env<'a>>,
    findings: &'a mut Findings,
    anchors: HashMap<usize, Rc<Node>>,
    /// Anchors of nodes that have not ended yet.
    open: HashSet<usize>,
    aliased: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Rc<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    self.findings
                        .error(span, "a second document begins here")
                        .hint("a configuration is one document: remove the `---`");
                    return Err(Stop);
                }
                Event::DocumentStart(..) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span)?);
                }
                _ => return Err(self.stop(span, "something stands outside the document")),
            }
        }
        match root {
            Some(root) if !root.is_null() => Ok(root),
            _ => {
                let start = Span::default();
                self.findings
                    .error(start, "the file is empty")
                    .hint("it needs at least `version`, `upstreams` and `routes`");
                Err(Stop)
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Rc<Node>, Stop> {
        let (anchor, has_tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            _ => (0, false),
        };
        if has_tag {
            self.findings
                .error(span, "this value has a YAML tag")
                .hint("remove the `!…`: tags are not used in this file");
        }
        if anchor != 0 {
            self.open.insert(anchor);
        }
        let node = match event {
            Event::Alias(id) => return self.alias(id, span),
            Event::Scalar(text, style, ..) => self.scalar(&text, style, span),
            Event::SequenceStart(..) => self.sequence(span)?,
            Event::MappingStart(..) => self.mapping(span)?,
            _ => return Err(self.stop(span, "a value is missing here")),
        };
        let node = Rc::new(node);
        if anchor != 0 {
            self.open.remove(&anchor);
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Rc<Node>, Stop> {
        if self.open.contains(&id) {
            return Err(self.stop(span, "this alias stands for something that contains it"));
        }
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(self.stop(span, "this alias has no anchor"));
        };
        self.aliased = self.aliased.saturating_add(node.size);
        if self.aliased > MOST_ALIASED {
            let most = MOST_ALIASED * BYTES_OF_NODE / 1_000_000;
            let message = format!(
                "the file's aliases stand for more than {MOST_ALIASED} values or {most} MB of text"
            );
            return Err(self.stop(span, message));
        }
        Ok(node)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Node {
        let mut is_plain = style == ScalarStyle::Plain;
        let mut value = text.to_owned();
        if let Some(env) = self.env.filter(|_| text.contains('$')) {
            let expanded = expand::expand(text, env);
            is_plain |= expanded.is_changed;
            value = expanded.text;
            let is_set = expanded.faults.is_empty();
            for fault in expanded.faults {
                let typed = self.source.slice(span).find(&fault.typed);
                let place = typed.map_or(span, |at| span.part(at..at + fault.typed.len()));
                self.findings.error(place, fault.message).hint(fault.hint);
            }
            if !is_set {
                return Node {
                    span,
                    value: Value::Unset,
                    size: 1,
                };
            }
        }
        Node {
            span,
            size: weight(&value),
            value: Value::Scalar(Scalar {
                text: value,
                is_plain,
            }),
        }
    }

    fn sequence(&mut self, start: Span) -> Result<Node, Stop> {
        let mut items = Vec::new();
        let mut size = 1;
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Node {
                    span: self.collection(start, span),
                    value: Value::Sequence(items),
                    size,
                });
            }
            let item = self.node(event, span)?;
            size += item.size;
            items.push(item);
        }
    }

    fn mapping(&mut self, start: Span) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut index = HashMap::new();
        let mut size = 1;
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let span = self.collection(start, span);
                // Of a block, the first key says where it is; its lines would say too much.
                let span = match entries.first() {
                    Some(first) if self.source.slice(span).starts_with('{') => {
                        Span::new(span.start, span.end.max(first.key.span.end))
                    }
                    Some(first) => first.key.span,
                    None => span,
                };
                return Ok(Node {
                    span,
                    value: Value::Mapping(entries),
                    size,
                });
            }
            let key = match event {
                Event::Scalar(text, ..) => Some(Key {
                    text: text.into_owned(),
                    span,
                }),
                other => {
                    self.node(other, span)?;
                    self.findings
                        .error(span, "a key must be a plain word")
                        .hint("write `name: value`");
                    None
                }
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            size += value.size;
            let Some(key) = key else { continue };
            size += weight(&key.text);
            if matches!(value.value, Value::Scalar(_)) && secret::key_in(&key.text).is_some() {
                // With what stands before it: an unquoted secret may begin as a tag or an anchor.
                let from = (key.span.end + ": ".len()).min(value.span.start);
                self.findings.hide(Span::new(from, value.span.end));
            }
            if HEADERS.contains(&key.text.as_str()) {
                self.hide_credentials(&value);
            }
            if let Some(first) = earlier(&entries, &mut index, &key.text) {
                let line = self.source.line(first.start);
                let message = format!("the key {} stands here twice", shown(&key.text));
                let hint = format!("it was first given on line {line}: keep one of the two");
                self.findings.error(key.span, message).hint(hint);
                continue;
            }
            entries.push(Entry { key, value });
        }
    }

    /// From the first bracket to the last one; a block ends where it begins.
    fn collection(&self, start: Span, end: Span) -> Span {
        match start.start == start.end {
            true => Span::new(start.start, start.start + 1),
            false => Span::new(start.start, end.end.max(start.end)),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.parser.next() {
            Some(Ok((event, span))) => {
                let start = self.offset(&span.start);
                Ok((event, Span::new(start, self.offset(&span.end).max(start))))
            }
            Some(Err(error)) => Err(self.refuse(&error)),
            None => {
                let end = self.source.text().len();
                Err(self.stop(Span::new(end, end), "the file ends too early"))
            }
        }
    }

    fn offset(&self, marker: &Marker) -> usize {
        let by_chars = || self.source.text().char_indices().nth(marker.index());
        let offset = marker.byte_offset();
        offset.unwrap_or_else(|| by_chars().map_or(self.source.text().len(), |(i, _)| i))
    }
}
