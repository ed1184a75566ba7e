//! Hashes of one password as other systems make them: bcrypt 4.0, argon2-cffi 25.1, Django 5.2,
//! Werkzeug 3.1 and passlib 1.7.

use super::read::Unreadable;
use super::*;

const PASSWORD: &[u8] = b"Aa1!aaaa";

const VECTORS: &[(&str, &str)] = &[
    (
        "bcrypt2b",
        "$2b$04$OTvROlM4MsB8MGvZFV6aiu6DGRoiriJ3OJcMCetnv0Wrzn1nE2cMq",
    ),
    (
        "bcrypt2a",
        "$2a$04$umUlzDfnn.gak3I6pAs4SeGXWBjHjmFk.WdHI7T7bYhRR1mZu4282",
    ),
    (
        "argon2id",
        "$argon2id$v=19$m=64,t=2,p=2$aKXsg6gBpMjH+yEFoKVSzw$PNPHDdAgUVVPervs+itL/T4GeXNONB7rCO7rjpjYk2M",
    ),
    (
        "argon2i",
        "$argon2i$v=19$m=64,t=3,p=1$AanzGOuBzni7gD4phTYY4g$9WYK7d3arkhmx/Sc6sxFOrsUcw3VQ5+Lr3zcpeudHlk",
    ),
    (
        "django pbkdf2 sha256",
        "pbkdf2_sha256$1000$seasalt$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=",
    ),
    (
        "django pbkdf2 sha1",
        "pbkdf2_sha1$1000$seasalt$rtxBAN9k2osM9ZBeeF7DMAG/fgA=",
    ),
    (
        "django argon2",
        "argon2$argon2id$v=19$m=64,t=1,p=1$OGZiZDlGMk0yRjVEWjNDaDhrVTJjNw$aysi3cErhRuvepOG9fsW4mjSxEbwmlxY0IokHmEdk00",
    ),
    (
        "django bcrypt sha256",
        "bcrypt_sha256$$2b$04$yl4vhuyZktMxsfMZVwKXsuUqb3Vas4qAOr9MovF3.u2zS8oha3z02",
    ),
    (
        "django bcrypt",
        "bcrypt$$2b$04$MB4MIARQouCJYbKxs5/GCeJCBEZzxGaGb/LDxh5rqhD4UvyzlElC2",
    ),
    (
        "django scrypt",
        "scrypt$16$seasalt$8$1$aE+r6KdMwZrYl1zlRgbPAbfXMOqRuJcHPy3uTKdknohdkdckVbkv++DPrIt1Qs8HRux+q6/LSD74l+nq1eV/Hw==",
    ),
    (
        "werkzeug scrypt",
        "scrypt:1024:8:1$N3jdEA5BVHQdWdjD$e6c686624ca2c1678ad34a1e8227b3ece0ac17af2e4e9d46943feb601f1c415e6d7c2b80ba9e7321b13d77f079da6b58ce8109a6350ae75d52fa1f2709cdceff",
    ),
    (
        "werkzeug pbkdf2",
        "pbkdf2:sha256:1000$R63cFbVrvaqzqjAB$bf47df786d9bcb4d3a7760e5b0bcee4e02e59939da22d6eb7f8ca2dddb1a325e",
    ),
    (
        "werkzeug pbkdf2 512",
        "pbkdf2:sha512:1000$2zPV6J87CwJgEgU2$b40c35ebc1a0d2440cc67e7040dc869517c3e53eb760ce4c5f394507f2edd91cddea3ca9ab5a39167cdc748ff85f137b7ef877584befe57095a2b90dac618e24",
    ),
    (
        "werkzeug pbkdf2 1",
        "pbkdf2:sha1:1000$mGb1P3JfqTchHkJx$5e704058a673d6793ee4d1f5c858ec6029515fe0",
    ),
    (
        "passlib pbkdf2 sha256",
        "$pbkdf2-sha256$1000$bs35/1.L8f7f27v33lsLIQ$QEFWIjrBce0Kpk.WrO8OTDHotiqAjHH5QBOfZJJf7Zw",
    ),
    (
        "passlib pbkdf2 sha512",
        "$pbkdf2-sha512$1000$rfWeMyakdO79vzcmBABgzA$EEwepx38NoOVzIOzRHVSUlzjdBmi7xu62po.N.3LrqmBiDEA.7267/MZwIBwAYk7BuvaSs4NkjYSN1gDOt8YHA",
    ),
    (
        "passlib pbkdf2 sha1",
        "$pbkdf2$1000$0ZpTytk7h7CWsrZ27v1fqw$Kn0r36ipL6aQzx9/CZ/bkJnHfaE",
    ),
    (
        "passlib scrypt",
        "$scrypt$ln=4,r=8,p=1$IYTwnvOeMwbgHKN0jrE2pg$yd/LT50IfuDxu32qHV40RtUxT/Lq9gre1+3YDA1+PbA",
    ),
    (
        "passlib 2y",
        "$2y$04$Qo5Hi4V.8dFuIQOsJCQYO..kc/LpMzRb2PKSUM.ExjD/Wv4ohakI6",
    ),
    (
        "passlib bcrypt sha256 v2",
        "$bcrypt-sha256$v=2,t=2b,r=4$Jf2.ZzANHRsmkYCMAuSdCO$Tn6EIBDiEi9VAh1WCS6P0GxCxNE/SXW",
    ),
    (
        "passlib bcrypt sha256 v1",
        "$bcrypt-sha256$2b,4$PG.AYMdbAw2OGi/fEFufUu$JLF0/37JkHW83TrUQCoTP6tITkPOwpq",
    ),
    (
        "passlib argon2d",
        "$argon2d$v=19$m=64,t=1,p=1$m7N2jnHOGQNgjPGec04phQ$t/VL0LDnV0NBuDbkyDXHeSoW9k/WnAIuCRYBpGmQW68",
    ),
];

#[test]
fn hashes_of_other_systems_match_their_password_alone() {
    for (name, text) in VECTORS {
        let hash = Hash::read(text, Scheme::Bcrypt(4)).unwrap_or_else(|e| panic!("{name} {e}"));
        assert!(hash.matches(PASSWORD), "{name}");
        for wrong in [&b"Aa1!aaab"[..], b"", b"Aa1!aaaa ", b"aa1!aaaa"] {
            assert!(!hash.matches(wrong), "{name} {wrong:?}");
        }
    }
}

#[test]
fn a_changed_hash_does_not_match() {
    for (name, text) in VECTORS {
        // The last character may hold bits that do not count.
        let at = text.len() - 6;
        let other = if text.as_bytes()[at] == b'a' {
            "b"
        } else {
            "a"
        };
        let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        let hash = Hash::read(&changed, Scheme::Bcrypt(4)).unwrap();
        assert!(!hash.matches(PASSWORD), "{name}");
    }
}

#[test]
fn what_is_cut_or_strange_is_refused_and_never_a_panic() {
    for (_, text) in VECTORS {
        for end in 0..text.len() {
            // A shorter output of scrypt or PBKDF2 is one that could have been asked for.
            if let Ok(hash) = Hash::read(&text[..end], Scheme::Bcrypt(4)) {
                assert!(!hash.matches(b"x"), "{text} up to {end}");
            }
        }
    }
    for text in [
        "",
        "plain",
        "$",
        "$$$",
        "é$é",
        "$2b$",
        "$2é$04$",
        "$2x$04$oQ.0VUCGitRgDyoxbMX6wOqUFxsmEcqCurHFZe1yPj0D1SqlIqCY.",
        "$2b$+4$oQ.0VUCGitRgDyoxbMX6wOqUFxsmEcqCurHFZe1yPj0D1SqlIqCY.",
        "$6$salt$x",
        "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
        "pbkdf2_sha256$0$seasalt$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=",
        "pbkdf2_sha256$1000$seasalt$aGk=",
        "pbkdf2:md5:1000$salt$00112233445566778899aabbccddeeff",
        "scrypt:1000:8:1$salt$00112233445566778899aabbccddeeff",
        "scrypt:0:8:1$salt$00112233445566778899aabbccddeeff",
        "scrypt:1024:8:1$salt$0011223344556677889",
    ] {
        let read = Hash::read(text, Scheme::Argon2id);
        assert_eq!(read, Err(Unreadable::Unknown), "{text}");
    }
    let long = format!("pbkdf2_sha256$1${}$x", "s".repeat(2000));
    assert!(Hash::read(&long, Scheme::Argon2id).is_err());
}

#[test]
fn what_would_take_minutes_is_refused() {
    let body = "oQ.0VUCGitRgDyoxbMX6wOqUFxsmEcqCurHFZe1yPj0D1SqlIqCY.";
    for text in [
        format!("$2b$17${body}"),
        format!("bcrypt_sha256$$2b$31${body}"),
        "$argon2id$v=19$m=4194304,t=1,p=1$IhykwK3iqfjW7hNJKAkZiQ$QF6o41E8pqVOGgB4Gj+epQ".into(),
        "$argon2id$v=19$m=65536,t=100000,p=1$IhykwK3iqfjW7hNJKAkZiQ$QF6o41E8pqVOGgB4Gj+epQ".into(),
        "$scrypt$ln=40,r=8,p=1$6V0LYUyJsfZ+733vPSeE8A$S8A71xcmzPyiKQpwIkIotA".into(),
        "$scrypt$ln=14,r=8,p=100000$6V0LYUyJsfZ+733vPSeE8A$S8A71xcmzPyiKQpwIkIotA".into(),
        "pbkdf2_sha256$4000000000$s$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=".into(),
    ] {
        let read = Hash::read(&text, Scheme::Bcrypt(12));
        assert_eq!(read, Err(Unreadable::TooDear), "{text}");
    }
    // What is configured here is not too dear, whatever it takes.
    assert!(Hash::read(&format!("$2b$17${body}"), Scheme::Bcrypt(17)).is_ok());
    // What those systems make today is not either.
    for text in [
        "$argon2id$v=19$m=65536,t=3,p=4$IhykwK3iqfjW7hNJKAkZiQ$QF6o41E8pqVOGgB4Gj+epQ",
        "$argon2id$v=19$m=102400,t=2,p=8$IhykwK3iqfjW7hNJKAkZiQ$QF6o41E8pqVOGgB4Gj+epQ",
        "pbkdf2_sha256$1200000$s$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=",
        "scrypt:32768:8:1$salt$00112233445566778899aabbccddeeff",
        "$scrypt$ln=17,r=8,p=1$6V0LYUyJsfZ+733vPSeE8A$S8A71xcmzPyiKQpwIkIotA",
    ] {
        assert!(Hash::read(text, Scheme::Bcrypt(12)).is_ok(), "{text}");
    }
}

#[test]
fn what_is_made_here_reads_back_and_is_known_as_current() {
    let schemes = [Scheme::Bcrypt(4), Scheme::Bcrypt(5), Scheme::Argon2id];
    for scheme in schemes {
        let text = scheme.make(PASSWORD).unwrap();
        assert_ne!(text, scheme.make(PASSWORD).unwrap(), "salted");
        let hash = Hash::read(&text, scheme).unwrap();
        assert!(hash.matches(PASSWORD) && !hash.matches(b"Aa1!aaab"));
        let dummy = Hash::read(&scheme.dummy(), scheme).unwrap();
        assert!(!dummy.matches(PASSWORD));
        for other in schemes {
            assert_eq!(other.made(&text), other == scheme);
            assert_eq!(other.made(&scheme.dummy()), other == scheme);
        }
        for (name, vector) in VECTORS {
            let is_own = *name == "bcrypt2b" && scheme == Scheme::Bcrypt(4);
            assert_eq!(scheme.made(vector), is_own, "{name}");
        }
    }
}

#[test]
fn what_bcrypt_would_cut_is_an_error_and_matches_nothing() {
    let fits = "x".repeat(MAX_BYTES);
    let text = Scheme::Bcrypt(4).make(fits.as_bytes()).unwrap();
    let hash = Hash::read(&text, Scheme::Bcrypt(4)).unwrap();
    assert!(hash.matches(fits.as_bytes()));
    assert!(!hash.matches(&fits.as_bytes()[1..]));
    let long = format!("{fits}y");
    assert!(!hash.matches(long.as_bytes()));
    assert!(Scheme::Bcrypt(4).make(long.as_bytes()).is_err());
    assert!(Scheme::Argon2id.make(long.as_bytes()).is_ok());
}
