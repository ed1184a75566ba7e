//! Whose budget a call is charged to.

use std::sync::atomic::Ordering;

use serde_json::json;
use uuid::Uuid;

use super::super::Payer;
use super::super::endpoints::operations;
use super::super::operation::Who;
use super::{Api, NOTHING};
use crate::config::checked::{Compat, Registration};

impl Api {
    /// The limiters refuse this payer alone.
    fn turn_away(&self, payer: Payer) {
        *self.turned_away.lock().unwrap() = vec![payer];
    }

    async fn id_of(&self, token: &str) -> Uuid {
        let me = self.me(token).await.expect(200).json();
        me["id"].as_str().unwrap().parse().unwrap()
    }
}

/// None is forgotten that asks for a token, and superusers pay as others do.
#[tokio::test]
async fn every_operation_that_asks_for_a_token_is_charged_to_the_account() {
    let api = Api::start_with(|config| config.auth.compat = vec![Compat::FastapiBoilerplate]).await;
    assert_eq!(api.config.auth.registration, Registration::Closed);
    let (root, _) = api.sign_in("root").await;
    let (ann, _) = api.sign_in("ann").await;
    api.turn_away(Payer::Account(api.id_of(&root).await));
    let mut seen = 0;
    for operation in operations(&api.config.auth) {
        let path = operation.path("");
        let is_known = matches!(operation.who, Who::Bearer | Who::Owner | Who::Superuser);
        if !is_known || path == "/logout-all" {
            continue;
        }
        let segments = path.split('/').map(|segment| match segment {
            "{id}" if path.contains("tier") => "1",
            "{id}" => "01890a5d-ac96-774b-bcce-b302099a8057",
            "{name}" => "free",
            segment if segment.starts_with('{') => "ann",
            segment => segment,
        });
        let path = segments.collect::<Vec<_>>().join("/");
        let method = operation.method.as_str();
        let refused = api.call(method, &path, &root, NOTHING).await;
        assert_eq!(refused.status, 429, "{method} {path}: {refused:?}");
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
    // Nobody else's, and only once it is known whose it is.
    api.me(&ann).await.expect(200);
    api.me("rubbish").await.assert_refused("token-invalid");
}

/// Whoever has stolen a token can't keep its owner from ending that.
#[tokio::test]
async fn an_account_without_calls_left_can_sign_out_everywhere() {
    let api = Api::start().await;
    let (stolen, _) = api.sign_in("ann").await;
    let (here, _) = api.sign_in("ann").await;
    let id = api.id_of(&here).await;
    *api.turned_away.lock().unwrap() = vec![Payer::Account(id), Payer::Changes(id)];
    let sign_out = || api.call("POST", "/logout-all?keep_current=true", &here, NOTHING);
    api.is_admitting.store(false, Ordering::SeqCst);
    sign_out().await.assert_refused("rate-limited");
    api.is_admitting.store(true, Ordering::SeqCst);
    sign_out().await.expect(200);
    api.me(&stolen).await.assert_refused("token-revoked");
    api.me(&here).await.assert_refused("rate-limited");
}

#[tokio::test]
async fn what_an_account_changes_has_a_budget_of_its_own_and_superusers_none() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let change = async |token: &str| {
        let body = json!({ "name": "Somebody" });
        api.call("PATCH", "/users/me", token, body).await
    };
    api.turn_away(Payer::Changes(api.id_of(&ann).await));
    change(&ann).await.assert_refused("rate-limited");
    api.me(&ann).await.expect(200);
    let end = api.call("DELETE", "/sessions/x", &ann, NOTHING).await;
    end.assert_refused("not-found");
    api.turn_away(Payer::Changes(api.id_of(&root).await));
    change(&root).await.expect(200);
    change(&ann).await.expect(200);
}

#[tokio::test]
async fn another_name_has_a_budget_of_its_own() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    api.turn_away(Payer::Renames(api.id_of(&ann).await));
    let rename = async |token: &str, path: &str, name: &str| {
        let body = json!({ "username": name });
        api.call("PATCH", path, token, body).await
    };
    for path in ["/users/me", "/users/ann"] {
        let refused = rename(&ann, path, "anna").await;
        refused.assert_refused("rate-limited");
    }
    // What is said anew is no other name.
    rename(&ann, "/users/me", "ann").await.expect(200);
    // A superuser pays for a name of his own as others do, and renames whom else he likes.
    api.turn_away(Payer::Renames(api.id_of(&root).await));
    rename(&root, "/users/ann", "anna").await.expect(200);
    for path in ["/users/me", "/users/root"] {
        let refused = rename(&root, path, "boss").await;
        refused.assert_refused("rate-limited");
    }
}
