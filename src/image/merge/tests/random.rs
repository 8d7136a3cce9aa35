//! Random layers: what is made of them must give the same files as they do, above whatever there is below.

use std::collections::{BTreeMap, BTreeSet};

use tar::EntryType;

use super::*;
use crate::image::unpack::entry_path::EntryPath;
use crate::image::unpack::whiteout::Whiteout;

/// Enough that each kind of entry meets each other, above and below.
const ROUNDS: u64 = 600;

#[test]
fn one_layer_gives_the_files_that_several_give() {
    let mut has_seen = BTreeSet::new();
    for seed in 1..=ROUNDS {
        let mut dice = Dice(seed);
        let mut files = Files::default();
        let below: Vec<_> = (0..dice.roll(3)).map(|_| random_layer(&mut dice)).collect();
        for layer in &below {
            files.apply(layer);
        }
        let names_below: BTreeSet<String> = files.0.keys().cloned().collect();
        let mut layers = Vec::new();
        for _ in 0..1 + dice.roll(4) {
            let layer = random_layer(&mut dice);
            files.apply(&layer);
            layers.push(layer);
        }
        let context = || {
            let shown =
                |layers: &[Vec<u8>]| Vec::from_iter(layers.iter().map(|layer| shown(layer)));
            format!(
                "seed {seed}\nbelow: {:#?}\nlayers: {:#?}",
                shown(&below),
                shown(&layers)
            )
        };
        let one = merged(&below, &layers).unwrap();
        let mut found = Files::default();
        below.iter().for_each(|layer| found.apply(layer));
        found.apply(&one);
        assert_eq!(
            found.view(),
            files.view(),
            "{:#?}\n{}",
            shown(&one),
            context()
        );
        for name in shown(&one) {
            has_seen.insert(check_name(&name, &names_below, &context));
        }
        // In its final form already: whether a single layer is taken as it is or made again does not matter.
        let again = merged(&below, std::slice::from_ref(&one)).unwrap();
        assert!(again == one, "{:#?}\n{}", shown(&one), context());
    }
    assert_eq!(
        has_seen.len(),
        3,
        "deletions, links, and others: {has_seen:?}"
    );
}

/// Asserts that a deletion deletes something.
fn check_name(
    name: &str,
    names_below: &BTreeSet<String>,
    context: &impl Fn() -> String,
) -> &'static str {
    let (dir, last) = name.rsplit_once('/').unwrap_or(("", name));
    match last.strip_prefix(".wh.") {
        Some(deleted) => {
            let deleted = format!("{dir}/{deleted}");
            let deleted = deleted.trim_start_matches('/');
            assert!(names_below.contains(deleted), "{deleted}\n{}", context());
            "deletion"
        }
        None if name.contains("=>") => "link",
        None => "other",
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        self.0 ^= self.0 >> 29;
        (self.0 >> 16) % sides
    }

    fn path(&mut self) -> String {
        let depth = 1 + self.roll(3);
        let names: Vec<&str> = (0..depth)
            .map(|_| ["a", "b", "-", "d"][self.roll(4) as usize])
            .collect();
        names.join("/")
    }
}

/// Makes a layer of few names: parents before children, otherwise in no order. Links are to files that the layer has.
fn random_layer(dice: &mut Dice) -> Vec<u8> {
    let mut layer = LayerInTheMaking {
        archive: TestArchive::new(),
        kinds: BTreeMap::new(),
    };
    for _ in 0..1 + dice.roll(9) {
        let path = dice.path();
        let mtime = 1_000_000 + dice.roll(100);
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if !layer.make_dirs(parent, mtime) {
            continue;
        }
        match dice.roll(12) {
            0..=3 => layer.add(EntryType::Regular, &path, "", mtime),
            4 | 5 => layer.add(EntryType::Directory, &path, "", mtime),
            6 => layer.add(EntryType::Symlink, &path, "a", mtime),
            7 => {
                let target = dice.path();
                let is_here = layer.kinds.get(&target).is_some_and(|kind| !kind.is_dir());
                if is_here && !target.starts_with(&format!("{path}/")) {
                    layer.add(EntryType::Link, &path, &target, mtime);
                }
            }
            8..=10 => layer.add(
                EntryType::Regular,
                &join(parent, &format!(".wh.{name}")),
                "",
                0,
            ),
            _ => layer.add(EntryType::Regular, &join(parent, ".wh..wh..opq"), "", 0),
        }
    }
    layer.archive.finish()
}

fn join(parent: &str, name: &str) -> String {
    match parent {
        "" => name.to_owned(),
        parent => format!("{parent}/{name}"),
    }
}

struct LayerInTheMaking {
    archive: TestArchive,
    /// What the layer has so far.
    kinds: BTreeMap<String, EntryType>,
}

impl LayerInTheMaking {
    /// Describes the directories of `path` as far as the layer does not yet. Fails where it has something else there.
    fn make_dirs(&mut self, path: &str, mtime: u64) -> bool {
        let ends = path
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([path.len()]);
        for end in ends.filter(|end| *end > 0) {
            match self.kinds.get(&path[..end]) {
                None => self.add(EntryType::Directory, &path[..end], "", mtime),
                Some(EntryType::Directory) => {}
                Some(_) => return false,
            }
        }
        true
    }

    fn add(&mut self, kind: EntryType, path: &str, link: &str, mtime: u64) {
        let name = path.rsplit('/').next().unwrap();
        if !name.starts_with(".wh.") {
            if kind != EntryType::Directory {
                let below = format!("{path}/");
                self.kinds.retain(|known, _| !known.starts_with(&below));
            }
            self.kinds.insert(path.to_owned(), kind);
        }
        let contents = match kind {
            EntryType::Regular if mtime > 0 => format!("{path} of {mtime}"),
            _ => String::new(),
        };
        let mut archive = std::mem::take(&mut self.archive);
        // Those of a link are its file's.
        if mtime % 3 == 1 && kind != EntryType::Link {
            let value = format!("{path}\0\n{mtime}");
            archive = archive
                .pax("SCHILY.xattr.user.z", value.as_bytes())
                .pax("SCHILY.xattr.user.a", b"");
        }
        let set = |header: &mut tar::Header| {
            header.set_mtime(mtime);
            header.set_mode(0o600 + (mtime % 8) as u32);
        };
        self.archive = archive.entry(kind, path, link, contents.as_bytes(), set);
    }
}

/// What layers give when they are applied one after the other: each path with a description, and the number of its file.
#[derive(Default)]
struct Files(BTreeMap<String, (String, u64)>, u64);

impl Files {
    /// Applies a layer, as OCI image-spec, layer.md says: first what it deletes, then what it has.
    fn apply(&mut self, layer: &[u8]) {
        let mut entries = Vec::new();
        let mut archive = ArchiveReader::new(layer);
        while let Some(entry) = archive.next_entry().unwrap() {
            let contents = archive.contents().unwrap().to_vec();
            let path = EntryPath::clean(&entry.name).unwrap().unwrap();
            let parent = String::from_utf8(path.parent().to_vec()).unwrap();
            match Whiteout::of(&path).unwrap() {
                Some(Whiteout::Opaque) => self.remove_below(&parent),
                Some(Whiteout::Of(name)) => {
                    let path = join(&parent, name.to_str().unwrap());
                    self.remove_below(&path);
                    self.0.remove(&path);
                }
                Some(Whiteout::Ignored) => {}
                None => {
                    let path = String::from_utf8(path.as_bytes().to_vec()).unwrap();
                    entries.push((path, entry, contents));
                }
            }
        }
        for (path, entry, contents) in entries {
            let file = match &entry.kind {
                EntryKind::HardLink { target } => {
                    self.0[std::str::from_utf8(target).unwrap()].clone()
                }
                kind => {
                    self.1 += 1;
                    let metadata = (entry.mode, entry.uid, entry.gid, entry.mtime.seconds);
                    let contents = contents.escape_ascii();
                    let xattrs = BTreeMap::from_iter(entry.xattrs);
                    (
                        format!("{kind:?} {metadata:?} {xattrs:?} {contents}"),
                        self.1,
                    )
                }
            };
            if entry.kind != EntryKind::Directory {
                self.remove_below(&path);
            }
            self.0.insert(path, file);
        }
    }

    fn remove_below(&mut self, dir: &str) {
        let below = join(dir, "");
        self.0.retain(|path, _| !path.starts_with(&below));
    }

    /// Returns each path with its description and the first name of its file.
    fn view(&self) -> BTreeMap<&str, (&str, &str)> {
        let mut first_names = BTreeMap::new();
        for (path, (_, number)) in &self.0 {
            first_names.entry(number).or_insert(path.as_str());
        }
        let files = self.0.iter();
        files
            .map(|(path, (text, number))| (path.as_str(), (text.as_str(), first_names[number])))
            .collect()
    }
}
