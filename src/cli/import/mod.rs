//! `portcullis user import`: accounts of another system, from CSV or JSON lines.

mod bar;
mod rows;

use std::io::{self, IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use self::bar::Bar;
use self::rows::{COLUMNS, Row};
use super::told::Told;
use super::user::UserError;
use crate::accounts::{By, Imported, Users};
use crate::config::Config;

/// Rows of one transaction: few enough that a running gateway hardly waits for the lock.
const BATCH: usize = 500;
/// After each of them, so that a gateway that waits to write has its turn: SQLite does not queue.
const PAUSE: Duration = Duration::from_millis(25);
/// Why a file can't be imported at all.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} ends neither in .csv nor in .jsonl", .0.display())]
    Kind(PathBuf),
    #[error("line 1: {0}; the columns are {columns}", columns = COLUMNS.join(", "))]
    Header(String),
}

/// Imports what can be imported. Rows that were imported before are left as they are, so a file can
/// be imported again after an interruption or a correction.
pub async fn run(config: &Config, path: &Path) -> Result<Told, UserError> {
    let users = Users::open(config).await?;
    let mut rows = rows::open(path)?;
    let mut tally = Tally::default();
    let mut bar = Bar::new(stderr().is_terminal());
    loop {
        let batch: Vec<Row> = rows.by_ref().take(BATCH).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        import(&users, batch, &mut tally).await?;
        tokio::time::sleep(PAUSE).await;
        bar.show(rows.done(), tally.rows(), tally.refused.len());
    }
    bar.end();
    Ok(tally.told())
}

async fn import(users: &Users, batch: Vec<Row>, tally: &mut Tally) -> Result<(), UserError> {
    let mut lines = Vec::with_capacity(batch.len());
    let mut newcomers = Vec::with_capacity(batch.len());
    for row in batch {
        match row.newcomer {
            Ok(newcomer) => {
                lines.push(row.line);
                newcomers.push(newcomer);
            }
            Err(error) => tally.refuse(row.line, error),
        }
    }
    let became = users.import(&newcomers, &By::command_line()).await?;
    for (line, became) in lines.into_iter().zip(became) {
        match became {
            Imported::Made => tally.made += 1,
            Imported::Known => tally.known += 1,
            Imported::Refused(error) => tally.refuse(line, error),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    made: usize,
    known: usize,
    refused: Vec<(u64, String)>,
}

impl Tally {
    fn rows(&self) -> usize {
        self.made + self.known + self.refused.len()
    }

    fn refuse(&mut self, line: u64, error: String) {
        self.refused.push((line, error));
    }

    fn told(mut self) -> Told {
        self.refused.sort_by_key(|(line, _)| *line);
        let mut text = String::new();
        for (line, error) in &self.refused {
            text.push_str(&format!("line {line}: {error}\n"));
        }
        text.push_str(&format!(
            "{} imported, {} were there already, {} refused.\n",
            self.made,
            self.known,
            self.refused.len()
        ));
        let refused = self.refused.iter();
        let refused: Vec<Value> = refused
            .map(|(line, error)| json!({ "line": line, "error": error }))
            .collect();
        let is_failure = !refused.is_empty();
        let json = json!({ "imported": self.made, "known": self.known, "refused": refused });
        Told {
            is_failure,
            ..Told::new(text, json)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Key;
    use crate::accounts::testing::config;

    const HASH: &str = "pbkdf2_sha256$1000$seasalt$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=";

    async fn imported(config: &Config, name: &str, content: &[u8]) -> Result<Value, String> {
        let crate::config::checked::Store::Sqlite(store) = &config.store else {
            panic!("a file")
        };
        let path = store.with_file_name(name);
        std::fs::write(&path, content).unwrap();
        let told = run(config, &path)
            .await
            .map_err(|error| error.to_string())?;
        assert_eq!(
            told.is_failure,
            !told.json["refused"].as_array().unwrap().is_empty()
        );
        Ok(told.json.clone())
    }

    #[tokio::test]
    async fn good_rows_are_kept_and_bad_ones_named_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let csv = format!(
            "\u{feff}username,email,name,password_hash,tier,is_superuser,external_id\r\n\
             ann,ann@example.com,\"Lee, \"\"Ann\"\"\",{HASH},pro,true,17\r\n\
             Bob,bob,,plain,gold,,\r\n\
             \"cy\",cy@example.com,\"Cy\r\nX\",{HASH},,,\r\n\
             eve,eve@example.com,,{HASH},,maybe,\r\n\
             short,row\r\n\
             dora,ANN@example.com,,{HASH},,0,\r\n\
             dave,dave@example.com,,{HASH},,0,17\r\n\
             fay,fay@example.com,,{HASH},,,\r\n"
        );
        let first = imported(&config, "a.csv", csv.as_bytes()).await.unwrap();
        assert_eq!(
            (&first["imported"], &first["known"]),
            (&json!(2), &json!(0))
        );
        let refused = first["refused"].as_array().unwrap();
        let lines: Vec<u64> = refused
            .iter()
            .map(|r| r["line"].as_u64().unwrap())
            .collect();
        assert_eq!(lines, [3, 4, 6, 7, 8, 9]);
        let text = first.to_string();
        for part in [
            "username must",
            "email must",
            "tier is not",
            "password_hash is no",
            "name must not hold",
            "is_superuser",
            "2 values for 7 columns",
            "e-mail",
            "external_id",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("plain"), "no hash is shown: {text}");

        let users = Users::open(&config).await.unwrap();
        let ann = users.find(Key::Username("ann")).await.unwrap().unwrap();
        assert_eq!(ann.name, "Lee, \"Ann\"");
        assert_eq!((ann.tier.as_str(), ann.is_superuser), ("pro", true));
        assert_eq!(ann.external_id.as_deref(), Some("17"));
        let fay = users.find(Key::Username("fay")).await.unwrap().unwrap();
        assert_eq!((fay.name.as_str(), fay.tier.as_str()), ("fay", "free"));

        let again = imported(&config, "a.csv", csv.as_bytes()).await.unwrap();
        assert_eq!(
            (&again["imported"], &again["known"]),
            (&json!(0), &json!(2))
        );
        assert_eq!(again["refused"], first["refused"]);
    }

    #[tokio::test]
    async fn json_lines_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let mut lines = String::new();
        for number in 0..1201 {
            let row = json!({
                "username": format!("user{number}"),
                "email": format!("user{number}@example.com"),
                "password_hash": HASH,
            });
            lines.push_str(&format!("{row}\n"));
        }
        lines.push_str("\n{\"username\": \n{\"user\": \"x\"}\n[1]\n");
        let told = imported(&config, "a.jsonl", lines.as_bytes())
            .await
            .unwrap();
        assert_eq!(told["imported"], 1201);
        let lines: Vec<u64> = told["refused"]
            .as_array()
            .unwrap()
            .iter()
            .map(|refused| refused["line"].as_u64().unwrap())
            .collect();
        assert_eq!(lines, [1203, 1204, 1205]);
    }

    #[tokio::test]
    async fn a_file_of_another_form_is_refused_whole() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        for (name, content, part) in [
            ("a.txt", "x", ".csv"),
            (
                "a.csv",
                "username,email,password\n",
                "\"password\" is no column",
            ),
            ("a.csv", "username,email\n", "password_hash is missing"),
            ("a.csv", "username,username\n", "username stands twice"),
            ("a.csv", "", "is missing"),
        ] {
            let error = imported(&config, name, content.as_bytes())
                .await
                .unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let long = vec![b'x'; 70_000];
        let error = imported(&config, "a.jsonl", &long).await.unwrap_err();
        assert!(error.contains("line 1"), "{error}");
        let missing = run(&config, Path::new("/nowhere/a.csv"))
            .await
            .err()
            .unwrap();
        assert!(missing.to_string().contains("/nowhere/a.csv"), "{missing}");
        let bytes = [b"username,email,password_hash\na\xffb,c,d\n".as_slice()].concat();
        let told = imported(&config, "b.csv", &bytes).await.unwrap();
        assert_eq!(told["refused"][0]["line"], 2);
    }
}
