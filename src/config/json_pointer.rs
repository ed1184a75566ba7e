//! Where a value stands in a JSON document (RFC 6901), and what is there.

use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::resolve::pattern::Fault;

/// The names on the way to a value; none is the whole document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPointer(Vec<String>);

/// Why a document has no text or whole number at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoValue {
    /// It is no JSON document, or one in which a name on the way stands twice.
    NoJson,
    Absent,
    Other,
}

impl JsonPointer {
    pub(super) fn parse(text: &str) -> Result<JsonPointer, Fault> {
        let fault = |range, message: &str| {
            let hint = "for example `/created_by_user_id` or `/author/id`; `~1` is a slash in a name, `~0` a tilde";
            Err(Fault {
                message: message.to_owned(),
                range,
                hint: hint.to_owned(),
            })
        };
        if !text.is_empty() && !text.starts_with('/') {
            return fault(0..text.len(), "a JSON pointer begins with `/`");
        }
        for (at, _) in text.match_indices('~') {
            if !text[at + 1..].starts_with(['0', '1']) {
                return fault(at..at + 1, "a tilde is written `~0`");
            }
        }
        let names = text.split('/').skip(1);
        let names = names.map(|name| name.replace("~1", "/").replace("~0", "~"));
        Ok(JsonPointer(names.collect()))
    }

    /// The text that stands there, or the whole number as text.
    ///
    /// Nothing else of the document is kept. A name that stands twice on the way is an error: readers differ
    /// over which of the two counts.
    pub fn find(&self, json: &[u8]) -> Result<String, NoValue> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let seek = Seek(&self.0);
        let found = seek.deserialize(&mut reader).map_err(|_| NoValue::NoJson)?;
        reader.end().map_err(|_| NoValue::NoJson)?;
        match found {
            Found::Text(text) => Ok(text),
            Found::Other => Err(NoValue::Other),
            Found::Nothing => Err(NoValue::Absent),
        }
    }
}

impl FromStr for JsonPointer {
    /// What is wrong with it.
    type Err = String;

    fn from_str(text: &str) -> Result<JsonPointer, String> {
        JsonPointer::parse(text).map_err(|fault| fault.message)
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.0.iter();
        names.try_for_each(|name| write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")))
    }
}

/// The rest of the way.
#[derive(Clone, Copy)]
struct Seek<'w>(&'w [String]);

enum Found {
    Nothing,
    Text(String),
    /// Something that is no text and no whole number.
    Other,
}

impl Seek<'_> {
    /// What is no list and no object is there or leads nowhere.
    fn scalar(self, found: Found) -> Found {
        match self.0.is_empty() {
            true => found,
            false => Found::Nothing,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(self.scalar(Found::Text(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Found, E> {
        Ok(self.scalar(Found::Text(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Found, E> {
        Ok(self.scalar(Found::Text(number.to_string())))
    }

    /// Also a whole number that is too large to be told apart from its neighbours.
    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(self.scalar(Found::Other))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(self.scalar(Found::Other))
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(self.scalar(Found::Other))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found, A::Error> {
        let Some((name, rest)) = self.0.split_first() else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Other);
        };
        let mut found = None;
        while let Some(member) = members.next_key::<String>()? {
            if member != *name {
                members.next_value::<IgnoredAny>()?;
            } else if found.is_some() {
                return Err(A::Error::custom("a name stands twice"));
            } else {
                found = Some(members.next_value_seed(Seek(rest))?);
            }
        }
        Ok(found.unwrap_or(Found::Nothing))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Found, A::Error> {
        let Some((name, rest)) = self.0.split_first() else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Found::Other);
        };
        // `01` is no index (RFC 6901, section 4), and `-` is one that is never there.
        let index: Option<usize> = name.parse().ok();
        let mut left = index.filter(|index| index.to_string() == *name);
        let mut found = Found::Nothing;
        loop {
            if left == Some(0) {
                match items.next_element_seed(Seek(rest))? {
                    Some(there) => found = there,
                    None => return Ok(found),
                }
            } else if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            left = left.and_then(|left| left.checked_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pointer: &str, json: &str) -> Result<String, NoValue> {
        let parsed = JsonPointer::parse(pointer).unwrap();
        assert_eq!(parsed.to_string(), pointer);
        parsed.find(json.as_bytes())
    }

    #[test]
    fn values_are_found() {
        const DOCUMENT: &str = r#"{"a":7,"b":{"c":["x",{"d":"é"}]},"":"e","~/":-1,"m\"n":"q","big":18446744073709551615}"#;
        for (pointer, value) in [
            ("/a", "7"),
            ("/b/c/0", "x"),
            ("/b/c/1/d", "é"),
            ("/", "e"),
            ("/~0~1", "-1"),
            ("/m\"n", "q"),
            ("/big", "18446744073709551615"),
        ] {
            assert_eq!(find(pointer, DOCUMENT).as_deref(), Ok(value), "{pointer}");
        }
        assert_eq!(find("", "\"x\"").as_deref(), Ok("x"));
        assert_eq!(find("/1", "[1,2,3]").as_deref(), Ok("2"));
        assert_eq!(find("", " 7 ").as_deref(), Ok("7"));
    }

    #[test]
    fn what_is_not_there_or_no_text_is_told_apart() {
        for (pointer, json, why) in [
            ("/a", "{}", NoValue::Absent),
            ("/a/b", r#"{"a":7}"#, NoValue::Absent),
            ("/a/b", r#"{"a":"b"}"#, NoValue::Absent),
            ("/01", "[1,2]", NoValue::Absent),
            ("/2", "[1,2]", NoValue::Absent),
            ("/-", "[1,2]", NoValue::Absent),
            ("/+1", "[1,2]", NoValue::Absent),
            ("/99999999999999999999999", "[1,2]", NoValue::Absent),
            ("/a", r#"{"a":null}"#, NoValue::Other),
            ("/a", r#"{"a":true}"#, NoValue::Other),
            ("/a", r#"{"a":7.0}"#, NoValue::Other),
            ("/a", r#"{"a":1e3}"#, NoValue::Other),
            ("/a", r#"{"a":18446744073709551616}"#, NoValue::Other),
            ("/a", r#"{"a":["7"]}"#, NoValue::Other),
            ("/a", r#"{"a":{"b":1}}"#, NoValue::Other),
            ("", "{}", NoValue::Other),
            ("/a", "", NoValue::NoJson),
            ("/a", r#"{"a":7"#, NoValue::NoJson),
            ("/a", r#"{"a":7} x"#, NoValue::NoJson),
            ("/a", r#"{"a":7}{"a":8}"#, NoValue::NoJson),
            ("/a", r#"{"a":7,"a":8}"#, NoValue::NoJson),
            ("/a", r#"{"a":7,"\u0061":8}"#, NoValue::NoJson),
            ("/a/b", r#"{"a":{"b":7},"a":{}}"#, NoValue::NoJson),
            ("/a", "<html>", NoValue::NoJson),
        ] {
            assert_eq!(find(pointer, json), Err(why), "{pointer} {json}");
        }
        assert_eq!(find("/a", &"[".repeat(100_000)), Err(NoValue::NoJson));
        let pointer = JsonPointer::parse("/a").unwrap();
        assert_eq!(pointer.find(b"{\"a\":\"\xff\"}"), Err(NoValue::NoJson));
    }

    #[test]
    fn what_is_no_pointer_is_told_where() {
        for (text, place) in [("a", "a"), ("a/b", "a/b"), ("/a~", "~"), ("/~2/~", "~")] {
            let fault = JsonPointer::parse(text).unwrap_err();
            assert_eq!(&text[fault.range], place, "{text}");
        }
    }
}
