use std::{fs, io::ErrorKind};

use super::{folder::to_bytes, *};
use crate::durable::replace;

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

/// Opens a folder in which all is well.
fn reopen(root: &Path) -> (Disk, Vec<(PeerId, Manifest)>) {
    let (disk, found) = Disk::open(root).unwrap();
    assert_eq!(found.trouble, []);
    (disk, found.stashes)
}

fn folder_of(root: &Path) -> PathBuf {
    root.join(OWNER.to_string())
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const DATA_1: &str = "0000000000000001.data";
const DATA_2: &str = "0000000000000002.data";

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
    for crash in 0..3 {
        let root = tempfile::tempdir().unwrap();
        let (mut disk, _) = reopen(root.path());
        put(&mut disk, 1, 1);
        disk.commit(&OWNER, &manifest(1)).unwrap();
        put(&mut disk, 2, 2);
        let folder = folder_of(root.path());
        if crash >= 1 {
            fs::write(folder.join(".stash-0123456789abcdef.new"), [1, 2, 3]).unwrap();
        }
        if crash >= 2 {
            replace(&folder.join("manifest"), &to_bytes(&manifest(2)).unwrap()).unwrap();
        }
        drop(disk);
        let version = if crash >= 2 { 2 } else { 1 };
        let (mut disk, found) = reopen(root.path());
        assert_eq!(found, [(OWNER, manifest(version))]);
        assert!(disk.holds(&id(version, 0)) && disk.holds(&id(version, 1)));
        assert_eq!(names(&folder), [if version == 2 { DATA_2 } else { DATA_1 }, "manifest"], "nothing else is left");
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
    assert!(!folder_of(root.path()).exists(), "nor is an empty folder left");
    put(&mut disk, 2, 1);
    disk.commit(&OWNER, &manifest(2)).unwrap();
    disk.discard(&OWNER, 2);
    assert!(disk.holds(&id(2, 0)), "what is kept is no upload");
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
    fs::write(folder_of(root.path()), "not a folder").unwrap();
    assert_eq!(disk.put(&id(1, 0), Sealed::new(&[1; 100]).unwrap()), Err(StoreError));
    assert!(disk.take_error().is_some() && disk.take_error().is_none());
}

#[test]
fn what_is_missing_is_known_without_a_look() {
    let root = tempfile::tempdir().unwrap();
    let (mut disk, _) = reopen(root.path());
    assert_eq!(disk.missing(&OWNER, 1, 2), Some((0, 0b11)));
    disk.put(&id(1, 1), Sealed::new(&[1; 100]).unwrap()).unwrap();
    fs::remove_file(folder_of(root.path()).join(DATA_1)).unwrap();
    assert_eq!(disk.missing(&OWNER, 1, 2), Some((0, 0b01)));
    disk.discard(&OWNER, 1);
    assert_eq!(disk.missing(&OWNER, 1, 2), Some((0, 0b11)));
}

/// It removed every folder with such a name, with all that was in it.
#[test]
fn found_f2_a_folder_of_somebody_else_is_refused_and_left_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let theirs = root.path().join("a".repeat(64));
    fs::create_dir(&theirs).unwrap();
    for name in ["thesis.txt", DATA_1, "manifest"] {
        fs::write(theirs.join(name), name).unwrap();
    }
    let error = Disk::open(root.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DirectoryNotEmpty);
    assert!(error.to_string().contains("not made by `stash serve`"), "{error}");
    assert_eq!(names(root.path()), ["a".repeat(64)], "neither a lock nor a mark is left");
    assert_eq!(names(&theirs), [DATA_1, "manifest", "thesis.txt"]);
}

#[test]
fn found_f2_what_others_put_into_the_folder_stays() {
    let root = tempfile::tempdir().unwrap();
    let (mut disk, _) = reopen(root.path());
    put(&mut disk, 1, 1);
    disk.commit(&OWNER, &manifest(1)).unwrap();
    drop(disk);
    // Beside the owners, in an owner's folder, and in one that only looks like an owner's.
    let (digits, kept) = (root.path().join("b".repeat(64)), folder_of(root.path()));
    fs::create_dir_all(digits.join("sub/folder")).unwrap();
    fs::create_dir_all(kept.join("notes")).unwrap();
    for path in [root.path().join("README"), kept.join("notes/1"), kept.join("2.data"), digits.join(DATA_2)] {
        fs::write(path, "mine").unwrap();
    }
    fs::write(root.path().join("c".repeat(64)), "a file").unwrap();
    fs::write(kept.join(DATA_2), "an upload that was cut off").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&digits, root.path().join("d".repeat(64))).unwrap();

    let (mut disk, found) = Disk::open(root.path()).unwrap();
    assert_eq!(found.stashes, [(OWNER, manifest(1))]);
    assert!(disk.holds(&id(1, 0)));
    assert_eq!(found.trouble.len(), if cfg!(unix) { 3 } else { 2 }, "{:?}", found.trouble);
    assert!(found.trouble.iter().all(|trouble| trouble.set_aside.is_none()));
    put(&mut disk, 3, 3);
    disk.commit(&OWNER, &manifest(3)).unwrap();
    assert_eq!(names(&kept), ["0000000000000003.data", "2.data", "manifest", "notes"]);
    assert_eq!(names(&digits), [DATA_2, "sub"]);
    assert!(root.path().join("README").exists() && root.path().join("c".repeat(64)).exists());
}

#[cfg(unix)]
#[test]
fn found_f3_a_lock_that_is_a_link_is_not_followed() {
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    fs::write(&other, "precious").unwrap();
    std::os::unix::fs::symlink(&other, root.path().join("lock")).unwrap();
    let error = Disk::open(root.path()).unwrap_err();
    assert!(error.to_string().contains("link"), "{error}");
    assert_eq!(fs::read(&other).unwrap(), b"precious");
}

/// One of them kept the peer from starting, and so locked all owners out.
#[test]
fn found_f4_what_is_damaged_is_set_aside_and_the_rest_is_served() {
    let chunks = |chunks| to_bytes(&Manifest { chunks, ..manifest(1) }).unwrap();
    let longer = [to_bytes(&manifest(1)).unwrap(), vec![0]].concat();
    type Damage<'a> = &'a dyn Fn(&Path);
    let damages: [(&str, Damage<'_>); 8] = [
        ("empty", &|folder| fs::write(folder.join("manifest"), "").unwrap()),
        ("noise", &|folder| fs::write(folder.join("manifest"), [0xff; 4_000]).unwrap()),
        ("longer", &|folder| fs::write(folder.join("manifest"), &longer).unwrap()),
        ("no chunks", &|folder| fs::write(folder.join("manifest"), chunks(0)).unwrap()),
        ("too many chunks", &|folder| fs::write(folder.join("manifest"), chunks(u32::MAX)).unwrap()),
        ("another version", &|folder| fs::write(folder.join("manifest"), to_bytes(&manifest(7)).unwrap()).unwrap()),
        ("no data", &|folder| fs::remove_file(folder.join(DATA_1)).unwrap()),
        ("a folder", &|folder| {
            fs::remove_file(folder.join("manifest")).unwrap();
            fs::create_dir(folder.join("manifest")).unwrap();
        }),
    ];
    let other = PeerId::new([8; 32]);
    for (name, damage) in damages {
        let root = tempfile::tempdir().unwrap();
        let (mut disk, _) = reopen(root.path());
        put(&mut disk, 1, 1);
        disk.commit(&OWNER, &manifest(1)).unwrap();
        disk.put(&ChunkId { owner: other, version: 1, index: 0 }, Sealed::new(&[1; 100]).unwrap()).unwrap();
        disk.commit(&other, &Manifest { chunks: 1, ..manifest(1) }).unwrap();
        drop(disk);
        damage(&folder_of(root.path()));
        let before = names(&folder_of(root.path()));

        let (mut disk, found) = Disk::open(root.path()).unwrap();
        assert_eq!(found.stashes.len(), 1, "{name}");
        let [Trouble { set_aside: Some(place), .. }] = &found.trouble[..] else { panic!("{name}: {found:?}") };
        assert_eq!(names(place), before, "{name}: nothing of it is lost");
        put(&mut disk, 2, 2);
        disk.commit(&OWNER, &manifest(2)).unwrap();
        drop(disk);
        assert_eq!(reopen(root.path()).1.len(), 2, "{name}: the owner can store again");
    }
}

#[test]
fn a_torn_or_missing_chunk_is_not_given() {
    let root = tempfile::tempdir().unwrap();
    let (mut disk, _) = reopen(root.path());
    put(&mut disk, 1, 1);
    disk.commit(&OWNER, &manifest(1)).unwrap();
    drop(disk);
    let data = folder_of(root.path()).join(DATA_1);
    fs::OpenOptions::new().write(true).open(&data).unwrap().set_len(1_050).unwrap();
    let (mut disk, found) = reopen(root.path());
    assert_eq!(found.len(), 1, "one chunk is left");
    assert!(disk.holds(&id(1, 0)) && !disk.holds(&id(1, 1)));
    fs::write(&data, [0xff; 2_004]).unwrap(); // longer than a chunk can be
    assert!(!disk.holds(&id(1, 0)));
}

/// Up to 70 MB stayed until a restart, for nothing dropped what was renamed already.
#[test]
fn found_f5_a_commit_that_fails_leaves_what_is_kept_and_an_upload_that_can_go() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder_of(root.path());
    let (mut disk, _) = reopen(root.path());
    put(&mut disk, 1, 1);
    fs::create_dir(folder.join("manifest")).unwrap(); // so that it cannot be replaced
    for _ in 0..2 {
        assert_eq!(disk.commit(&OWNER, &manifest(1)), Err(StoreError));
        assert!(disk.take_error().is_some());
        assert_eq!(names(&folder), [DATA_1, "manifest"], "no manifest in the making stays");
        assert_eq!(disk.missing(&OWNER, 1, 2), None, "it may be tried again");
    }
    disk.discard(&OWNER, 1);
    assert_eq!(names(&folder), ["manifest"]);
    fs::remove_dir(folder.join("manifest")).unwrap();
    put(&mut disk, 2, 2);
    disk.commit(&OWNER, &manifest(2)).unwrap();
    assert_eq!(names(&folder), [DATA_2, "manifest"]);
}

/// The manifest may be replaced though the commit failed. Then it named a version that was dropped later, and the next
/// start dropped the one that was acknowledged.
#[test]
fn found_f5_a_commit_that_fails_at_its_very_end_takes_nothing_from_what_is_kept() {
    for is_first in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let (mut disk, _) = reopen(root.path());
        if !is_first {
            put(&mut disk, 1, 1);
            disk.commit(&OWNER, &manifest(1)).unwrap();
        }
        put(&mut disk, 2, 2);
        replace(&folder_of(root.path()).join("manifest"), &to_bytes(&manifest(2)).unwrap()).unwrap();
        disk.folder(&OWNER).with(|folder| folder.doubt(2));
        disk.discard(&OWNER, 2);
        assert!(disk.take_error().is_none());
        drop(disk);
        let (mut disk, found) = reopen(root.path());
        if is_first {
            assert_eq!((found.len(), folder_of(root.path()).exists()), (0, false));
        } else {
            assert_eq!(found, [(OWNER, manifest(1))]);
            assert!(disk.holds(&id(1, 0)) && disk.holds(&id(1, 1)));
        }
    }
}

#[test]
fn found_f5_a_first_chunk_that_fails_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (mut disk, _) = reopen(root.path());
    let sealed = [1; 100];
    let far = ChunkId { owner: OWNER, version: 1, index: crate::MAX_CHUNKS };
    assert_eq!(disk.put(&far, Sealed::new(&sealed).unwrap()), Err(StoreError));
    assert!(!folder_of(root.path()).exists());
    fs::create_dir_all(folder_of(root.path()).join(DATA_1)).unwrap(); // so that it cannot be opened
    assert_eq!(disk.put(&id(1, 0), Sealed::new(&sealed).unwrap()), Err(StoreError));
    assert_eq!(names(&folder_of(root.path())), [DATA_1]);
}

#[test]
fn found_f5_what_could_not_be_removed_is_removed_later() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder_of(root.path());
    let (mut disk, _) = reopen(root.path());
    put(&mut disk, 1, 1);
    disk.commit(&OWNER, &manifest(1)).unwrap();
    put(&mut disk, 2, 2);
    // A folder in the place of the old version cannot be removed as a file is.
    fs::remove_file(folder.join(DATA_1)).unwrap();
    fs::create_dir(folder.join(DATA_1)).unwrap();
    disk.commit(&OWNER, &manifest(2)).unwrap();
    disk.folder(&OWNER).with(|folder| folder.litter());
    fs::remove_dir(folder.join(DATA_1)).unwrap();
    fs::write(folder.join(DATA_1), "old").unwrap();
    put(&mut disk, 3, 3);
    disk.tidy();
    assert_eq!(names(&folder), [DATA_2, "0000000000000003.data", "manifest"], "an upload is no litter");
    assert!(disk.take_error().is_none());
}
