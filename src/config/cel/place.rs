//! Where in its text a part of an expression stands.

use std::ops::Range;

use cel::common::ast::{Expr, IdedExpr};

use super::check::Checker;

/// The byte at a line and column, both from 1.
pub(super) fn at(source: &str, (line, column): (isize, isize)) -> Range<usize> {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let before: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = source.get(before..).unwrap_or_default();
    let found = rest.char_indices().nth(column);
    match found {
        Some((offset, c)) => before + offset..before + offset + c.len_utf8(),
        None => source.len().saturating_sub(1)..source.len(),
    }
}

impl Checker<'_> {
    /// The last place of a name within a range.
    pub(super) fn last_in(&self, range: &Range<usize>, name: &str) -> Range<usize> {
        let found = self
            .source
            .get(range.clone())
            .and_then(|text| text.rfind(name));
        found.map_or(range.clone(), |at| {
            let start = range.start + at;
            start..start + name.len()
        })
    }

    /// From the first to the last byte that an expression was read from.
    pub(super) fn range(&self, expr: &IdedExpr) -> Range<usize> {
        let whole = 0..self.source.len();
        // The parser counts in characters.
        if !self.source.is_ascii() {
            return whole;
        }
        let mut range = None;
        self.extend(expr, &mut range);
        range
            .filter(|range| self.source.get(range.clone()).is_some())
            .unwrap_or(whole)
    }

    fn extend(&self, expr: &IdedExpr, range: &mut Option<Range<usize>>) {
        let place = self.places.offset_for(expr.id);
        let place = place.map(|(start, stop)| start as usize..stop as usize + 1);
        if let Some(Range { start, end }) = self.replaced.get(&expr.id).cloned().or(place)
            && start < end
        {
            *range = Some(match range.take() {
                Some(known) => known.start.min(start)..known.end.max(end),
                None => start..end,
            });
        }
        match &expr.expr {
            Expr::Select(select) => {
                self.extend(&select.operand, range);
                if let Some(known) = range
                    && let Some(rest) = self.source.get(known.end..)
                    && let Some(at) = rest.find(select.field.as_str())
                    && rest[..at].chars().all(|c| c == '.' || c.is_whitespace())
                {
                    known.end += at + select.field.len();
                }
            }
            Expr::Call(call) => {
                // The parser has the parenthesis for the place of `now()`.
                if let Some(known) = range
                    && let Some(before) = self.source.get(..known.start)
                    && before.ends_with(call.func_name.as_str())
                {
                    known.start -= call.func_name.len();
                }
                let operands = call.target.iter().map(|target| &**target).chain(&call.args);
                operands.for_each(|operand| self.extend(operand, range));
            }
            Expr::List(list) => list
                .elements
                .iter()
                .for_each(|item| self.extend(item, range)),
            Expr::Comprehension(comprehension) => self.extend(&comprehension.iter_range, range),
            _ => {}
        }
    }
}
