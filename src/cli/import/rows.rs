//! The rows of a file of accounts: CSV or JSON lines, each with its line.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use super::ImportError;
use crate::accounts::Newcomer;

/// The longest row that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

pub(super) const COLUMNS: [&str; 7] = [
    "username",
    "email",
    "name",
    "password_hash",
    "tier",
    "is_superuser",
    "external_id",
];

/// A row of the file, or what is wrong with it.
pub(super) struct Row {
    pub line: u64,
    pub newcomer: Result<Newcomer, String>,
}

type Each = Box<dyn Iterator<Item = Result<Row, ImportError>>>;

/// The rows of a file, in their order.
pub(super) struct Rows {
    each: Each,
    read: Rc<Cell<u64>>,
    size: u64,
}

/// Opens a file by the kind that its name tells.
pub(super) fn open(path: &Path) -> Result<Rows, ImportError> {
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
    let file = File::open(path).map_err(&failed)?;
    let size = file.metadata().map_err(&failed)?.len();
    let read = Rc::new(Cell::new(0));
    let file = BufReader::new(Counted {
        file,
        read: Rc::clone(&read),
    });
    let each: Each = if kind == "csv" {
        csv_rows(file, failed)?
    } else {
        Box::new(json_rows(file, failed))
    };
    Ok(Rows { each, read, size })
}

/// A file that tells how much of it was read.
struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

impl Iterator for Rows {
    type Item = Result<Row, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.each.next()
    }
}

impl Rows {
    /// How much of the file was read, from 0 to 1.
    pub fn done(&self) -> f64 {
        self.read.get() as f64 / self.size.max(1) as f64
    }
}

fn json_rows(
    mut file: BufReader<Counted>,
    failed: impl Fn(io::Error) -> ImportError,
) -> impl Iterator<Item = Result<Row, ImportError>> {
    let mut line = 0;
    std::iter::from_fn(move || {
        loop {
            let mut bytes = Vec::new();
            match Read::take(&mut file, LONGEST).read_until(b'\n', &mut bytes) {
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
    file: BufReader<Counted>,
    failed: impl Fn(io::Error) -> ImportError + 'static,
) -> Result<Each, ImportError> {
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
