//! Pages of a list: which one is asked for, and how it is told.

use http::HeaderValue;
use serde_json::{Value, json};

use super::body::Members;

/// Entries on a page at most.
const LARGEST: i64 = 100;

#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    page: i64,
    pub limit: i64,
    pub offset: i64,
}

impl Page {
    /// `page`, the first by default, and `items_per_page`.
    pub fn of(query: &mut Members, items_per_page: i64) -> Page {
        let page = query.positive("page").unwrap_or(1);
        let limit = query.positive("items_per_page").unwrap_or(items_per_page);
        let limit = limit.min(LARGEST);
        Page {
            page,
            limit,
            offset: (page - 1).saturating_mul(limit),
        }
    }

    /// `data` is what is on the page, `total` what is on all of them.
    pub fn told(&self, data: Vec<Value>, total: i64) -> Value {
        json!({
            "data": data,
            "total_count": total,
            "has_more": self.offset.saturating_add(self.limit) < total,
            "page": self.page,
            "items_per_page": self.limit,
        })
    }

    /// The same when it is known whether there is more: a page that begins after an entry has no number
    /// that would tell.
    pub fn told_with(&self, data: Vec<Value>, total: i64, has_more: bool) -> Value {
        let mut told = self.told(data, total);
        told["has_more"] = json!(has_more);
        told
    }

    /// The entries of a whole list that are on the page.
    pub fn cut<T>(&self, all: Vec<T>) -> impl Iterator<Item = T> {
        let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        all.into_iter()
            .skip(size(self.offset))
            .take(size(self.limit))
    }
}

/// Where the next page is (RFC 8288), relative to this one: with the same parameters, but after `last`.
pub(super) fn next(parameters: &[(&str, &str)], (name, last): (&str, &str)) -> Option<HeaderValue> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
    query.append_pair(name, last);
    HeaderValue::try_from(format!("<?{}>; rel=\"next\"", query.finish())).ok()
}
