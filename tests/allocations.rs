//! Finding a route, deciding on it and keeping what decided allocate nothing once the gateway is warm.

#[path = "../benches/route/many.rs"]
mod many;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use many::Gateway;
use portcullis::gateway::{DecidingHeaders, Kept};

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is the system allocator's own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of one request among many of its kind.
fn allocations(gateway: &Gateway, method: &str, path: &str) -> usize {
    let head = many::request(method, path);
    let serve = || gateway.serve(&head).map_err(|refusal| refusal.code());
    for _ in 0..3 {
        assert!(serve().is_ok(), "{method} {path}");
    }
    let before = ASKED.get();
    for _ in 0..100 {
        assert!(serve().is_ok());
    }
    (ASKED.get() - before).div_ceil(100)
}

#[test]
fn counting_works() {
    let before = ASKED.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(ASKED.get() - before, 1);
}

#[test]
fn matching_and_deciding_allocate_nothing() {
    let gateway = Gateway::new(&many::load(&many::file(200)));
    for (method, path, route) in many::REQUESTS {
        let path = format!("/service-77{path}");
        let permit = gateway.serve(&many::request(method, &path)).unwrap();
        assert_eq!(permit.matched().route(), Some(77 * many::ROUTES + route));
        assert_eq!(allocations(&gateway, method, &path), 0, "{method} {path}");
    }
}

const OTHERS: &str = r#"
version: 1
tiers: { free: { rank: 0 }, pro: { rank: 1 } }
upstreams: { app: { targets: http://127.0.0.1:8000 } }
routes:
  - { name: a, prefix: /a, hosts: [api.example.com], headers: { X-Beta: 1 }, auth: none, upstream: app }
  - { name: b, prefix: /a, hosts: ["*.example.com"], auth: none, upstream: app }
  - { name: c, regex: '/c/[0-9]+/x', auth: required, upstream: app, allow: [{ tiers: [free], scopes: [read] }] }
  - { name: d, regex: '/d/(?P<username>[a-z]+)', auth: required, upstream: app, allow: [{ owner: "{username}" }] }
  - { name: e, path: "/e/{a}/{b}/{c}/{d}/{e}/{f}", auth: required, upstream: app }
"#;

#[test]
fn nor_do_hosts_headers_regexes_and_many_parameters() {
    let gateway = Gateway::new(&many::load(OTHERS));
    for path in ["/a/b/c", "/c/4711/x", "/e/1/2/3/4/5/6"] {
        assert_eq!(allocations(&gateway, "GET", path), 0, "{path}");
    }
    // The places of its groups are the parameters.
    assert_eq!(allocations(&gateway, "GET", "/d/alice"), 1);
}

#[test]
fn nor_do_other_spellings_where_routes_take_them() {
    let options = "path_options: { case_insensitive: true, trailing_slash: ignore }";
    let text = OTHERS.replace("name: e,", &format!("name: e, {options},"));
    let gateway = Gateway::new(&many::load(&text));
    for path in ["/a/b/c", "/E/1/2/3/4/5/6/"] {
        assert_eq!(allocations(&gateway, "GET", path), 0, "{path}");
    }
}

#[test]
fn nor_does_what_is_kept_of_a_request_that_may_be_answered_by_a_stream() {
    let many: String = (0..300)
        .map(|n| {
            format!("  - {{ name: r{n}, prefix: /r/{n}, headers: {{ X-N-{n}: 1 }}, auth: none, upstream: app }}\n")
        })
        .collect();
    for text in [OTHERS.to_owned(), format!("{OTHERS}{many}")] {
        let deciding = DecidingHeaders::of(&many::load(&text));
        let mut head = many::request("GET", "/a/b/c");
        // The library that reads requests gives values out as parts of what was received.
        let received = Bytes::from(b"1".to_vec());
        head.headers.clear();
        let forwarded = HeaderName::from_static("x-forwarded-for");
        let beta = HeaderName::from_static("x-beta");
        let others = (0..12).map(|n| HeaderName::try_from(format!("x-other-{n}")).unwrap());
        for name in [HOST, AUTHORIZATION, forwarded, beta]
            .into_iter()
            .chain(others)
        {
            let value = HeaderValue::from_maybe_shared(received.clone());
            head.headers.append(name, value.unwrap());
        }
        let keep = || drop(std::hint::black_box(Kept::of(&head, &deciding)));
        keep();
        let before = ASKED.get();
        (0..100).for_each(|_| keep());
        assert_eq!(ASKED.get() - before, 0);
    }
}
