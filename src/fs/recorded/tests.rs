//! The same is done in a directory with a ledger and in one without, as root: what the kernel makes of it there, the
//! ledger must say here.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::fs::{Choice, CopyRules, Descent, Destination, Dir, Root, Timestamp, copy, remove_tree};

const NAME: &str = "f";
/// `cap_net_raw=ep`, revision 2, as `setcap` writes it.
const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const NULL: FileKind = FileKind::CharDevice(0x103);
const BOTH: [Rights; 2] = [Rights::PlainUser, Rights::OneId];

struct Tree {
    temp: tempfile::TempDir,
    dir: Dir,
}

impl Tree {
    /// A directory whose files say what they are. Needs root.
    fn real() -> Self {
        let uid = rustix::process::geteuid();
        assert!(uid.is_root(), "this test needs root: it sets owners");
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        Self { temp, dir }
    }

    fn recorded(rights: Rights) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let dir = dir.with_ledger(Arc::new(Ledger::new(rights)));
        Self { temp, dir }
    }

    fn make(&self, kind: FileKind, mode: u32) {
        let name = OsStr::new(NAME);
        match kind {
            FileKind::File => drop(self.dir.create_file(name, mode).unwrap()),
            FileKind::Directory => self.dir.create_dir(name, mode).unwrap(),
            FileKind::Symlink => self.dir.create_symlink(OsStr::new("to"), name).unwrap(),
            FileKind::Fifo
            | FileKind::CharDevice(_)
            | FileKind::BlockDevice(_)
            | FileKind::Socket => self.dir.create_node(name, kind, mode).unwrap(),
        }
    }

    /// Everything that a layer keeps.
    fn found(&self) -> (FileKind, u32, (u32, u32), u64, Xattrs) {
        let name = OsStr::new(NAME);
        let metadata = self.metadata();
        let size = if metadata.is_dir() { 0 } else { metadata.size };
        let xattrs = self.dir.xattrs(name).unwrap();
        let owner = (metadata.uid, metadata.gid);
        (metadata.kind, metadata.mode, owner, size, xattrs)
    }

    fn metadata(&self) -> Metadata {
        self.dir.metadata_of(OsStr::new(NAME)).unwrap().unwrap()
    }

    fn ledger(&self) -> &Ledger {
        self.dir.ledger().unwrap()
    }

    fn real_mode(&self, name: impl AsRef<Path>) -> u32 {
        let metadata = std::fs::symlink_metadata(self.temp.path().join(name)).unwrap();
        metadata.mode() & 0o7777
    }
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Own(u32, u32),
    Mode(u32),
    Capability,
    NoCapability,
    UserXattr,
}

const ACTIONS: [Action; 9] = [
    Action::Own(0, 0),
    Action::Own(12, 0),
    Action::Own(0, 13),
    Action::Mode(0o6755),
    Action::Mode(0o2640),
    Action::Mode(0o1000),
    Action::Capability,
    Action::NoCapability,
    Action::UserXattr,
];

impl Action {
    /// Returns the error number, if it failed.
    fn apply(self, dir: &Dir) -> Option<i32> {
        let name = OsStr::new(NAME);
        let capability = OsStr::new(CAPABILITY);
        let result = match self {
            Self::Own(uid, gid) => dir.set_owner(name, uid, gid),
            Self::Mode(mode) => dir.set_mode(name, mode),
            Self::Capability => dir.set_xattr(name, capability, &NET_RAW),
            Self::NoCapability => dir.remove_xattr(name, capability),
            Self::UserXattr => dir.set_xattr(name, OsStr::new("user.x"), b"y"),
        };
        let error = result.err()?;
        Some(error.source.raw_os_error().unwrap())
    }
}

#[test]
fn every_sequence_of_changes_ends_as_it_does_for_real() {
    let kinds = [
        FileKind::File,
        FileKind::Directory,
        FileKind::Symlink,
        FileKind::Fifo,
        NULL,
    ];
    for rights in BOTH {
        for kind in kinds {
            let length = if kind == FileKind::File { 3 } else { 2 };
            every_sequence_of(rights, kind, length);
        }
    }
}

fn every_sequence_of(rights: Rights, kind: FileKind, length: u32) {
    let (real, recorded) = (Tree::real(), Tree::recorded(rights));
    for number in 0..ACTIONS.len().pow(length) {
        let sequence: Vec<Action> = (0..length)
            .map(|place| ACTIONS[number / ACTIONS.len().pow(place) % ACTIONS.len()])
            .collect();
        for tree in [&real, &recorded] {
            tree.make(kind, 0o644);
        }
        for action in &sequence {
            let errors = [&real, &recorded].map(|tree| action.apply(&tree.dir));
            assert_eq!(
                errors[0], errors[1],
                "{rights:?} {kind:?} {sequence:?} {action:?}"
            );
        }
        assert_eq!(
            real.found(),
            recorded.found(),
            "{rights:?} {kind:?} {sequence:?}"
        );
        for tree in [&real, &recorded] {
            remove_tree(&tree.dir, OsStr::new(NAME)).unwrap();
        }
    }
    assert!(recorded.ledger().is_empty(), "removed files are forgotten");
}

#[test]
fn created_files_have_the_mode_that_they_have_for_real() {
    for kind in [
        FileKind::File,
        FileKind::Directory,
        FileKind::Fifo,
        FileKind::BlockDevice(0x700),
    ] {
        for mode in (0..0o2000).step_by(17).chain([0o4755]) {
            let (real, recorded) = (Tree::real(), Tree::recorded(Rights::PlainUser));
            for tree in [&real, &recorded] {
                tree.make(kind, mode);
            }
            assert_eq!(real.found(), recorded.found(), "{kind:?} {mode:o}");
        }
    }
}

#[test]
fn a_plain_user_goes_on_working_whatever_the_modes_say() {
    let tree = Tree::recorded(Rights::PlainUser);
    let (name, dir) = (OsStr::new(NAME), OsStr::new("d"));
    tree.dir.create_dir(dir, 0o000).unwrap();
    let below = tree.dir.open_dir(dir).unwrap();
    below.create_file(name, 0o000).unwrap();
    below.set_mode(name, 0o4000).unwrap();
    assert_eq!(tree.real_mode("d"), 0o700);
    assert_eq!(tree.real_mode("d/f"), 0o600);
    assert_eq!(below.metadata().unwrap().mode, 0o000);
    assert_eq!(below.metadata_of(name).unwrap().unwrap().mode, 0o4000);
    below.set_mode(name, 0o6755).unwrap();
    let set_ids = tree.real_mode("d/f") & 0o6000;
    assert_eq!(set_ids, 0, "a set-id bit of an image would be this user's");
}

#[test]
fn real_modes_stay_real_for_the_root_of_one_id() {
    let tree = Tree::recorded(Rights::OneId);
    tree.make(FileKind::File, 0o644);
    tree.dir.set_mode(OsStr::new(NAME), 0o6555).unwrap();
    assert_eq!(tree.real_mode(NAME), 0o6555);
    assert!(tree.ledger().is_empty());
}

#[test]
fn nothing_is_written_down_of_ordinary_files() {
    for rights in BOTH {
        let tree = Tree::recorded(rights);
        tree.make(FileKind::File, 0o644);
        tree.dir.create_dir(OsStr::new("d"), 0o755).unwrap();
        tree.dir.set_owner(OsStr::new("d"), 0, 0).unwrap();
        tree.dir.set_mode(OsStr::new("d"), 0o1777).unwrap();
        assert!(tree.ledger().is_empty(), "{rights:?}");
    }
}

#[test]
fn every_recorded_change_moves_the_change_time() {
    for rights in BOTH {
        let tree = Tree::recorded(rights);
        tree.make(FileKind::File, 0o644);
        let mut last = tree.metadata().ctime;
        for action in ACTIONS {
            // Kernels before 6.13 have a clock that ticks.
            std::thread::sleep(std::time::Duration::from_millis(11));
            assert_eq!(action.apply(&tree.dir), None, "{action:?}");
            let now = tree.metadata().ctime;
            assert_ne!(now, last, "{rights:?} {action:?}");
            last = now;
        }
    }
}

#[test]
fn a_device_is_an_empty_file_that_nobody_may_open() {
    for rights in BOTH {
        let tree = Tree::recorded(rights);
        let name = OsStr::new(NAME);
        tree.make(NULL, 0o666);
        assert!(tree.temp.path().join(NAME).is_file());
        assert!(tree.dir.open_file(name).is_err());
        assert!(tree.dir.open_known_file(name).is_err());
        let root = Root::open(tree.temp.path()).unwrap();
        let root = root.with_ledger(Arc::clone(tree.dir.ledger().unwrap()));
        assert!(root.open_file(Path::new(NAME)).is_err());
        let found = root.metadata(Path::new(NAME)).unwrap().unwrap();
        assert_eq!((found.kind, found.size), (NULL, 0));
        assert!(tree.dir.entries().unwrap()[0].may_be_char_device);
    }
}

#[test]
fn another_name_of_a_file_has_its_record_until_the_last_name_is_gone() {
    let tree = Tree::recorded(Rights::PlainUser);
    let (name, other) = (OsStr::new(NAME), OsStr::new("other"));
    tree.make(FileKind::File, 0o644);
    tree.dir.create_hard_link(&tree.dir, name, other).unwrap();
    tree.dir.set_owner(other, 5, 6).unwrap();
    tree.dir.remove_file(other).unwrap();
    assert_eq!((tree.metadata().uid, tree.metadata().gid), (5, 6));
    tree.dir.create_file(other, 0o600).unwrap();
    tree.dir.rename(other, &tree.dir, name).unwrap();
    assert_eq!((tree.metadata().uid, tree.metadata().gid), (0, 0));
    assert!(tree.ledger().is_empty());
}

#[test]
fn a_file_renamed_to_a_name_that_it_has_keeps_its_record() {
    let tree = Tree::recorded(Rights::PlainUser);
    let (name, other) = (OsStr::new(NAME), OsStr::new("other"));
    tree.make(FileKind::File, 0o644);
    tree.dir.set_owner(name, 5, 6).unwrap();
    tree.dir.rename(name, &tree.dir, name).unwrap();
    tree.dir.create_hard_link(&tree.dir, name, other).unwrap();
    tree.dir.rename(other, &tree.dir, name).unwrap();
    assert_eq!((tree.metadata().uid, tree.metadata().gid), (5, 6));
}

#[test]
fn an_owner_changed_by_a_descriptor_is_changed_as_by_the_call() {
    let tree = Tree::recorded(Rights::OneId);
    tree.make(FileKind::File, 0o6755);
    let name = OsStr::new(NAME);
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW;
    let mode = rustix::fs::Mode::empty();
    let file = rustix::fs::openat(&tree.dir, name, flags, mode).unwrap();
    tree.ledger().chown(&file, Some(5), None).unwrap();
    tree.ledger().chown(&file, None, Some(6)).unwrap();
    let found = tree.metadata();
    assert_eq!((found.uid, found.gid, found.mode), (5, 6, 0o755));
}

#[test]
fn whatever_is_opened_in_a_tree_goes_by_its_ledger() {
    let tree = Tree::recorded(Rights::PlainUser);
    tree.make(FileKind::Directory, 0o755);
    let name = OsStr::new(NAME);
    tree.dir.set_owner(name, 3, 4).unwrap();
    let root = Root::from_dir(tree.dir.try_clone().unwrap());
    let path = Path::new(NAME);
    let mut way = Descent::new(&tree.dir).unwrap();
    way.enter(name).unwrap();
    let owners = [
        tree.dir.open_dir(name).unwrap().metadata().unwrap(),
        root.open_dir(path).unwrap().metadata().unwrap(),
        root.open_real_dir(path)
            .unwrap()
            .unwrap()
            .metadata()
            .unwrap(),
        root.metadata(path).unwrap().unwrap(),
        root.symlink_metadata(path).unwrap().unwrap(),
        way.dir().metadata().unwrap(),
        way.dir().try_clone().unwrap().metadata().unwrap(),
    ]
    .map(|found| (found.uid, found.gid));
    assert_eq!(owners, [(3, 4); 7]);
    let file = tree.dir.create_new_file(OsStr::new("new"), 0o600).unwrap();
    file.set_owner(7, 8).unwrap();
    file.set_mode(0o4000).unwrap();
    file.set_xattr(OsStr::new(CAPABILITY), &NET_RAW).unwrap();
    file.set_mtime(Timestamp::EPOCH).unwrap();
    let found = file.metadata().unwrap();
    assert_eq!((found.uid, found.gid, found.mode), (7, 8, 0o4000));
    let xattrs = tree.dir.xattrs(OsStr::new("new")).unwrap();
    assert_eq!(xattrs[OsStr::new(CAPABILITY)], NET_RAW);
}

#[test]
fn a_copy_from_tree_to_tree_takes_the_truth_along() {
    let (from, to) = (Tree::recorded(Rights::PlainUser), Tree::real());
    from.make(NULL, 0o600);
    from.dir.set_owner(OsStr::new(NAME), 1, 2).unwrap();
    let roots = [&from, &to].map(|tree| Root::from_dir(tree.dir.try_clone().unwrap()));
    let rules = CopyRules {
        owner: None,
        mode: None,
        keeps_xattr: |_| true,
        choose: &|_, _| Choice::Take,
    };
    let destination = Destination {
        path: Path::new("/"),
        is_directory: true,
    };
    copy(
        &roots[0],
        Path::new(NAME),
        OsStr::new(NAME),
        &roots[1],
        destination,
        &rules,
    )
    .unwrap();
    assert_eq!(from.found(), to.found());
}

#[test]
fn capabilities_are_kept_in_the_form_that_root_reads() {
    let own_root = [&[1, 0, 0, 3][..], &NET_RAW[4..], &[0, 0, 0, 0]].concat();
    let other_root = [&[1, 0, 0, 3][..], &NET_RAW[4..], &[232, 3, 0, 0]].concat();
    let odd = [&b"x"[..], &NET_RAW[..19], &[0; 20], &own_root[..20]];
    let (real, recorded) = (Tree::real(), Tree::recorded(Rights::PlainUser));
    for value in [&NET_RAW[..], &own_root, &other_root]
        .into_iter()
        .chain(odd)
    {
        let results = [&real, &recorded].map(|tree| {
            tree.make(FileKind::File, 0o755);
            let set = tree
                .dir
                .set_xattr(OsStr::new(NAME), OsStr::new(CAPABILITY), value);
            let found = tree.found();
            tree.dir.remove_file(OsStr::new(NAME)).unwrap();
            (set.is_ok(), found)
        });
        assert_eq!(results[0], results[1], "{value:?}");
    }
}
