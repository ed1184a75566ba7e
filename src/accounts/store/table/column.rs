//! Which columns a user of another application may have, and whether a query gives them.

use super::Member;
use crate::config::{Fault, USERS_QUERY};

/// What a column holds, as far as the database says so before there is a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Bool,
    List,
    Json,
    Uuid,
    Time,
    /// SQLite does not say what an expression gives: the row will show.
    Unsaid,
    Other,
}

/// A column of a query.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
    /// The kind by the database's own name for it.
    pub type_name: String,
}

/// A column that means something.
struct Known {
    name: &'static str,
    is_required: bool,
    kinds: &'static [Kind],
    /// The kinds, for people.
    expected: &'static str,
}

const fn known(name: &'static str, kinds: &'static [Kind], expected: &'static str) -> Known {
    Known {
        name,
        is_required: false,
        kinds,
        expected,
    }
}

const fn required(column: Known) -> Known {
    Known {
        is_required: true,
        ..column
    }
}

const TEXT: &[Kind] = &[Kind::Text];
const FLAG: &[Kind] = &[Kind::Bool, Kind::Number];
const TIME: &[Kind] = &[Kind::Time, Kind::Number, Kind::Text];

const KNOWN: [Known; 11] = [
    required(known(
        "id",
        &[Kind::Text, Kind::Number, Kind::Uuid],
        "text, an integer or a uuid",
    )),
    required(known("username", TEXT, "text")),
    required(known("password_hash", TEXT, "text")),
    known("email", TEXT, "text"),
    known("name", TEXT, "text"),
    known("tier", TEXT, "text"),
    known(
        "roles",
        &[Kind::Text, Kind::Json, Kind::List],
        "text, JSON or an array of texts",
    ),
    known("is_superuser", FLAG, "a boolean"),
    known("is_active", FLAG, "a boolean"),
    known("disabled_at", TIME, "a time"),
    known("deleted_at", TIME, "a time"),
];

/// What is wrong with the columns of a query; empty when a [`Member`] can be read from them.
pub(super) fn faults(columns: &[Column]) -> Vec<Fault> {
    let fault = |message: String, hint: String| Fault {
        key: USERS_QUERY,
        message,
        hint,
    };
    let mut faults = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let name = &column.name;
        if columns.iter().take(index).any(|other| other.name == *name) {
            let hint = "select each column once";
            faults.push(fault(
                format!("the column `{name}` comes twice"),
                hint.into(),
            ));
            continue;
        }
        let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
            let names: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
            faults.push(fault(
                format!("the column `{name}` means nothing here"),
                format!("leave it out, or name it with `AS`: {}", names.join(", ")),
            ));
            continue;
        };
        if column.kind != Kind::Unsaid && !known.kinds.contains(&column.kind) {
            let cast = match known.expected {
                "text" => format!("for example `CAST({name} AS TEXT) AS {name}`"),
                "a boolean" => format!("for example `({name} = 'yes') AS {name}`"),
                _ => "convert it in the query".to_owned(),
            };
            faults.push(fault(
                format!(
                    "the column `{name}` is {}, expected {}",
                    column.type_name, known.expected
                ),
                cast,
            ));
        }
    }
    for known in KNOWN.iter().filter(|known| known.is_required) {
        if columns.iter().all(|column| column.name != known.name) {
            faults.push(fault(
                format!("the query gives no column `{}`", known.name),
                format!("name one with `AS`: `SELECT … AS {}`", known.name),
            ));
        }
    }
    faults
}

/// A value of a row.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Number(i64),
    Bool(bool),
    List(Vec<String>),
    /// Something that is there: a time, or what can't be read.
    Other,
}

/// Why a row is nobody who could sign in. Says nothing of whom it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowFault {
    pub column: &'static str,
    pub why: &'static str,
}

/// The user of a row.
pub(super) fn member(columns: &[Column], cells: Vec<Cell>) -> Result<Member, RowFault> {
    let mut row = Row(columns.iter().zip(cells).collect());
    Ok(Member {
        external_id: match row.take("id") {
            Cell::Number(number) => number.to_string(),
            cell => text("id", cell)?.ok_or_else(|| is_null("id"))?,
        },
        username: row.required("username")?,
        password_hash: row.required("password_hash")?,
        email: row.text("email")?,
        name: row.text("name")?,
        tier: row.text("tier")?,
        roles: roles(row.take("roles"))?,
        is_superuser: flag("is_superuser", row.take("is_superuser"))?.unwrap_or(false),
        is_active: row.may_sign_in()?,
    })
}

struct Row<'c>(Vec<(&'c Column, Cell)>);

impl Row<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(column, _)| column.name == name)
    }

    /// `Null` when there is no such column.
    fn take(&mut self, name: &str) -> Cell {
        let found = self.0.iter_mut().find(|(column, _)| column.name == name);
        found.map_or(Cell::Null, |(_, cell)| std::mem::replace(cell, Cell::Null))
    }

    /// No text is as good as none.
    fn text(&mut self, name: &'static str) -> Result<Option<String>, RowFault> {
        let text = text(name, self.take(name))?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn required(&mut self, name: &'static str) -> Result<String, RowFault> {
        self.text(name)?.ok_or_else(|| is_null(name))
    }

    /// A query that says whether users are active, and does not of this one, has not said yes.
    fn may_sign_in(&mut self) -> Result<bool, RowFault> {
        let is_active = match self.has("is_active") {
            true => flag("is_active", self.take("is_active"))?.unwrap_or(false),
            false => true,
        };
        let is_over = |cell: Cell| cell != Cell::Null;
        Ok(is_active && !is_over(self.take("disabled_at")) && !is_over(self.take("deleted_at")))
    }
}

fn is_null(column: &'static str) -> RowFault {
    RowFault {
        column,
        why: "is NULL or empty",
    }
}

fn text(column: &'static str, cell: Cell) -> Result<Option<String>, RowFault> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Text(text) => Ok(Some(text)),
        _ => Err(RowFault {
            column,
            why: "is not text",
        }),
    }
}

fn flag(column: &'static str, cell: Cell) -> Result<Option<bool>, RowFault> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Bool(flag) => Ok(Some(flag)),
        Cell::Number(0) => Ok(Some(false)),
        Cell::Number(1) => Ok(Some(true)),
        _ => Err(RowFault {
            column,
            why: "is neither true nor false",
        }),
    }
}

/// A JSON array, or words with commas between.
fn roles(cell: Cell) -> Result<Vec<String>, RowFault> {
    let text = match cell {
        Cell::Null => return Ok(Vec::new()),
        Cell::List(roles) => return Ok(roles),
        cell => text("roles", cell)?.unwrap_or_default(),
    };
    if text.trim_start().starts_with(['[', '{', '"']) || text.trim() == "null" {
        let roles: Option<Vec<String>> = serde_json::from_str(&text).map_err(|_| RowFault {
            column: "roles",
            why: "is no JSON array of texts",
        })?;
        return Ok(roles.unwrap_or_default());
    }
    let words = text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    Ok(words.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: Kind) -> Column {
        Column {
            name: name.to_owned(),
            kind,
            type_name: format!("{kind:?}").to_uppercase(),
        }
    }

    fn needed() -> Vec<Column> {
        let kinds = [Kind::Number, Kind::Text, Kind::Unsaid];
        let names = ["id", "username", "password_hash"];
        names
            .into_iter()
            .zip(kinds)
            .map(|(n, k)| column(n, k))
            .collect()
    }

    #[test]
    fn columns_that_are_wrong_are_all_told() {
        assert_eq!(faults(&needed()), []);
        let mut columns = needed();
        columns.remove(1);
        columns.extend([
            column("id", Kind::Text),
            column("passwd", Kind::Text),
            column("email", Kind::Other),
            column("is_active", Kind::Text),
            column("roles", Kind::List),
            column("disabled_at", Kind::Time),
        ]);
        let messages: Vec<_> = faults(&columns).into_iter().map(|f| f.message).collect();
        assert_eq!(
            messages,
            [
                "the column `id` comes twice",
                "the column `passwd` means nothing here",
                "the column `email` is OTHER, expected text",
                "the column `is_active` is TEXT, expected a boolean",
                "the query gives no column `username`",
            ]
        );
    }

    fn read(more: &[(&str, Cell)]) -> Result<Member, RowFault> {
        let mut columns = needed();
        let text = |text: &str| Cell::Text(text.to_owned());
        let mut cells = vec![Cell::Number(7), text("ann"), text("hash")];
        for (name, cell) in more {
            match columns.iter().position(|column| column.name == *name) {
                Some(at) => cells[at] = cell.clone(),
                None => {
                    columns.push(column(name, Kind::Unsaid));
                    cells.push(cell.clone());
                }
            }
        }
        member(&columns, cells)
    }

    #[test]
    fn what_a_row_does_not_say_has_a_meaning() {
        let ann = read(&[]).ok().unwrap();
        assert_eq!((ann.external_id.as_str(), ann.email), ("7", None));
        assert!(ann.is_active && !ann.is_superuser && ann.roles.is_empty());
        for (name, cell, is_active) in [
            ("is_active", Cell::Null, false),
            ("is_active", Cell::Number(0), false),
            ("is_active", Cell::Bool(true), true),
            ("disabled_at", Cell::Null, true),
            ("disabled_at", Cell::Other, false),
            ("deleted_at", Cell::Text("2026-01-01".into()), false),
        ] {
            let read = read(&[(name, cell)]).ok().unwrap();
            assert_eq!(read.is_active, is_active, "{name}");
        }
    }

    #[test]
    fn roles_in_each_spelling() {
        let read = |cell| read(&[("roles", cell)]).map(|member| member.roles);
        for text in ["a,b", " a , b,", "[\"a\", \"b\"]"] {
            assert!(read(Cell::Text(text.into())) == Ok(vec!["a".into(), "b".into()]));
        }
        for text in ["", "[]", "null", ","] {
            assert!(read(Cell::Text(text.into())) == Ok(vec![]), "{text}");
        }
        for text in ["[1]", "{\"a\": 1}", "[", "\"a\""] {
            assert!(read(Cell::Text(text.into())).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_that_is_needed_must_be_there() {
        for (name, cell) in [
            ("id", Cell::Null),
            ("username", Cell::Null),
            ("username", Cell::Number(1)),
            ("password_hash", Cell::Null),
            ("password_hash", Cell::Text(String::new())),
            ("email", Cell::Other),
            ("is_superuser", Cell::Number(2)),
            ("is_active", Cell::Text("yes".into())),
        ] {
            let fault = read(&[(name, cell)]).err().unwrap();
            assert_eq!(fault.column, name);
        }
    }
}
