//! Secrets in files of `auth.keys_dir`: read, or made once even when two processes start together.

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
    match load(path) {
        Err(error) if error.source.kind() == ErrorKind::NotFound => {
            publish(path, &make()?)?;
            Ok(load(path)?)
        }
        loaded => Ok(loaded?),
    }
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

/// Writes beside and then links: a reader sees all of the file or none, and of two writers one wins.
fn publish(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let draft = folder.join(format!(".{}.new", Uuid::new_v4()));
    let written = write_draft(&draft, content).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => File::open(folder)?.sync_all(),
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
