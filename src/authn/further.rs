//! The claims of a token that the gateway has no meaning for: rules, templates and headers may name them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value};

/// What one value takes in memory beside its text, about.
const VALUE_BYTES: u64 = 96;

/// Further claims by their names. Their size is bounded by the token's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Further(Option<Arc<BTreeMap<String, Value>>>);

impl Further {
    /// Claims that stand in no token; for standard names they would have no effect.
    pub fn new(claims: BTreeMap<String, Value>) -> Further {
        Further((!claims.is_empty()).then(|| Arc::new(claims)))
    }

    /// A claim by its name, else by the way to it: `realm_access.roles`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let claims = self.0.as_ref()?;
        if let Some(value) = claims.get(name) {
            return Some(value);
        }
        let mut way = name.split('.');
        let first = claims.get(way.next()?)?;
        way.try_fold(first, |value, name| value.as_object()?.get(name))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().flat_map(|claims| claims.iter())
    }

    /// The memory that they take, about.
    pub fn bytes(&self) -> u64 {
        self.iter()
            .map(|(name, value)| VALUE_BYTES + name.len() as u64 + bytes(value))
            .sum()
    }
}

fn bytes(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => VALUE_BYTES,
        Value::String(text) => VALUE_BYTES + text.len() as u64,
        Value::Array(items) => VALUE_BYTES + items.iter().map(bytes).sum::<u64>(),
        Value::Object(members) => {
            let member =
                |(name, value): (&String, &Value)| VALUE_BYTES + name.len() as u64 + bytes(value);
            VALUE_BYTES + members.iter().map(member).sum::<u64>()
        }
    }
}

impl Serialize for Further {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Further {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Claims;
        impl<'de> Visitor<'de> for Claims {
            type Value = Further;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Further, A::Error> {
                let mut claims = BTreeMap::new();
                while let Some((name, Once(value))) = map.next_entry::<String, Once>()? {
                    if claims.insert(name, value).is_some() {
                        return Err(twice());
                    }
                }
                Ok(Further::new(claims))
            }
        }
        deserializer.deserialize_map(Claims)
    }
}

/// Two readers of the same token could each believe another of the two.
fn twice<E: Error>() -> E {
    E::custom("a claim stands twice")
}

/// A value in which no object has a member twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Once)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claim")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Once(value))) = members.next_entry::<String, Once>()? {
            if object.insert(name, value).is_some() {
                return Err(twice());
            }
        }
        Ok(Value::Object(object))
    }
}
