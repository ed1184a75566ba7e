//! The forms in which a reading of a path is looked up, where routes take other spellings of theirs.

use std::borrow::Cow;
use std::cmp::Ordering;

use smallvec::SmallVec;

use super::trie::Params;

type Bytes = SmallVec<[u8; 256]>;

/// One reading of a path.
pub(super) struct Forms<'p> {
    pub(super) plain: Form<'p>,
    /// With slashes side by side as one; `None` when there are none, or no route asks for it.
    pub(super) merged: Option<Form<'p>>,
}

pub(super) struct Form<'p> {
    bytes: Cow<'p, [u8]>,
    /// In lower case; empty when no route asks for it.
    lower: Bytes,
    /// Where each byte, and the end, stands in the reading; empty when the two are the same.
    places: Vec<u16>,
}

impl<'p> Forms<'p> {
    pub(super) fn new(reading: &'p [u8], folds: bool, merges: bool) -> Forms<'p> {
        let is_doubled = || reading.windows(2).any(|pair| pair == b"//");
        Forms {
            plain: Form::new(Cow::Borrowed(reading), Vec::new(), folds),
            merged: (merges && is_doubled()).then(|| Form::merged(reading, folds)),
        }
    }
}

impl<'p> Form<'p> {
    fn new(bytes: Cow<'p, [u8]>, places: Vec<u16>, folds: bool) -> Form<'p> {
        let mut form = Form {
            bytes,
            lower: Bytes::new(),
            places,
        };
        if folds {
            form.lower = Bytes::from_slice(form.bytes());
            form.lower.make_ascii_lowercase();
        }
        form
    }

    fn merged(reading: &[u8], folds: bool) -> Form<'p> {
        let mut bytes = Vec::with_capacity(reading.len());
        let mut places = Vec::with_capacity(reading.len() + 1);
        let place = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        for (at, &byte) in reading.iter().enumerate() {
            if byte != b'/' || bytes.last() != Some(&b'/') {
                bytes.push(byte);
                places.push(place(at));
            }
        }
        places.push(place(reading.len()));
        Form::new(Cow::Owned(bytes), places, folds)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn lower(&self) -> &[u8] {
        &self.lower
    }

    /// Places in this form as places in the reading.
    pub(super) fn in_reading(&self, mut params: Params) -> Params {
        if self.places.is_empty() {
            return params;
        }
        let place = |at: usize| self.places.get(at).copied().unwrap_or(u16::MAX);
        for range in &mut params {
            let (start, end) = (usize::from(range.0), usize::from(range.1));
            *range = match start.cmp(&end) {
                // The end is that of the last byte: what comes next may follow several slashes.
                Ordering::Less => (place(start), place(end - 1).saturating_add(1)),
                Ordering::Equal => (place(start), place(start)),
                // A group that took no part.
                Ordering::Greater => *range,
            };
        }
        params
    }
}
