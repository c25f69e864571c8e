//! The folder of a peer: whether it may serve from it, and what it finds there.

use std::{
    fs::{self, DirEntry, File, OpenOptions},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use stash_protocol::{Manifest, PeerId};

use super::folder::{MANIFEST, is_ours, name_of, read_manifest, remove_others};
use crate::durable::{self, create_private, is_temporary};

/// A folder with this file is one that this program made: what is half done in it may be removed.
const MARK: &str = "stash-folder";
const MARK_TEXT: &str =
    "`stash serve` made this folder. It removes what it has left half done in here, and nothing else.\n";
const LOCK: &str = "lock";
const KEY: &str = "key";
const DAMAGED: &str = "damaged";

/// What was in a peer's folder when it was opened.
#[derive(Debug, Default)]
pub struct Found {
    /// What is kept, and for whom.
    pub stashes: Vec<(PeerId, Manifest)>,
    /// What cannot be served.
    pub trouble: Vec<Trouble>,
}

/// What could not be served from when the folder was opened; everything else is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// Where it was.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// Where it is now, if it was set aside.
    pub set_aside: Option<PathBuf>,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)?;
        match &self.set_aside {
            Some(place) => write!(f, "; set aside as {}", place.display()),
            None => f.write_str("; left as it is"),
        }
    }
}

/// Makes the folder, or makes sure that it is one of this program's, and locks it.
pub(super) fn claim(root: &Path) -> io::Result<File> {
    fs::create_dir_all(root)?;
    if fs::symlink_metadata(root.join(MARK)).is_err() {
        check_new(root)?;
    }
    let lock = durable::open_file(&root.join(LOCK), OpenOptions::new().write(true).create(true))
        .map_err(|error| io::Error::new(error.kind(), format!("{LOCK}: {error}")))?;
    if lock.try_lock().is_err() {
        return Err(io::Error::new(ErrorKind::ResourceBusy, "another peer serves from this folder"));
    }
    match create_private(&root.join(MARK), MARK_TEXT.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(lock),
    }
}

/// A folder without the mark: there is nothing in it, or what is left of a start that was cut off.
fn check_new(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let name = entry?.file_name();
        if !name.to_str().is_some_and(|name| name == LOCK || name == KEY || is_temporary(name)) {
            let name = name.display();
            let text = format!(
                "this folder was not made by `stash serve`, and is not empty: {name} is in it. Name an empty folder or a \
                 new one; for one of an earlier version, make an empty file {MARK} in it first"
            );
            return Err(io::Error::new(ErrorKind::DirectoryNotEmpty, text));
        }
    }
    Ok(())
}

/// Finds what is kept, drops what was never committed, and sets aside what is damaged.
pub(super) fn scan(root: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if is_temporary(name) && entry.file_type().is_ok_and(|found| found.is_file()) {
            let _ = fs::remove_file(entry.path()); // harmless where it cannot be removed
        }
        let Some(owner) = name.parse::<PeerId>().ok().filter(|owner| owner.to_string() == name) else { continue };
        let path = entry.path();
        match inspect(&entry) {
            Ok(State::Kept(manifest)) => found.stashes.push((owner, manifest)),
            Ok(State::Nothing) => {}
            Err(Fault::Damaged(what)) => found.trouble.push(match set_aside(root, &path, name) {
                Ok(place) => Trouble { path, what, set_aside: Some(place) },
                Err(error) => {
                    Trouble { path, what: format!("{what}; it cannot be set aside: {error}"), set_aside: None }
                }
            }),
            Err(Fault::Foreign(what)) => found.trouble.push(Trouble { path, what, set_aside: None }),
        }
    }
    Ok(found)
}

enum State {
    Kept(Manifest),
    Nothing,
}

enum Fault {
    /// This program's own, but it cannot be served from.
    Damaged(String),
    /// Not this program's, or not to be read: hands off.
    Foreign(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Foreign(error.to_string())
    }
}

fn inspect(entry: &DirEntry) -> Result<State, Fault> {
    if !entry.file_type()?.is_dir() {
        return Err(Fault::Foreign("this is no folder".to_owned()));
    }
    let folder = entry.path();
    let mut foreign = None;
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name();
        if !name.to_str().is_some_and(is_ours) {
            foreign = Some(format!("{} in it is not this program's", name.display()));
        }
    }
    let manifest = match (read_manifest(&folder.join(MANIFEST)), foreign) {
        (Ok(Some(manifest)), _) => manifest,
        (Err(error), None) if error.kind() == ErrorKind::InvalidData => return Err(Fault::Damaged(error.to_string())),
        (_, Some(foreign)) => return Err(Fault::Foreign(foreign)),
        (Err(error), None) => return Err(error.into()),
        (Ok(None), None) => {
            remove_others(&folder, &[])?;
            fs::remove_dir(&folder)?;
            return Ok(State::Nothing);
        }
    };
    if !fs::symlink_metadata(folder.join(name_of(manifest.version))).is_ok_and(|data| data.is_file()) {
        return Err(Fault::Damaged(format!("version {} is kept, but its chunks are gone", manifest.version)));
    }
    let _ = remove_others(&folder, &[manifest.version]); // what stays is removed after the next commit
    Ok(State::Kept(manifest))
}

/// Moves a folder where it is in nobody's way, and tells where that is.
fn set_aside(root: &Path, folder: &Path, name: &str) -> io::Result<PathBuf> {
    let place = root.join(DAMAGED);
    match fs::create_dir(&place) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let free = (1..=u16::MAX).map(|number| place.join(format!("{name}-{number}")));
    let Some(free) = free.into_iter().find(|place| fs::symlink_metadata(place).is_err()) else {
        return Err(ErrorKind::AlreadyExists.into());
    };
    fs::rename(folder, &free)?;
    Ok(free)
}
