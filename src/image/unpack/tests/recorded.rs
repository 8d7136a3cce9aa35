//! Layers unpacked into a tree with a ledger say the same of every file as those unpacked by root for real; and what
//! was noted of their contents is what is in them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tar::{EntryType, Header};

use super::*;
use crate::fs::{Dir, KnownContents, Ledger, Metadata, Rights, Timestamp, Xattrs};

/// `cap_net_raw=ep`, as `setcap` writes it.
const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const CAPABILITY: &str = "SCHILY.xattr.security.capability";

fn tree(rights: Option<Rights>) -> Tree {
    let Tree { temp, root } = Tree::new();
    let root = match rights {
        Some(rights) => root.with_ledger(Arc::new(Ledger::new(rights))),
        None => root,
    };
    Tree { temp, root }
}

fn set(mode: u32, uid: u64, gid: u64) -> impl Fn(&mut Header) {
    move |header| {
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
    }
}

fn base() -> TestArchive {
    let (file, dir) = (EntryType::Regular, EntryType::Directory);
    let device = |header: &mut Header| {
        set(0o640, 0, 6)(header);
        header.set_device_major(8).unwrap();
        header.set_device_minor(1).unwrap();
    };
    TestArchive::new()
        .entry(dir, "closed", "", b"", set(0o000, 4, 5))
        .entry(file, "closed/in", "", b"inside", set(0o000, 4, 5))
        .entry(dir, "closed/deep", "", b"", set(0o2500, 0, 12))
        .entry(file, "closed/deep/x", "", b"x", set(0o111, 33, 33))
        .entry(file, "su", "", b"program", set(0o4755, 0, 0))
        .entry(file, "ssh-agent", "", b"program", set(0o2755, 0, 101))
        .hard_link("another-su", "su")
        .pax(CAPABILITY, &NET_RAW)
        .entry(file, "ping", "", b"ping", set(0o755, 0, 0))
        .hard_link("closed/ping", "ping")
        .char_device("null", 1, 3)
        .entry(EntryType::Block, "sda1", "", b"", device)
        .hard_link("closed/null", "null")
        .entry(EntryType::Fifo, "fifo", "", b"", set(0o620, 7, 8))
        .entry(
            EntryType::Symlink,
            "link",
            "closed/in",
            b"",
            set(0o777, 9, 9),
        )
        .pax("SCHILY.xattr.user.note", b"here")
        .entry(file, "noted", "", b"n", set(0o400, 1000, 1000))
        .file("implied/parents/file", "f")
        .entry(dir, "tmp", "", b"", set(0o1777, 0, 0))
}

/// Writes over, deletes, and puts one kind in the place of another.
fn above() -> TestArchive {
    TestArchive::new()
        .entry(
            EntryType::Regular,
            "closed/in",
            "",
            b"changed",
            set(0o600, 0, 0),
        )
        .entry(EntryType::Directory, "closed", "", b"", set(0o711, 0, 7))
        .file(".wh.ssh-agent", "")
        .file("closed/deep/.wh..wh..opq", "")
        .entry(
            EntryType::Regular,
            "closed/deep/y",
            "",
            b"yy",
            set(0o444, 1, 1),
        )
        .file("null", "no device any more")
        .char_device("noted", 1, 5)
        .file("file-of-this-layer", "z")
        .hard_link("linked-below", "ping")
}

type Found = (FileKind, u32, (u32, u32), u64, Timestamp, u64, Xattrs);

fn list(dir: &Dir, path: &Path, found: &mut BTreeMap<PathBuf, Found>) {
    for name in dir.names().unwrap() {
        let metadata = dir.metadata_of(&name).unwrap().unwrap();
        let path = path.join(&name);
        let xattrs = dir.xattrs(&name).unwrap();
        if metadata.is_dir() {
            list(&dir.open_dir(&name).unwrap(), &path, found);
        }
        found.insert(path, said_of(&metadata, xattrs));
    }
}

fn said_of(metadata: &Metadata, xattrs: Xattrs) -> Found {
    let owner = (metadata.uid, metadata.gid);
    let size = if metadata.is_dir() { 0 } else { metadata.size };
    let (mode, mtime, nlink) = (metadata.mode, metadata.mtime, metadata.nlink);
    (metadata.kind, mode, owner, size, mtime, nlink, xattrs)
}

fn unpack_both(tree: &Tree, known: &mut KnownContents) -> BTreeMap<PathBuf, Found> {
    let options = UnpackOptions {
        form: Form::Tree,
        owner: None,
    };
    for layer in [base(), above()] {
        let unpacked = unpack_and_note(&layer.finish()[..], &tree.root, &options, known).unwrap();
        assert_eq!(unpacked.skipped_devices, Skipped::default());
        assert_eq!(unpacked.skipped_xattrs, Skipped::default());
    }
    let mut found = BTreeMap::new();
    list(tree.root.dir(), Path::new(""), &mut found);
    found
}

#[test]
fn a_tree_with_a_ledger_is_said_to_be_what_a_real_one_is() {
    let expected = unpack_both(&tree(None), &mut KnownContents::default());
    assert_eq!(expected[Path::new("closed")].1, 0o711);
    assert_eq!(expected[Path::new("another-su")].1, 0o4755);
    for rights in [Rights::PlainUser, Rights::OneId] {
        let tree = tree(Some(rights));
        let found = unpack_both(&tree, &mut KnownContents::default());
        assert_eq!(found, expected, "{rights:?}");
        for path in found.keys() {
            let real = tree.metadata(path.to_str().unwrap());
            assert_eq!((real.uid(), real.gid()), (0, 0), "{}", path.display());
            assert!(!real.file_type().is_char_device() && !real.file_type().is_block_device());
        }
    }
}

#[test]
fn what_is_noted_of_contents_is_what_is_there_after_the_last_layer() {
    let (tree, mut known) = (tree(None), KnownContents::default());
    let found = unpack_both(&tree, &mut known);
    let files = found.iter().filter(|(_, found)| found.0 == FileKind::File);
    let mut count = 0;
    for (path, _) in files {
        let metadata = tree.root.symlink_metadata(path).unwrap().unwrap();
        let mut hasher = known.hasher();
        io::copy(&mut tree.root.open_file(path).unwrap(), &mut hasher).unwrap();
        let noted = known.hash_of(&metadata);
        assert!(noted.is_some());
        known.insert(&metadata, hasher);
        assert_eq!(noted, known.hash_of(&metadata), "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn what_is_noted_of_a_sparse_file_has_its_holes() {
    let (tree, mut known) = (tree(None), KnownContents::default());
    let archive = TestArchive::new()
        .pax("GNU.sparse.major", b"0")
        .pax("GNU.sparse.minor", b"1")
        .pax("GNU.sparse.name", b"sparse")
        .pax("GNU.sparse.size", b"10000")
        .pax("GNU.sparse.map", b"100,3,5000,2")
        .file("stored", "abcde");
    let options = UnpackOptions {
        form: Form::Tree,
        owner: None,
    };
    unpack_and_note(&archive.finish()[..], &tree.root, &options, &mut known).unwrap();
    let path = Path::new("sparse");
    let metadata = tree.root.symlink_metadata(path).unwrap().unwrap();
    assert_eq!(metadata.size, 10_000);
    let noted = known.hash_of(&metadata);
    assert!(noted.is_some());
    let mut hasher = known.hasher();
    hasher.update(&std::fs::read(tree.path("sparse")).unwrap());
    known.insert(&metadata, hasher);
    assert_eq!(noted, known.hash_of(&metadata));
}
