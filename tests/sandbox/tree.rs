//! What a directory looks like, in lines to compare.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Returns a line for everything below `root`, sorted, beginning with its path. Only the change time
/// is left out.
pub(crate) fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    list(root, Path::new(""), &mut lines);
    lines.sort();
    lines
}

fn list(root: &Path, inside: &Path, lines: &mut Vec<String>) {
    for entry in std::fs::read_dir(root.join(inside)).unwrap() {
        let path = inside.join(entry.unwrap().file_name());
        let full = root.join(&path);
        let metadata = std::fs::symlink_metadata(&full).unwrap();
        let kind = metadata.file_type();
        let size = if kind.is_dir() { 0 } else { metadata.len() };
        let contents = if kind.is_symlink() {
            format!("{:?}", std::fs::read_link(&full).unwrap())
        } else if kind.is_file() && size < 10_000 {
            format!("{:?}", std::fs::read(&full).unwrap())
        } else if kind.is_char_device() || kind.is_block_device() {
            format!("device {:x}", metadata.rdev())
        } else {
            String::new()
        };
        lines.push(format!(
            "{} ino {} mode {:o} owner {}:{} size {size} mtime {}.{} {contents}",
            path.display(),
            metadata.ino(),
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        ));
        if kind.is_dir() {
            list(root, &path, lines);
        }
    }
}

/// Returns the paths in a listing.
pub(crate) fn paths(lines: &[String]) -> Vec<&str> {
    let path = |line| str::split(line, " ino ").next().unwrap_or_default();
    lines.iter().map(|line| path(line.as_str())).collect()
}

/// Returns the paths whose lines are in the one listing only: gone, new, and changed ones.
pub(crate) fn differences<'a>(
    before: &'a [String],
    after: &'a [String],
) -> (Vec<&'a str>, Vec<&'a str>, Vec<&'a str>) {
    let (old, new) = (paths(before), paths(after));
    let only = |one: &[&'a str], other: &[&'a str]| -> Vec<&'a str> {
        let is_only = |path: &&&str| !other.contains(*path);
        one.iter().filter(is_only).copied().collect()
    };
    let is_changed =
        |(path, line): &(&&'a str, &String)| old.contains(*path) && !before.contains(line);
    let changed = new.iter().zip(after).filter(is_changed);
    (
        only(&old, &new),
        only(&new, &old),
        changed.map(|(path, _)| *path).collect(),
    )
}
