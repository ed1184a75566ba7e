//! Which changes a reload cannot bring about.

use super::checked::{Config, Signing};

/// The keys that differ and act only after a restart, by their names in the file; empty when the
/// new configuration can take over while requests are served.
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (a, b) = (&old.auth, &new.auth);
    let changed = [
        ("listen", old.listen != new.listen),
        ("admin", old.admin != new.admin),
        ("workers", old.workers != new.workers),
        ("store", old.store != new.store),
        ("shared", old.redis != new.redis),
        ("max_header", old.max_header != new.max_header),
        ("log.level", old.log.level != new.log.level),
        ("auth.base_path", a.base_path != b.base_path),
        ("auth.issuer", a.issuer != b.issuer),
        ("auth.audience", a.audience != b.audience),
        ("auth.leeway", a.leeway != b.leeway),
        ("auth.keys_dir", a.keys_dir != b.keys_dir),
        ("auth.rate", a.rate != b.rate),
        ("auth.user_rate", a.user_rate != b.user_rate),
        (
            "auth.introspect_rate",
            a.introspect_rate != b.introspect_rate,
        ),
        (
            "auth.access_token",
            a.access_token_ttl != b.access_token_ttl,
        ),
        ("auth.refresh_token", a.refresh_token != b.refresh_token),
        ("auth.cookie", a.cookie != b.cookie),
        ("auth.signing", !is_rotation(&a.signing, &b.signing)),
        ("auth.master_key", a.master_key != b.master_key),
        ("auth.password", a.password != b.password),
        ("auth.registration", a.registration != b.registration),
        ("auth.serve", a.serve != b.serve),
        ("auth.docs", a.docs != b.docs),
        ("auth.username_reuse", a.username_reuse != b.username_reuse),
        ("auth.default_tier", a.default_tier != b.default_tier),
        ("auth.compat", a.compat != b.compat),
        ("auth.users", a.users != b.users),
        ("auth.api_keys", a.api_keys != b.api_keys),
    ];
    let names = changed.into_iter().filter(|(_, is)| *is);
    names.map(|(name, _)| name).collect()
}

/// Keys named in the file may come and go; where the keys come from stays.
fn is_rotation(old: &Signing, new: &Signing) -> bool {
    matches!((old, new), (Signing::Keys(_), Signing::Keys(_))) || old == new
}
