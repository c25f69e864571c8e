//! Seeds as files: 64 hexadecimal digits, readable for their owner alone.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::Path,
};

use rand_core::TryRng;
use stash_protocol::PeerId;
use steadfast::runtime::SystemRng;

use crate::durable::create_private;

/// More than a seed has, whatever comes out of the file.
const LONGEST: u64 = 1_024;

/// Reads a seed. The file may be a pipe; no more is read of it than a seed could have.
///
/// # Errors
///
/// If the file cannot be read, or holds anything else. The error names the file, and says what to do.
pub fn read(path: &Path) -> io::Result<[u8; 32]> {
    let in_file = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut text = Vec::new();
    let mut file = File::open(path).map_err(in_file)?;
    let is_file = file.metadata().map_err(in_file)?.is_file();
    file.by_ref().take(LONGEST).read_to_end(&mut text).map_err(in_file)?;
    // A seed is written as a key is.
    let seed = str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse::<PeerId>().ok());
    let no_seed = || {
        let why = match text.trim_ascii().len() {
            _ if !is_file => "",
            0 => ": the file is empty; remove it, and a new one can be made",
            1..64 => ": the file is too short; if no copy of the seed is left, remove it, and a new one can be made",
            _ => "",
        };
        let text = format!("not a seed, which is 64 hexadecimal digits{why}");
        in_file(io::Error::new(ErrorKind::InvalidData, text))
    };
    seed.map(|seed| *seed.as_bytes()).ok_or_else(no_seed)
}

/// Reads a seed, or makes one if there is no such file; then the flag is true.
///
/// # Errors
///
/// As for [`read`]; if the file cannot be made, or the system has no randomness to give.
pub fn read_or_make(path: &Path) -> io::Result<([u8; 32], bool)> {
    let seed = random()?;
    match create_private(path, format!("{}\n", PeerId::new(seed)).as_bytes()) {
        Ok(()) => Ok((seed, true)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok((read(path)?, false)),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// Random bytes from the system.
///
/// # Errors
///
/// If the system has none to give.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn found_f6_an_empty_or_short_file_is_named_with_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me.seed");
        for (text, why) in [("", "empty"), ("\n", "empty"), ("0123", "too short")] {
            fs::write(&path, text).unwrap();
            let error = read_or_make(&path).unwrap_err().to_string();
            assert!(error.contains("me.seed") && error.contains(why) && error.contains("remove it"), "{error}");
        }
        fs::remove_file(&path).unwrap();
        assert!(read_or_make(&path).unwrap().1);
    }

    #[cfg(unix)]
    #[test]
    fn found_f3_a_device_is_no_seed_nor_is_anybody_told_to_remove_it() {
        for device in ["/dev/zero", "/dev/null"] {
            for error in [read(Path::new(device)).unwrap_err(), read_or_make(Path::new(device)).unwrap_err()] {
                assert_eq!(error.kind(), ErrorKind::InvalidData);
                assert!(!error.to_string().contains("remove"), "{error}");
            }
        }
    }

    #[test]
    fn a_seed_is_made_once_and_read_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me.seed");
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::NotFound);
        let (seed, is_new) = read_or_make(&path).unwrap();
        assert!(is_new);
        assert_eq!(read_or_make(&path).unwrap(), (seed, false));
        assert_eq!(read(&path).unwrap(), seed);
    }

    #[test]
    fn what_is_no_seed_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me.seed");
        for text in ["", "0123", &"g".repeat(64), &"0".repeat(65), "\n\n"] {
            fs::write(&path, text).unwrap();
            for error in [read(&path).unwrap_err(), read_or_make(&path).unwrap_err()] {
                assert!(error.to_string().contains("me.seed: not a seed"), "{error}");
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, [0xff; 64]).unwrap();
        read(&path).unwrap_err();
    }
}
