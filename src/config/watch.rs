//! Notices that a file was written or replaced, and whether it is being written just now.
//!
//! Folders are watched, not the file: an editor that saves by renaming leaves another file under its name,
//! and Kubernetes turns a link beside it. Each folder and link on the way to the file counts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

/// A change is told once nothing has happened for so long,
const QUIET: Duration = Duration::from_millis(50);
/// or when changes have gone on for so long.
const LONGEST: Duration = Duration::from_secs(1);
/// A writer that has written nothing for so long does not count as one any more.
const STALLED: Duration = Duration::from_secs(60);
/// How soon watching is tried again when it could not be set up.
const AGAIN: Duration = Duration::from_secs(1);
/// As many links as the system follows.
const MOST_LINKS: usize = 40;

pub struct Watch {
    path: PathBuf,
    folders: Folders,
    /// When the first and the last change came that have not been told yet.
    pending: Option<(Instant, Instant)>,
    /// When somebody last wrote who has not closed the file since.
    writing: Option<Instant>,
    /// When to try again to watch what could not be watched.
    again: Option<Instant>,
}

/// What is watched, as the folders and links on the way to the file are now.
struct Folders {
    inotify: AsyncFd<OwnedFd>,
    by_number: BTreeMap<i32, Folder>,
}

#[derive(Default)]
struct Folder {
    path: PathBuf,
    /// Folders and links that lead to the file.
    ways: BTreeSet<OsString>,
    /// The file itself, if it is here or would be.
    file: Option<OsString>,
}

/// What an event means for the file.
#[derive(PartialEq, Eq)]
enum News {
    None,
    /// Written to, and not closed yet.
    Writing,
    /// Written and closed, or put in its place.
    Written,
    Gone,
    /// The way to the file is another.
    Moved,
}

impl Watch {
    /// Watches a file that is there. Needs a runtime.
    pub fn new(path: &Path) -> io::Result<Watch> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let path = std::path::absolute(path)?;
        Ok(Watch {
            folders: Folders::of(&path)?,
            path,
            pending: None,
            writing: None,
            again: None,
        })
    }

    /// Waits until the file was written or replaced and nobody is writing to it.
    pub async fn changed(&mut self) {
        loop {
            self.take_events();
            let now = Instant::now();
            if self.again.is_some_and(|at| at <= now) {
                self.look_anew();
            }
            let due = self.due();
            if due.is_some_and(|at| at <= now) {
                self.pending = None;
                return;
            }
            let next = [due, self.again].into_iter().flatten().min();
            let wait = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                ready = self.folders.inotify.readable() => match ready {
                    Ok(mut ready) => ready.clear_ready(),
                    // The runtime ends.
                    Err(_) => std::future::pending().await,
                }
            }
        }
    }

    /// Takes in what has happened so far, and says whether anything has happened to the file.
    pub fn take_events(&mut self) -> bool {
        let news = self.folders.news();
        let has_moved = news.contains(&News::Moved);
        let is_any = !news.is_empty();
        self.note(news);
        if has_moved {
            self.look_anew();
        }
        is_any
    }

    /// Whether somebody has written to the file and not closed it, as of the last events taken.
    pub fn is_written_to(&self) -> bool {
        self.writing.is_some_and(|since| since.elapsed() < STALLED)
    }

    /// The file was read as it is after the events taken: none of them is news any more.
    pub fn was_read(&mut self) {
        self.pending = None;
    }

    fn due(&self) -> Option<Instant> {
        match (self.pending, self.writing) {
            (Some((first, last)), None) => Some((last + QUIET).min(first + LONGEST)),
            _ => None,
        }
    }

    fn note(&mut self, news: Vec<News>) {
        let now = Instant::now();
        for one in news {
            match one {
                News::None => {}
                News::Writing => self.writing = Some(now),
                News::Gone => self.writing = None,
                News::Written | News::Moved => {
                    self.writing = None;
                    let first = self.pending.map_or(now, |(first, _)| first);
                    self.pending = Some((first, now));
                }
            }
        }
    }

    fn look_anew(&mut self) {
        match Folders::of(&self.path) {
            Ok(folders) => {
                // What happened between the events above and the new watch is in the old one.
                let mut before = std::mem::replace(&mut self.folders, folders);
                let news = before.news();
                self.note(news);
                self.again = None;
            }
            Err(error) => {
                tracing::debug!(%error, "the configuration can't be watched for now");
                self.again = Some(Instant::now() + AGAIN);
            }
        }
    }
}

impl Folders {
    /// Watches every folder on the way to `path`, as far as there is one.
    fn of(path: &Path) -> io::Result<Folders> {
        let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "sound for an `OwnedFd`, and what replaces it is unsafe"
        )]
        let inotify = AsyncFd::new(inotify)?;
        let mut folders = Folders {
            inotify,
            by_number: BTreeMap::new(),
        };
        let mut left: VecDeque<OsString> = parts(path).collect();
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            match part.as_bytes() {
                b"/" => at = PathBuf::from("/"),
                b".." => {
                    at.pop();
                }
                _ => {
                    // Watched before it is looked at, so that no change falls between.
                    let number = folders.watch(&at, left.is_empty());
                    let entry = at.join(&part);
                    let is = std::fs::symlink_metadata(&entry);
                    let is_link = is.as_ref().is_ok_and(|is| is.is_symlink());
                    let is_file = left.is_empty() && !is_link;
                    match number {
                        Ok(number) => {
                            let folder = folders.by_number.entry(number).or_default();
                            folder.path.clone_from(&at);
                            match is_file {
                                true => folder.file = Some(part),
                                false => {
                                    folder.ways.insert(part);
                                }
                            }
                        }
                        Err(error) if is_file => return Err(error),
                        // A folder that may be passed and not read is not watched.
                        Err(_) => {}
                    }
                    match is {
                        Err(_) => break,
                        Ok(_) if is_link => {
                            links += 1;
                            if links > MOST_LINKS {
                                break;
                            }
                            let Ok(target) = std::fs::read_link(&entry) else {
                                break;
                            };
                            let target: Vec<OsString> = parts(&target).collect();
                            target
                                .into_iter()
                                .rev()
                                .for_each(|part| left.push_front(part));
                        }
                        Ok(_) => at = entry,
                    }
                }
            }
        }
        Ok(folders)
    }

    fn watch(&self, folder: &Path, may_hold_file: bool) -> io::Result<i32> {
        let mut what = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::EXCL_UNLINK
            | WatchFlags::MASK_ADD;
        if may_hold_file {
            what |= WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE;
        }
        Ok(add_watch(&self.inotify, folder, what)?)
    }

    fn news(&mut self) -> Vec<News> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut found = Vec::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_) => return found,
            };
            let lost = ReadFlags::QUEUE_OVERFLOW | ReadFlags::UNMOUNT | ReadFlags::IGNORED;
            let news = match (self.by_number.get(&event.wd()), event.file_name()) {
                _ if event.events().intersects(lost) => News::Moved,
                (Some(folder), Some(name)) => {
                    folder.news(OsStr::from_bytes(name.to_bytes()), event.events())
                }
                _ => News::None,
            };
            if news != News::None {
                found.push(news);
            }
        }
    }
}

impl Folder {
    fn news(&self, name: &OsStr, event: ReadFlags) -> News {
        let gone = ReadFlags::DELETE | ReadFlags::MOVED_FROM;
        let come = ReadFlags::CREATE | ReadFlags::MOVED_TO;
        if self.ways.contains(name) && event.intersects(gone | come) {
            return News::Moved;
        }
        if self.file.as_deref() != Some(name) {
            return News::None;
        }
        if event.intersects(gone) {
            return News::Gone;
        }
        if event.intersects(come) {
            return match std::fs::symlink_metadata(self.path.join(name)) {
                Ok(is) if !is.is_file() => News::Moved,
                // Whoever made it will write to it, or close it as it is.
                Ok(is) if event.contains(ReadFlags::CREATE) && is.len() == 0 => News::None,
                Ok(_) => News::Written,
                Err(_) => News::None,
            };
        }
        if event.contains(ReadFlags::CLOSE_WRITE) {
            return News::Written;
        }
        match event.contains(ReadFlags::MODIFY) {
            true => News::Writing,
            false => News::None,
        }
    }
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| part.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_is_no_news() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        std::fs::write(&path, "one").unwrap();
        let mut watch = Watch::new(&path).unwrap();
        assert_eq!(watch.due(), None);
        std::fs::write(&path, "two").unwrap();
        assert!(watch.take_events());
        assert!(watch.due().is_some());
        watch.was_read();
        assert!(!watch.take_events());
        assert_eq!(watch.due(), None);
        std::fs::write(&path, "three").unwrap();
        assert!(watch.take_events());
        assert!(watch.due().is_some());
    }
}
