//! Whether an image has the files that a case says, and the base's otherwise.

use crate::file_line::{FileKind, FileLine, FileSpec, Time, What};
use crate::support::entry::Entry;
use crate::support::image::sha256;
use crate::support::{Kind, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// What is wrong with `found`, a line for each path.
pub(crate) fn complaints(
    lines: &[FileLine],
    base: &Tree,
    found: &Tree,
    build: &RangeInclusive<i64>,
) -> Vec<String> {
    let mut expected: BTreeMap<&str, &What> = BTreeMap::new();
    for line in lines {
        let earlier = expected.insert(&line.path, &line.what);
        assert!(earlier.is_none(), "`{}` is expected twice", line.path);
    }
    let paths: BTreeSet<&str> = base
        .paths()
        .chain(found.paths())
        .chain(expected.keys().copied())
        .collect();
    let check = Check {
        expected,
        base,
        found,
        build,
    };
    paths
        .into_iter()
        .filter_map(|path| Some(format!("{path}: {}", check.wrong_with(path)?)))
        .collect()
}

struct Check<'a> {
    expected: BTreeMap<&'a str, &'a What>,
    base: &'a Tree,
    found: &'a Tree,
    build: &'a RangeInclusive<i64>,
}

impl Check<'_> {
    fn wrong_with(&self, path: &str) -> Option<String> {
        let found = self.found.find(path);
        match (self.expected.get(path), found) {
            (None, None) => Some("the base has it, and no line says that it is gone".to_owned()),
            (None, Some(found)) => self.wrong_with_unsaid(path, found),
            (Some(What::Gone), None) => {
                assert!(self.base.has(path), "`{path}` cannot go: the base lacks it");
                None
            }
            (Some(What::Gone), Some(found)) => Some(format!("it must be gone, and is {found:?}")),
            (Some(_), None) => Some("missing".to_owned()),
            (Some(What::SameAs(other)), Some(found)) => (!self.is_same_file(path, other))
                .then(|| format!("it is no name of `{other}`, but {found:?}")),
            (Some(What::File(spec)), Some(found)) => self.wrong_with_said(path, spec, found),
        }
    }

    fn wrong_with_unsaid(&self, path: &str, found: &Entry) -> Option<String> {
        let Some(base) = self.base.find(path) else {
            return Some(format!("nothing says that it is there: {found:?}"));
        };
        if base != found {
            return Some(format!(
                "it was {base:?} in the base, and no line says that it is {found:?}"
            ));
        }
        let (before, now) = (
            self.base.first_name_of(path),
            self.found.first_name_of(path),
        );
        let is_told = self.expected.contains_key(before) || !self.base.has(now);
        (before != now && !is_told)
            .then(|| format!("it was a name of `{before}`, and is one of `{now}`"))
    }

    fn wrong_with_said(&self, path: &str, spec: &FileSpec, found: &Entry) -> Option<String> {
        let mut wrong = Vec::new();
        if !has_kind(spec, found) {
            wrong.push(format!("{:?} was expected", Shown(&spec.kind)));
        }
        let is_symlink = matches!(spec.kind, FileKind::Symlink(_));
        let mode = spec.mode.unwrap_or_else(|| {
            assert!(is_symlink, "`{path}` needs a mode");
            found.mode
        });
        if mode != found.mode {
            wrong.push(format!("mode {mode:04o} was expected"));
        }
        let (uid, gid) = spec
            .owner
            .unwrap_or_else(|| panic!("`{path}` needs an owner"));
        if (u64::from(uid), u64::from(gid)) != (found.uid, found.gid) {
            wrong.push(format!("owner {uid}:{gid} was expected"));
        }
        let has_time = match spec.time.unwrap_or_else(|| panic!("`{path}` needs a time")) {
            Time::At(seconds) => found.mtime == seconds,
            Time::Now => self.build.contains(&found.mtime),
            Time::Any => true,
        };
        if !has_time {
            wrong.push(format!("the time {:?} was expected", spec.time));
        }
        if spec.xattrs != found.xattrs {
            wrong.push(format!("the attributes {:?} were expected", spec.xattrs));
        }
        // Whoever is said to be another's name says so on a line of its own.
        let first = self.found.first_name_of(path);
        if first != path && !self.is_said_to_be(first, path) {
            wrong.push(format!("it is a name of `{first}`, which no line says"));
        }
        (!wrong.is_empty()).then(|| format!("{}; it is {found:?}", wrong.join(", ")))
    }

    fn is_said_to_be(&self, path: &str, other: &str) -> bool {
        matches!(self.expected.get(path), Some(What::SameAs(said)) if said == other)
    }

    fn is_same_file(&self, path: &str, other: &str) -> bool {
        self.found.has(other) && self.found.are_hard_links(path, other)
    }
}

fn has_kind(spec: &FileSpec, found: &Entry) -> bool {
    match (&spec.kind, &found.kind) {
        (FileKind::Dir, Kind::Directory) | (FileKind::Fifo, Kind::Fifo) => true,
        (FileKind::File(content), Kind::File { sha256: hash, .. }) => *hash == sha256(content),
        (FileKind::Symlink(target), Kind::Symlink { target: found }) => target == found.as_bytes(),
        (
            FileKind::Char(a, b),
            Kind::Device {
                is_block: false,
                major,
                minor,
            },
        ) => (a, b) == (major, minor),
        (
            FileKind::Block(a, b),
            Kind::Device {
                is_block: true,
                major,
                minor,
            },
        ) => (a, b) == (major, minor),
        // No image has sockets.
        (
            FileKind::Dir
            | FileKind::Fifo
            | FileKind::File(_)
            | FileKind::Symlink(_)
            | FileKind::Char(..)
            | FileKind::Block(..)
            | FileKind::Socket,
            _,
        ) => false,
    }
}

/// A kind with its contents as text.
struct Shown<'a>(&'a FileKind);

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            FileKind::File(bytes) | FileKind::Symlink(bytes) => {
                write!(f, "{:?}", String::from_utf8_lossy(bytes))
            }
            other => write!(f, "{other:?}"),
        }
    }
}
