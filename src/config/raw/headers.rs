//! What routes change about messages, as typed.

use super::super::decode::{At, Named};
use super::super::section::section;

section! {
    RawHeaderEdits, "a route's headers" {
        /// In place of whatever has the name; the values are templates.
        set: Named<String>;
        /// Beside whatever has the name; the values are templates.
        add: Named<String>;
        remove: Vec<At<String>>;
    }
}
