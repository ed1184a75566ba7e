//! Which addresses and which pages are let in.

use super::*;

#[test]
fn networks_are_compared_by_the_addresses_in_them() {
    let line = |ip: &str| format!("name: a, path: /a, auth: none, ip: {{ {ip} }}");
    let plain = "name: a, path: /a, auth: none".to_owned();
    for (old, new, expected) in [
        (
            line("allow: [10.0.0.0/8]"),
            plain.clone(),
            "loosened: route a: ip allow 10.0.0.0/8 → everywhere",
        ),
        (
            plain,
            line("deny: [10.0.0.0/8]"),
            "tightened: route a: ip everywhere → deny 10.0.0.0/8",
        ),
        (
            line("allow: [10.0.0.0/8]"),
            line("allow: [10.1.0.0/16, 10.2.0.0/16]"),
            "tightened: route a: ip allow 10.0.0.0/8 → allow 10.1.0.0/16 10.2.0.0/16",
        ),
        (
            line("allow: [10.1.0.0/16]"),
            line("allow: [10.1.0.0/16, 192.0.2.0/24]"),
            "loosened: route a: ip allow 10.1.0.0/16 → allow 10.1.0.0/16 192.0.2.0/24",
        ),
        (
            line("deny: [10.0.0.0/8]"),
            line("deny: [10.0.0.0/9]"),
            "loosened: route a: ip deny 10.0.0.0/8 → deny 10.0.0.0/9",
        ),
    ] {
        assert_said(&[&old], &[&new], &[expected]);
    }
    // What is not allowed need not be denied.
    assert_said(
        &[&line("allow: [10.0.0.0/8], deny: [192.0.2.0/24]")],
        &[&line("allow: [10.0.0.0/8]")],
        &[],
    );
}

#[test]
fn methods_that_are_not_listed_are_all_of_them_to_other_pages() {
    let line = |methods: &str| {
        format!("name: a, path: /a, auth: none, cors: {{ origins: ['https://a.test']{methods} }}")
    };
    assert_said(
        &[&line(", methods: [GET]")],
        &[&line("")],
        &["loosened: route a: cors.methods [GET] → nothing"],
    );
    assert_said(
        &[&line("")],
        &[&line(", methods: [GET]")],
        &["tightened: route a: cors.methods nothing → [GET]"],
    );
}
