//! The tables that raw types are declared by: one place for fields, keys and decoders.

/// A raw mapping: its fields, their keys and its decoder from one table. A key that is marked
/// `required` is reported when it is missing, with the text after it as hint.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident, $title:literal {
            $( $(#[doc = $doc:literal])* $key:ident: $type:ty $(, required $hint:literal)?; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $key: $crate::config::decode::Field<$type>, )*
        }

        impl $name {
            /// Every key that this mapping may have.
            pub const KEYS: &'static [&'static str] = &[$( $crate::config::section::key!($key) ),*];
        }

        impl $crate::config::decode::Decode for $name {
            fn schema() -> serde_json::Value {
                let mut object = $crate::config::schema::Object::default();
                $( object.key(
                    $crate::config::section::key!($key),
                    <$type as $crate::config::decode::Decode>::schema(),
                    concat!($($doc),*),
                ); )*
                $( $( object.require($crate::config::section::key!($key), $hint); )? )*
                object.into_schema()
            }

            fn decode(
                node: &$crate::config::yaml::Node,
                findings: &mut $crate::config::diagnose::Findings,
            ) -> Option<Self> {
                use $crate::config::decode::{self, Field};
                let entries = decode::entries(node, Self::KEYS, findings)?;
                $( let mut $key = Field::Absent; )*
                for entry in entries {
                    match entry.key.text.as_str() {
                        $( $crate::config::section::key!($key) => $key = Field::decode(entry, findings), )*
                        // A mistyped key is not also a missing one.
                        _ => match decode::unknown_key(entry, $title, Self::KEYS, findings) {
                            $( Some($crate::config::section::key!($key)) if $key.is_absent() => $key = Field::Invalid, )*
                            _ => {}
                        },
                    }
                }
                $( $(
                    if $key.is_absent() {
                        decode::missing_key(node, $title, $crate::config::section::key!($key), $hint, findings);
                    }
                )? )*
                Some($name { $( $key ),* })
            }
        }
    };
}

/// The key that a field stands for, which may be a word of Rust.
macro_rules! key {
    (r#as) => {
        "as"
    };
    ($key:ident) => {
        stringify!($key)
    };
}

/// Words of the file and what they stand for.
macro_rules! choice {
    ($type:ty { $( $word:literal => $value:expr ),* $(,)? }) => {
        impl $crate::config::decode::Decode for $type {
            fn schema() -> serde_json::Value {
                $crate::config::schema::words(&[$( $word ),*])
            }

            fn decode(
                node: &$crate::config::yaml::Node,
                findings: &mut $crate::config::diagnose::Findings,
            ) -> Option<Self> {
                $crate::config::decode::choose(node, &[$( ($word, $value) ),*], findings)
            }
        }
    };
}

pub(super) use {choice, key, section};
