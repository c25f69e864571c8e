//! A confidant's chunks and manifests as files.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use stash_protocol::{ChunkId, ChunkStore, Manifest, PeerId, Sealed, StoreError};

use crate::durable::{replace, sync_folder};

/// Each chunk has a place of this size in its file: two bytes of length, then the bytes. A length of 0 is no chunk.
const PLACE: usize = 2 + Sealed::MAX;

/// A folder that keeps what others store here.
///
/// ```text
/// OWNER/VERSION.part   an upload
/// OWNER/VERSION.data   the chunks of the stash that is kept
/// OWNER/manifest       which version that is
/// ```
///
/// The manifest is what commits: it is replaced in one step, after the data are on disk. Whatever is found without one
/// after a crash, or a power cut, was never acknowledged, and is dropped.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    open: HashMap<(PeerId, u64), File>,
    last_error: Option<io::Error>,
    /// Held for as long as this process serves from the folder.
    _lock: File,
}

impl Disk {
    /// Opens or makes the folder, drops what was not committed, and lists what was.
    ///
    /// # Errors
    ///
    /// If the folder cannot be made or read, or another process serves from it.
    pub fn open(root: &Path) -> io::Result<(Self, Vec<(PeerId, Manifest)>)> {
        fs::create_dir_all(root)?;
        let lock = File::create(root.join("lock"))?;
        if lock.try_lock().is_err() {
            return Err(io::Error::new(ErrorKind::ResourceBusy, "another peer serves from this folder"));
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(root)? {
            let folder = entry?.path();
            if let Some(owner) = owner_of(&folder)
                && let Some(manifest) = clean(&folder)?
            {
                found.push((owner, manifest));
            }
        }
        Ok((Self { root: root.to_owned(), open: HashMap::new(), last_error: None, _lock: lock }, found))
    }

    /// What went wrong last, for the log; once.
    pub const fn take_error(&mut self) -> Option<io::Error> {
        self.last_error.take()
    }

    fn folder(&self, owner: &PeerId) -> PathBuf {
        self.root.join(owner.to_string())
    }

    fn data(&self, owner: &PeerId, version: u64) -> PathBuf {
        self.folder(owner).join(format!("{version:016x}.data"))
    }

    fn part(&self, owner: &PeerId, version: u64) -> PathBuf {
        self.folder(owner).join(format!("{version:016x}.part"))
    }

    /// The file of a version, opened once.
    fn file(&mut self, owner: &PeerId, version: u64, make: bool) -> io::Result<&mut File> {
        use std::collections::hash_map::Entry;
        let (data, part) = (self.data(owner, version), self.part(owner, version));
        match self.open.entry((*owner, version)) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => {
                let mut options = OpenOptions::new();
                options.read(true).write(true);
                let file = match options.open(data) {
                    Err(error) if error.kind() == ErrorKind::NotFound && make => {
                        fs::create_dir_all(part.parent().unwrap_or(&part))?;
                        options.create(true).truncate(false).open(part)?
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => options.open(part)?,
                    opened => opened?,
                };
                Ok(place.insert(file))
            }
        }
    }

    fn write(&mut self, id: &ChunkId, sealed: Sealed<'_>) -> io::Result<()> {
        let mut place = Vec::with_capacity(PLACE);
        place.extend(u16::try_from(sealed.as_bytes().len()).unwrap_or_default().to_le_bytes());
        place.extend(sealed.as_bytes());
        let file = self.file(&id.owner, id.version, true)?;
        file.seek(SeekFrom::Start(place_of(id.index)))?;
        file.write_all(&place)
    }

    fn read(&mut self, id: &ChunkId, buffer: &mut [u8]) -> io::Result<usize> {
        let (file, length) = self.find(id)?;
        file.read_exact(buffer.get_mut(..length).ok_or(ErrorKind::InvalidData)?)?;
        Ok(length)
    }

    /// The file, at the first byte of a chunk, and the chunk's length.
    fn find(&mut self, id: &ChunkId) -> io::Result<(&mut File, usize)> {
        let file = self.file(&id.owner, id.version, false)?;
        file.seek(SeekFrom::Start(place_of(id.index)))?;
        let mut length = [0; 2];
        file.read_exact(&mut length)?;
        match u16::from_le_bytes(length) {
            0 => Err(ErrorKind::NotFound.into()),
            length => Ok((file, length.into())),
        }
    }

    fn make_durable(&mut self, owner: &PeerId, manifest: &Manifest) -> io::Result<()> {
        let folder = self.folder(owner);
        self.file(owner, manifest.version, false)?.sync_all()?;
        let (part, data) = (self.part(owner, manifest.version), self.data(owner, manifest.version));
        if let Err(error) = fs::rename(part, &data)
            && !data.exists()
        {
            return Err(error);
        }
        sync_folder(&folder)?;
        replace(&folder.join("manifest"), &to_bytes(manifest)?)?;
        sync_folder(&self.root)
    }
}

impl ChunkStore for Disk {
    fn put(&mut self, id: &ChunkId, sealed: Sealed<'_>) -> Result<(), StoreError> {
        self.write(id, sealed).map_err(|error| {
            self.last_error = Some(error);
            StoreError
        })
    }

    fn get(&mut self, id: &ChunkId, buffer: &mut [u8; Sealed::MAX]) -> Option<usize> {
        self.read(id, buffer).ok()
    }

    fn holds(&mut self, id: &ChunkId) -> bool {
        self.find(id).is_ok()
    }

    fn commit(&mut self, owner: &PeerId, manifest: &Manifest) -> Result<(), StoreError> {
        self.make_durable(owner, manifest).map_err(|error| {
            self.last_error = Some(error);
            StoreError
        })?;
        self.open.retain(|(of, version), _| of != owner || *version == manifest.version);
        // It is committed. What cannot be removed now is removed at the next start.
        self.last_error = remove_others(&self.folder(owner), manifest).err();
        Ok(())
    }

    fn discard(&mut self, owner: &PeerId, version: u64) {
        self.open.remove(&(*owner, version));
        match fs::remove_file(self.part(owner, version)) {
            Err(error) if error.kind() != ErrorKind::NotFound => self.last_error = Some(error),
            _ => {}
        }
    }
}

/// Drops what was never committed, and reads what was.
fn clean(folder: &Path) -> io::Result<Option<Manifest>> {
    let path = folder.join("manifest");
    let manifest = match fs::read(&path) {
        Ok(bytes) => Some(from_bytes(&bytes).map_err(|error| damaged(&path, &error))?),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match &manifest {
        Some(manifest) => remove_others(folder, manifest)?,
        None => fs::remove_dir_all(folder)?,
    }
    Ok(manifest)
}

fn remove_others(folder: &Path, manifest: &Manifest) -> io::Result<()> {
    let data = format!("{:016x}.data", manifest.version);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != "manifest" && entry.file_name() != data.as_str() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn damaged(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("{} is damaged: {error}", path.display()))
}

fn owner_of(folder: &Path) -> Option<PeerId> {
    folder.file_name()?.to_str()?.parse().ok()
}

fn place_of(index: u32) -> u64 {
    u64::from(index).saturating_mul(PLACE as u64)
}

fn to_bytes(manifest: &Manifest) -> io::Result<Vec<u8>> {
    let mut bytes = [0; 128];
    let written = postcard::to_slice(manifest, &mut bytes).map_err(io::Error::other)?;
    Ok(written.to_vec())
}

fn from_bytes(bytes: &[u8]) -> io::Result<Manifest> {
    postcard::from_bytes(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: PeerId = PeerId::new([7; 32]);

    fn id(version: u64, index: u32) -> ChunkId {
        ChunkId { owner: OWNER, version, index }
    }

    fn manifest(version: u64) -> Manifest {
        Manifest { version, chunks: 2, sealed: [1; 80].into_iter().collect() }
    }

    fn put(disk: &mut Disk, version: u64, fill: u8) {
        for index in 0..2 {
            disk.put(&id(version, index), Sealed::new(&[fill; 100]).unwrap()).unwrap();
        }
    }

    fn reopen(root: &Path) -> (Disk, Vec<(PeerId, Manifest)>) {
        Disk::open(root).unwrap()
    }

    #[test]
    fn what_was_committed_is_there_after_a_restart_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let (mut disk, found) = reopen(root.path());
        assert_eq!(found, []);
        put(&mut disk, 1, 1);
        assert!(disk.holds(&id(1, 0)) && disk.holds(&id(1, 1)) && !disk.holds(&id(1, 2)));
        disk.commit(&OWNER, &manifest(1)).unwrap();
        put(&mut disk, 2, 2); // an upload that is cut off
        drop(disk);

        let (mut disk, found) = reopen(root.path());
        assert_eq!(found, [(OWNER, manifest(1))]);
        assert!(disk.holds(&id(1, 0)) && !disk.holds(&id(2, 0)));
        let mut buffer = [0; Sealed::MAX];
        assert_eq!(disk.get(&id(1, 1), &mut buffer), Some(100));
        assert_eq!(buffer[..100], [1; 100]);

        put(&mut disk, 2, 2);
        assert_eq!(disk.get(&id(1, 1), &mut buffer), Some(100), "the older version is there until the newer is");
        disk.commit(&OWNER, &manifest(2)).unwrap();
        assert!(!disk.holds(&id(1, 0)) && disk.take_error().is_none());
        drop(disk);
        assert_eq!(reopen(root.path()).1, [(OWNER, manifest(2))]);
    }

    /// Every state of the folder that a crash can leave on the way through a commit.
    #[test]
    fn a_crash_anywhere_in_a_commit_leaves_one_whole_version() {
        for crash in 0..4 {
            let root = tempfile::tempdir().unwrap();
            let (mut disk, _) = reopen(root.path());
            put(&mut disk, 1, 1);
            disk.commit(&OWNER, &manifest(1)).unwrap();
            put(&mut disk, 2, 2);
            let folder = disk.folder(&OWNER);
            if crash >= 1 {
                fs::rename(disk.part(&OWNER, 2), disk.data(&OWNER, 2)).unwrap();
            }
            if crash >= 2 {
                fs::write(folder.join("manifest.new"), [1, 2, 3]).unwrap();
            }
            if crash >= 3 {
                replace(&folder.join("manifest"), &to_bytes(&manifest(2)).unwrap()).unwrap();
            }
            drop(disk);
            let version = if crash >= 3 { 2 } else { 1 };
            let (mut disk, found) = reopen(root.path());
            assert_eq!(found, [(OWNER, manifest(version))]);
            assert!(disk.holds(&id(version, 0)) && disk.holds(&id(version, 1)));
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing else is left");
        }
    }

    #[test]
    fn an_upload_can_be_discarded() {
        let root = tempfile::tempdir().unwrap();
        let (mut disk, _) = reopen(root.path());
        put(&mut disk, 1, 1);
        disk.discard(&OWNER, 1);
        assert!(!disk.holds(&id(1, 0)));
        disk.discard(&OWNER, 1);
        assert!(disk.take_error().is_none(), "twice is no error");
    }

    #[test]
    fn a_folder_serves_one_process() {
        let root = tempfile::tempdir().unwrap();
        let _first = reopen(root.path());
        assert_eq!(Disk::open(root.path()).unwrap_err().kind(), ErrorKind::ResourceBusy);
    }

    #[test]
    fn a_medium_that_fails_is_reported() {
        let root = tempfile::tempdir().unwrap();
        let (mut disk, _) = reopen(root.path());
        fs::write(disk.folder(&OWNER), "not a folder").unwrap();
        assert_eq!(disk.put(&id(1, 0), Sealed::new(&[1; 100]).unwrap()), Err(StoreError));
        assert!(disk.take_error().is_some() && disk.take_error().is_none());
    }
}
