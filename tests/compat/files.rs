//! Files on the disk, made as their lines say: contexts, and directories beside them.

use crate::file_line::{FileKind, FileLine, FileSpec, Time, What};
use crate::support::context::MTIME;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Copies what git keeps of a directory: contents, links, and of a mode the x bit.
pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).min_depth(1).sort_by_file_name() {
        let entry = entry.expect("walk a context");
        let path = to.join(entry.path().strip_prefix(from).expect("below it"));
        if entry.file_type().is_dir() {
            make_dirs(to, &path);
        } else if entry.file_type().is_symlink() {
            symlink(fs::read_link(entry.path()).expect("read a link"), path).expect("make a link");
        } else {
            fs::write(&path, fs::read(entry.path()).expect("read a file")).expect("write a file");
            let metadata = entry.metadata().expect("stat");
            let is_program = metadata.permissions().mode() & 0o100 != 0;
            set_mode(&path, if is_program { 0o755 } else { 0o644 });
        }
    }
}

/// Makes the files that the lines describe, and directories above them.
pub(crate) fn make(root: &Path, lines: &[FileLine]) {
    for line in lines {
        let path = root.join(&line.path);
        make_dirs(root, path.parent().expect("below the root"));
        match &line.what {
            What::Gone => panic!("a context has no `gone`: {}", line.path),
            What::SameAs(other) => {
                fs::hard_link(root.join(other), &path).expect("make a hard link")
            }
            What::File(spec) => make_one(root, &path, spec),
        }
    }
}

/// Gives everything the time of contexts, and then what the lines say.
pub(crate) fn set_times(root: &Path, lines: &[FileLine]) {
    for entry in walkdir::WalkDir::new(root) {
        set_time(entry.expect("walk a context").path(), MTIME);
    }
    for line in lines {
        let What::File(spec) = &line.what else {
            continue;
        };
        match spec.time {
            None => {}
            Some(Time::At(seconds)) => set_time(&root.join(&line.path), seconds),
            Some(time) => panic!("a context has times of its own, not {time:?}"),
        }
    }
}

fn make_one(root: &Path, path: &Path, spec: &FileSpec) {
    match &spec.kind {
        FileKind::Dir => make_dirs(root, path),
        FileKind::File(content) => fs::write(path, content).expect("write a file"),
        FileKind::Symlink(target) => {
            symlink(std::ffi::OsStr::from_bytes(target), path).expect("make a link");
        }
        FileKind::Fifo => make_node(path, FileType::Fifo, (0, 0)),
        // The name stays when the listener goes.
        FileKind::Socket => drop(UnixListener::bind(path).expect("make a socket")),
        FileKind::Char(major, minor) => {
            make_node(path, FileType::CharacterDevice, (*major, *minor))
        }
        FileKind::Block(major, minor) => make_node(path, FileType::BlockDevice, (*major, *minor)),
    }
    // In this order: a change of the owner takes away the set-id bits and the capability.
    if let Some((uid, gid)) = spec.owner {
        lchown(path, Some(uid), Some(gid)).expect("set an owner");
    }
    match (&spec.kind, spec.mode) {
        (FileKind::Symlink(_), mode) => assert!(mode.is_none(), "a symlink has no mode"),
        (FileKind::Dir, mode) => set_mode(path, mode.unwrap_or(0o755)),
        (_, mode) => set_mode(path, mode.unwrap_or(0o644)),
    }
    for (name, value) in &spec.xattrs {
        rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty())
            .expect("set an attribute");
    }
}

fn make_node(path: &Path, file_type: FileType, number: (u32, u32)) {
    let device = rustix::fs::makedev(number.0, number.1);
    rustix::fs::mknodat(CWD, path, file_type, Mode::empty(), device).expect("make a node");
}

/// Makes a directory and those above it, whatever the umask is.
fn make_dirs(root: &Path, dir: &Path) {
    if dir.exists() || dir == root {
        return;
    }
    make_dirs(root, dir.parent().expect("below the root"));
    fs::create_dir(dir).expect("make a directory");
    set_mode(dir, 0o755);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("set a mode");
}

fn set_time(path: &Path, seconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("set a time");
}
