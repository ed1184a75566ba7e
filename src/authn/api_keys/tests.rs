//! What is remembered of keys and for how long, on a store that counts what it is asked.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use tokio::task::JoinHandle;

use super::*;
use crate::authn::{Authenticator, Principal, VerifyingKeys};
use crate::config::checked::AuthMode;
use crate::route::sample::config;

thread_local! {
    // Tests run on threads of their own, and each on one.
    static NOW: Cell<u64> = const { Cell::new(1_000_000) };
}

fn advance(seconds: u64) {
    NOW.set(NOW.get() + seconds);
}

fn text(n: u8) -> String {
    let id = Uuid::from_u128(n.into()).simple();
    format!("pck_{id}_{}", char::from(b'a' + n).to_string().repeat(43))
}

fn account(version: u64) -> AccountState {
    AccountState {
        id: Uuid::from_u128(7),
        version,
        active: true,
        username: "ann".into(),
        name: "Ann".into(),
        email: "ann@example.com".into(),
        external_id: None,
        tier: "free".into(),
        roles: Vec::new(),
        is_superuser: true,
    }
}

fn key(grant: u128) -> ApiKey {
    ApiKey {
        id: Uuid::from_u128(1),
        grant: Uuid::from_u128(grant),
        scopes: vec!["a".into()],
        created_at: 0,
        expires_at: None,
        account: account(1),
    }
}

/// A store that a test fills.
#[derive(Default)]
struct Store {
    keys: Mutex<HashMap<String, ApiKey>>,
    is_away: std::sync::atomic::AtomicBool,
    asked: AtomicUsize,
    used: AtomicUsize,
    gate: tokio::sync::Mutex<()>,
}

impl Store {
    fn keep(&self, n: u8, key: ApiKey) {
        self.keys.lock().unwrap().insert(text(n), key);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

struct Gateway {
    store: Arc<Store>,
    changes: Arc<Changes>,
    keys: Arc<ApiKeys>,
}

fn gateway() -> Gateway {
    let store = Arc::<Store>::default();
    let changes = Arc::<Changes>::default();
    let (asked, told) = (Arc::clone(&store), Arc::clone(&store));
    let look_up: LookUp = Arc::new(move |key| {
        let store = Arc::clone(&asked);
        Box::pin(async move {
            store.asked.fetch_add(1, Ordering::SeqCst);
            let _gate = store.gate.lock().await;
            if store.is_away.load(Ordering::SeqCst) {
                return Err(unavailable());
            }
            let found = store.keys.lock().unwrap().get(&*key).cloned();
            Ok(found.map_or(Found::Unknown, |key| Found::Key(Box::new(key))))
        })
    });
    let used: Used = Arc::new(move |_| {
        told.used.fetch_add(1, Ordering::SeqCst);
    });
    let header = HeaderName::from_static("x-api-key");
    let keys = ApiKeys::with_clock(
        header,
        Arc::clone(&changes),
        look_up,
        used,
        Handle::current(),
        || NOW.get(),
    );
    Gateway {
        store,
        changes,
        keys,
    }
}

impl Gateway {
    async fn ask(&self, n: u8) -> &'static str {
        match self.keys.verify(&text(n)).await {
            Ok(_) => "user",
            Err(refusal) => refusal.code().as_str(),
        }
    }

    fn spawn(&self, pace: Pace, n: u8) -> JoinHandle<&'static str> {
        let keys = Arc::clone(&self.keys);
        tokio::spawn(async move {
            match keys.verify_at(pace, &text(n)).await {
                Ok(_) => "user",
                Err(refusal) => refusal.code().as_str(),
            }
        })
    }

    fn authenticator(&self) -> Authenticator {
        let (auth, keys) = (config(Vec::new()).auth, VerifyingKeys::default());
        Authenticator::new(&auth, keys, Arc::clone(&self.changes))
            .with_api_keys(Arc::clone(&self.keys))
    }

    /// All tasks have come to where they wait for something from outside.
    async fn until_nothing_goes_on(&self) {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }

    async fn until_nothing_is_under_way(&self) {
        while self.keys.flights.count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn only_what_can_be_a_key_is_one() {
    assert_eq!(id_of(&text(5)), Some(Uuid::from_u128(5)));
    let good = text(5);
    for bad in [
        "",
        "pck_",
        "pck__",
        "secret",
        &good[1..],
        &good[..good.len() - 1],
        &format!("{good}x"),
        &good.to_uppercase(),
        &good.replace("0005", "000G"),
        &good.replace("fff", "f f"),
        &format!("{good} "),
    ] {
        assert_eq!(id_of(bad), None, "{bad}");
    }
}

#[tokio::test]
async fn a_key_is_looked_up_once_and_then_known() {
    let gateway = gateway();
    gateway.store.keep(1, key(1));
    for _ in 0..5 {
        let user = gateway.keys.verify(&text(1)).await.unwrap();
        assert_eq!(user.scopes, ["a"]);
        assert!(!user.is_superuser, "whoever it belongs to");
        assert_eq!(user.method().as_str(), "api_key");
        assert_eq!(
            user.told.key.as_ref().unwrap(),
            &Uuid::from_u128(1).to_string()
        );
    }
    assert_eq!(gateway.store.asked(), 1);
    assert_eq!(gateway.store.used.load(Ordering::SeqCst), 1);
    advance(61);
    gateway.ask(1).await;
    assert_eq!(
        gateway.store.used.load(Ordering::SeqCst),
        2,
        "once a minute"
    );
}

#[tokio::test]
async fn requests_that_wait_for_one_key_share_a_look_up() {
    let gateway = gateway();
    gateway.store.keep(1, key(1));
    let gate = gateway.store.gate.lock().await;
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let keys = Arc::clone(&gateway.keys);
            tokio::spawn(async move { keys.verify(&text(1)).await.is_ok() })
        })
        .collect();
    while gateway.store.asked() == 0 {
        tokio::task::yield_now().await;
    }
    // Some leave; the others are answered all the same.
    waiting[0].abort();
    drop(gate);
    for (index, one) in waiting.into_iter().enumerate() {
        assert!(index == 0 || one.await.unwrap());
    }
    assert_eq!(gateway.store.asked(), 1);
    gateway.until_nothing_is_under_way().await;
}

#[tokio::test]
async fn a_flood_of_one_bad_key_asks_once_and_one_of_rubbish_never() {
    let gateway = gateway();
    for _ in 0..100 {
        assert_eq!(gateway.ask(9).await, "token-invalid");
        assert!(gateway.keys.verify("pck_guess").await.is_err());
    }
    assert_eq!(gateway.store.asked(), 1);
    advance(REFUSED_FOR);
    gateway.ask(9).await;
    assert_eq!(gateway.store.asked(), 2);
}

#[tokio::test]
async fn look_ups_under_way_are_bounded() {
    let gateway = gateway();
    let gate = gateway.store.gate.lock().await;
    for n in 0..UNDER_WAY {
        assert!(gateway.keys.begin(&format!("{n}")).is_ok());
    }
    let one_more = gateway.keys.begin("one more").err().unwrap();
    assert_eq!(one_more.code(), Code::Unavailable);
    assert!(one_more.is_for_now());
    while gateway.store.asked() < RUNNING {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gateway.store.asked(), RUNNING, "the others wait");
    drop(gate);
    gateway.until_nothing_is_under_way().await;
    assert!(gateway.keys.begin("one more").is_ok());
}

#[tokio::test]
async fn a_look_up_without_an_answer_ends() {
    let mut gateway = gateway();
    gateway.store.keep(1, key(1));
    Arc::get_mut(&mut gateway.keys).unwrap().longest = Duration::from_millis(1);
    let gate = gateway.store.gate.lock().await;
    for n in 0..=RUNNING {
        assert_eq!(gateway.ask(n as u8).await, "unavailable");
    }
    drop(gate);
    assert_eq!(gateway.ask(1).await, "user");
}

#[tokio::test]
async fn of_keys_that_are_looked_up_in_turn_few_are_at_once() {
    let gateway = gateway();
    let gate = gateway.store.gate.lock().await;
    let in_turn = |n| gateway.spawn(Pace::InTurn, n);
    let waiting: Vec<_> = (1..=8).map(in_turn).collect();
    gateway.until_nothing_goes_on().await;
    assert_eq!(gateway.store.asked(), IN_TURN);
    // Requests find room beside them.
    let request = gateway.spawn(Pace::AtOnce, 9);
    gateway.until_nothing_goes_on().await;
    assert_eq!(gateway.store.asked(), IN_TURN + 1);
    drop(gate);
    for one in waiting.into_iter().chain([request]) {
        assert_eq!(one.await.unwrap(), "token-invalid");
    }
    assert_eq!(gateway.store.asked(), 8 + 1);
}

#[tokio::test]
async fn whoever_leaves_gives_no_turn_back_while_the_store_is_asked() {
    let gateway = gateway();
    let gate = gateway.store.gate.lock().await;
    for _ in 0..5 {
        let waiting = [1, 2, 3, 4].map(|n| gateway.spawn(Pace::InTurn, n));
        gateway.until_nothing_goes_on().await;
        waiting.iter().for_each(JoinHandle::abort);
        gateway.until_nothing_goes_on().await;
    }
    assert_eq!(gateway.store.asked(), IN_TURN);
    let next = gateway.spawn(Pace::InTurn, 5);
    gateway.until_nothing_goes_on().await;
    assert_eq!(gateway.store.asked(), IN_TURN);
    drop(gate);
    assert_eq!(next.await.unwrap(), "token-invalid");
}

#[tokio::test]
async fn of_those_that_wait_for_one_key_in_turn_all_go_by_one_look_up() {
    let gateway = gateway();
    let waiting: Vec<_> = (0..8).map(|_| gateway.spawn(Pace::InTurn, 9)).collect();
    for one in waiting {
        assert_eq!(one.await.unwrap(), "token-invalid");
    }
    assert_eq!(gateway.store.asked(), 1);
}

#[tokio::test]
async fn only_what_has_to_be_looked_up_waits_for_a_turn() {
    let gateway = gateway();
    gateway.store.keep(1, key(1));
    assert_eq!(gateway.ask(1).await, "user");
    assert_eq!(gateway.ask(2).await, "token-invalid");
    let authenticator = gateway.authenticator();
    let _all = gateway.keys.turns.acquire_many(IN_TURN as u32).await;
    let waits = async |lines: &[(&str, &str)]| {
        let headers = headers(lines);
        let identified = authenticator.identify_in_turn(AuthMode::Optional, &headers);
        let mut identified = std::pin::pin!(identified);
        std::future::poll_fn(|cx| Poll::Ready(identified.as_mut().poll(cx).is_pending())).await
    };
    let (known, refused, unknown) = (&*text(1), &*text(2), &*text(3));
    let bearer = (AUTHORIZATION.as_str(), "Bearer x");
    for (lines, expected) in [
        (&[][..], false),
        (&[bearer], false),
        (&[bearer, ("x-api-key", "of-the-app")], false),
        (&[bearer, ("x-api-key", unknown)], false),
        (&[("x-api-key", "of-the-app")], false),
        (&[("x-api-key", known)], false),
        (&[("x-api-key", refused)], false),
        (&[("x-api-key", unknown)], true),
    ] {
        assert_eq!(waits(lines).await, expected, "{lines:?}");
    }
    // What is remembered is believed for a time.
    advance(KEY_MEMORY.as_secs());
    assert!(waits(&[("x-api-key", known)]).await);
}

#[test]
fn at_the_end_of_the_control_plane_nobody_waits_for_it() {
    let control = tokio::runtime::Runtime::new().unwrap();
    let gateway = control.block_on(async { gateway() });
    control.shutdown_background();
    let data = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    assert_eq!(data.block_on(gateway.ask(1)), "unavailable");
    assert!(gateway.keys.flights.count() == 0);
}

#[tokio::test]
async fn a_revoked_key_ends_at_once_and_a_changed_one_is_read_again() {
    let gateway = gateway();
    gateway.store.keep(1, key(1));
    assert_eq!(gateway.ask(1).await, "user");
    let mut changed = key(2);
    changed.scopes = vec!["b".into()];
    gateway.store.keep(1, changed);
    gateway.changes.session_ended(Uuid::from_u128(1), u64::MAX);
    let user = gateway.keys.verify(&text(1)).await.unwrap();
    assert_eq!(user.scopes, ["b"]);
    assert_eq!(gateway.store.asked(), 2);

    gateway.store.keys.lock().unwrap().clear();
    gateway.changes.session_ended(Uuid::from_u128(2), u64::MAX);
    assert_eq!(gateway.ask(1).await, "token-invalid");
}

#[tokio::test]
async fn an_answer_that_a_change_overtook_is_not_believed() {
    let gateway = gateway();
    gateway.store.keep(1, key(1));
    // The store goes on to give what it had before.
    gateway.changes.session_ended(Uuid::from_u128(1), u64::MAX);
    assert_eq!(gateway.ask(1).await, "token-revoked");
}

#[tokio::test]
async fn a_change_to_the_account_acts_on_a_key_in_use() {
    let gateway = gateway();
    gateway.store.keep(1, key(1));
    gateway.ask(1).await;
    let mut renamed = account(2);
    renamed.tier = "pro".into();
    gateway.changes.account(renamed, u64::MAX);
    let user = gateway.keys.verify(&text(1)).await.unwrap();
    assert_eq!(user.tier, "pro");
    assert!(!user.is_superuser);

    let mut gone = account(3);
    gone.active = false;
    gateway.changes.account(gone.clone(), u64::MAX);
    gateway.store.keep(
        1,
        ApiKey {
            account: gone,
            ..key(1)
        },
    );
    for _ in 0..2 {
        assert_eq!(gateway.ask(1).await, "token-revoked");
    }
    gateway.store.keep(
        1,
        ApiKey {
            account: account(4),
            ..key(1)
        },
    );
    gateway.changes.account(account(4), u64::MAX);
    assert_eq!(gateway.ask(1).await, "user", "no refusal outlives a change");
}

#[tokio::test]
async fn expiry_is_looked_at_each_time() {
    let gateway = gateway();
    let expires_at = Some(NOW.get() + 60);
    gateway.store.keep(
        1,
        ApiKey {
            expires_at,
            ..key(1)
        },
    );
    assert_eq!(gateway.ask(1).await, "user");
    advance(60);
    assert_eq!(gateway.ask(1).await, "token-expired");
}

#[tokio::test]
async fn without_the_store_a_known_key_goes_on_and_no_other() {
    let gateway = gateway();
    gateway.store.keep(1, key(1));
    gateway.ask(1).await;
    gateway.store.is_away.store(true, Ordering::SeqCst);
    assert_eq!(gateway.ask(2).await, "unavailable");
    assert_eq!(gateway.ask(1).await, "user");
    advance(READ_AGAIN);
    assert_eq!(
        gateway.ask(1).await,
        "user",
        "a failed reading takes nothing away"
    );
    gateway.until_nothing_is_under_way().await;
    let asked = gateway.store.asked();
    for _ in 0..10 {
        assert_eq!(gateway.ask(1).await, "user");
    }
    assert_eq!(
        gateway.store.asked(),
        asked,
        "and is not tried at each request"
    );
    // Longer than changes are kept it is not believed.
    advance(KEY_MEMORY.as_secs());
    assert_eq!(gateway.ask(1).await, "unavailable");
    gateway.store.is_away.store(false, Ordering::SeqCst);
    assert_eq!(gateway.ask(1).await, "user");
}

#[tokio::test]
async fn a_key_in_use_is_read_again_before_changes_are_forgotten() {
    let gateway = gateway();
    gateway.store.keep(1, key(1));
    gateway.ask(1).await;
    // As if the change that says so had been missed.
    gateway.store.keys.lock().unwrap().clear();
    advance(READ_AGAIN);
    assert_eq!(gateway.ask(1).await, "user");
    gateway.until_nothing_is_under_way().await;
    assert_eq!(gateway.ask(1).await, "token-invalid");
}

#[tokio::test]
async fn a_request_has_one_identity() {
    let gateway = gateway();
    gateway.store.keep(1, key(1));
    let without = Authenticator::new(
        &config(Vec::new()).auth,
        VerifyingKeys::default(),
        Arc::clone(&gateway.changes),
    );
    let with = gateway.authenticator();
    let ask = async |authenticator: &Authenticator, mode, lines: &[(&str, &str)]| {
        let headers = headers(lines);
        let method = authenticator.method_of(&headers).as_str();
        match authenticator.identify(mode, &headers).await {
            Ok(Principal::Anonymous) => ("anonymous", ""),
            Ok(Principal::User(_)) => ("user", method),
            Err(refusal) => (refusal.code().as_str(), method),
        }
    };
    use AuthMode::{None, Optional, Required};
    let (key, other) = (&*text(1), &*text(2));
    let bearer = AUTHORIZATION.as_str();
    for mode in [Optional, Required] {
        for (lines, expected) in [
            (&[("x-api-key", key)][..], ("user", "api_key")),
            (&[("x-api-key", other)], ("token-invalid", "api_key")),
            (&[("x-api-key", "")], ("token-invalid", "api_key")),
            (
                &[("x-api-key", key), ("x-api-key", key)],
                ("token-invalid", "api_key"),
            ),
            (
                &[("x-api-key", key), (bearer, "Bearer x")],
                ("token-invalid", "jwt"),
            ),
            (
                &[(bearer, &format!("Bearer {key}"))],
                ("token-invalid", "jwt"),
            ),
        ] {
            assert_eq!(
                ask(&with, mode, lines).await,
                expected,
                "{mode:?} {lines:?}"
            );
        }
    }
    let lines = [("x-api-key", key)];
    assert_eq!(ask(&with, None, &lines).await.0, "anonymous");
    assert_eq!(
        ask(&with, Optional, &[("x_api_key", key)]).await.0,
        "anonymous"
    );
    assert_eq!(ask(&without, Optional, &lines).await.0, "anonymous");
    assert_eq!(ask(&without, Required, &lines).await.0, "token-missing");
}
