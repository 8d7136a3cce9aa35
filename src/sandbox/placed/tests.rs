//! Things in a tree, and commands that try everything to keep them there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::wanted::{DEVICES, LINKS};
use super::*;
use crate::fs::device_number;
use crate::sandbox::secret::Secret;

/// Everything that a listing says of a path, but for the time of its last change.
type Line = (u32, u32, u32, u64, (i64, i64), u64, Vec<u8>);

fn list(top: &Path) -> BTreeMap<PathBuf, Line> {
    walkdir::WalkDir::new(top)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let found = entry.path().symlink_metadata().unwrap();
            let contents = match found.is_file() {
                true => fs::read(entry.path()).unwrap(),
                false => Vec::new(),
            };
            let mtime = (found.mtime(), found.mtime_nsec());
            let (mode, uid, gid) = (found.mode(), found.uid(), found.gid());
            let line = (mode, uid, gid, found.rdev(), mtime, found.ino(), contents);
            (entry.path().strip_prefix(top).unwrap().into(), line)
        })
        .collect()
}

struct Place {
    temp: tempfile::TempDir,
}

impl Place {
    /// A small image: no `/proc`, a resolver's file elsewhere, a `/dev` with a file for a device.
    fn new() -> Self {
        let place = Self {
            temp: tempfile::tempdir().unwrap(),
        };
        for dir in ["tree/etc", "tree/dev", "tree/usr/lib", "aside", "outside"] {
            fs::create_dir_all(place.path(dir)).unwrap();
        }
        fs::write(place.path("tree/etc/hosts"), "image").unwrap();
        fs::write(place.path("tree/etc/passwd"), "image").unwrap();
        fs::write(place.path("tree/dev/null"), "no device").unwrap();
        fs::write(place.path("outside/hosts"), "outside").unwrap();
        symlink(
            "../run/resolve/stub.conf",
            place.path("tree/etc/resolv.conf"),
        )
        .unwrap();
        let paths: Vec<PathBuf> = list(&place.path("")).into_keys().skip(1).collect();
        for path in paths.iter().rev() {
            let path = place.path("").join(path);
            let parent = Dir::open(path.parent().unwrap()).unwrap();
            let name = path.file_name().unwrap();
            parent
                .set_mtime(name, Timestamp::from_seconds(1_000_000_000))
                .unwrap();
        }
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.temp.path().join(path)
    }

    fn tree(&self, path: &str) -> PathBuf {
        self.path("tree").join(path)
    }

    fn put(&self, wanted: &[Wanted]) -> Result<Placed, RootfsError> {
        let tree = Root::open(&self.path("tree")).unwrap();
        let aside = Dir::open(&self.path("aside")).unwrap();
        Placed::put(&tree, wanted, &aside)
    }

    fn list(&self) -> BTreeMap<PathBuf, Line> {
        list(&self.path("tree"))
    }

    /// Returns what `command` leaves of the tree, and the strays.
    fn run(&self, command: impl FnOnce()) -> Vec<PathBuf> {
        let outside = list(&self.path("outside"));
        let placed = self.put(&everything()).unwrap();
        command();
        let strays = placed.take_back().unwrap();
        assert_eq!(list(&self.path("outside")), outside);
        assert_eq!(fs::read_dir(self.path("aside")).unwrap().count(), 0);
        strays
    }
}

fn wanted(path: &str, thing: Thing) -> Wanted {
    Wanted {
        path: PathBuf::from(path),
        thing,
    }
}

fn file(path: &str, contents: &str) -> Wanted {
    let contents = contents.as_bytes().to_vec();
    wanted(
        path,
        Thing::File {
            contents,
            mode: 0o444,
        },
    )
}

fn everything() -> Vec<Wanted> {
    let mut all = vec![
        wanted("/proc", Thing::Directory),
        wanted("/dev", Thing::Directory),
        wanted("/etc/hosts", Thing::FilePoint),
        wanted("/opt/point", Thing::FilePoint),
        file("/etc/hosts", "ours"),
        file("/etc/resolv.conf", "ours"),
        file("/dev/pipes/EOF", "script"),
        file("/run/secrets/key", "secret"),
        wanted(
            "/run/secrets/other",
            Thing::Secret {
                contents: Secret::new(*b"secret"),
                access: Access {
                    uid: 0,
                    gid: 0,
                    mode: 0o400,
                },
                is_changed: ChangedMark::default(),
            },
        ),
    ];
    all.extend(devices(Path::new("/dev")));
    all
}

#[test]
fn a_tree_whose_command_did_nothing_is_what_it_was() {
    let place = Place::new();
    let before = place.list();
    let strays = place.run(|| {
        assert_eq!(fs::read(place.tree("etc/hosts")).unwrap(), b"ours");
        assert_eq!(
            fs::read(place.tree("run/resolve/stub.conf")).unwrap(),
            b"ours"
        );
        let key = fs::metadata(place.tree("run/secrets/key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o7777, 0o444);
        assert!(place.tree("proc").is_dir());
        assert_eq!(fs::read(place.tree("opt/point")).unwrap(), b"");
        let stdin = fs::read_link(place.tree("dev/stdin")).unwrap();
        assert_eq!(stdin, Path::new("/proc/self/fd/0"));
        // The directories show the command no trace of us.
        assert_eq!(
            fs::metadata(place.tree("etc")).unwrap().mtime(),
            1_000_000_000
        );
    });
    assert!(strays.is_empty());
    assert_eq!(place.list(), before);
}

#[test]
fn a_device_replaces_a_file_of_its_name_where_it_can_be_made() {
    let place = Place::new();
    let before = place.list();
    let placed = place.put(&devices(Path::new("/dev"))).unwrap();
    let null = fs::symlink_metadata(place.tree("dev/null")).unwrap();
    if placed.skipped().is_empty() {
        assert_eq!(null.rdev(), device_number(1, 3));
        assert_eq!(null.permissions().mode() & 0o7777, 0o666);
    } else {
        assert_eq!(placed.skipped().len(), DEVICES.len());
        assert_eq!(null.len(), "no device".len() as u64);
    }
    placed.take_back().unwrap();
    assert_eq!(place.list(), before);
}

/// As Debian's images have them.
#[test]
fn links_of_the_image_are_left_alone_where_they_lead_nowhere() {
    let place = Place::new();
    for (name, target) in LINKS {
        symlink(target, place.tree("dev").join(name)).unwrap();
    }
    let before = place.list();
    let placed = place.put(&devices(Path::new("/dev"))).unwrap();
    assert!(!place.tree("proc").exists());
    assert_eq!(placed.take_back().unwrap(), Vec::<PathBuf>::new());
    assert_eq!(place.list(), before);
}

#[test]
fn what_the_command_makes_stays_and_what_it_writes_to_ours_does_not() {
    let place = Place::new();
    place.run(|| {
        fs::write(place.tree("etc/passwd"), "changed").unwrap();
        fs::remove_file(place.tree("etc/hosts")).unwrap();
        fs::write(place.tree("etc/hosts"), "changed").unwrap();
        fs::remove_file(place.tree("dev/null")).unwrap();
        fs::write(place.tree("dev/null"), "a file").unwrap();
        fs::write(place.tree("run/pid"), "1").unwrap();
        fs::write(place.tree("proc/file"), "1").unwrap();
        fs::remove_file(place.tree("dev/zero")).unwrap();
    });
    let tree = place.list();
    let contents = |path: &str| tree[Path::new(path)].6.as_slice();
    assert_eq!(contents("etc/passwd"), b"changed");
    assert_eq!(contents("etc/hosts"), b"image");
    assert_eq!(contents("dev/null"), b"no device");
    let mut paths: Vec<&str> = tree.keys().map(|path| path.to_str().unwrap()).collect();
    paths.retain(|path| {
        path.starts_with("run") || path.starts_with("proc") || path.starts_with("dev")
    });
    assert_eq!(paths, ["dev", "dev/null", "run", "run/pid"]);
    // The command has changed it, and the time says so.
    assert!(tree[Path::new("etc")].4.0 > 1_000_000_000);
}

#[test]
fn nothing_outside_is_touched_whatever_the_command_makes_of_the_way() {
    let removed = |place: &Place| {
        let _ = fs::remove_dir_all(place.tree("etc"));
        let _ = fs::remove_dir_all(place.tree("dev"));
        let _ = fs::remove_dir_all(place.tree("run"));
    };
    let place = Place::new();
    place.run(|| {
        removed(&place);
        symlink(place.path("outside"), place.tree("etc")).unwrap();
        fs::write(place.tree("dev"), "a file").unwrap();
        symlink("../outside", place.tree("run")).unwrap();
    });
    assert_eq!(fs::read(place.tree("dev")).unwrap(), b"a file");
    assert!(place.tree("etc").is_symlink() && place.tree("run").is_symlink());
    let place = Place::new();
    place.run(|| removed(&place));
    let left: Vec<PathBuf> = place.list().into_keys().collect();
    assert_eq!(left, ["", "usr", "usr/lib"].map(PathBuf::from));
}

#[test]
fn files_of_ours_are_found_in_a_directory_that_was_moved() {
    let place = Place::new();
    let strays = place.run(|| {
        fs::rename(place.tree("etc"), place.tree("usr/lib/etc")).unwrap();
        fs::rename(place.tree("run"), place.tree("usr/run")).unwrap();
    });
    assert!(strays.is_empty());
    assert_eq!(fs::read(place.tree("usr/lib/etc/hosts")).unwrap(), b"image");
    let left = place.list();
    let secrets = left.keys().filter(|path| path.ends_with("secrets/key"));
    assert_eq!(secrets.count(), 0);
}

#[test]
fn files_of_ours_that_were_moved_or_linked_elsewhere_are_empty() {
    let place = Place::new();
    let strays = place.run(|| {
        fs::rename(place.tree("run/secrets/key"), place.tree("usr/lib/key")).unwrap();
        fs::hard_link(place.tree("etc/hosts"), place.tree("usr/lib/hosts")).unwrap();
    });
    assert_eq!(strays.len(), 2, "{strays:?}");
    assert_eq!(fs::read(place.tree("usr/lib/key")).unwrap(), b"");
    assert_eq!(fs::read(place.tree("usr/lib/hosts")).unwrap(), b"");
    assert_eq!(fs::read(place.tree("etc/hosts")).unwrap(), b"image");
}

#[test]
fn two_files_that_lead_to_one_place_are_taken_back_in_turn() {
    let place = Place::new();
    symlink("hosts", place.tree("etc/alias")).unwrap();
    let before = place.list();
    let placed = place
        .put(&[file("/etc/hosts", "1"), file("/etc/alias", "2")])
        .unwrap();
    assert_eq!(fs::read(place.tree("etc/hosts")).unwrap(), b"2");
    placed.take_back().unwrap();
    assert_eq!(place.list(), before);
}

#[test]
fn what_cannot_be_placed_is_an_error_that_leaves_the_tree_as_it_was() {
    for bad in [
        file("/etc/passwd/file", ""),
        file("/usr/lib", ""),
        file("/", ""),
        wanted("/etc/hosts", Thing::Directory),
    ] {
        let place = Place::new();
        let before = place.list();
        let mut all = everything();
        let path = bad.path.clone();
        all.push(bad);
        let error = place.put(&all).unwrap_err().to_string();
        assert!(error.contains("cannot show `/"), "{error}");
        assert_eq!(place.list(), before, "{}", path.display());
        assert_eq!(fs::read_dir(place.path("aside")).unwrap().count(), 0);
    }
}

#[test]
fn files_are_placed_on_another_file_system_as_well() {
    let (tree, aside) = (
        tempfile::tempdir_in("/dev/shm").unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let root = Root::open(tree.path()).unwrap();
    let all = [
        file("/pipes/EOF", "script"),
        wanted("/point", Thing::FilePoint),
    ];
    let placed = Placed::put(&root, &all, &Dir::open(aside.path()).unwrap()).unwrap();
    assert_eq!(fs::read(tree.path().join("pipes/EOF")).unwrap(), b"script");
    assert!(placed.take_back().unwrap().is_empty());
    assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 0);
}

/// A directory `home/c` with a file, to be moved to `path`.
fn moved(place: &Place, path: &str) -> Wanted {
    let home = place.path("home");
    fs::create_dir_all(home.join("c")).unwrap();
    fs::write(home.join("c/file"), "cached").unwrap();
    wanted(
        path,
        Thing::Moved {
            home: Arc::new(Root::open(&home).unwrap()),
            name: OsString::from("c"),
        },
    )
}

#[test]
fn what_is_moved_in_is_home_again_with_what_the_command_did_to_it() {
    let place = Place::new();
    let before = place.list();
    for path in ["/etc", "/made/on/the/way"] {
        let placed = place.put(&[moved(&place, path)]).unwrap();
        assert_eq!(
            fs::read(place.tree(&path[1..]).join("file")).unwrap(),
            b"cached"
        );
        fs::write(place.tree(&path[1..]).join("new"), "made").unwrap();
        assert!(placed.take_back().unwrap().is_empty());
        assert_eq!(place.list(), before, "{path}");
        assert_eq!(fs::read(place.path("home/c/new")).unwrap(), b"made");
    }
}

#[test]
fn what_a_command_moves_elsewhere_is_emptied() {
    let place = Place::new();
    let placed = place.put(&[moved(&place, "/cache")]).unwrap();
    fs::rename(place.tree("cache"), place.tree("usr/stolen")).unwrap();
    assert_eq!(placed.take_back().unwrap().len(), 1);
    assert_eq!(fs::read_dir(place.tree("usr/stolen")).unwrap().count(), 0);
    assert!(!place.tree("cache").exists());
}

#[test]
fn a_secret_can_be_printed_by_nobody() {
    let text = format!("{:?}", everything());
    assert!(text.contains("Secret(..)"), "{text}");
}

#[test]
fn a_secret_that_is_written_to_is_marked_and_one_that_is_read_is_not() {
    let is_marked_after = |command: fn(PathBuf)| {
        let place = Place::new();
        let is_changed = ChangedMark::default();
        let user = fs::metadata(place.path("tree")).unwrap();
        let secret = Thing::Secret {
            contents: Secret::new(*b"secret"),
            access: Access {
                uid: user.uid(),
                gid: user.gid(),
                mode: 0o600,
            },
            is_changed: is_changed.clone(),
        };
        let placed = place.put(&[wanted("/run/key", secret)]).unwrap();
        command(place.tree("run/key"));
        placed.take_back().unwrap();
        assert!(!place.tree("run/key").exists());
        is_changed.is_set()
    };
    assert!(!is_marked_after(|key| {
        fs::read(key).unwrap();
    }));
    let writes: [fn(PathBuf); 5] = [
        |key| fs::write(key, "longer than before").unwrap(),
        |key| {
            // The same length, and the time that it had.
            let before = fs::metadata(&key).unwrap().modified().unwrap();
            fs::write(&key, "SECRET").unwrap();
            let file = fs::File::open(&key).unwrap();
            file.set_modified(before).unwrap();
        },
        |key| fs::set_permissions(key, PermissionsExt::from_mode(0o400)).unwrap(),
        |key| fs::remove_file(key).unwrap(),
        |key| fs::rename(&key, key.with_extension("moved")).unwrap(),
    ];
    for (number, write) in writes.into_iter().enumerate() {
        assert!(is_marked_after(write), "write {number}");
    }
}
