//! `${VAR}` and `${VAR:-default}` in the values of the file; `$${` stands for `${`.

use super::yaml::Env;

pub struct Expanded {
    pub text: String,
    /// A variable or an escape was there.
    pub is_changed: bool,
    pub faults: Vec<Fault>,
}

/// A variable that could not be expanded.
pub struct Fault {
    /// As it stands in the text.
    pub typed: String,
    pub message: String,
    pub hint: String,
}

/// As in a shell, `:-` also replaces a variable that is set to nothing. What a variable holds is
/// not expanded again.
pub fn expand(text: &str, env: Env<'_>) -> Expanded {
    let mut out = Expanded {
        text: String::with_capacity(text.len()),
        is_changed: false,
        faults: Vec::new(),
    };
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            out.text.push_str("${");
            out.is_changed = true;
            rest = after;
        } else if let Some(body) = rest.strip_prefix("${") {
            out.is_changed = true;
            let Some(end) = body.find('}') else {
                out.faults.push(Fault {
                    typed: rest.to_owned(),
                    message: "`${` is not closed".to_owned(),
                    hint: "write `${NAME}`, or `$${` for the characters themselves".to_owned(),
                });
                return out;
            };
            match variable(&body[..end], env) {
                Ok(value) => out.text.push_str(&value),
                Err((message, hint)) => out.faults.push(Fault {
                    typed: rest[..end + 3].to_owned(),
                    message,
                    hint,
                }),
            }
            rest = &body[end + 1..];
        } else {
            out.text.push('$');
            rest = &rest[1..];
        }
    }
    out.text.push_str(rest);
    out
}

fn variable(inside: &str, env: Env<'_>) -> Result<String, (String, String)> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty()
        || !name.chars().all(is_word)
        || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err((
            "`${…}` holds no name of a variable".to_owned(),
            "write `${NAME}` or `${NAME:-default}`, or `$${` for the characters themselves"
                .to_owned(),
        ));
    }
    match (env(name), default) {
        (Some(value), _) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (Some(empty), None) => Ok(empty),
        (None, None) => Err((
            format!("the environment variable `{name}` is not set"),
            format!("set it, or write `${{{name}:-default}}`"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("app".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        }
    }

    fn text(text: &str) -> String {
        let expanded = expand(text, &env);
        assert!(expanded.faults.is_empty(), "{text}");
        expanded.text
    }

    fn fault(text: &str) -> (String, String) {
        let mut faults = expand(text, &env).faults;
        assert_eq!(faults.len(), 1, "{text}");
        let fault = faults.remove(0);
        (fault.typed, fault.message)
    }

    #[test]
    fn variables_and_defaults() {
        assert_eq!(text("http://${HOST}:80"), "http://app:80");
        assert_eq!(text("${HOST}${HOST}"), "appapp");
        assert_eq!(text("${NONE:-x y}"), "x y");
        assert_eq!(text("${NONE:-}"), "");
        assert_eq!(text("${EMPTY:-x}"), "x");
        assert_eq!(text("${EMPTY}"), "");
        assert_eq!(text("${HOST:-x}"), "app");
    }

    #[test]
    fn what_is_no_variable_stays() {
        assert_eq!(text("$HOST costs 5$ $$ $"), "$HOST costs 5$ $$ $");
        assert_eq!(text("$${HOST} é"), "${HOST} é");
        assert_eq!(text("${NESTED}"), "${HOST}");
    }

    #[test]
    fn faults_name_the_place() {
        let (typed, message) = fault("é ${HOST} ${NONE} x");
        assert_eq!(typed, "${NONE}");
        assert_eq!(message, "the environment variable `NONE` is not set");
        assert_eq!(fault("a ${HOST").0, "${HOST");
        for bad in ["${}", "${1A}", "${A B}", "${A-b}", "${:-x}"] {
            assert_eq!(fault(bad).0, bad);
        }
    }
}
