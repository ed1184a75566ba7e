//! `auth`, as it is shown.

use serde_json::{Value, json};

use super::super::checked::{
    ApiKeys, Auth, Compat, Cookie, Delivery, Docs, Group, Lockout, PasswordHash, PasswordPolicy,
    RefreshToken, Registration, SameSite, Signing, SigningKey, UserTable, UsernameReuse,
};
use super::{duration, of_store, pace, path, secret};

pub fn shown(auth: &Auth) -> Value {
    let Auth {
        base_path,
        issuer,
        audience,
        leeway,
        keys_dir,
        rate,
        user_rate,
        introspect_rate,
        failure_rate,
        access_token_ttl,
        refresh_token,
        cookie,
        signing,
        master_key,
        password,
        registration,
        serve,
        docs,
        username_reuse,
        default_tier,
        lockout,
        compat,
        users,
        api_keys,
    } = auth;
    let registration = match registration {
        Registration::Closed => "closed",
        Registration::Open => "open",
    };
    let docs = match docs {
        Docs::Open => "open",
        Docs::Superuser => "superuser",
        Docs::Off => "off",
    };
    let username_reuse = match username_reuse {
        UsernameReuse::Never => "never".to_owned(),
        UsernameReuse::After(time) => duration(*time),
    };
    let compat = compat.iter().map(|compat| match compat {
        Compat::FastapiBoilerplate => "fastapi-boilerplate",
    });
    json!({
        "base_path": base_path,
        "issuer": issuer,
        "audience": audience,
        "leeway": duration(*leeway),
        "keys_dir": path(keys_dir),
        "rate": pace(rate.as_ref()),
        "user_rate": pace(user_rate.as_ref()),
        "introspect_rate": pace(introspect_rate.as_ref()),
        "failure_rate": pace(failure_rate.as_ref()),
        "access_token": { "ttl": duration(*access_token_ttl) },
        "refresh_token": of_refresh_token(refresh_token),
        "cookie": of_cookie(cookie),
        "signing": of_signing(signing),
        "master_key": master_key.as_ref().map(secret),
        "password": of_password(password),
        "registration": registration,
        "serve": serve.iter().map(|group| Group::as_str(*group)).collect::<Vec<_>>(),
        "docs": docs,
        "username_reuse": username_reuse,
        "default_tier": default_tier,
        "lockout": of_lockout(lockout),
        "compat": compat.collect::<Vec<_>>(),
        "users": users.as_ref().map(of_users),
        "api_keys": of_api_keys(api_keys),
    })
}

fn of_refresh_token(token: &RefreshToken) -> Value {
    let RefreshToken {
        ttl,
        reuse_grace,
        delivery,
    } = token;
    let delivery = match delivery {
        Delivery::Cookie => "cookie",
        Delivery::Body => "body",
    };
    json!({
        "ttl": duration(*ttl),
        "reuse_grace": duration(*reuse_grace),
        "delivery": delivery,
    })
}

fn of_cookie(cookie: &Cookie) -> Value {
    let Cookie {
        name,
        secure,
        same_site,
        path,
        domain,
    } = cookie;
    let same_site = match same_site {
        SameSite::Strict => "strict",
        SameSite::Lax => "lax",
        SameSite::None => "none",
    };
    json!({
        "name": name,
        "secure": secure,
        "same_site": same_site,
        "path": path,
        "domain": domain,
    })
}

fn of_signing(signing: &Signing) -> Value {
    match signing {
        Signing::Generated(algorithm) => json!({ "algorithm": algorithm.as_str() }),
        Signing::Keys(keys) => json!({ "keys": keys.iter().map(of_key).collect::<Vec<_>>() }),
        Signing::Hs256(key) => json!({ "algorithm": "HS256", "secret": secret(key) }),
    }
}

fn of_key(key: &SigningKey) -> Value {
    let SigningKey { kid, file, key } = key;
    json!({ "kid": kid, "file": path(file), "algorithm": key.algorithm().as_str() })
}

fn of_password(policy: &PasswordPolicy) -> Value {
    let PasswordPolicy {
        min_length,
        complexity,
        hash,
        bcrypt_cost,
    } = policy;
    let hash = match hash {
        PasswordHash::Bcrypt => "bcrypt",
        PasswordHash::Argon2id => "argon2id",
    };
    json!({
        "min_length": min_length,
        "complexity": complexity,
        "hash": hash,
        "bcrypt_cost": bcrypt_cost,
    })
}

fn of_lockout(lockout: &Lockout) -> Value {
    let Lockout {
        failures,
        window,
        base,
        max,
    } = lockout;
    json!({
        "failures": failures,
        "window": duration(*window),
        "base": duration(*base),
        "max": duration(*max),
    })
}

fn of_users(users: &UserTable) -> Value {
    let UserTable { store, query } = users;
    json!({ "store": of_store(store), "query": query })
}

fn of_api_keys(keys: &ApiKeys) -> Value {
    let ApiKeys { enabled, header } = keys;
    json!({ "enabled": enabled, "header": header.as_str() })
}
