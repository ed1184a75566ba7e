//! `auth.users`: another application's table, and what of its query can be judged without a database.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::checked::{Registration, Store, UserTable};
use super::super::decode::At;
use super::super::diagnose::Findings;
use super::super::raw::RawAuth;
use super::store;

const EXAMPLE: &str = "for example `SELECT id, username, password_hash FROM members WHERE username = $1 OR email = $1`";

/// Words that only a statement that writes, or locks, has outside of quotes.
const WRITING: [&str; 5] = ["insert", "update", "delete", "merge", "into"];

pub fn users(raw: &RawAuth, dir: &Path, findings: &mut Findings) -> Option<UserTable> {
    let At { value: users, span } = raw.users.given()?;
    let store = store::given(&users.store, &users.store_file, dir, findings);
    if store.is_none() {
        findings
            .error(*span, "`auth.users` names no database")
            .hint("for example `store: postgres://reader:password@host/database` or `store: sqlite:app.db`");
    }
    if raw.registration.copied() == Some(Registration::Open) {
        let at = raw.registration.span().unwrap_or(*span);
        findings
            .error(
                at,
                "nobody can register where `auth.users` has the accounts",
            )
            .hint("remove `registration: open`: accounts are made by the application behind");
    }
    let mut query = String::new();
    if let Some(At { value, span }) = users.query.given() {
        let sql = Sql::read(value);
        if let Some((message, hint)) = sql.fault() {
            findings.error(*span, message).hint(hint);
        }
        value[..sql.end].clone_into(&mut query);
    }
    Some(UserTable {
        store: store.unwrap_or_else(|| Store::Sqlite(PathBuf::new())),
        query,
    })
}

/// What stands in a statement outside of quotes and comments. The database has the last word: this is
/// here to say early, and well, what is most often wrong.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sql {
    /// In lower case; names behind a dot left out.
    words: Vec<String>,
    /// The numbers behind `$`.
    parameters: BTreeSet<String>,
    has_question_mark: bool,
    /// Where the first statement ends.
    end: usize,
    /// There is more behind its semicolon.
    has_more: bool,
}

impl Sql {
    fn read(text: &str) -> Sql {
        let mut sql = Sql::default();
        let mut rest = text;
        let mut is_over = false;
        let mut before = ' ';
        while let Some(c) = rest.chars().next() {
            let length = length_of_token(rest, before, sql.words.last().map(String::as_str));
            let (token, after) = rest.split_at(length);
            let is_silent = c.is_whitespace() || token.starts_with("--") || token.starts_with("/*");
            sql.has_more |= is_over && !is_silent;
            match c {
                ';' if !is_over => is_over = true,
                '?' => sql.has_question_mark = true,
                '$' if token.len() > 1 && token[1..].bytes().all(|b| b.is_ascii_digit()) => {
                    sql.parameters.insert(token[1..].to_owned());
                }
                c if is_of_name(c) && !c.is_ascii_digit() && before != '.' => {
                    sql.words.push(token.to_lowercase());
                }
                _ => {}
            }
            if !is_over {
                sql.end = text.len() - after.len();
            }
            before = token.chars().next_back().unwrap_or(' ');
            rest = after;
        }
        sql
    }

    /// What is wrong, and what to do about it.
    fn fault(&self) -> Option<(String, String)> {
        let first = self.words.first().map_or("", String::as_str);
        let writing = self.words.iter().find(|w| WRITING.contains(&w.as_str()));
        let parameters: Vec<_> = self.parameters.iter().map(|p| format!("`${p}`")).collect();
        if !["select", "with"].contains(&first) {
            return Some(("expected a SELECT".to_owned(), EXAMPLE.to_owned()));
        }
        if let Some(word) = writing {
            let message = format!("the query may only read: it has `{}`", word.to_uppercase());
            let hint = "a column of that name goes in double quotes";
            return Some((message, hint.to_owned()));
        }
        if self.has_more {
            let hint = "put everything into one SELECT";
            return Some(("expected one statement".to_owned(), hint.to_owned()));
        }
        match parameters.as_slice() {
            [one] if one == "`$1`" => None,
            [] if self.has_question_mark => Some((
                "the query has no parameter `$1`".to_owned(),
                "write `$1` in place of `?`: it is what was typed at login".to_owned(),
            )),
            [] => Some((
                "the query has no parameter `$1`".to_owned(),
                format!("`$1` is what was typed at login, {EXAMPLE}"),
            )),
            found => Some((
                format!(
                    "expected `$1` as the only parameter, found {}",
                    found.join(" and ")
                ),
                "`$1` is what was typed at login, and may stand more than once".to_owned(),
            )),
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The bytes of what the text begins with: a word, a quoted piece, a comment, or one character.
fn length_of_token(text: &str, before: char, last_word: Option<&str>) -> usize {
    let first = text.chars().next().unwrap_or(' ');
    let one = first.len_utf8();
    let until = |end: &str, from: usize| {
        let found = text.get(from..).and_then(|rest| rest.find(end));
        found.map_or(text.len(), |at| from + at + end.len())
    };
    match first {
        '-' if text.starts_with("--") => until("\n", 2),
        '/' if text.starts_with("/*") => until("*/", 2),
        // PostgreSQL: E'it\'s'
        '\'' if before.eq_ignore_ascii_case(&'e') && last_word == Some("e") => quoted(text, true),
        '\'' | '"' | '`' => quoted(text, false),
        '$' if !is_of_name(before) => {
            let name = text[1..].find(|c: char| !is_of_name(c));
            let end = name.map_or(text.len(), |at| at + 1);
            let is_number = text[1..end].bytes().all(|b| b.is_ascii_digit());
            if text[end..].starts_with('$') && (end == 1 || !is_number) {
                // PostgreSQL: $tag$ … $tag$
                until(&text[..=end], end + 1)
            } else {
                end
            }
        }
        c if is_of_name(c) => text
            .find(|c: char| !is_of_name(c) && c != '$')
            .unwrap_or(text.len()),
        _ => one,
    }
}

/// Up to the closing quote; a doubled one is a quote of the text.
fn quoted(text: &str, has_escapes: bool) -> usize {
    let quote = text.as_bytes().first().copied();
    let mut bytes = text.bytes().enumerate().skip(1).peekable();
    while let Some((at, byte)) = bytes.next() {
        let next = bytes.peek().map(|(_, next)| *next);
        if has_escapes && byte == b'\\' || Some(byte) == quote && next == quote {
            bytes.next();
        } else if Some(byte) == quote {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<String> {
        Sql::read(text).fault().map(|(message, _)| message)
    }

    #[test]
    fn queries_that_read_one_user_by_what_was_typed() {
        for good in [
            "SELECT id FROM members WHERE username = $1 OR email = $1",
            "select id from m where n=$1;",
            "  -- the members\n /* of $2 */ SELECT '$2', \"$3\", ';x' FROM m WHERE n = lower($1) ; -- end",
            "WITH m AS (SELECT * FROM members) (SELECT * FROM m WHERE n = $1)",
            "(SELECT id FROM m WHERE n = $1)",
            "SELECT E'it\\'s $2', 'it''s $2', $$ $2 $$, $x$ $3; DELETE $x$ FROM m WHERE n = $1",
            "SELECT m.delete, \"update\", updated, a$2 FROM m WHERE n = $1::text AND data ? 'x'",
            "SELECT replace(n, 'ä', 'a') AS username FROM größe WHERE n = $1",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
    }

    #[test]
    fn a_statement_ends_before_its_semicolon() {
        for text in [
            "SELECT $1",
            "SELECT $1;",
            "SELECT $1 ; -- end",
            "SELECT $1;;",
        ] {
            let end = Sql::read(text).end;
            assert_eq!(text[..end].trim_end(), "SELECT $1", "{text}");
        }
    }

    #[test]
    fn queries_that_do_not() {
        for (bad, message) in [
            ("", "expected a SELECT"),
            ("VALUES ($1)", "expected a SELECT"),
            ("UPDATE m SET n = $1", "expected a SELECT"),
            ("/* SELECT", "expected a SELECT"),
            (
                "SELECT 1 FROM m WHERE n = '$1",
                "the query has no parameter",
            ),
            ("SELECT id FROM m WHERE n = ?", "the query has no parameter"),
            ("SELECT $2", "found `$2`"),
            ("SELECT $1, $2", "found `$1` and `$2`"),
            ("SELECT 1 WHERE n = $1; SELECT 2", "expected one statement"),
            ("SELECT 1; DROP TABLE m", "expected one statement"),
            (
                "WITH x AS (DELETE FROM m RETURNING *) SELECT * FROM x WHERE n = $1",
                "it has `DELETE`",
            ),
            ("SELECT * INTO x FROM m WHERE n = $1", "it has `INTO`"),
            ("SELECT * FROM m WHERE n = $1 FOR UPDATE", "it has `UPDATE`"),
        ] {
            let found = fault(bad).unwrap_or_default();
            assert!(found.contains(message), "{bad}: {found}");
        }
    }

    #[test]
    fn no_text_is_too_odd() {
        for odd in [
            "$", "$$", "'", "\"", "E'\\", "/*", "--", "$ä$", "é$1", "x$", "\u{feff}",
        ] {
            let _ = fault(odd);
            let _ = fault(&format!("SELECT {odd}"));
        }
    }
}
