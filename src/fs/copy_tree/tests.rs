use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::fs::{Ledger, Rights, Timestamp, Xattrs};

const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const TIME: Timestamp = Timestamp {
    seconds: -7,
    nanos: 123_456_789,
};
const BIG: u64 = 3 * 1024 * 1024;

/// An empty tree; without rights one where all is real, which needs root.
fn tree(rights: Option<Rights>) -> (tempfile::TempDir, Root) {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    match rights {
        Some(rights) => (temp, root.with_ledger(Arc::new(Ledger::new(rights)))),
        None => (temp, root),
    }
}

/// Makes one of everything.
fn fill(root: &Root) {
    let dir = root.dir();
    let name = OsStr::new;
    dir.create_dir(name("closed"), 0o755).unwrap();
    let closed = dir.open_dir(name("closed")).unwrap();
    for at in [dir, &closed] {
        let mut file = at.create_new_file(name("file"), 0o644).unwrap();
        file.write_all(b"contents").unwrap();
        file.set_owner(100, 101).unwrap();
        file.set_mode(0o4555).unwrap();
        file.set_xattr(name("user.x"), b"y").unwrap();
        file.set_xattr(name("security.capability"), &NET_RAW)
            .unwrap();
        at.create_symlink(name("nowhere"), name("link")).unwrap();
        at.set_owner(name("link"), 5, 5).unwrap();
    }
    dir.create_hard_link(&closed, name("file"), name("another"))
        .unwrap();
    dir.create_hard_link(&closed, name("link"), name("zlink"))
        .unwrap();
    let big = dir.create_new_file(name("big"), 0o000).unwrap();
    big.write_all_at(b"in the middle", 1024 * 1024).unwrap();
    big.set_size(BIG).unwrap();
    for (node, kind) in [
        ("char", FileKind::CharDevice(0x103)),
        ("block", FileKind::BlockDevice(0x700)),
        ("fifo", FileKind::Fifo),
        ("socket", FileKind::Socket),
    ] {
        dir.create_node(name(node), kind, 0o640).unwrap();
        dir.set_owner(name(node), 7, 8).unwrap();
        dir.set_mode(name(node), 0o2646).unwrap();
    }
    for entry in dir.names().unwrap() {
        dir.set_mtime(&entry, TIME).unwrap();
    }
    closed.set_own_owner(1, 2).unwrap();
    closed.set_own_mode(0o2000).unwrap();
    closed.set_own_xattr(name("user.d"), b"").unwrap();
    closed.set_own_mtime(TIME).unwrap();
    dir.set_own_owner(3, 4).unwrap();
    dir.set_own_mode(0o1750).unwrap();
    dir.set_own_mtime(TIME).unwrap();
}

type Found = (FileKind, u32, (u32, u32), u64, Timestamp, u64, Xattrs);

/// Lists what everything is, by its path.
fn list(dir: &Dir, path: &Path, found: &mut BTreeMap<PathBuf, Found>) {
    for name in dir.names().unwrap() {
        let metadata = dir.metadata_of(&name).unwrap().unwrap();
        let xattrs = dir.xattrs(&name).unwrap();
        found.insert(path.join(&name), describe(&metadata, xattrs));
        if metadata.is_dir() {
            list(&dir.open_dir(&name).unwrap(), &path.join(&name), found);
        }
    }
}

fn describe(metadata: &Metadata, xattrs: Xattrs) -> Found {
    let owner = (metadata.uid, metadata.gid);
    let size = if metadata.is_dir() { 0 } else { metadata.size };
    let (mode, mtime, nlink) = (metadata.mode, metadata.mtime, metadata.nlink);
    (metadata.kind, mode, owner, size, mtime, nlink, xattrs)
}

fn everything(root: &Root) -> BTreeMap<PathBuf, Found> {
    let mut found = BTreeMap::new();
    list(root.dir(), Path::new(""), &mut found);
    let own = root.dir().metadata().unwrap();
    let xattrs = root.dir().own_xattrs().unwrap();
    found.insert(PathBuf::new(), describe(&own, xattrs));
    found
}

#[test]
fn a_copy_is_what_the_tree_is_with_and_without_ledgers() {
    let kinds = [None, Some(Rights::PlainUser), Some(Rights::OneId)];
    for from_kind in kinds {
        for to_kind in kinds {
            let ((_kept, from), (temp, to)) = (tree(from_kind), tree(to_kind));
            fill(&from);
            copy_tree(&from, &to, &mut KnownContents::default()).unwrap();
            assert_eq!(everything(&from), everything(&to));
            let at = |name: &str| to.symlink_metadata(Path::new(name)).unwrap().unwrap();
            assert_eq!(at("another").ino, at("closed/file").ino);
            assert_eq!(at("zlink").ino, at("closed/link").ino);
            assert_ne!(at("file").ino, at("closed/file").ino);
            let text = std::fs::read(temp.path().join("closed/file")).unwrap();
            assert_eq!(text, b"contents");
        }
    }
}

#[test]
fn holes_stay_holes() {
    let ((source, from), (temp, to)) = (tree(None), tree(None));
    fill(&from);
    copy_tree(&from, &to, &mut KnownContents::default()).unwrap();
    let [a, b] = [&source, &temp].map(|temp| temp.path().join("big"));
    assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap());
    let stored = std::fs::metadata(&b).unwrap().blocks() * 512;
    assert!(stored < BIG / 2, "{stored} bytes are stored");
}

#[test]
fn what_the_copies_contain_is_known() {
    let ((_source, from), (_temp, to)) = (tree(None), tree(None));
    fill(&from);
    let mut known = KnownContents::default();
    copy_tree(&from, &to, &mut known).unwrap();
    for path in ["file", "closed/file", "another", "big"].map(Path::new) {
        let mut hasher = known.hasher();
        io::copy(&mut to.open_file(path).unwrap(), &mut hasher).unwrap();
        let metadata = to.symlink_metadata(path).unwrap().unwrap();
        let told = known.hash_of(&metadata);
        assert!(told.is_some());
        known.insert(&metadata, hasher);
        assert_eq!(told, known.hash_of(&metadata), "{}", path.display());
    }
}

#[test]
fn a_tree_deeper_than_any_path_is_copied() {
    let ((_source, from), (_temp, to)) = (tree(None), tree(None));
    let name = OsStr::new("a directory with a long name, so that few of them make a long path");
    let mut dir = from.dir().try_clone().unwrap();
    for _ in 0..300 {
        dir.create_dir(name, 0o755).unwrap();
        dir = dir.open_dir(name).unwrap();
    }
    dir.create_file(OsStr::new("end"), 0o644).unwrap();
    copy_tree(&from, &to, &mut KnownContents::default()).unwrap();
    let mut way = Descent::new(to.dir()).unwrap();
    for _ in 0..300 {
        way.enter(name).unwrap();
    }
    assert_eq!(way.dir().names().unwrap(), ["end"]);
}
