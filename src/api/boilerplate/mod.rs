//! The paths of the FastAPI boilerplate (benavlabs/FastAPI-boilerplate, `api/v1`), for clients written
//! against it: `auth.compat: [fastapi-boilerplate]`.
//!
//! Mirrored: methods and paths, the members that bodies take, those of answers (`UserRead`, `TierRead`,
//! `RateLimitRead`, pages), `{"message": …}`, 201 on creation, 422 on duplicates, and errors as
//! `{"detail": …}`, which is a list where a body was not acceptable.
//!
//! Not mirrored, because it would open what the gateway guards or does not exist here:
//! - What it lets anybody read or make asks for a token here: accounts for their owner or a superuser,
//!   tiers and rate limits for anybody signed in. `POST /user` follows `auth.registration`.
//! - `id` of a user is `external_id` where that is a number, as after an import, and the UUID otherwise.
//! - A superuser may change and delete other accounts; a new e-mail asks for `current_password`; names
//!   and passwords are held to this gateway's rules. A deleted account keeps its name. Of a name and an
//!   e-mail that are both taken, the name is told.
//! - Every account has a tier, so `tier_id` is null only for a tier that there is not any more. Numbers of
//!   tiers are this gateway's own. Tiers of gateway.yaml are not changed here, and one in use is neither
//!   renamed nor deleted. `POST` and `PATCH /tier` take `rank`, `rate` and `burst` besides.
//! - A rate limit is a rule by path for every method, beside the limits that gateway.yaml has; other rules
//!   of a tier are shown with the name of their route as path. A path without a slash has its underscores
//!   read as slashes, so that what was read can be sent back.
//! - `/login`, `/refresh`, `/logout`, `/users` and `/tiers` are the gateway's own, with problem documents
//!   for errors; `/users` adds `tier_id`. Posts and tasks are the backend's.

mod read;
mod tiers;
mod users;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::ApiState;
use super::operation::{Operation, Who, delete, get, patch, post};
use super::refused::Refused;
use crate::accounts::{AccountsError, PlanError, Taken};
use crate::config::checked::{Compat, Group};
use crate::request::{Code, Refusal, Shape};

pub(super) use self::read::{with_tier_id, with_tier_ids};

type Answer = Result<Response, Refused>;
type Api = State<Arc<ApiState>>;

/// Its operations, as rows of the API's table.
// One line for each, as there.
#[rustfmt::skip]
pub(super) fn table() -> Vec<Operation> {
    use Group::{Tiers, Users};
    use Who::{Anyone, Bearer, Owner, Superuser};
    let all = vec![
        post(Users, "/user", Anyone, "Create an account", users::create),
        get(Users, "/user/me/", Bearer, "The caller's account", users::get_me),
        get(Users, "/user/{username}", Owner, "An account", users::get),
        patch(Users, "/user/{username}", Owner, "Change an account", users::patch),
        delete(Users, "/user/{username}", Owner, "Delete an account", users::delete),
        delete(Users, "/db_user/{username}", Superuser, "Remove an account for good", users::purge),
        get(Users, "/user/{username}/rate_limits", Superuser, "An account and its rate limits", users::rate_limits),
        get(Users, "/user/{username}/tier", Owner, "An account and its tier", users::tier),
        patch(Users, "/user/{username}/tier", Superuser, "Set an account's tier", users::set_tier),
        post(Tiers, "/tier", Superuser, "Create a tier", tiers::create),
        get(Tiers, "/tier/{name}", Bearer, "A tier", tiers::get),
        patch(Tiers, "/tier/{name}", Superuser, "Change a tier", tiers::patch),
        delete(Tiers, "/tier/{name}", Superuser, "Delete a tier", tiers::delete),
        post(Tiers, "/tier/{name}/rate_limit", Superuser, "Add a rate limit", tiers::create_limit),
        get(Tiers, "/tier/{name}/rate_limits", Bearer, "List rate limits", tiers::list_limits),
        get(Tiers, "/tier/{name}/rate_limit/{id}", Bearer, "A rate limit", tiers::get_limit),
        patch(Tiers, "/tier/{name}/rate_limit/{id}", Superuser, "Change a rate limit", tiers::patch_limit),
        delete(Tiers, "/tier/{name}/rate_limit/{id}", Superuser, "Delete a rate limit", tiers::delete_limit),
    ];
    all.into_iter().map(|operation| operation.of(Compat::FastapiBoilerplate)).collect()
}

/// Makes refusals what the boilerplate's clients expect.
pub(super) async fn dress(mut response: Response) -> Response {
    let Some(refusal) = response.extensions_mut().remove::<Refusal>() else {
        return response;
    };
    let refusal = match refusal.code() {
        // A sign-in that failed and a token that does not hold are told alike there.
        Code::TokenMissing | Code::TokenInvalid | Code::TokenExpired | Code::TokenRevoked => {
            let code = refusal.code();
            refusal.told_as(code, "User not authenticated.")
        }
        Code::Forbidden => refusal.told_as(Code::Forbidden, "You do not have enough privileges."),
        Code::MethodNotAllowed => refusal.told_as(Code::MethodNotAllowed, "Method Not Allowed"),
        Code::Conflict => {
            let detail = refusal.detail().to_owned();
            refusal.told_as(Code::ValidationFailed, detail)
        }
        _ => refusal,
    };
    *response.status_mut() = refusal.code().status();
    response
        .extensions_mut()
        .insert(refusal.in_shape(Shape::Detail));
    response
}

/// What went wrong, in the boilerplate's words where it has some.
fn told(error: AccountsError) -> Refusal {
    let (code, detail) = match &error {
        AccountsError::NoSuchAccount => (Code::NotFound, "User not found"),
        AccountsError::Taken(Taken::Username) => (Code::Conflict, "Username not available"),
        AccountsError::Taken(Taken::Email) => (Code::Conflict, "Email is already registered"),
        AccountsError::Plan(PlanError::NoSuchTier) => (Code::NotFound, "Tier not found"),
        AccountsError::Plan(PlanError::NoSuchRule) => (Code::NotFound, "Rate Limit not found"),
        AccountsError::Plan(PlanError::TierExists) => (Code::Conflict, "Tier Name not available"),
        AccountsError::Plan(PlanError::RuleExists) => {
            (Code::Conflict, "Rate Limit Name not available")
        }
        _ => return error.into(),
    };
    Refusal::new(code, detail)
}

fn message(text: impl Into<String>) -> Response {
    Json(json!({ "message": text.into() })).into_response()
}
