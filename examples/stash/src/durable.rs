//! Files that are there as a whole or not at all.

use std::{
    fs::{self, File, FileType, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use crate::seed::random;

/// Replaces a file in one step, or makes it, readable for its owner alone: after a crash it is the old one or the new
/// one. Durable when it returns.
///
/// # Errors
///
/// Any of the file system's, and those of [`check_replaceable`]. The file is as it was, unless all that failed was making
/// its name durable.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    check_replaceable(path)?;
    let new = temporary(path)?;
    let written = create(&new, bytes).and_then(|()| check_replaceable(path)).and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    sync_folder(folder_of(path))
}

/// Whether [`replace`] may put a file in this place: there is a regular file, or nothing, in a folder.
///
/// A device or a pipe would become a file for everybody who uses it, and a symbolic link would not lead any more where
/// somebody wants it to.
///
/// # Errors
///
/// If there is anything else, or no such folder. The error says what.
pub fn check_replaceable(path: &Path) -> io::Result<()> {
    let Some(_) = path.file_name() else { return Err(ErrorKind::IsADirectory.into()) };
    let folder = folder_of(path);
    if !fs::metadata(folder).map_err(|error| in_file(folder, &error))?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    match fs::symlink_metadata(path) {
        Ok(found) => check_file(found.file_type()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a file that only its owner may read, as a whole or not at all. Durable when it returns.
///
/// # Errors
///
/// Any of the file system's; `AlreadyExists` if there is anything of this name. Nothing is left of the attempt.
pub fn create_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let new = temporary(path)?;
    // Unlike a rename, a link never takes the place of what somebody else has made meanwhile.
    let linked = create(&new, bytes).and_then(|()| fs::hard_link(&new, path));
    let _ = fs::remove_file(&new);
    match linked {
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
            create(path, bytes)?; // a file system without links
        }
        linked => linked?,
    }
    sync_folder(folder_of(path))
}

/// Opens a file, but neither what a symbolic link leads to nor a device or a pipe, which might keep whoever opens it
/// waiting.
///
/// # Errors
///
/// Any of the file system's; `InvalidInput` or `IsADirectory` for what is no file.
pub fn open_file(path: &Path, options: &OpenOptions) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(found) => check_file(found.file_type())?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    options.open(path)
}

/// Makes the names in a folder durable.
///
/// # Errors
///
/// Any of the file system's.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Whether a file of this name is what a crash has left of a file in the making.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    let digits = name.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(BEHIND));
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

const BEFORE: &str = ".stash-";
const BEHIND: &str = ".new";

/// Another name in the same folder. It does not grow with the file's, which may be as long as a name can be.
fn temporary(path: &Path) -> io::Result<PathBuf> {
    Ok(path.with_file_name(format!("{BEFORE}{:016x}{BEHIND}", u64::from_le_bytes(random()?))))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Makes and fills a file that was not there; nothing is left of one that fails.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.write(true).create_new(true).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn check_file(found: FileType) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    if found.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let what = if found.is_symlink() { "a symbolic link" } else { kind_of(found) };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("this is {what}, and no regular file; it is left as it is")))
}

#[cfg(unix)]
fn kind_of(found: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if found.is_fifo() {
        "a pipe"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind_of(_: FileType) -> &'static str {
    "something else"
}

fn in_file(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(folder: &tempfile::TempDir) -> usize {
        fs::read_dir(folder.path()).unwrap().count()
    }

    #[cfg(unix)]
    fn mode_of(path: &Path) -> u32 {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f".repeat(255));
        replace(&path, b"old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(count(&folder), 1);
    }

    #[test]
    fn a_replacement_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("folder");
        fs::create_dir(&taken).unwrap();
        replace(&taken, b"new").unwrap_err();
        assert!(taken.is_dir());
        assert_eq!(count(&folder), 1);
        replace(&folder.path().join("no/such/folder"), b"new").unwrap_err();
        replace(Path::new("/"), b"new").unwrap_err();
        replace(Path::new(""), b"new").unwrap_err();
    }

    /// As root, with the null device, it broke the machine.
    #[cfg(unix)]
    #[test]
    fn found_f3_what_is_no_regular_file_is_neither_replaced_nor_followed() {
        use std::os::unix::{fs::symlink, net::UnixListener};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let _socket = UnixListener::bind(at("socket")).unwrap();
        fs::write(at("file"), "old").unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("nothing"), at("dangling")).unwrap();
        symlink("/dev/null", at("null")).unwrap();
        let before = count(&folder);
        for (name, what) in [("socket", "socket"), ("link", "link"), ("dangling", "link"), ("null", "link")] {
            for error in [
                replace(&at(name), b"new").unwrap_err(),
                open_file(&at(name), OpenOptions::new().write(true).create(true)).unwrap_err(),
            ] {
                assert!(error.to_string().contains(what), "{name}: {error}");
            }
            assert_eq!(create_private(&at(name), b"new").unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert!(!fs::symlink_metadata(at(name)).unwrap().is_file());
        }
        let error = check_replaceable(Path::new("/dev/null")).unwrap_err();
        assert!(error.to_string().contains("device"), "{error}");
        assert_eq!((fs::read(at("file")).unwrap(), count(&folder)), (b"old".to_vec(), before));
    }

    #[cfg(unix)]
    #[test]
    fn found_f3_what_is_written_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "readable for all").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(mode_of(&path), 0o600);
    }

    #[test]
    fn a_private_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed");
        create_private(&path, b"secret").unwrap();
        assert_eq!(create_private(&path, b"other").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&path).unwrap(), count(&folder)), (b"secret".to_vec(), 1));
        #[cfg(unix)]
        assert_eq!(mode_of(&path), 0o600);
    }

    #[test]
    fn a_file_in_the_making_is_known_by_its_name() {
        let name = temporary(Path::new("some/file")).unwrap();
        assert_eq!(name.parent(), Some(Path::new("some")));
        assert!(is_temporary(name.file_name().unwrap().to_str().unwrap()));
        for other in ["", "file", ".stash-0123.new", ".stash-0123456789abcdef", ".stash-0123456789abcdeg.new"] {
            assert!(!is_temporary(other), "{other}");
        }
    }
}
