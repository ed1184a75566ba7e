//! Policy as something to look at: what would become of a request and why, whether that is as it should
//! be, and what a change of the configuration changes. Every answer is the stages' own.

mod asked;
mod backtest;
mod caller;
mod diff;
mod explain;
mod import;
mod stages;
mod test;
mod wording;

pub use asked::{Asked, NotAsked};
pub use backtest::{Backtest, Report};
pub use caller::{Caller, NotACaller, parse_caller, principal};
pub use diff::{Change, Kind, diff};
pub use explain::{Decided, Explanation};
pub use import::{Imported, NotOpenApi, import_openapi};
pub use stages::Stages;
pub use test::{Tested, run as run_test};
