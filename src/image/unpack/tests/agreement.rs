//! The same layers must show the same files, whether they are stacked by overlayfs or applied to one
//! tree. Random layers, and the kernel's own view of the stack.

use std::process::Command;

use super::*;

/// Numbers that are the same on every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        let names = (0..depth).map(|_| ["a", "b", "c"][self.below(3) as usize]);
        names.collect::<Vec<_>>().join("/")
    }
}

/// Makes the layer of a seed.
pub(super) fn random_layer_of(seed: u64) -> TestArchive {
    random_layer(&mut Dice(seed))
}

/// Makes a layer of few names, so that entries of all kinds meet, within it and across layers.
fn random_layer(dice: &mut Dice) -> TestArchive {
    let mut archive = TestArchive::new();
    for _ in 0..dice.below(10) {
        let path = dice.path();
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", &path));
        let mode = 0o700 + dice.below(8) as u32;
        let size = dice.below(1000) as usize;
        let mtime = 1_000_000_000 + dice.below(1000);
        let set = |header: &mut tar::Header| {
            header.set_mode(mode);
            header.set_mtime(mtime);
        };
        let contents = vec![b'x'; size];
        archive = match dice.below(7) {
            0 | 1 => archive.entry(tar::EntryType::Regular, &path, "", &contents, set),
            2 | 3 => archive.entry(tar::EntryType::Directory, &path, "", b"", set),
            4 => archive.entry(tar::EntryType::Fifo, &path, "", b"", set),
            5 => archive.file(&format!("{parent}/.wh.{name}"), ""),
            _ if parent == "." => archive,
            _ => archive.file(&format!("{parent}/.wh..wh..opq"), ""),
        };
    }
    archive
}

/// Lists what is below a directory, after `prepare` has run in a mount namespace of its own.
fn list(dir: &Path, prepare: &str) -> String {
    let dir = dir.display();
    let script = format!(
        "set -e; {prepare}; cd {dir}; \
         find . -mindepth 1 -type f -printf '%P %y %m %U:%G %T@ %s\\n' > /dev/stdout; \
         find . -mindepth 1 ! -type f -printf '%P %y %m %U:%G %T@\\n'"
    );
    let output = Command::new("unshare")
        .args(["--mount", "--", "sh", "-c", &script])
        .output()
        .expect("this test needs `unshare` of util-linux, and root");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cannot list {dir}: {stderr}");
    let mut lines: Vec<&str> = std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Returns what a layer has, in order, to say it where the views differ.
fn names(bytes: &[u8]) -> Vec<String> {
    let mut reader = ArchiveReader::new(bytes);
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let kind = format!("{:?}", entry.kind);
        let kind = kind.split(' ').next().unwrap();
        names.push(format!("{kind} {}", entry.name.escape_ascii()));
    }
    names
}

#[test]
fn a_stack_of_overlay_layers_shows_what_a_tree_has() {
    let mut compared = 0;
    for seed in 1..=100_u64 {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (seed << 17));
        let tree = Tree::new();
        let mut stack: Vec<Tree> = Vec::new();
        let mut layers = Vec::new();
        for _ in 0..3 {
            let bytes = random_layer(&mut dice).finish();
            layers.push(names(&bytes));
            let options = |form| UnpackOptions { form, owner: None };
            unpack(&bytes[..], &tree.root, &options(Form::Tree)).unwrap();
            let layer = Tree::new();
            let unpacked = unpack(&bytes[..], &layer.root, &options(TRUSTED)).unwrap();
            let lowers: Vec<&Root> = stack.iter().rev().map(|tree| &tree.root).collect();
            complete(&unpacked, &layer.root, OverlayXattrs::Trusted, &lowers).unwrap();
            stack.push(layer);
        }
        let lowers: Vec<String> = stack
            .iter()
            .rev()
            .map(|layer| layer.path("").display().to_string())
            .collect();
        let merged = tempfile::tempdir().unwrap();
        let mount = format!(
            "mount -t overlay overlay -o ro,lowerdir={} {}",
            lowers.join(":"),
            merged.path().display()
        );
        let expected = list(&tree.path(""), "true");
        let found = list(merged.path(), &mount);
        assert_eq!(found, expected, "seed {seed}: {layers:#?}");
        compared += expected.lines().count();
    }
    assert!(compared > 500, "the layers are not empty: {compared}");
}
