//! What the API says to a call before it reads a body or an account. Asked by people, not by requests.

use http::Method;

use super::endpoints::operations;
use super::operation::{Operation, Who};
use crate::accounts::INTROSPECT;
use crate::authn::{Principal, User, missing};
use crate::config::checked::Auth;
use crate::request::{Code, Refusal};

/// Asks about a path that is one of [`endpoints`](super::endpoints). `identify` tells who calls, whatever
/// credentials there are.
///
/// # Errors
/// 405 for a method that the path does not take, and 401 or 403 for a caller that is not let in.
pub fn ask(
    auth: &Auth,
    method: &Method,
    path: &str,
    identify: &mut dyn FnMut() -> Result<Principal, Refusal>,
) -> Result<(), Refusal> {
    let operations = operations(auth).into_iter();
    let taking = operations.filter(|operation| takes(&operation.path(&auth.base_path), path));
    let taking: Vec<Operation> = taking.collect();
    // A literal segment comes before a parameter.
    let Some(first) = taking
        .iter()
        .map(|o| parameters(&o.path(&auth.base_path)))
        .min()
    else {
        return Ok(());
    };
    let taking = taking.iter();
    let taking = taking.filter(|o| parameters(&o.path(&auth.base_path)) == first);
    let sought = match *method {
        Method::HEAD => &Method::GET,
        _ => method,
    };
    let mut methods = Vec::new();
    for operation in taking {
        if operation.method == *sought {
            let template = operation.path(&auth.base_path);
            return let_in(operation.who, identify, || named(&template, path));
        }
        methods.push(operation.method.clone());
    }
    Err(Refusal::method_not_allowed(&methods))
}

fn let_in<'p>(
    who: Who,
    identify: &mut dyn FnMut() -> Result<Principal, Refusal>,
    named: impl FnOnce() -> Option<&'p str>,
) -> Result<(), Refusal> {
    if matches!(who, Who::Anyone | Who::RefreshToken | Who::AnyToken) {
        return Ok(());
    }
    let Principal::User(user) = identify()? else {
        return Err(missing());
    };
    let by_key = user.key.is_some();
    let has_scope = |user: &User| user.scopes.iter().any(|scope| scope == INTROSPECT);
    let may = match who {
        Who::Introspector if by_key => has_scope(&user),
        // Nobody else is asked for a key, so one is none.
        _ if by_key => return Err(missing()),
        Who::Introspector | Who::Superuser => user.is_superuser,
        // Nothing is decoded here: what is not plain may name anybody.
        Who::Owner => {
            let is_own = |name: &str| name == user.username || name.contains('%');
            user.is_superuser || named().is_none_or(is_own)
        }
        Who::Bearer | Who::Anyone | Who::RefreshToken | Who::AnyToken => true,
    };
    match may {
        true => Ok(()),
        false => Err(Refusal::new(Code::Forbidden, "You may not do this.")),
    }
}

/// Whether the segments are those of the template, whose parameters take any.
fn takes(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(own), Some(text)) if own == text => {}
            (Some(own), Some(text)) if is_parameter(own) && !text.is_empty() => {}
            _ => return false,
        }
    }
}

/// Which of the segments are parameters.
fn parameters(template: &str) -> Vec<bool> {
    template.split('/').map(is_parameter).collect()
}

/// What stands at the first parameter.
fn named<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    let mut segments = template.split('/').zip(path.split('/'));
    segments.find_map(|(own, text)| is_parameter(own).then_some(text))
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}
