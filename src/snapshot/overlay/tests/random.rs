//! Random work on a merged tree: the layer of it, applied to a copy of what was below, must give the merged tree.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use super::step::{Step, age, set_mtime};
use super::{BOTH, mknod};
use crate::fs::Root;
use crate::image::layer_writer::{Compression, LayerOptions, LayerWriter};
use crate::snapshot::write_layer;

/// Enough that each kind of work meets each kind of file in most rounds.
const OPERATIONS: usize = 60;
const ROUNDS: u64 = 40;

#[test]
fn the_layer_of_random_work_applied_below_gives_the_merged_tree() {
    for xattrs in BOTH {
        for seed in 1..=ROUNDS {
            let mut below = Dice(seed);
            let step = Step::over(xattrs, |lower| {
                for _ in 0..OPERATIONS {
                    work_at_random(lower, &mut below, |from, to| fs::rename(from, to));
                }
            });
            let mut dice = Dice(seed + 1_000_000);
            let merged = step.mount();
            for _ in 0..OPERATIONS {
                work_at_random(&merged.path(), &mut dice, |from, to| fs::rename(from, to));
            }
            let mut expected = tree(&merged.path());
            take_inodes_of(&step.path("upper"), &mut expected);
            drop(merged);
            let applied = step.path("applied");
            copy(&step.path("lower"), &applied);
            let context = format!("{xattrs:?} seed {seed}");
            apply(&layer_of(&step), &applied, &context);
            compare(
                &expected,
                &tree(&applied),
                &tree(&step.path("lower")),
                &context,
            );
        }
    }
}

/// A small generator of the xorshift family: the same work for the same seed.
pub(in crate::snapshot) struct Dice(pub(in crate::snapshot) u64);

impl Dice {
    pub(in crate::snapshot) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        self.0 ^= self.0 >> 29;
        (self.0 >> 16) % sides
    }

    fn name(&mut self) -> String {
        ["a", "b", "c", "d", "e"][self.roll(5) as usize].to_owned()
    }

    fn path(&mut self, root: &Path) -> PathBuf {
        let mut path = root.to_path_buf();
        for _ in 0..=self.roll(3) {
            path.push(self.name());
        }
        path
    }
}

/// Does one thing somewhere below `root`. Most of what the dice say is impossible at that moment; that is no matter. Who
/// renames what is the caller's, because an overlay cannot rename every directory.
pub(in crate::snapshot) fn work_at_random(
    root: &Path,
    dice: &mut Dice,
    rename: impl FnOnce(&Path, &Path) -> std::io::Result<()>,
) {
    let path = dice.path(root);
    let other = dice.path(root);
    let number = dice.roll(3) as u32;
    let _ = match dice.roll(18) {
        0..=2 => write_unless_pipe(&path, dice.name().as_bytes(), false),
        3 => fs::create_dir_all(&path),
        4 => fs::create_dir(&path),
        5 => fs::remove_file(&path),
        6 => fs::remove_dir_all(&path),
        7 | 8 => rename(&path, &other),
        9 => symlink(dice.name(), &path),
        10 | 11 => fs::hard_link(&path, &other),
        12 => fs::set_permissions(&path, Permissions::from_mode(0o700 | (number << 3))),
        13 => lchown(&path, Some(number), None).and_then(|()| chown(&path, None, Some(number))),
        14 => write_unless_pipe(&path, if number > 0 { b"+" } else { b"" }, true),
        15 => {
            if path.symlink_metadata().is_ok() {
                set_mtime(&path, UNIX_EPOCH + Duration::from_secs(u64::from(number)));
            }
            Ok(())
        }
        16 => {
            let flags = rustix::fs::XattrFlags::empty();
            let value = number.to_string();
            rustix::fs::lsetxattr(&path, "user.note", value.as_bytes(), flags).map_err(Into::into)
        }
        _ => {
            if path.symlink_metadata().is_err() && path.parent().is_some_and(Path::is_dir) {
                mknod(&path, rustix::fs::FileType::Fifo, 0);
            }
            Ok(())
        }
    };
}

/// Writes to a file that is there or not. Opening a named pipe would wait for ever.
fn write_unless_pipe(path: &Path, text: &[u8], is_append: bool) -> std::io::Result<()> {
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    if is_append {
        options.append(true);
    } else {
        options.write(true).create(true).truncate(true);
    }
    options.open(path)?.write_all(text)
}

fn layer_of(step: &Step) -> Vec<u8> {
    let upper = Root::open(&step.path("upper")).unwrap();
    let lower = Root::open(&step.path("lower")).unwrap();
    let options = LayerOptions {
        compression: Compression::None,
        clamp_mtime: None,
        threads: 1,
    };
    let writer = LayerWriter::create(&step.path("layer.tar"), options).unwrap();
    let (layer, _summary) = write_layer(&step.diff(&upper, &lower), writer).unwrap();
    fs::read(layer.path).unwrap()
}

pub(in crate::snapshot) fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.unwrap().success());
}

/// Applies a layer as OCI image-spec, layer.md "Applying Changesets" says, and in no other way than that.
pub(in crate::snapshot) fn apply(layer: &[u8], root: &Path, context: &str) {
    let mut archive = tar::Archive::new(layer);
    let mut times = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        // By components: the slash at the end of a directory's name would follow a link of that name.
        let path: PathBuf = root.join(entry.path().unwrap()).components().collect();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Some(removed) = name.strip_prefix(".wh.") {
            remove(&path.with_file_name(removed));
            continue;
        }
        let kind = entry.header().entry_type();
        if !(kind.is_dir() && path.symlink_metadata().is_ok_and(|found| found.is_dir())) {
            remove(&path);
        }
        let target = entry
            .link_name()
            .unwrap()
            .map(|target| target.to_path_buf());
        if kind.is_hard_link() {
            let target = target.unwrap();
            fs::hard_link(root.join(&target), &path).unwrap_or_else(|error| {
                panic!(
                    "{context}: {} => {}: {error}",
                    path.display(),
                    target.display()
                )
            });
            continue;
        } else if kind.is_dir() {
            let _ = fs::create_dir(&path);
        } else if kind.is_symlink() {
            symlink(target.unwrap(), &path).unwrap();
        } else if kind.is_fifo() {
            mknod(&path, rustix::fs::FileType::Fifo, 0);
        } else {
            assert!(kind.is_file(), "{kind:?}");
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            fs::write(&path, contents).unwrap();
        }
        let header = entry.header();
        let owner = |id: u64| Some(u32::try_from(id).unwrap());
        lchown(
            &path,
            owner(header.uid().unwrap()),
            owner(header.gid().unwrap()),
        )
        .unwrap();
        if !kind.is_symlink() {
            let mode = header.mode().unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        times.push((path.clone(), header.mtime().unwrap()));
        set_xattrs(&mut entry, &path);
    }
    for (path, seconds) in times {
        set_mtime(&path, UNIX_EPOCH + Duration::from_secs(seconds));
    }
}

fn set_xattrs(entry: &mut tar::Entry<'_, &[u8]>, path: &Path) {
    // What a directory of the layer does not have, it has no more.
    let _ = rustix::fs::lremovexattr(path, "user.note");
    let Some(records) = entry.pax_extensions().unwrap() else {
        return;
    };
    for record in records {
        let record = record.unwrap();
        if let Some(key) = record.key().unwrap().strip_prefix("SCHILY.xattr.") {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::lsetxattr(path, key, record.value_bytes(), flags).unwrap();
        }
    }
}

fn remove(path: &Path) {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::snapshot) struct Node {
    /// Kind and mode bits.
    mode: u32,
    owner: (u32, u32),
    seconds: i64,
    /// Contents of a file, text of a link.
    contents: Vec<u8>,
    note: Option<Vec<u8>>,
}

/// Every path below a root with what a layer keeps of it, and the file that it is.
pub(in crate::snapshot) type Tree = BTreeMap<PathBuf, (Node, (u64, u64))>;

pub(in crate::snapshot) fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    // The slash: a root may be a link of /proc.
    for entry in walkdir::WalkDir::new(root.join("")).min_depth(1) {
        let entry = entry.unwrap();
        let found = entry.path().symlink_metadata().unwrap();
        let contents = if found.is_file() {
            fs::read(entry.path()).unwrap()
        } else if found.is_symlink() {
            fs::read_link(entry.path())
                .unwrap()
                .into_os_string()
                .into_encoded_bytes()
        } else {
            Vec::new()
        };
        let mut note = [0; 16];
        let note = rustix::fs::lgetxattr(entry.path(), "user.note", &mut note[..])
            .ok()
            .map(|length| note[..length].to_vec());
        let node = Node {
            mode: found.mode(),
            owner: (found.uid(), found.gid()),
            seconds: found.mtime(),
            contents,
            note,
        };
        let path = entry.path().strip_prefix(root).unwrap().to_path_buf();
        tree.insert(path, (node, (found.dev(), found.ino())));
    }
    tree
}

/// A mount with `userxattr` can show two numbers for one file that it copied up under one name and that got another
/// since: the upper directory knows better.
fn take_inodes_of(upper: &Path, merged: &mut Tree) {
    for (path, (_, file)) in tree(upper) {
        if let Some((_, shown)) = merged.get_mut(&path) {
            *shown = file;
        }
    }
}

pub(in crate::snapshot) fn compare(merged: &Tree, applied: &Tree, lower: &Tree, context: &str) {
    let paths = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(applied), paths(merged), "{context}");
    for (path, (node, _)) in merged {
        assert_eq!(&applied[path].0, node, "{context}: {}", path.display());
    }
    let files: Vec<_> = merged
        .iter()
        .filter(|(_, (node, _))| node.mode & 0o170_000 != 0o040_000)
        .collect();
    for (a, (_, file_a)) in &files {
        for (b, (_, file_b)) in &files {
            let is_linked = |tree: &Tree| match (tree.get(*a), tree.get(*b)) {
                (Some(a), Some(b)) => a.1 == b.1,
                _ => false,
            };
            if file_a == file_b {
                assert!(
                    is_linked(applied),
                    "{context}: {} = {}",
                    a.display(),
                    b.display()
                );
            } else if is_linked(applied) {
                // Overlayfs breaks links that it copies up; a layer need not repeat that.
                assert!(
                    is_linked(lower),
                    "{context}: {} != {}",
                    a.display(),
                    b.display()
                );
            }
        }
    }
}

#[test]
fn ageing_reaches_everything() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("d")).unwrap();
    fs::write(temp.path().join("d/f"), "x").unwrap();
    age(temp.path());
    let seconds: Vec<i64> = tree(temp.path())
        .values()
        .map(|(node, _)| node.seconds)
        .collect();
    assert_eq!(seconds, [1_000_000_000; 2]);
}
