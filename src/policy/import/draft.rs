//! Routes made of operations, as the text of a file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::operations::{Operation, Security};
use super::template::{Names, Template, unique};
use crate::config::text;

/// What became of a document. Its text is `routes:` of a gateway.yaml.
#[derive(Debug)]
pub struct Imported {
    upstream: String,
    routes: Vec<Draft>,
    /// For a person to decide; they stand in comments.
    undecided: Vec<Draft>,
    /// Operations that no route can have, and why.
    left_out: Vec<(String, String)>,
}

/// A route of one path.
#[derive(Debug)]
struct Draft {
    name: String,
    template: Template,
    methods: Vec<String>,
    /// For the person who reads it.
    note: Option<String>,
}

impl Imported {
    pub(super) fn new(operations: Vec<Operation>, upstream: &str) -> Imported {
        let mut imported = Imported {
            upstream: upstream.to_owned(),
            routes: Vec::new(),
            undecided: Vec::new(),
            left_out: Vec::new(),
        };
        // By path and what is asked of callers, so that methods stand together.
        let mut drafts: BTreeMap<(String, Decision), Draft> = BTreeMap::new();
        let mut takers = Takers::new();
        for operation in operations {
            let told = format!("{} {}", operation.method, operation.path);
            match imported.template(&operation, &mut takers) {
                Ok(None) => {}
                Ok(Some(template)) => {
                    let key = (operation.path, Decision::of(&operation.security));
                    let draft = drafts.entry(key).or_insert_with(|| Draft {
                        name: String::new(),
                        template,
                        methods: Vec::new(),
                        note: note(&operation.security),
                    });
                    draft.methods.push(operation.method);
                }
                Err(why) => imported.left_out.push((told, why)),
            }
        }
        let mut names = Names::new();
        for ((_, decision), mut draft) in drafts {
            draft.name = unique(draft.template.name.clone(), &mut names);
            match decision {
                Decision::Required => imported.routes.push(draft),
                Decision::Optional | Decision::Open => imported.undecided.push(draft),
            }
        }
        imported
    }

    /// The pattern of an operation; `None` for one that another of the same path brings with it.
    ///
    /// # Errors
    ///
    /// Why no route can have it.
    fn template(
        &self,
        operation: &Operation,
        takers: &mut Takers,
    ) -> Result<Option<Template>, String> {
        let Operation {
            path,
            method,
            security,
        } = operation;
        if let Security::Unread(why) = security {
            return Err((*why).to_owned());
        }
        if method == "TRACE" {
            return Err("the gateway refuses TRACE".to_owned());
        }
        if text::method(method).is_none() {
            return Err("a route cannot have this method".to_owned());
        }
        let template = Template::of(path)?;
        // HEAD goes where GET does.
        let methods = match method.as_str() {
            "GET" => vec!["GET", "HEAD"],
            method => vec![method],
        };
        let decision = Decision::of(security);
        for method in &methods {
            let taker = takers.get(&(template.shape.clone(), (*method).to_owned()));
            match taker {
                Some((taker, as_well)) if taker == path && *as_well == decision => return Ok(None),
                Some((taker, _)) if taker == path => {
                    let why = match *method {
                        "HEAD" => "it goes where GET does",
                        _ => "it is there twice",
                    };
                    return Err(format!("{why}, and the document asks for something else"));
                }
                Some((taker, _)) => return Err(format!("`{taker}` takes the same requests")),
                None => {}
            }
        }
        let taken = methods
            .into_iter()
            .map(|method| (template.shape.clone(), method.to_owned()));
        takers.extend(taken.map(|key| (key, (path.clone(), decision))));
        Ok(Some(template))
    }

    /// How many operations are left to a person, or out.
    pub fn open_questions(&self) -> usize {
        let methods = self.undecided.iter().map(|draft| draft.methods.len());
        methods.sum::<usize>() + self.left_out.len()
    }
}

/// By the shape of a path and a method: the path that takes such requests, and what it asks of callers.
type Takers = HashMap<(String, String), (String, Decision)>;

/// What is to be asked of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Decision {
    Required,
    Optional,
    Open,
}

impl Decision {
    fn of(security: &Security) -> Decision {
        match security {
            Security::Required(_) => Decision::Required,
            Security::Optional => Decision::Optional,
            Security::None | Security::Unread(_) => Decision::Open,
        }
    }
}

fn note(security: &Security) -> Option<String> {
    match security {
        Security::Required(scopes) if scopes.is_empty() => None,
        Security::Required(scopes) => Some(format!("the document asks for {}", scopes.join(" "))),
        Security::Optional => Some("its security is optional".to_owned()),
        Security::None | Security::Unread(_) => Some("it has no security".to_owned()),
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.routes.is_empty() {
            true => writeln!(f, "routes: []")?,
            false => writeln!(f, "routes:")?,
        }
        for draft in &self.routes {
            for line in self.lines(draft, "auth: required") {
                writeln!(f, "  {line}")?;
            }
        }
        if !self.undecided.is_empty() {
            writeln!(
                f,
                "\n# For you to decide: say `auth: required`, `optional`, or `none` for everybody."
            )?;
        }
        for draft in &self.undecided {
            for line in self.lines(draft, "auth:") {
                writeln!(f, "#  {line}")?;
            }
        }
        if !self.left_out.is_empty() {
            writeln!(f, "\n# Left out:")?;
        }
        for (what, why) in &self.left_out {
            writeln!(f, "#  {}: {}", one_line(what), one_line(why))?;
        }
        Ok(())
    }
}

impl Imported {
    fn lines(&self, draft: &Draft, auth: &str) -> Vec<String> {
        let template = &draft.template;
        let note = draft.note.as_deref().map(one_line);
        vec![
            format!("- name: {}", word(&draft.name)),
            format!("  {}: {}", template.key, quoted(&template.value)),
            format!("  methods: [{}]", draft.methods.join(", ")),
            format!(
                "  {auth}{}",
                note.map_or_else(String::new, |note| format!(" # {note}"))
            ),
            format!("  upstream: {}", word(&self.upstream)),
        ]
    }
}

/// Nothing of a document ends a comment.
fn one_line(text: &str) -> String {
    text::visible(text).replace(['\n', '\u{2028}', '\u{2029}'], "?")
}

/// A name as it is where nobody reads it as something else than text, else in quotes.
fn word(name: &str) -> String {
    const OTHERS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_text = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !OTHERS.contains(&name.to_ascii_lowercase().as_str());
    match is_text {
        true => name.to_owned(),
        false => quoted(name),
    }
}

/// In single quotes, which leave a backslash alone. What would begin a variable does not.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace("${", "$${"))
}
