//! What routes change about messages, as typed.

use std::time::Duration;

use super::super::decode::{At, AtLeastOne, Named};
use super::super::section::section;

section! {
    RawRewrite, "`rewrite`" {
        /// What the path loses at its beginning.
        strip_prefix: String;
        /// What it gains there then.
        set_prefix: String;
        /// `preserve`, `upstream` or a name.
        host: String;
    }
}

section! {
    RawCors, "`cors`" {
        /// Pages that may call: `https://app.example.com`, or `"*"` for all.
        origins: AtLeastOne<String>;
        /// Every method of the route when absent.
        methods: AtLeastOne<String>;
        /// Headers of requests beside those that need no permission.
        headers: Vec<At<String>>;
        /// Headers of responses that scripts may read, beside the gateway's own.
        expose: Vec<At<String>>;
        /// Whether cookies may come along.
        credentials: bool;
        /// How long browsers remember the permission.
        max_age: Duration;
    }
}

section! {
    RawHeaderEdits, "a route's headers" {
        /// In place of whatever has the name; the values are templates.
        set: Named<String>;
        /// Beside whatever has the name; the values are templates.
        add: Named<String>;
        remove: Vec<At<String>>;
    }
}
