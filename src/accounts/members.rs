//! Accounts that another application keeps (`auth.users`): they sign in by its table, which is only
//! read, and are mirrored here, so that sessions, tokens and the audit trail have whom they are about.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Mutex;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::error::AccountsError;
use super::keys::RefreshKeys;
use super::lockout;
use super::login::Basis;
use super::settings::Settings;
use super::store::{
    Account, By, Credentials, Key, Login, Member, Millis, Mirrored, RowFault, Table,
};
use super::{Accounts, Granted, Origin, validate};
use crate::config::{Config, Fault, Plans, Secret};

/// Keeps this use of the key apart from every other.
const LABEL: &[u8] = b"portcullis fingerprint of a foreign hash\0";
/// What stands where an own account has its hash. No password matches it.
const MARK: &str = "mirror:";
const NO_SUCH_TIER: RowFault = RowFault {
    column: "tier",
    why: "is not one of the tiers",
};

/// The table, and what has been said of it.
pub(super) struct Members {
    table: Table,
    /// What is wrong with rows is logged once for each kind, without whom it is about.
    logged: Mutex<HashSet<RowFault>>,
}

/// A member as an account, and what of them is not mirrored.
struct Told {
    /// With a new id, for when there is no mirror yet.
    account: Account,
    hash: Secret,
    is_active: bool,
}

/// Connects to the table of `auth.users`, if there is one, and gives its columns with their types.
pub async fn check_online(config: &Config) -> Result<Vec<String>, Vec<Fault>> {
    let members = Members::open(config).await?;
    let columns = members.iter().flat_map(|members| members.table.columns());
    Ok(columns
        .map(|(name, kind)| format!("{name} ({kind})"))
        .collect())
}

impl Members {
    pub async fn open(config: &Config) -> Result<Option<Members>, Vec<Fault>> {
        let Some(users) = &config.auth.users else {
            return Ok(None);
        };
        Ok(Some(Members {
            table: Table::open(users).await?,
            logged: Mutex::default(),
        }))
    }

    /// Whether the table answers; one that did not is asked again.
    pub async fn is_up(&self) -> bool {
        self.table.is_up() || self.table.probe().await.is_ok()
    }

    /// The one that the query finds by what was typed.
    async fn one(
        &self,
        typed: &str,
        settings: &Settings,
        plans: &Plans,
        now: Millis,
    ) -> Result<Option<Told>, AccountsError> {
        let mut found = self.table.find(typed).await?;
        let found = match (found.pop(), found.is_empty()) {
            (None, _) => return Ok(None),
            (Some(row), true) => row.and_then(|member| told(member, settings, plans, now)),
            (Some(_), false) => Err(RowFault {
                column: "$1",
                why: "finds more than one user",
            }),
        };
        Ok(self.noted(found))
    }

    /// The one whose mirror this is, by the name or else the e-mail address of the last time. Of those
    /// that the query finds only the id counts.
    async fn again(
        &self,
        mirror: &Account,
        settings: &Settings,
        plans: &Plans,
        now: Millis,
    ) -> Result<Option<Told>, AccountsError> {
        for typed in [&mirror.username, &mirror.email] {
            if typed.is_empty() {
                continue;
            }
            let found = self.table.find(typed).await?.into_iter();
            let rows: Vec<Member> = found.filter_map(|row| self.noted(row)).collect();
            let is_same = |row: &Member| mirror.external_id.as_ref() == Some(&row.external_id);
            if let Some(member) = rows.into_iter().find(is_same) {
                return Ok(self.noted(told(member, settings, plans, now)));
            }
        }
        Ok(None)
    }

    fn noted<T>(&self, found: Result<T, RowFault>) -> Option<T> {
        let fault = match found {
            Ok(found) => return Some(found),
            Err(fault) => fault,
        };
        let mut logged = self.logged.lock().unwrap_or_else(|e| e.into_inner());
        if logged.insert(fault) {
            let RowFault { column, why } = fault;
            tracing::warn!(
                "auth.users: `{column}` {why}: whoever that is can't sign in; this is logged once"
            );
        }
        None
    }
}

/// What the mirror takes over. Of what may be missing, or means nothing here, the name is made up for.
fn told(member: Member, settings: &Settings, plans: &Plans, now: Millis) -> Result<Told, RowFault> {
    let unfit = |column, why| RowFault { column, why };
    if validate::external_id(&member.external_id).is_err() {
        return Err(unfit("id", "is not 1 to 255 plain characters"));
    }
    if !validate::foreign_username(&member.username) {
        let why = "is not 1 to 255 plain characters, the first of them no ~, or is . or ..";
        return Err(unfit("username", why));
    }
    if member
        .email
        .as_deref()
        .is_some_and(|e| !validate::foreign_email(e))
    {
        return Err(unfit("email", "is no e-mail address"));
    }
    if validate::roles(&member.roles).is_err() {
        return Err(unfit("roles", "are not at most 32 plain words"));
    }
    let tier = member.tier.unwrap_or_else(|| settings.default_tier.clone());
    if !settings.tiers.contains_key(&tier) && !plans.tiers.contains_key(&tier) {
        return Err(NO_SUCH_TIER);
    }
    let name = member.name.filter(|name| validate::foreign_name(name));
    Ok(Told {
        account: Account {
            id: Uuid::now_v7(),
            name: name.unwrap_or_else(|| member.username.clone()),
            external_id: Some(member.external_id),
            username: member.username,
            email: member.email.unwrap_or_default(),
            profile_image_url: None,
            tier,
            roles: member.roles,
            is_superuser: member.is_superuser,
            is_active: true,
            version: 1,
            created_at: now,
            updated_at: None,
            deleted_at: None,
        },
        hash: Secret::new(member.password_hash),
        is_active: member.is_active,
    })
}

impl Told {
    fn external_id(&self) -> &str {
        self.account.external_id.as_deref().unwrap_or_default()
    }

    /// Tells whether the hash has changed to whoever has the key, and nothing to anybody else.
    fn fingerprint(&self, key: &hmac::Key) -> String {
        let mut context = hmac::Context::with_key(key);
        context.update(LABEL);
        context.update(self.external_id().as_bytes());
        context.update(b"\0");
        context.update(self.hash.expose().as_bytes());
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(context.sign().as_ref()))
    }

    /// The fingerprint that is kept, when one of the keys made it, or else one of the first key: a
    /// new key makes no password another.
    fn fingerprint_beside(&self, kept: Option<&str>, keys: &RefreshKeys) -> String {
        let mut known = keys.iter().map(|key| self.fingerprint(key));
        known
            .find(|known| kept == Some(known.as_str()))
            .unwrap_or_else(|| self.fingerprint(keys.first()))
    }

    fn is_mirrored_by(&self, here: &Credentials, fingerprint: &str) -> bool {
        here.password_hash == fingerprint
            && self.account.mirrored_onto(&here.account) == here.account
    }
}

impl Accounts {
    /// `None`: the account is not as it was when the password was checked.
    pub(super) async fn login_member(
        &self,
        members: &Members,
        identity: &str,
        password: Secret,
        origin: &Origin<'_>,
    ) -> Result<Option<Granted>, AccountsError> {
        let settings = self.users.settings.load_full();
        let secrets = self.keys.load_full();
        let refresh = &secrets.refresh;
        let plans = self.plans();
        let told = members.one(identity, &settings, &plans, self.now()).await?;
        // Asked in any case, so that the time does not tell whether there is such a user.
        let external_id = told.as_ref().map_or("", Told::external_id);
        let here = self
            .users
            .store
            .credentials_of_external(external_id)
            .await?;
        let keys = match &told {
            Some(told) => lockout::keys_of_external(told.external_id(), origin.ip),
            None => lockout::keys(None, identity, origin.ip, refresh.first()),
        };
        let found = told.as_ref().map(|told| {
            let mirror = here.as_ref().map(|here| &here.account);
            let mut account = told.account.mirrored_onto(mirror.unwrap_or(&told.account));
            account.is_active &= told.is_active;
            Credentials {
                account,
                password_hash: told.hash.expose().to_owned(),
                is_kept: mirror.is_some(),
            }
        });
        let by = By::stranger(origin.ip);
        let checked = self.users.check_found(found, password, keys, &by).await?;
        let told = told.ok_or(AccountsError::CredentialsInvalid)?;
        self.users.note_sample(told.hash.expose());
        let kept = here.as_ref().map(|here| here.password_hash.as_str());
        let fingerprint = told.fingerprint_beside(kept, refresh);
        let newest = told.fingerprint(refresh.first());
        let user = match here {
            Some(here) if told.is_mirrored_by(&here, &fingerprint) => here.account.id,
            _ => {
                let ip = Some(origin.ip);
                let mirrored = self.mirror(members, &told, &fingerprint, ip).await?;
                mirrored.ok_or(AccountsError::CredentialsInvalid)?.id
            }
        };
        let basis = Basis {
            user,
            login: Login {
                checked_hash: &fingerprint,
                new_hash: Some(newest.as_str()).filter(|newest| *newest != fingerprint),
                clears: &checked.keys[0],
            },
        };
        self.begin(&settings, &basis, origin).await
    }

    /// Reads again whom a session is of, before it goes on: it ends when they are gone, may no longer
    /// sign in or have another password, and what else has changed is taken over. While the table does
    /// not answer no session goes on, and none ends.
    pub(super) async fn look_again(
        &self,
        members: &Members,
        session: Uuid,
        by: &By,
    ) -> Result<(), AccountsError> {
        let now = self.now();
        let owner = self.users.store.session_owner(session, now).await?;
        // What has become of others is told by who judges the token.
        let Some(owner) = owner.filter(|owner| owner.is_alive) else {
            return Ok(());
        };
        let here = owner.credentials;
        if self.is_still_member(members, &here, by.ip).await? {
            return Ok(());
        }
        let (key, by) = (Key::Id(here.account.id), By::application(by.ip));
        self.end_sessions(key, None, &by).await?;
        Err(AccountsError::SessionEnded)
    }

    /// Whether the application still has the account as one that may sign in. What has changed there is
    /// taken over.
    pub(super) async fn is_still_member(
        &self,
        members: &Members,
        here: &Credentials,
        ip: Option<IpAddr>,
    ) -> Result<bool, AccountsError> {
        let settings = self.users.settings.load_full();
        let told = match here.password_hash.starts_with(MARK) {
            true => {
                let (plans, now) = (self.plans(), self.now());
                members.again(&here.account, &settings, &plans, now).await?
            }
            // Signed in by a password that was this gateway's own.
            false => None,
        };
        match told.filter(|told| told.is_active) {
            Some(told) => {
                let keys = self.keys.load_full();
                let kept = Some(here.password_hash.as_str());
                let fingerprint = told.fingerprint_beside(kept, &keys.refresh);
                if !told.is_mirrored_by(here, &fingerprint) {
                    let mirrored = self.mirror(members, &told, &fingerprint, ip).await?;
                    return Ok(mirrored.is_some());
                }
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// `None`: their tier has gone meanwhile.
    async fn mirror(
        &self,
        members: &Members,
        told: &Told,
        fingerprint: &str,
        ip: Option<IpAddr>,
    ) -> Result<Option<Account>, AccountsError> {
        let settings = self.users.settings.load_full();
        let told = Mirrored {
            account: &told.account,
            fingerprint,
            tiers: &settings.tiers,
        };
        let by = By::application(ip);
        let account = self.users.store.mirror(&told, &by, self.now()).await?;
        if account.is_some() {
            self.publish().await;
        }
        Ok(members.noted(account.ok_or(NO_SUCH_TIER)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::hashes::Scheme;
    use crate::accounts::testing::{Application, QUERY, config, users_of};

    async fn start(hash: &str) -> (Accounts, Application, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let application = Application::sqlite(folder.path());
        application.member(1, "ann", hash);
        let mut config = config(folder.path());
        config.auth.users = Some(users_of(&application, QUERY));
        let accounts = Accounts::open(&config, Default::default()).await.unwrap();
        (accounts, application, folder)
    }

    async fn sign_in(accounts: &Accounts) {
        let origin = Origin {
            ip: [192, 0, 2, 1].into(),
            user_agent: None,
        };
        let password = Secret::new("Aa1!aaaa".into());
        accounts.login("ann", password, origin).await.unwrap();
    }

    #[tokio::test]
    async fn of_a_hash_nothing_is_kept_that_could_be_guessed_at() {
        let hash = bcrypt::hash("Aa1!aaaa", 4).unwrap();
        let (accounts, application, folder) = start(&hash).await;
        sign_in(&accounts).await;
        let store = &accounts.users.store;
        let kept = || async { store.credentials_of_external("1").await.unwrap().unwrap() };
        let first = kept().await.password_hash;
        assert!(
            first.starts_with(MARK) && first.len() == MARK.len() + 43,
            "{first}"
        );
        for name in ["portcullis.db", "portcullis.db-wal"] {
            let bytes = std::fs::read(folder.path().join(name)).unwrap_or_default();
            let tail = hash.as_bytes().windows(8).last().unwrap();
            assert!(!bytes.windows(8).any(|window| window == tail), "{name}");
        }
        sign_in(&accounts).await;
        assert_eq!(kept().await.password_hash, first);
        // The same hash of somebody else looks like another one.
        application.set(1, "id = 2");
        sign_in(&accounts).await;
        let second = store.credentials_of_external("2").await.unwrap().unwrap();
        assert_ne!(second.password_hash, first);
    }

    /// A new key of refresh tokens is not a new password: nobody is signed out.
    #[tokio::test]
    async fn a_fingerprint_of_an_older_key_stands_until_the_next_login() {
        let hash = bcrypt::hash("Aa1!aaaa", 4).unwrap();
        let (accounts, _application, folder) = start(&hash).await;
        let config = config(folder.path());
        let origin = || Origin {
            ip: [192, 0, 2, 1].into(),
            user_agent: None,
        };
        let password = || Secret::new("Aa1!aaaa".into());
        let granted = accounts.login("ann", password(), origin()).await.unwrap();
        let store = &accounts.users.store;
        let kept = || async { store.credentials_of_external("1").await.unwrap().unwrap() };
        let before = kept().await;

        let mut keys = accounts.read_keys(&config).await.unwrap();
        let older: Vec<_> = keys.refresh.iter().cloned().collect();
        let newer = hmac::Key::new(hmac::HMAC_SHA256, b"another");
        keys.refresh = RefreshKeys::new(newer, older);
        accounts.replace_keys(keys);
        let by = By::command_line();
        accounts.refresh(&granted.refresh_token, &by).await.unwrap();
        assert_eq!(kept().await.password_hash, before.password_hash);

        sign_in(&accounts).await;
        let after = kept().await;
        assert_ne!(after.password_hash, before.password_hash);
        assert_eq!(after.account.version, before.account.version);
    }

    #[tokio::test]
    async fn who_is_unknown_is_checked_like_those_who_are_known() {
        let (accounts, _application, _folder) =
            start("pbkdf2_sha256$1000$seasalt$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=").await;
        let scheme = Scheme::Bcrypt(4);
        assert_eq!(accounts.users.decoy(scheme), scheme.dummy());
        sign_in(&accounts).await;
        assert!(
            accounts
                .users
                .decoy(scheme)
                .starts_with("pbkdf2_sha256$1000$")
        );
    }
}
