//! Seeds as files: 64 hexadecimal digits, readable for their owner alone.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use rand_core::TryRng;
use stash_protocol::PeerId;
use steadfast::SystemRng;

use crate::durable::create_private;

/// Reads a seed.
///
/// # Errors
///
/// If the file cannot be read, or holds anything else. The error names the file.
pub fn read(path: &Path) -> io::Result<[u8; 32]> {
    let in_file = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let text = fs::read(path).map_err(in_file)?;
    // A seed is written as a key is.
    let seed = str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse::<PeerId>().ok());
    let no_seed = || in_file(io::Error::new(ErrorKind::InvalidData, "not a seed, which is 64 hexadecimal digits"));
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
    use super::*;

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
