//! What becomes of a log as a whole: its times, lines that are none of it, and too much of one kind.

use serde_json::json;

use super::tests::{line, report};

#[test]
fn limits_are_held_to_the_times_of_the_log() {
    let routes = "name: a, path: /a, auth: required, limits: [{ name: w, key: user, rate: 2/min }]";
    let at = |time: &str| line(&json!({ "time": format!("2026-01-01T00:{time}Z") }));
    let lines = ["00:00", "00:01", "00:02", "01:30", "01:29"].map(at);
    let told = report(routes, &lines).to_json();
    assert_eq!(
        told["differences"][0]["new"], "deny rate-limited",
        "{told:#}"
    );
    assert_eq!(told["differences"][0]["requests"], 1, "{told:#}");
    assert_eq!(
        told["differences"][0]["examples"][0]["time"],
        "2026-01-01T00:00:02Z"
    );
    assert_eq!(told["same"], 4);
    let routes = "name: a, path: /a, auth: required, limits: []";
    assert_eq!(report(routes, &lines).same, 5);
}

#[test]
fn a_time_at_which_no_gateway_wrote_makes_a_line_none_of_the_log() {
    let routes = "name: a, path: /a, auth: required, limits: [{ name: w, key: ip, rate: 2/min }]";
    let at = |time: &str| line(&json!({ "time": time }));
    let lines = [
        "9999-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "2000-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2099-12-31T23:59:59Z",
        "2026-01-01T00:00:01Z",
        "2026-01-01T00:00:01Z",
        "2026-01-01T00:00:01Z",
    ]
    .map(at);
    let told = report(routes, &lines).to_json();
    assert_eq!(
        (&told["bad_lines"], &told["requests"]),
        (&json!(3), &json!(8)),
        "{told:#}"
    );
    // The third at either time.
    assert_eq!(told["differences"][0]["requests"], 2, "{told:#}");
}

#[test]
fn a_log_of_many_years_is_held_to_its_limits_to_its_end() {
    let routes = "name: a, path: /a, auth: required, limits: [{ name: w, key: user, rate: 2/d }]";
    let months = (2001..2031).flat_map(|year| (1..=12).map(move |month| (year, month)));
    let lines = months.flat_map(|(year, month)| {
        let time = format!("{year}-{month:02}-01T00:00:00Z");
        vec![line(&json!({ "time": time })); 3]
    });
    let report = report(routes, &lines.collect::<Vec<_>>());
    assert_eq!((report.different(), report.same), (360, 720));
}

#[test]
fn lines_that_are_none_of_the_log_are_counted() {
    let bad: [&[u8]; 8] = [
        b"not json",
        b"[]",
        b"{}",
        b"\xff\xfe",
        br#"{"time":"yesterday","client_ip":"192.0.2.1","method":"GET","path":"/","decision":"allow"}"#,
        br#"{"time":"2026-01-01T00:00:00Z","client_ip":"x","method":"GET","path":"/","decision":"allow"}"#,
        br#"{"time":"2026-01-01T00:00:00Z","client_ip":"192.0.2.1","method":"G T","path":"/","decision":"allow"}"#,
        br#"{"time":"2026-01-01T00:00:00Z","client_ip":"192.0.2.1","method":"GET","path":"a b","decision":"allow"}"#,
    ];
    let mut lines: Vec<Vec<u8>> = bad.iter().map(|line| line.to_vec()).collect();
    lines.push(b" \n".to_vec());
    lines.push(line(&json!({})));
    lines.push(line(&json!({ "path": "/x\u{1b}[31m", "route": null, "decision": "deny", "reason": "not-found" })));
    let report = report("name: a, path: /a, auth: required", &lines);
    assert_eq!((report.bad_lines, report.requests), (9, 1));
    assert!(
        report
            .to_string()
            .ends_with("1 requests: 1 as before, 0 different, 0 not told; 9 bad lines\n"),
        "{report}"
    );
}

#[test]
fn kinds_of_difference_are_bounded() {
    let lines: Vec<Vec<u8>> = (0..10_050)
        .map(|n| line(&json!({ "route": format!("r{n}"), "path": "/gone" })))
        .collect();
    let report = report("name: a, path: /a, auth: required", &lines);
    assert_eq!(report.different(), 10_050);
    let told = report.to_json();
    assert_eq!(told["differences"].as_array().unwrap().len(), 10_000);
    let rest = json!({ "different": 50, "not_told": 0 });
    assert_eq!(told["ungrouped"], rest);
    let said = "50 more would be decided differently, in more ways than are told apart\n";
    assert!(report.to_string().contains(said));
}

#[test]
fn kinds_of_what_is_not_told_are_bounded_and_no_differences() {
    let lines: Vec<Vec<u8>> = (0..10_050)
        .map(|n| {
            line(&json!({ "route": format!("r{n}"), "decision": "abandoned", "path": "/gone" }))
        })
        .collect();
    let report = report("name: a, path: /a, auth: required", &lines);
    assert_eq!(report.different(), 0);
    let told = report.to_json();
    assert_eq!(told["not_told"].as_array().unwrap().len(), 10_000);
    let rest = json!({ "different": 0, "not_told": 50 });
    assert_eq!(told["ungrouped"], rest);
    let text = report.to_string();
    let end = "50 more are not told, for more reasons and routes than are told apart\n\
               10050 requests: 0 as before, 0 different, 10050 not told; 0 bad lines\n";
    assert!(text.ends_with(end), "{}", &text[text.len() - 300..]);
}

#[test]
fn a_request_for_no_path_is_one_of_the_log() {
    let refused = |method: &str, reason: &str| {
        let decided = json!({
            "method": method, "path": "", "route": null, "decision": "deny", "reason": reason,
            "user_id": null, "auth": "none",
        });
        line(&decided)
    };
    let lines = [
        refused("CONNECT", "method-not-allowed"),
        refused("GET", "bad-request"),
        refused("GET", "not-found"),
    ];
    let told = report("name: a, path: /a, auth: none", &lines).to_json();
    let counts = ["requests", "same", "different", "bad_lines"].map(|key| told[key].clone());
    assert_eq!(counts, [3, 1, 0, 0], "{told:#}");
    let whys: Vec<_> = told["not_told"].as_array().unwrap().iter().collect();
    let whys: Vec<_> = whys.iter().map(|untold| &untold["why"]).collect();
    assert_eq!(
        whys,
        [
            "it asked for something other than a path",
            "refused for what the log does not hold"
        ]
    );
}
