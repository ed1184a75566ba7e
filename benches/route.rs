//! What it costs to find a request's route and decide on it, with ten routes and with ten thousand:
//! `cargo bench --bench route` prints the table of docs/performance.md.

#[path = "route/many.rs"]
mod many;

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use http::request::Parts;
use portcullis::config;
use portcullis::route;

use many::{Gateway, REQUESTS, ROUTES};

const ROUNDS: usize = 21;
const REQUESTS_A_ROUND: usize = 200_000;

fn main() {
    let few = Side::of_services(2);
    let many = Side::of_services(2000);
    let one = Side::of_expressions(10_000, |_| 0);
    let own = Side::of_expressions(10_000, |route| route);
    // All in each round and in turn, so that what else the machine does meets all alike.
    let sides = [&few, &many, &one, &own];
    let mut figures = [const { Vec::new() }; 5];
    for round in 0..ROUNDS {
        let mut taken = [0.0; 4];
        for turn in 0..sides.len() {
            let side = if round % 2 == 0 {
                turn
            } else {
                sides.len() - 1 - turn
            };
            taken[side] = sides[side].measure();
        }
        let [few, many, one, own] = taken;
        for (all, value) in figures.iter_mut().zip([few, many, many / few, one, own]) {
            all.push(value);
        }
    }
    let [few, many, ratio, one, own] = figures.map(told);
    println!("| figure | median [min–max] | target |");
    println!("|---|---|---|");
    println!("| match and decide, 10 routes | {few} ns | |");
    println!("| match and decide, 10,000 routes | {many} ns | ≤ 1000 |");
    println!("| 10,000 over 10 routes | {ratio} | |");
    println!("| the same by a `cel` rule, one for all 10,000 | {one} ns | ≤ 3000 |");
    println!("| the same by a `cel` rule, 10,000 different ones | {own} ns | ≤ 3000 |");
    let text = many::file(2000);
    let [read, judged, built] = loading(&text);
    println!("| reading and checking a file of 10,000 routes | {read} ms | |");
    println!("| what `check` warns of there | {judged} ms | |");
    println!("| building the table | {built} ms | ≤ 100 for all three |");
}

struct Side {
    gateway: Gateway,
    /// Spread over all services, in no order that a cache would like.
    requests: Vec<Parts>,
}

impl Side {
    fn of_services(services: usize) -> Side {
        let gateway = Gateway::new(&many::load(&many::file(services)));
        let requests = (0..services.max(200) * REQUESTS.len()).map(|n| {
            let service = n.wrapping_mul(7919) % services;
            let (method, path, route) = REQUESTS[n % REQUESTS.len()];
            let head = many::request(method, &format!("/service-{service}{path}"));
            let permit = gateway.serve(&head).expect("a permit");
            assert_eq!(permit.matched().route(), Some(service * ROUTES + route));
            head
        });
        let requests = requests.collect();
        Side { gateway, requests }
    }

    fn of_expressions(routes: usize, number: impl Fn(usize) -> usize) -> Side {
        let gateway = Gateway::new(&many::load(&expressions(routes, number)));
        let requests = (0..routes).map(|n| {
            let route = n.wrapping_mul(7919) % routes;
            let head = many::request("GET", &format!("/service-{route}/users/alice"));
            let permit = gateway.serve(&head).expect("a permit");
            assert_eq!(permit.matched().route(), Some(route));
            head
        });
        let requests = requests.collect();
        Side { gateway, requests }
    }

    /// Nanoseconds a request.
    fn measure(&self) -> f64 {
        let start = Instant::now();
        for head in self.requests.iter().cycle().take(REQUESTS_A_ROUND) {
            assert!(black_box(self.gateway.serve(black_box(head))).is_ok());
        }
        start.elapsed().as_nanos() as f64 / REQUESTS_A_ROUND as f64
    }
}

fn loading(text: &str) -> [String; 3] {
    let mut figures = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let (config, read) = timed(|| {
            let loaded = config::parse(text, Path::new("gateway.yaml"), &|_| None);
            loaded.expect("a file that holds").config
        });
        let (_, judged) = timed(|| route::doubts(&config, &route::Tries::default()));
        let (_, built) = timed(|| route::Table::build(&config, &[]));
        for (all, time) in figures.iter_mut().zip([read, judged, built]) {
            all.push(time.as_secs_f64() * 1e3);
        }
    }
    figures.map(told)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = black_box(work());
    (done, start.elapsed())
}

/// A gateway.yaml of that many routes, each with the expression of that number, which is evaluated to its end.
fn expressions(routes: usize, number: impl Fn(usize) -> usize) -> String {
    let mut text = String::from(many::HEAD);
    for r in 0..routes {
        let n = number(r);
        let _ = writeln!(
            text,
            "  - {{ name: user-{r}, path: \"/service-{r}/users/{{username}}\", auth: required, upstream: app,\n      \
             allow: [{{ cel: 'user.tier in [\"pro\", \"team-{n}\"] || \"editor\" in user.roles && path.username == user.username' }}] }}"
        );
    }
    text
}

/// `median [min–max]`
fn told(mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let digits = if figures[0] < 20.0 { 2 } else { 0 };
    format!(
        "{:.digits$} [{:.digits$}–{:.digits$}]",
        figures[figures.len() / 2],
        figures[0],
        figures[figures.len() - 1]
    )
}
