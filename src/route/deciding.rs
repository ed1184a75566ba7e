//! What of a path decides who may pass a route, or is told to the upstream as the gateway's word: readings
//! have to agree on it.

use super::table::parameter_index;
use crate::config::cel::{Expression, RequestField, Variable};
use crate::config::checked::{self, HeaderLine, Identity, Part, Route, Rule, Template};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Deciding {
    /// Some of the parameters, by their numbers.
    pub(super) parameters: Vec<usize>,
    /// The path as a whole.
    pub(super) path: bool,
}

impl Deciding {
    pub(super) fn of(route: &Route, identity: &Identity) -> Deciding {
        let mut deciding = Deciding::default();
        for rule in &route.allow {
            let names = parameters(rule);
            let indexes = names.filter_map(|name| parameter_index(&route.pattern, name));
            deciding.parameters.extend(indexes);
            deciding.path |= variables(rule).any(|v| *v == Variable::Request(RequestField::Path));
        }
        for line in route.request_headers.lines().chain(&identity.headers) {
            for variable in told(line) {
                match variable {
                    checked::Variable::Path(index) => deciding.parameters.push(*index),
                    checked::Variable::Request(checked::RequestField::Path) => deciding.path = true,
                    _ => {}
                }
            }
        }
        deciding.parameters.sort_unstable();
        deciding.parameters.dedup();
        deciding
    }
}

/// The parameters that a rule goes by.
fn parameters(rule: &Rule) -> impl Iterator<Item = &str> {
    let owner = rule.owner.iter().map(|owner| owner.parameter.as_str());
    let of_cel = variables(rule).filter_map(|variable| match variable {
        Variable::Path(name) => Some(name.as_str()),
        _ => None,
    });
    let look_up = rule.look_up.iter();
    let of_look_up = look_up.flat_map(|look_up| look_up.target.parameters());
    owner.chain(of_cel).chain(of_look_up)
}

fn variables(rule: &Rule) -> impl Iterator<Item = &Variable> {
    rule.cel.iter().flat_map(Expression::variables)
}

fn told(line: &HeaderLine) -> impl Iterator<Item = &checked::Variable> {
    let parts = match &line.value {
        Template::Fixed(_) => &[][..],
        Template::Composed(parts) => parts,
    };
    parts.iter().filter_map(|part| match part {
        Part::Value(variable) => Some(variable),
        Part::Text(_) => None,
    })
}
