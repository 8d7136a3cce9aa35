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

/// A note of the same files, written where the first process had started at another time.
#[test]
fn what_was_noted_in_another_container_is_not_given_back() {
    let place = Place::new();
    let _killed = place.take_note();
    let path = place.temp.path().join("work").join(NOTE);
    let mut note: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let first_process = &mut note["container"]["first_process"];
    assert!(first_process.is_string());
    *first_process = "1".into();
    fs::write(&path, note.to_string()).unwrap();
    fs::write(place.path("etc/hosts"), "the runtime's").unwrap();
    fs::write(place.path("dev/nvidia0"), "").unwrap();
    give_back_noted(&place.root, &place.work);
    let hosts = fs::read_to_string(place.path("etc/hosts")).unwrap();
    assert_eq!(hosts, "the runtime's");
    assert!(place.path("dev/nvidia0").exists());
    // It is of no use to anybody.
    assert!(place.work.names().unwrap().is_empty());
}

#[test]
fn directories_in_dev_are_what_they_were() {
    let place = Place::new();
    fs::create_dir_all(place.path("dev/net/deep")).unwrap();
    symlink("/proc/kcore", place.path("dev/net/deep/link")).unwrap();
    let mode = |path: &str| fs::metadata(place.path(path)).unwrap().mode() & 0o7777;
    let set = |path: &str, mode| {
        fs::set_permissions(place.path(path), PermissionsExt::from_mode(mode)).unwrap();
    };
    set("dev", 0o755);
    set("dev/net", 0o1750);
    set("dev/below", 0o755);
    let times = || {
        ["dev", "dev/net", "dev/below"].map(|path| {
            let found = fs::metadata(place.path(path)).unwrap();
            (found.mtime(), found.mtime_nsec())
        })
    };
    let before = times();
    let belongings = place.take_note();
    fs::remove_dir_all(place.path("dev/net")).unwrap();
    fs::write(place.path("dev/net"), "a file").unwrap();
    fs::write(place.path("dev/below/new"), "").unwrap();
    set("dev/below", 0o700);
    set("dev", 0o700);
    belongings.give_back(&place.root).unwrap();
    assert_eq!((mode("dev"), mode("dev/net")), (0o755, 0o1750));
    assert_eq!(mode("dev/below"), 0o755);
    let link = fs::read_link(place.path("dev/net/deep/link")).unwrap();
    assert_eq!(link, Path::new("/proc/kcore"));
    assert!(!place.path("dev/below/new").exists());
    assert_eq!(times(), before);
}

#[test]
fn what_the_kernel_adds_to_its_own_directory_stays() {
    let place = Place::new();
    let dir = place.root.dir();
    let dev = OsStr::new(DEV);
    fs::set_permissions(place.path("dev"), PermissionsExt::from_mode(0o755)).unwrap();
    let devices = DeviceDir::read(dir, dev).unwrap().unwrap();
    symlink("dm-0", place.path("dev/new")).unwrap();
    fs::write(place.path("dev/below/new"), "").unwrap();
    fs::remove_file(place.path("dev/fd")).unwrap();
    fs::set_permissions(place.path("dev"), PermissionsExt::from_mode(0o700)).unwrap();
    devices.give_back(dir, dev, Keeper::Kernel).unwrap();
    for path in ["dev/new", "dev/fd"] {
        assert!(fs::symlink_metadata(place.path(path)).is_ok(), "{path}");
    }
    assert!(place.path("dev/below/new").exists());
    assert_eq!(fs::metadata(place.path("dev")).unwrap().mode(), 0o40755);
}
