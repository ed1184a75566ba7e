//! Files of many routes: what is asked about them grows no faster than they do, and has an end.

use super::super::{moved, regexes};
use super::*;

/// Files of so many routes by regex, all of which begin alike.
fn files(count: usize) -> (Stages, Stages) {
    let routes: Vec<String> = (0..count)
        .map(|n| format!("name: r{n}, regex: '/x/[a-z]+{n}', auth: required"))
        .collect();
    let mut lines: Vec<&str> = routes.iter().map(String::as_str).collect();
    let old = file(HEAD, &lines);
    lines.push(REST);
    (old, file(HEAD, &lines))
}

#[test]
fn twice_as_many_regexes_are_asked_about_twice_as_often() {
    let asked = |count| {
        let (old, new) = files(count);
        let pairs = Pairs::of(&old.config, &new.config);
        let touched = Touched::of(&old, &new, &pairs);
        moved::find(&old, &new, &pairs, &touched).asked
    };
    let (few, many) = (asked(20), asked(80));
    assert!(few >= 20 && many <= 5 * few, "{few} and {many}");
}

#[test]
fn no_pair_is_looked_at_once_the_rest_would_take_too_long() {
    let routes: Vec<String> = (0..60)
        .map(|n| format!("name: r{n}, path: /x/{n}, auth: required"))
        .collect();
    let mut lines: Vec<&str> = routes.iter().map(String::as_str).collect();
    let old = file(HEAD, &lines);
    lines.push(REST);
    let new = file(HEAD, &lines);
    let pairs = Pairs::of(&old.config, &new.config);
    let touched = Touched::all(&old.config, &new.config);
    let find = |most| moved::find_within(most, &old, &new, &pairs, &touched);
    let all = find(usize::MAX);
    assert_eq!((all.pairs, all.unasked()), (60 + 61 + 60 * 61, None));
    let few = find(100);
    assert!(few.pairs <= 10, "{}", few.pairs);
    assert!(few.unasked().is_some());
    // Pairs that have no request in common cost something, too.
    let most = all.asked * 16 + 100;
    let cut = find(most);
    assert!(cut.pairs < all.pairs && cut.unasked().is_some());
}

#[test]
fn what_changes_among_many_routes_is_held_against_all_others_alone() {
    const COUNT: usize = 500;
    let line = |n: usize, path: &str, auth: &str| {
        format!("name: r{n}, prefix: /x/{n}{path}, auth: {auth}")
    };
    let mut routes: Vec<String> = (0..COUNT).map(|n| line(n, "", "required")).collect();
    routes.push("name: rest, prefix: /, auth: none".to_owned());
    let as_file = |routes: &[String]| {
        let lines: Vec<&str> = routes.iter().map(String::as_str).collect();
        file(HEAD, &lines)
    };
    let old = as_file(&routes);
    // One moves, one is asked less of, and one is written elsewhere.
    routes[7] = line(7, "/y", "required");
    routes[8] = line(8, "", "optional");
    let last = routes.remove(9);
    routes.push(last);
    let new = as_file(&routes);
    let pairs = Pairs::of(&old.config, &new.config);
    let touched = Touched::of(&old, &new, &pairs);
    let moved = moved::find(&old, &new, &pairs, &touched);
    assert!(moved.pairs < 7 * COUNT, "{}", moved.pairs);
    let told = lines(&old, &new);
    let public = "newly public: route rest: takes `GET /x/7`, which `r7` took: ";
    assert!(told[1].starts_with(public), "{told:#?}");
    assert!(
        told.iter()
            .any(|line| line.starts_with("newly public: route r8:"))
    );
    assert!(told.iter().all(|line| !line.contains("only the first")));
}

#[test]
fn what_was_not_asked_about_is_told_and_is_looser() {
    let (old, new) = files(20);
    let pairs = Pairs::of(&old.config, &new.config);
    let touched = Touched::of(&old, &new, &pairs);
    let unasked = |most| moved::find_within(most, &old, &new, &pairs, &touched).unasked();
    assert_eq!(unasked(usize::MAX), None);
    let change = unasked(1).unwrap();
    assert!(change.kind.is_looser());
    let what = "only the first 1 of the requests that the files tell apart were put to them: too many routes";
    assert_eq!(change.about, "routes");
    assert!(change.what.starts_with(what), "{}", change.what);
}

#[test]
fn pairs_of_routes_that_were_not_compared_are_told_and_are_looser() {
    let routes: Vec<String> = (0..9)
        .map(|n| format!("name: r{n}, regex: '/x/{n}[a-z]+', auth: required"))
        .collect();
    let turned = routes
        .iter()
        .rev()
        .map(|line| line.replace("required", "none"));
    let turned: Vec<String> = turned.collect();
    let [old, new] = [&routes, &turned].map(|lines| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        file(HEAD, &lines)
    });
    let pairs = Pairs::of(&old.config, &new.config);
    let touched = Touched::of(&old, &new, &pairs);
    let moved = moved::find(&old, &new, &pairs, &touched);
    let told = |most| regexes::changes_within(most, &old, &new, &pairs, &touched, &moved);
    let is_cut = |change: &&Change| change.what.contains("were not compared");
    assert_eq!(told(usize::MAX).iter().find(is_cut), None);
    let cut = told(1);
    let cut = cut.iter().find(is_cut).unwrap();
    assert!(cut.kind.is_looser() && cut.about == "routes", "{cut:?}");
}
