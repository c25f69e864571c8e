//! A confidant's chunks and manifests as files.

mod folder;
mod present;
mod root;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use stash_protocol::{ChunkId, ChunkStore, Manifest, PeerId, Sealed, StoreError};
use steadfast::runtime::{Lock, Mutex};

pub use self::root::{Found, Trouble};
use self::{folder::Folder, present::Present};

/// A folder that keeps what others store here; clones are the same folder.
///
/// ```text
/// stash-folder         a mark: this program has made this folder
/// lock                 held by the process that serves from it
/// OWNER/VERSION.data   the chunks of a stash that is kept, or of an upload
/// OWNER/manifest       which version is kept
/// damaged/             owners' folders that could not be served from, set aside
/// ```
///
/// The manifest is what commits: it is replaced in one step, after the data are on disk. Whatever is found without one
/// after a crash, or a power cut, was never acknowledged, and is dropped. Nothing else is ever removed: neither in a
/// folder without the mark, nor what has a name that this program does not give.
///
/// Different owners do not wait for each other: each has a lock of its own, and what all share is never held while the
/// disk works.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    folders: Mutex<HashMap<PeerId, Arc<Mutex<Folder>>>>,
    /// Which chunks the uploads have, so that nobody has to look.
    present: Mutex<HashMap<(PeerId, u64), Present>>,
    last_error: Mutex<Option<io::Error>>,
    /// Held for as long as this process serves from the folder.
    _lock: File,
}

impl Disk {
    /// Opens or makes the folder, drops what was not committed, and tells what was. What is damaged is set aside, and
    /// keeps nobody from being served.
    ///
    /// # Errors
    ///
    /// If the folder cannot be made or read, holds something and was not made by this program, or another process serves
    /// from it.
    pub fn open(root: &Path) -> io::Result<(Self, Found)> {
        let lock = root::claim(root)?;
        let found = root::scan(root)?;
        let folder = |(owner, manifest): &(PeerId, Manifest)| {
            let folder = Folder::new(root, owner, Some(manifest.clone()));
            (*owner, Arc::new(Mutex::new(folder)))
        };
        let disk = Shared {
            root: root.to_owned(),
            folders: Mutex::new(found.stashes.iter().map(folder).collect()),
            present: Mutex::default(),
            last_error: Mutex::default(),
            _lock: lock,
        };
        Ok((Self(Arc::new(disk)), found))
    }

    /// What went wrong last, for the log; once.
    pub fn take_error(&self) -> Option<io::Error> {
        self.0.last_error.with(Option::take)
    }

    /// Tries again to remove what could not be removed when it was due.
    pub fn tidy(&self) {
        let folders: Vec<_> = self.0.folders.with(|folders| folders.values().cloned().collect());
        for folder in folders {
            let _ = self.note(folder.with(Folder::tidy)); // and again the next time
        }
    }

    fn folder(&self, owner: &PeerId) -> Arc<Mutex<Folder>> {
        let make = || Arc::new(Mutex::new(Folder::new(&self.0.root, owner, None)));
        self.0.folders.with(|folders| folders.entry(*owner).or_insert_with(make).clone())
    }

    fn note<T>(&self, done: io::Result<T>) -> Result<T, StoreError> {
        done.map_err(|error| {
            self.0.last_error.with(|last| *last = Some(error));
            StoreError
        })
    }

    fn forget(&self, owner: &PeerId, version: u64) {
        self.0.present.with(|present| present.remove(&(*owner, version)));
    }

    /// Drops what is known of an owner of whom nothing is kept.
    fn forget_if_empty(&self, owner: &PeerId, folder: &Mutex<Folder>) {
        if folder.with(|folder| folder.is_empty()) {
            self.0.folders.with(|folders| folders.remove(owner));
        }
    }
}

impl ChunkStore for Disk {
    fn put(&mut self, id: &ChunkId, sealed: Sealed<'_>) -> Result<(), StoreError> {
        let folder = self.folder(&id.owner);
        let written = folder.with(|folder| folder.put(id.version, id.index, sealed));
        let key = (id.owner, id.version);
        if written.is_ok() {
            self.0.present.with(|present| present.entry(key).or_default().add(id.index));
        } else if self.0.present.with(|present| !present.contains_key(&key)) {
            // No upload has begun, so that nobody would ever drop what was made for it.
            let _ = self.note(folder.with(|folder| folder.discard(id.version)));
            self.forget_if_empty(&id.owner, &folder);
        }
        self.note(written)
    }

    fn get(&mut self, id: &ChunkId, buffer: &mut [u8; Sealed::MAX]) -> Option<usize> {
        self.folder(&id.owner).with(|folder| folder.get(id.version, id.index, buffer)).ok()
    }

    fn holds(&mut self, id: &ChunkId) -> bool {
        self.get(id, &mut [0; Sealed::MAX]).is_some()
    }

    fn missing(&mut self, owner: &PeerId, version: u64, chunks: u32) -> Option<(u32, u32)> {
        self.0.present.with(|present| match present.get_mut(&(*owner, version)) {
            Some(present) => present.missing(chunks),
            None => Present::default().missing(chunks),
        })
    }

    fn commit(&mut self, owner: &PeerId, manifest: &Manifest) -> Result<(), StoreError> {
        let folder = self.folder(owner);
        match folder.with(|folder| folder.commit(manifest)) {
            Ok(()) => {
                self.0.present.with(|present| present.retain(|(of, _), _| of != owner));
                let _ = self.note(folder.with(Folder::tidy)); // it is committed, whatever stays behind for now
                Ok(())
            }
            Err(error) => {
                if folder.with(|folder| !folder.is_uploading(manifest.version)) {
                    self.forget(owner, manifest.version); // what was sent has to be sent again
                }
                self.note(Err(error))
            }
        }
    }

    fn discard(&mut self, owner: &PeerId, version: u64) {
        self.forget(owner, version);
        let folder = self.folder(owner);
        let _ = self.note(folder.with(|folder| folder.discard(version)));
        self.forget_if_empty(owner, &folder);
    }
}
