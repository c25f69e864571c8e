//! What is kept for one owner.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use stash_protocol::{Manifest, PeerId, Sealed};

use crate::{
    MAX_CHUNKS,
    durable::{self, is_temporary, replace, sync_folder},
};

/// Each chunk has a place of this size in its file: two bytes of length, then the bytes. A length of 0 is no chunk.
const PLACE: usize = 2 + Sealed::MAX;

/// The longest manifest, and some room.
const LONGEST_MANIFEST: u64 = 128;

/// One owner's folder, which is made with the first chunk.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    root: PathBuf,
    /// Each version's file, opened once.
    files: HashMap<u64, File>,
    kept: Option<Manifest>,
    /// A version whose commit has failed, though the manifest on the disk may name it.
    doubtful: Option<u64>,
    /// Something that is to go could not be removed.
    has_litter: bool,
}

impl Folder {
    pub(super) fn new(root: &Path, owner: &PeerId, kept: Option<Manifest>) -> Self {
        let path = root.join(owner.to_string());
        Self { path, root: root.to_owned(), files: HashMap::new(), kept, doubtful: None, has_litter: false }
    }

    /// Whether nothing is here, nor left to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_none() && self.files.is_empty() && self.doubtful.is_none() && !self.has_litter
    }

    /// Whether chunks of this version are here, and no commit yet.
    pub(super) fn is_uploading(&self, version: u64) -> bool {
        self.files.contains_key(&version) && !self.keeps(version)
    }

    pub(super) fn put(&mut self, version: u64, index: u32, sealed: Sealed<'_>) -> io::Result<()> {
        if index >= MAX_CHUNKS || self.keeps(version) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut place = Vec::with_capacity(PLACE);
        place.extend(u16::try_from(sealed.as_bytes().len()).unwrap_or_default().to_le_bytes());
        place.extend(sealed.as_bytes());
        let file = self.file(version, true)?;
        file.seek(SeekFrom::Start(place_of(index)))?;
        file.write_all(&place)
    }

    /// Reads a chunk into `buffer`, and tells its length.
    pub(super) fn get(&mut self, version: u64, index: u32, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.file(version, false)?;
        file.seek(SeekFrom::Start(place_of(index)))?;
        let mut length = [0; 2];
        file.read_exact(&mut length)?;
        let length = usize::from(u16::from_le_bytes(length));
        if length == 0 {
            return Err(ErrorKind::NotFound.into());
        }
        file.read_exact(buffer.get_mut(..length).ok_or(ErrorKind::InvalidData)?)?;
        Ok(length)
    }

    /// Makes an upload what is kept. If this fails the version before it is, and the upload stays; but if its chunks
    /// could not be written, it is gone.
    pub(super) fn commit(&mut self, manifest: &Manifest) -> io::Result<()> {
        let version = manifest.version;
        if let Err(error) = self.file(version, false)?.sync_all() {
            // A second try would not write again what the first one lost.
            self.remove(version)?;
            return Err(error);
        }
        sync_folder(&self.path)?;
        sync_folder(&self.root)?;
        if let Err(error) = replace(&self.manifest(), &to_bytes(manifest)?) {
            self.doubtful = Some(version);
            return self.settle().and(Err(error));
        }
        self.doubtful = None;
        self.kept = Some(manifest.clone());
        self.files.retain(|open, _| *open == version);
        self.has_litter = true; // the versions before it
        Ok(())
    }

    /// Drops an upload. What is kept stays, and so does what the manifest on the disk may name.
    pub(super) fn discard(&mut self, version: u64) -> io::Result<()> {
        if self.keeps(version) {
            return Ok(());
        }
        self.files.remove(&version);
        let settled = self.settle();
        if self.doubtful == Some(version) {
            self.has_litter = true;
            return settled;
        }
        self.remove(version)?;
        if self.kept.is_none() && self.files.is_empty() {
            let _ = fs::remove_dir(&self.path); // unless there is something else in it
        }
        Ok(())
    }

    /// Removes what is neither kept nor on its way, if some of it was left.
    pub(super) fn tidy(&mut self) -> io::Result<()> {
        if !self.has_litter {
            return Ok(());
        }
        self.settle()?;
        let kept = self.kept.as_ref().map(|manifest| manifest.version);
        let wanted = kept.into_iter().chain(self.files.keys().copied()).collect::<Vec<_>>();
        remove_others(&self.path, &wanted)?;
        if wanted.is_empty() {
            let _ = fs::remove_dir(&self.path);
        }
        self.has_litter = false;
        Ok(())
    }

    /// After a commit that failed: the manifest on the disk names what is kept, as before.
    fn settle(&mut self) -> io::Result<()> {
        let Some(version) = self.doubtful else { return Ok(()) };
        let path = self.manifest();
        if read_manifest(&path).is_ok_and(|found| found.is_some_and(|found| found.version == version)) {
            match &self.kept {
                Some(kept) => replace(&path, &to_bytes(kept)?)?,
                None => fs::remove_file(&path).and_then(|()| sync_folder(&self.path))?,
            }
        }
        self.doubtful = None;
        Ok(())
    }

    /// As after a commit that has failed once the manifest was replaced.
    #[cfg(test)]
    pub(super) const fn doubt(&mut self, version: u64) {
        self.doubtful = Some(version);
    }

    /// As after something could not be removed.
    #[cfg(test)]
    pub(super) const fn litter(&mut self) {
        self.has_litter = true;
    }

    fn keeps(&self, version: u64) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.version == version)
    }

    fn remove(&mut self, version: u64) -> io::Result<()> {
        self.files.remove(&version);
        match fs::remove_file(self.path.join(name_of(version))) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                self.has_litter = true;
                Err(error)
            }
            _ => Ok(()),
        }
    }

    fn manifest(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }

    fn file(&mut self, version: u64, make: bool) -> io::Result<&mut File> {
        use std::collections::hash_map::Entry;
        match self.files.entry(version) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => {
                if make {
                    make_folder(&self.path)?;
                }
                let mut options = OpenOptions::new();
                options.read(true).write(make).create(make);
                Ok(place.insert(durable::open_file(&self.path.join(name_of(version)), &options)?))
            }
        }
    }
}

pub(super) const MANIFEST: &str = "manifest";

/// The name of a version's chunks.
pub(super) fn name_of(version: u64) -> String {
    format!("{version:016x}.data")
}

/// Whether this program gives such a name to what it keeps in an owner's folder.
pub(super) fn is_ours(name: &str) -> bool {
    // An earlier version called uploads `.part`, and manifests in the making `.manifest.`
    let digits = name.strip_suffix(".data").or_else(|| name.strip_suffix(".part"));
    let digits = digits.or_else(|| name.strip_prefix(".manifest."));
    let is_hex = |digits: &str| digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    name == MANIFEST || digits.is_some_and(is_hex) || is_temporary(name)
}

/// Removes what this program has left in an owner's folder, but for the manifest and these versions.
pub(super) fn remove_others(folder: &Path, wanted: &[u64]) -> io::Result<()> {
    let wanted: Vec<_> = wanted.iter().map(|version| name_of(*version)).collect();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let is_old = |name: &str| is_ours(name) && name != MANIFEST && !wanted.iter().any(|wanted| wanted == name);
        if name.to_str().is_some_and(is_old) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What is kept in a folder; nothing if there is no manifest. `InvalidData` if it is damaged.
pub(super) fn read_manifest(path: &Path) -> io::Result<Option<Manifest>> {
    let damaged = |why: &str| io::Error::new(ErrorKind::InvalidData, format!("the manifest is damaged: {why}"));
    let file = match durable::open_file(path, OpenOptions::new().read(true)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::IsADirectory) => {
            return Err(damaged(&error.to_string()));
        }
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(LONGEST_MANIFEST).read_to_end(&mut bytes)?;
    let Ok((manifest, [])) = postcard::take_from_bytes::<Manifest>(&bytes) else {
        return Err(damaged("it means nothing"));
    };
    if !(1..=MAX_CHUNKS).contains(&manifest.chunks) {
        return Err(damaged(&format!("{} chunks are none, or more than a file can have", manifest.chunks)));
    }
    Ok(Some(manifest))
}

/// Makes an owner's folder, but does not follow a link to somebody else's.
fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => return made,
    }
    if fs::symlink_metadata(path)?.is_dir() { Ok(()) } else { Err(ErrorKind::NotADirectory.into()) }
}

fn place_of(index: u32) -> u64 {
    u64::from(index).saturating_mul(PLACE as u64)
}

pub(super) fn to_bytes(manifest: &Manifest) -> io::Result<Vec<u8>> {
    let mut bytes = [0; LONGEST_MANIFEST as usize];
    let written = postcard::to_slice(manifest, &mut bytes).map_err(io::Error::other)?;
    Ok(written.to_vec())
}
