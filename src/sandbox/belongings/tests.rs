use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use rustix::fs::{CWD, FileType, Mode};

/// A root directory with network files and devices, and a work directory.
struct Place {
    temp: tempfile::TempDir,
    root: Root,
    work: Dir,
}

impl Place {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        for dir in ["root/etc", "root/dev/below", "work"] {
            fs::create_dir_all(temp.path().join(dir)).unwrap();
        }
        let root = temp.path().join("root");
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        fs::write(root.join("etc/resolv.conf"), "nameserver 10.0.0.1\n").unwrap();
        fs::write(root.join("dev/below/own"), "").unwrap();
        symlink("/proc/self/fd", root.join("dev/fd")).unwrap();
        Self {
            root: Root::open(&root).unwrap(),
            work: Dir::open(&temp.path().join("work")).unwrap(),
            temp,
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.temp.path().join("root").join(path)
    }

    fn take_note(&self) -> Belongings {
        let kept = ["dev", "etc/hosts", "etc/resolv.conf"].map(PathBuf::from);
        Belongings::take_note(&self.root, &kept, &self.work).unwrap()
    }
}

#[test]
fn what_a_command_writes_to_the_networks_files_is_gone_afterwards() {
    let place = Place::new();
    let hosts = place.path("etc/hosts");
    let before = fs::metadata(&hosts).unwrap();
    let belongings = place.take_note();
    fs::write(&hosts, "nothing, and much more than there was before").unwrap();
    fs::set_permissions(&hosts, PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(place.path("etc/resolv.conf"), "").unwrap();
    belongings.give_back(&place.root).unwrap();
    let after = fs::metadata(&hosts).unwrap();
    assert_eq!(
        (after.ino(), after.mode(), after.mtime_nsec()),
        (before.ino(), before.mode(), before.mtime_nsec())
    );
    let read = |path: &str| fs::read_to_string(place.path(path)).unwrap();
    assert_eq!(read("etc/hosts"), "127.0.0.1 localhost\n");
    assert_eq!(read("etc/resolv.conf"), "nameserver 10.0.0.1\n");
    assert!(place.work.names().unwrap().is_empty());
}

#[test]
fn another_file_in_the_place_of_one_is_left_alone() {
    let place = Place::new();
    let belongings = place.take_note();
    // Kept open, so that the inode is not given to the next file.
    let _old = fs::File::open(place.path("etc/hosts")).unwrap();
    fs::remove_file(place.path("etc/hosts")).unwrap();
    fs::write(place.path("etc/hosts"), "another").unwrap();
    fs::remove_dir_all(place.path("dev")).unwrap();
    belongings.give_back(&place.root).unwrap();
    let hosts = fs::read_to_string(place.path("etc/hosts")).unwrap();
    assert_eq!(hosts, "another");
}

#[test]
fn names_in_dev_are_those_that_were_there() {
    let place = Place::new();
    let belongings = place.take_note();
    fs::write(place.path("dev/new"), "").unwrap();
    fs::create_dir_all(place.path("dev/dir/below")).unwrap();
    fs::remove_file(place.path("dev/fd")).unwrap();
    fs::create_dir(place.path("dev/fd")).unwrap();
    belongings.give_back(&place.root).unwrap();
    let dev = Dir::open(&place.path("dev")).unwrap();
    assert_eq!(dev.names().unwrap(), ["below", "fd"]);
    assert_eq!(
        dev.read_link(OsStr::new("fd")).unwrap(),
        OsStr::new("/proc/self/fd")
    );
    assert!(place.path("dev/below/own").exists());
}

#[test]
fn devices_are_made_again() {
    let place = Place::new();
    let null = place.path("dev/null");
    let number = rustix::fs::makedev(1, 3);
    let mode = Mode::from_raw_mode(0o666);
    match rustix::fs::mknodat(CWD, &null, FileType::CharacterDevice, mode, number) {
        // An ordinary user's test: `tests/containers` does the same as root.
        Err(rustix::io::Errno::PERM) => return,
        other => other.unwrap(),
    }
    fs::set_permissions(&null, PermissionsExt::from_mode(0o666)).unwrap();
    let belongings = place.take_note();
    fs::remove_file(&null).unwrap();
    fs::write(&null, "a file of this name").unwrap();
    belongings.give_back(&place.root).unwrap();
    let made = fs::symlink_metadata(&null).unwrap();
    assert_eq!((made.rdev(), made.mode()), (number, 0o20666));
    let belongings = place.take_note();
    fs::set_permissions(&null, PermissionsExt::from_mode(0o600)).unwrap();
    belongings.give_back(&place.root).unwrap();
    assert_eq!(fs::symlink_metadata(&null).unwrap().mode(), 0o20666);
}

#[test]
fn what_a_killed_build_noted_is_given_back_by_the_next_one() {
    let place = Place::new();
    // Killed: nothing is given back.
    let _killed = place.take_note();
    fs::write(place.path("etc/hosts"), "changed").unwrap();
    fs::write(place.path("dev/new"), "").unwrap();
    give_back_noted(&place.root, &place.work);
    let hosts = fs::read_to_string(place.path("etc/hosts")).unwrap();
    assert_eq!(hosts, "127.0.0.1 localhost\n");
    assert!(!place.path("dev/new").exists());
    fs::write(place.path("etc/hosts"), "changed again").unwrap();
    give_back_noted(&place.root, &place.work);
    let hosts = fs::read_to_string(place.path("etc/hosts")).unwrap();
    assert_eq!(hosts, "changed again");
}
