//! Secrets in files: read, or made once even when two processes start together.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;
use zeroize::Zeroizing;

/// What was tried with which file, and what came of it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}: {source}", path.display())]
pub struct FileError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Makes the folder, for its owner alone, when it is missing.
pub fn ensure_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("make the folder", path))
}

/// The file's content; when there is no file, what `make` gives is kept first.
pub fn load_or_create<E: From<FileError>>(
    path: &Path,
    make: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Zeroizing<Vec<u8>>, E> {
    if let Some(content) = load_if_there(path)? {
        return Ok(content);
    }
    publish(path, &make()?, Existing::Stays)?;
    Ok(load(path)?)
}

/// The file's content, if there is such a file.
pub fn load_if_there(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    match load(path) {
        Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
        loaded => loaded.map(Some),
    }
}

/// Writes a secret to a file of its own; one that is there stays, and that is an error.
pub fn write_new(path: &Path, content: &[u8]) -> Result<(), FileError> {
    publish(path, content, Existing::Refused)
}

/// The names of a folder's files that are text; none when there is no folder.
pub fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("read", folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed("read", folder))?.file_name();
        names.extend(name.into_string());
    }
    Ok(names)
}

/// `current` is from now on what `next` was, and goes on under the name `former`.
pub fn replace(current: &Path, former: &Path, next: &Path) -> Result<(), FileError> {
    match fs::hard_link(current, former) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(failed("write", former)(error));
        }
        _ => {}
    }
    fs::rename(next, current)
        .and_then(|()| sync_folder_of(current))
        .map_err(failed("write", current))
}

pub fn remove(path: &Path) -> Result<(), FileError> {
    fs::remove_file(path)
        .and_then(|()| sync_folder_of(path))
        .map_err(failed("remove", path))
}

fn load(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let content = Zeroizing::new(fs::read(path).map_err(failed("read", path))?);
    let mode = fs::metadata(path)
        .map_err(failed("look at", path))?
        .permissions()
        .mode();
    // A warning and no more: Kubernetes mounts secrets as 0644 unless told otherwise.
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{:03o}", mode & 0o777),
            "others may read this secret; expected mode 600: run chmod 600 on it"
        );
    }
    Ok(content)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Stays,
    Refused,
}

/// Writes beside and then links: a reader sees all of the file or none, and of two writers one wins.
fn publish(path: &Path, content: &[u8], existing: Existing) -> Result<(), FileError> {
    let draft = folder_of(path).join(format!(".{}.new", Uuid::new_v4()));
    let written = write_draft(&draft, content).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && existing == Existing::Stays => {
            sync_folder_of(path)
        }
        Err(error) => Err(error),
        Ok(()) => sync_folder_of(path),
    });
    // A draft that was never made can't be removed; the error that counts is the first one.
    let _ = fs::remove_file(&draft);
    written.map_err(failed("write", path))
}

fn write_draft(draft: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { verb, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_that_start_together_all_have_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("a/keys");
        ensure_folder(&keys).unwrap();
        let path = keys.join("secret");
        let contents: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8u8)
                .map(|n| {
                    let path = &path;
                    scope.spawn(move || {
                        load_or_create::<FileError>(path, || Ok(Zeroizing::new(vec![n; 32])))
                            .unwrap()
                            .to_vec()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(contents.iter().all(|content| content == &contents[0]));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(&keys).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(fs::read_dir(&keys).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn an_error_says_what_and_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/secret");
        let error = load_or_create::<FileError>(&path, || Ok(Zeroizing::new(vec![1])));
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("cannot write "), "{text}");
        assert!(text.contains("missing/secret"), "{text}");
    }
}
