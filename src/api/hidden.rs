//! Routes that the API's endpoints stand in front of.

use super::endpoints::operations;
use super::operation::Operation;
use crate::config::checked::{Pattern, Segment};
use crate::config::{Config, Doubt};
use crate::route::Tries;

/// A route that gets no request, or none for its own path, since an endpoint answers it. Regexes are left whose examples
/// would take longer to make than there are tries.
pub fn hidden_routes(config: &Config, tries: &Tries) -> Vec<Doubt> {
    let base = &config.auth.base_path;
    let operations: Vec<(String, Operation)> = operations(&config.auth)
        .into_iter()
        .map(|operation| (operation.path(base), operation))
        .collect();
    let segments = operations.iter().map(|(path, _)| segments(path));
    let segments: Vec<Vec<&str>> = segments.collect();
    let routes = config.routes.iter().enumerate();
    let doubts = routes.filter_map(|(route, r)| {
        let mut endpoints = operations.iter().zip(&segments);
        let covering = |(_, own): &(_, &Vec<&str>)| covers(own, &r.pattern, tries);
        let ((path, operation), _) = endpoints.find(covering)?;
        let left = match r.pattern {
            Pattern::Path(_) | Pattern::Regex(_) => "nothing reaches this route",
            Pattern::Prefix(_) => "this route gets only what lies below and is no endpoint",
        };
        let hint = match operation.group {
            _ if operation.compat.is_some() => {
                "give it another path, or leave the project out of `auth.compat`".to_owned()
            }
            Some(group) => format!(
                "give it another path, or leave `{}` out of `auth.serve`",
                group.as_str()
            ),
            None => "give it another path".to_owned(),
        };
        Some(Doubt {
            route,
            message: format!("the auth API answers `{path}`: {left}"),
            hint,
        })
    });
    doubts.collect()
}

/// So many paths of a regex stand for all of them.
const EXAMPLES: usize = 8;

fn segments(path: &str) -> Vec<&str> {
    path.split('/').skip(1).collect()
}

/// Whether the endpoint takes every path of the pattern; of a prefix, the prefix itself.
fn covers(own: &[&str], pattern: &Pattern, tries: &Tries) -> bool {
    let takes = |own: &str, literal: &str| own.starts_with('{') || own == literal;
    match pattern {
        Pattern::Path(segments) => {
            own.len() == segments.len()
                && own
                    .iter()
                    .zip(segments)
                    .all(|(own, segment)| match segment {
                        Segment::Literal(literal) => takes(own, literal),
                        Segment::Param(_) => own.starts_with('{'),
                        Segment::Rest(_) => false,
                    })
        }
        Pattern::Prefix(literals) => {
            own.len() == literals.len()
                && own
                    .iter()
                    .zip(literals)
                    .all(|(own, literal)| takes(own, literal))
        }
        Pattern::Regex(regex) => {
            let leading = regex.leading_segments();
            let is_near = leading.len() <= own.len()
                && own
                    .iter()
                    .zip(leading)
                    .all(|(own, leading)| takes(own, leading));
            let takes_all = |path: &String| {
                let segments = segments(path);
                own.len() == segments.len()
                    && own
                        .iter()
                        .zip(segments)
                        .all(|(own, segment)| takes(own, segment))
            };
            // Those of a large regex take a while to make, so they are asked for last.
            let examples = || regex.examples().iter().take(EXAMPLES);
            let can_be_tried = || {
                tries.spend_on_examples(pattern);
                !tries.are_spent()
            };
            is_near && can_be_tried() && examples().next().is_some() && examples().all(takes_all)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::config::checked::Group;

    /// The message about the only route, if there is one.
    fn doubt(pattern: &str, serve: &[Group]) -> Option<String> {
        let text = format!(
            "version: 1\nupstreams: {{ app: {{ targets: http://a }} }}\n\
             routes: [{{ name: all, {pattern}, auth: none, upstream: app }}]\n"
        );
        let mut config = config::parse(&text, "g.yaml".as_ref(), &|_| None)
            .unwrap()
            .config;
        config.auth.serve = serve.to_vec();
        let doubts = hidden_routes(&config, &Tries::default());
        doubts
            .into_iter()
            .next()
            .map(|d| format!("{}; {}", d.message, d.hint))
    }

    #[test]
    fn regexes_that_begin_elsewhere_are_not_tried() {
        let text = "version: 1\nupstreams: { app: { targets: http://a } }\nroutes:\n\
             - { name: far, regex: '/x/[a-z]+', auth: none, upstream: app }\n\
             - { name: near, regex: '/api/v1/(login|refresh)', auth: none, upstream: app }\n";
        let loaded = config::parse(text, "g.yaml".as_ref(), &|_| None);
        let config = loaded.unwrap().config;
        hidden_routes(&config, &Tries::default());
        let tried = config.routes.iter().map(|route| match &route.pattern {
            Pattern::Regex(regex) => regex.has_made_examples(),
            Pattern::Path(_) | Pattern::Prefix(_) => false,
        });
        assert_eq!(tried.collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn large_regexes_that_would_take_long_are_left() {
        let route = |n| {
            format!(
                "  - {{ name: r{n}, regex: '/api/v1/(login|{n}(a?b?c?.?){{50}})', auth: none, upstream: app }}\n"
            )
        };
        let routes: String = (0..6).map(route).collect();
        let text =
            format!("version: 1\nupstreams: {{ app: {{ targets: http://a }} }}\nroutes:\n{routes}");
        let tried = |tries: Tries| {
            let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None);
            let config = loaded.unwrap().config;
            hidden_routes(&config, &tries);
            let tried = config.routes.iter().filter(|route| match &route.pattern {
                Pattern::Regex(regex) => regex.has_made_examples(),
                Pattern::Path(_) | Pattern::Prefix(_) => false,
            });
            (tried.count(), tries.are_spent())
        };
        assert_eq!(tried(Tries::default()), (6, false));
        let (few, are_spent) = tried(Tries::within(20_000));
        assert!(0 < few && few < 6 && are_spent, "{few}");
    }

    #[test]
    fn a_path_that_an_endpoint_takes_whole_is_hidden() {
        for (pattern, endpoint) in [
            ("path: /api/v1/login", "/api/v1/login"),
            ("path: /api/v1/users/bob", "/api/v1/users/{username}"),
            ("path: /api/v1/users/me", "/api/v1/users/me"),
            ("path: \"/api/v1/users/{id}\"", "/api/v1/users/{username}"),
            (
                "path: \"/api/v1/users/{id}/tier\"",
                "/api/v1/users/{username}/tier",
            ),
            ("path: /.well-known/jwks.json", "/.well-known/jwks.json"),
            ("path: /api/v1/openapi.json", "/api/v1/openapi.json"),
            (
                "regex: \"/api/v1/users/[a-z]+\"",
                "/api/v1/users/{username}",
            ),
        ] {
            let said = doubt(pattern, &Group::ALL).unwrap();
            let begins = format!("the auth API answers `{endpoint}`: nothing reaches");
            assert!(said.starts_with(&begins), "{pattern}: {said}");
        }
    }

    #[test]
    fn a_prefix_is_hidden_where_it_begins() {
        let said = doubt("prefix: /api/v1/users", &Group::ALL).unwrap();
        assert_eq!(
            said,
            "the auth API answers `/api/v1/users`: this route gets only what lies below and is no \
             endpoint; give it another path, or leave `users` out of `auth.serve`"
        );
    }

    #[test]
    fn what_also_gets_other_paths_is_not() {
        for pattern in [
            "prefix: /",
            "prefix: /api/v1",
            "path: \"/api/v1/{page}\"",
            "path: \"/api/v1/{*rest}\"",
            "path: \"/api/v1/users/{*rest}\"",
            "path: /api/v1/users/bob/posts",
            "path: /api/v2/login",
            "path: /api/v1/login/",
            "regex: \"/api/v1/users/[a-z]+(/posts)?\"",
            "regex: /api/v./login",
        ] {
            assert_eq!(doubt(pattern, &Group::ALL), None, "{pattern}");
        }
    }

    #[test]
    fn the_paths_of_another_project_hide_routes_too() {
        let text = "version: 1\nupstreams: { app: { targets: http://a } }\n\
                    auth: { compat: [fastapi-boilerplate] }\n\
                    routes: [{ name: all, path: /api/v1/user/bob, auth: none, upstream: app }]\n";
        let config = config::parse(text, "g.yaml".as_ref(), &|_| None).unwrap();
        let doubts = hidden_routes(&config.config, &Tries::default());
        assert!(doubts[0].message.contains("`/api/v1/user/{username}`"));
        assert!(doubts[0].hint.contains("`auth.compat`"));
    }

    #[test]
    fn groups_that_are_not_served_hide_nothing() {
        assert_eq!(doubt("prefix: /api/v1/users", &[Group::Session]), None);
        assert_eq!(doubt("path: /api/v1/openapi.json", &[]), None);
        assert!(doubt("path: /api/v1/login", &[Group::Session]).is_some());
    }
}
