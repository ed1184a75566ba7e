//! `portcullis user import`: accounts of another system, from CSV or JSON lines.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::told::Told;
use super::user::UserError;
use crate::accounts::{By, Imported, Newcomer, Users};
use crate::config::Config;

/// Rows of one transaction: few enough that a running gateway hardly waits for the lock.
const BATCH: usize = 500;
/// The longest row that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

const COLUMNS: [&str; 7] = [
    "username",
    "email",
    "name",
    "password_hash",
    "tier",
    "is_superuser",
    "external_id",
];

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

/// A row of the file, or what is wrong with it.
struct Row {
    line: u64,
    newcomer: Result<Newcomer, String>,
}

type Rows = Box<dyn Iterator<Item = Result<Row, ImportError>>>;

/// Imports what can be imported. Rows that were imported before are left as they are, so a file can
/// be imported again after an interruption or a correction.
pub async fn run(config: &Config, path: &Path) -> Result<Told, UserError> {
    let users = Users::open(config).await?;
    let mut rows = open(path)?;
    let mut tally = Tally::default();
    let is_watched = stderr().is_terminal();
    loop {
        let batch: Vec<Row> = rows.by_ref().take(BATCH).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        import(&users, batch, &mut tally).await?;
        if is_watched {
            // The bar is a comfort: what becomes of it does not matter.
            let _ = write!(
                stderr(),
                "\r{} rows, {} refused",
                tally.rows(),
                tally.refused.len()
            );
        }
    }
    if is_watched {
        let _ = writeln!(stderr());
    }
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

fn open(path: &Path) -> Result<Rows, ImportError> {
    let kind = path.extension().and_then(|kind| kind.to_str());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    if !["csv", "jsonl", "ndjson"].contains(&kind.as_str()) {
        return Err(ImportError::Kind(path.to_owned()));
    }
    let owned = path.to_owned();
    let failed = move |source| ImportError::Read {
        path: owned.clone(),
        source,
    };
    let file = BufReader::new(File::open(path).map_err(&failed)?);
    if kind == "csv" {
        return csv_rows(file, failed);
    }
    Ok(Box::new(json_rows(file, failed)))
}

fn json_rows(
    mut file: BufReader<File>,
    failed: impl Fn(io::Error) -> ImportError,
) -> impl Iterator<Item = Result<Row, ImportError>> {
    let mut line = 0;
    std::iter::from_fn(move || {
        loop {
            let mut bytes = Vec::new();
            match io::Read::take(&mut file, LONGEST).read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(_) => line += 1,
                Err(error) => return Some(Err(failed(error))),
            }
            if bytes.len() as u64 == LONGEST && bytes.last() != Some(&b'\n') {
                let error = io::Error::other(format!("line {line} is longer than 64 KiB"));
                return Some(Err(failed(error)));
            }
            let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
            if text.trim_ascii().is_empty() {
                continue;
            }
            // The message of the parser could show a part of a hash.
            let newcomer = serde_json::from_slice(text).map_err(|error| match error.classify() {
                serde_json::error::Category::Data => {
                    format!("the members are {}", COLUMNS.join(", "))
                }
                _ => "is not a JSON object".to_owned(),
            });
            return Some(Ok(Row { line, newcomer }));
        }
    })
}

fn csv_rows(
    file: BufReader<File>,
    failed: impl Fn(io::Error) -> ImportError + 'static,
) -> Result<Rows, ImportError> {
    // With CRLF as its terminator the reader counts a line too few; so the CR is ours to take off.
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(file);
    let header = reader
        .headers()
        .map_err(|error| ImportError::Header(error.to_string()))?;
    let header: Vec<String> = header
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').trim().to_owned())
        .collect();
    let mut seen = HashSet::new();
    for name in &header {
        if !COLUMNS.contains(&name.as_str()) {
            return Err(ImportError::Header(format!("{name:?} is no column")));
        }
        if !seen.insert(name.clone()) {
            return Err(ImportError::Header(format!("{name} stands twice")));
        }
    }
    for name in ["username", "email", "password_hash"] {
        if !seen.contains(name) {
            return Err(ImportError::Header(format!("{name} is missing")));
        }
    }
    let records = reader.into_records();
    let is_filled = |record: &Result<csv::StringRecord, _>| !matches!(record, Ok(record) if record.as_slice().trim().is_empty());
    let records = records.filter(is_filled);
    Ok(Box::new(records.map(move |record| match record {
        Ok(record) => Ok(Row {
            line: record.position().map_or(0, csv::Position::line),
            newcomer: newcomer(&header, &record),
        }),
        Err(error) => {
            let line = error.position().map_or(0, csv::Position::line);
            match error.into_kind() {
                csv::ErrorKind::Io(error) => Err(failed(error)),
                _ => Ok(Row {
                    line,
                    newcomer: Err("is not UTF-8".to_owned()),
                }),
            }
        }
    })))
}

fn newcomer(header: &[String], record: &csv::StringRecord) -> Result<Newcomer, String> {
    if record.len() != header.len() {
        return Err(format!(
            "has {} values for {} columns",
            record.len(),
            header.len()
        ));
    }
    let mut new = Newcomer::default();
    for (index, (name, value)) in header.iter().zip(record).enumerate() {
        let is_last = index + 1 == header.len();
        let value = value
            .strip_suffix('\r')
            .filter(|_| is_last)
            .unwrap_or(value);
        let some = || Some(value.to_owned()).filter(|value| !value.is_empty());
        match name.as_str() {
            "username" => new.username = value.to_owned(),
            "email" => new.email = value.to_owned(),
            "name" => new.name = some(),
            "password_hash" => new.password_hash = value.to_owned(),
            "tier" => new.tier = some(),
            "external_id" => new.external_id = some(),
            _ => {
                new.is_superuser = match value.to_ascii_lowercase().as_str() {
                    "" | "0" | "f" | "false" | "no" => false,
                    "1" | "t" | "true" | "yes" => true,
                    _ => return Err("is_superuser must be true or false".to_owned()),
                }
            }
        }
    }
    Ok(new)
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
