//! The configuration that a log was written under, and what it tells of a request beside its line.

use super::record::Record;
use crate::config::Config;
use crate::config::checked::{AuthMode, Route, RouteHeader};
use crate::request::Facts;
use crate::route::{self, Table};

pub struct Then {
    config: Config,
    table: Table,
}

impl Then {
    /// `endpoints` are the paths of its auth API.
    pub fn new(config: Config, endpoints: &[String]) -> Then {
        let table = Table::build(&config, endpoints);
        Then { config, table }
    }

    /// The route that the request took.
    fn route(&self, record: &Record) -> Option<&Route> {
        let name = record.route.as_ref()?;
        self.config.routes.iter().find(|route| route.name == *name)
    }

    /// Its credentials were looked for; without an identity it had none.
    pub fn looked_for_credentials(&self, record: &Record) -> bool {
        let is_optional = |route: &Route| route.auth == AuthMode::Optional;
        record.auth == "anonymous" && self.route(record).is_some_and(is_optional)
    }

    /// Headers that it had, or it would not have taken its route.
    pub fn headers(&self, record: &Record) -> &[RouteHeader] {
        self.route(record).map_or(&[], |route| &route.headers)
    }

    /// Whether it would have gone where the log says, had it been this one.
    pub fn leads_there(&self, record: &Record, facts: &Facts<'_>) -> bool {
        let found = route::find(&self.table, facts).ok();
        let index = found.and_then(|matched| matched.route());
        let route = index.and_then(|index| self.config.routes.get(index));
        route.map(|route| &route.name) == record.route.as_ref()
    }

    /// Whether the page that opens a WebSocket was asked for by the same file that `route` of `config` asks it
    /// by, and passed.
    pub fn let_page_open(&self, record: &Record, route: &Route, config: &Config) -> bool {
        // What `ip` keeps out is refused in the same way, and earlier than anybody is looked for.
        let may_be_refused = record.auth == "none" && record.reason.as_deref() == Some("forbidden");
        let asked_alike = |was: &Route| was.cors == route.cors;
        !may_be_refused
            && self.route(record).is_some_and(asked_alike)
            && self.config.auth.issuer == config.auth.issuer
    }
}
