//! A gateway.yaml as it lies on the disk, read in one piece.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use super::diagnose::{Findings, Report};
use super::source::Span;

/// Bytes of a file; a gateway.yaml of ten thousand routes has two million.
const LARGEST: u64 = 4 * 1024 * 1024;
/// How often a file is read that changes meanwhile.
const TRIES: usize = 3;

/// Tells two texts apart without keeping either: they may hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        let mut out = [0; 32];
        let digest = digest::digest(&digest::SHA256, bytes);
        out.copy_from_slice(digest.as_ref());
        Digest(out)
    }
}

/// The bytes of a file, none of which changed while they were read.
pub struct File {
    path: PathBuf,
    bytes: zeroize::Zeroizing<Vec<u8>>,
}

impl File {
    /// Reads the whole file.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, is too large, or was never read twice the same.
    pub fn read(path: &Path) -> Result<File, Report> {
        for _ in 0..TRIES {
            let bytes = whole(path).map_err(|error| unreadable(path, &error))?;
            let Some(bytes) = bytes else {
                continue;
            };
            if bytes.len() as u64 > LARGEST {
                let message = "the file is larger than 4 MiB";
                return Err(Report::of_file(path, message, "is this a configuration?"));
            }
            return Ok(File {
                path: path.to_owned(),
                bytes: bytes.into(),
            });
        }
        let message = "the file changes while it is read";
        Err(Report::of_file(
            path,
            message,
            "try again once it is written",
        ))
    }

    /// The same of a file that was read before. A pipe has nothing left, and whoever opens it waits.
    pub fn read_again(path: &Path) -> Result<File, Report> {
        if fs::metadata(path).is_ok_and(|is| !is.is_file()) {
            let message = "it is no regular file, and can be read only once";
            let hint = "write it to a file, and serve by that";
            return Err(Report::of_file(path, message, hint));
        }
        File::read(path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    pub(super) fn text(&self) -> Result<&str, Report> {
        std::str::from_utf8(&self.bytes).map_err(|error| {
            let at = error.valid_up_to();
            let text = String::from_utf8_lossy(&self.bytes);
            let mut findings = Findings::default();
            findings
                .error(
                    Span::new(at, at + 1),
                    "the file is not in UTF-8 from here on",
                )
                .hint("save it as UTF-8");
            super::report(findings, &super::source(&text, &self.path))
        })
    }
}

/// `None` when it was written or replaced meanwhile.
fn whole(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = fs::File::open(path)?;
    let before = file.metadata()?;
    let mut bytes = Vec::new();
    file.by_ref().take(LARGEST + 1).read_to_end(&mut bytes)?;
    // A pipe has no state but what is left in it.
    let is_whole = !before.is_file()
        || (state(&before) == state(&file.metadata()?)
            && fs::metadata(path).is_ok_and(|now| state(&now) == state(&before)));
    Ok(is_whole.then_some(bytes))
}

fn state(of: &Metadata) -> (u64, u64, u64, i64, i64) {
    (of.dev(), of.ino(), of.size(), of.mtime(), of.mtime_nsec())
}

fn unreadable(path: &Path, error: &io::Error) -> Report {
    let (message, hint) = match error.kind() {
        ErrorKind::NotFound => (
            "there is no such file".to_owned(),
            "name one with `-c FILE`",
        ),
        _ => (format!("cannot read the file: {error}"), ""),
    };
    Report::of_file(path, message, hint)
}
