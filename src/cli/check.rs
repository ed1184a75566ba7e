//! `portcullis check`: every error of a configuration at once, at its place. It connects to nothing unless
//! it is asked to.

use std::path::Path;

use serde_json::json;

use super::output::{once_printed, print, say};
use crate::accounts;
use crate::boot;
use crate::config::text::visible;
use crate::config::{self, Diagnostic, Fault, Loaded, Report, counted};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Human,
    Json,
}

/// What a database said of the keys that only it can judge.
struct Online {
    /// The database of `auth.users` and the columns of its query, if there is one.
    users: Option<(String, Vec<String>)>,
}

/// Checks a file, and says on stdout that it is good or on stderr what is wrong; in JSON all goes
/// to stdout. Returns the exit code: 0, or 1 when the file does not hold or cannot be read.
pub fn run(path: &Path, format: Format, online: bool, colour: bool) -> i32 {
    let verdict = judge(path, format, online, colour);
    say(&verdict.stderr);
    once_printed(print(&verdict.stdout), verdict.code)
}

struct Verdict {
    stdout: String,
    stderr: String,
    code: i32,
}

fn judge(path: &Path, format: Format, online: bool, colour: bool) -> Verdict {
    let checked = boot::load(path).and_then(|loaded| match online {
        true => connect(&loaded).map(|online| (loaded, Some(online))),
        false => Ok((loaded, None)),
    });
    match (checked, format) {
        (Ok((loaded, online)), Format::Human) => Verdict {
            stdout: format!(
                "{}: {}: good\n{}",
                path.display(),
                summary(&loaded),
                compat(&loaded) + &online.as_ref().map(told).unwrap_or_default()
            ),
            stderr: warnings(&loaded, colour),
            code: 0,
        },
        (Ok((loaded, online)), Format::Json) => Verdict {
            stdout: format!("{:#}\n", good(&loaded, online.as_ref())),
            stderr: String::new(),
            code: 0,
        },
        (Err(report), Format::Human) => Verdict {
            stdout: String::new(),
            stderr: report.render(colour),
            code: 1,
        },
        (Err(report), Format::Json) => Verdict {
            stdout: format!("{:#}\n", Report::to_json(&report)),
            stderr: String::new(),
            code: 1,
        },
    }
}

fn connect(loaded: &Loaded) -> Result<Online, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let columns = match runtime {
        Ok(runtime) => runtime.block_on(accounts::check_online(&loaded.config)),
        Err(error) => Err(vec![Fault {
            key: config::USERS_STORE,
            message: format!("cannot connect: {error}"),
            hint: String::new(),
        }]),
    };
    let columns = columns.map_err(|faults| loaded.report(faults))?;
    let users = loaded.config.auth.users.as_ref();
    Ok(Online {
        users: users.map(|users| (users.store.to_string(), columns)),
    })
}

fn told(online: &Online) -> String {
    match &online.users {
        Some((store, columns)) => {
            let columns = visible(&columns.join(", "));
            format!("auth.users: {store}: {columns}: good\n")
        }
        None => "there is no `auth.users` to connect to\n".to_owned(),
    }
}

/// `3 routes, 1 upstream, 3 tiers`
fn summary(loaded: &Loaded) -> String {
    let config = &loaded.config;
    [
        counted(config.routes.len(), "route"),
        counted(config.upstreams.len(), "upstream"),
        counted(config.tiers.len(), "tier"),
    ]
    .join(", ")
}

/// The paths that `auth.compat` takes from the routes, which its name does not tell.
fn compat(loaded: &Loaded) -> String {
    let paths = compat_paths(loaded);
    match paths.is_empty() {
        true => String::new(),
        false => format!("auth.compat serves {}\n", paths.join(", ")),
    }
}

fn compat_paths(loaded: &Loaded) -> Vec<String> {
    boot::compat_paths(&loaded.config.auth)
}

fn warnings(loaded: &Loaded, colour: bool) -> String {
    let rendered = loaded.warnings.iter().map(|w| w.render(colour) + "\n");
    rendered.collect()
}

fn good(loaded: &Loaded, online: Option<&Online>) -> serde_json::Value {
    let mut value = json!({
        "valid": true,
        "routes": loaded.config.routes.len(),
        "upstreams": loaded.config.upstreams.len(),
        "tiers": loaded.config.tiers.len(),
        "compat": compat_paths(loaded),
        "diagnostics": loaded.warnings.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
    });
    if let Some((store, columns)) = online.and_then(|online| online.users.as_ref()) {
        value["users"] = json!({ "store": store, "columns": columns });
    }
    value
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = "version: 1\nupstreams: { app: { targets: http://a } }\n\
                        routes: [{ name: all, prefix: /, auth: none, upstream: app }]\n";

    fn judge_text(text: &str, format: Format) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        fs::write(&path, text).unwrap();
        judge(&path, format, false, false)
    }

    #[test]
    fn a_good_file_is_summed_up() {
        let verdict = judge_text(GOOD, Format::Human);
        assert_eq!(verdict.code, 0);
        assert_eq!(verdict.stderr, "");
        let end = "gateway.yaml: 1 route, 1 upstream, 1 tier: good\n";
        assert!(verdict.stdout.ends_with(end), "{}", verdict.stdout);
    }

    #[test]
    fn the_paths_of_another_project_are_named() {
        let text = format!("{GOOD}auth: {{ compat: [fastapi-boilerplate] }}\n");
        let verdict = judge_text(&text, Format::Human);
        let said = "\nauth.compat serves /api/v1/user, /api/v1/user/me/, ";
        assert!(verdict.stdout.contains(said), "{}", verdict.stdout);
        let verdict = judge_text(&text, Format::Json);
        let value: serde_json::Value = serde_json::from_str(&verdict.stdout).unwrap();
        assert_eq!(value["compat"][0], "/api/v1/user");
    }

    #[test]
    fn warnings_do_not_fail() {
        let text = GOOD.replace("{ app:", "{ spare: { targets: http://b }, app:");
        let verdict = judge_text(&text, Format::Human);
        assert_eq!(verdict.code, 0);
        assert!(
            verdict.stderr.contains("2:14: warning: no route goes to"),
            "{}",
            verdict.stderr
        );
    }

    #[test]
    fn a_route_that_the_auth_api_hides_is_doubted_at_its_place() {
        let text = GOOD.replace("prefix: /,", "path: /api/v1/login,");
        let verdict = judge_text(&text, Format::Human);
        assert_eq!(verdict.code, 0);
        let said = "3:29: warning: the auth API answers `/api/v1/login`: nothing reaches this";
        assert!(verdict.stderr.contains(said), "{}", verdict.stderr);
        let served = text.replace("upstreams:", "auth: { serve: [users] }\nupstreams:");
        assert_eq!(judge_text(&served, Format::Human).stderr, "");
    }

    #[test]
    fn a_route_that_leads_past_another_is_doubted_at_its_place() {
        let text = GOOD.replace(
            "routes: [",
            "routes: [{ name: admin, path: /admin, methods: [GET], auth: required, upstream: app },\n",
        );
        let verdict = judge_text(&text, Format::Human);
        assert_eq!(verdict.code, 0);
        for said in [
            "3:31: warning: POST, PUT, PATCH, DELETE on the paths of `admin` go to `all`, which anybody",
            "3:31: warning: with a slash at their end the paths of `admin` go to `all`, which anybody",
        ] {
            assert!(verdict.stderr.contains(said), "{}", verdict.stderr);
        }
        let json: serde_json::Value =
            serde_json::from_str(&judge_text(&text, Format::Json).stdout).unwrap();
        assert_eq!(json["valid"], true);
        assert_eq!(json["diagnostics"][0]["severity"], "warning");
    }

    #[test]
    fn errors_go_to_stderr_for_people_and_to_stdout_for_machines() {
        let text = GOOD.replace("auth: none", "auth: nobody");
        let human = judge_text(&text, Format::Human);
        assert_eq!((human.code, human.stdout.as_str()), (1, ""));
        assert!(
            human.stderr.contains("gateway.yaml:3:40: error: "),
            "{}",
            human.stderr
        );

        let machine = judge_text(&text, Format::Json);
        assert_eq!((machine.code, machine.stderr.as_str()), (1, ""));
        let value: serde_json::Value = serde_json::from_str(&machine.stdout).unwrap();
        assert_eq!(value["valid"], false);
        assert_eq!(value["diagnostics"][0]["line"], 3);
        assert_eq!(value["diagnostics"][0]["column"], 40);
        assert_eq!(value["diagnostics"][0]["severity"], "error");
    }

    #[test]
    fn a_missing_file_is_an_error_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.yaml");
        let verdict = judge(&path, Format::Human, false, false);
        assert_eq!(verdict.code, 1);
        assert!(
            verdict
                .stderr
                .contains("none.yaml: error: there is no such file")
        );
    }
}
