//! One file as a line of text: in contexts, archives and bases to make it, in `expected` to hold what is there against it.

use crate::escapes::{bytes_of, text_of};
use crate::support::{base_image, context, crafted};
use std::collections::BTreeMap;

/// `PATH KIND [MODE] [UID:GID] [@TIME] [MAJOR,MINOR] [xattr.NAME=VALUE]… [= CONTENT | -> TARGET]`, `PATH same-as OTHER`
/// or `PATH gone`.
///
/// Kinds are those of `FileKind` in lower case. `= CONTENT` and `-> TARGET` take the rest of the line, after one space.
#[derive(Debug)]
pub(crate) struct FileLine {
    /// Relative, without slashes at its ends.
    pub(crate) path: String,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    File(FileSpec),
    /// Another name of that file.
    SameAs(String),
    /// Nothing may be here.
    Gone,
}

#[derive(Debug)]
pub(crate) struct FileSpec {
    pub(crate) kind: FileKind,
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) time: Option<Time>,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug)]
pub(crate) enum FileKind {
    Dir,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    Fifo,
    Socket,
    Char(u32, u32),
    Block(u32, u32),
}

/// `@now` is a moment of the build, `@context` and `@base` are the times of all files there that name none, `@NUMBER` are
/// seconds. `@any` says that the reference leaves it open.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    At(i64),
    Now,
    Any,
}

impl FileLine {
    pub(crate) fn of(line: &str) -> Self {
        let (path, rest) = word_and_rest(line);
        let path = text_of(path.trim_matches('/'));
        let (kind, rest) = word_and_rest(rest);
        let what = match kind {
            "gone" => What::Gone,
            "same-as" => What::SameAs(text_of(rest.trim())),
            _ => What::File(FileSpec::of(kind, rest, line)),
        };
        assert!(!path.is_empty(), "a path: {line}");
        Self { path, what }
    }
}

impl FileSpec {
    fn of(kind: &str, mut rest: &str, line: &str) -> Self {
        let mut spec = Self {
            kind: FileKind::Dir,
            mode: None,
            owner: None,
            time: None,
            xattrs: BTreeMap::new(),
        };
        let (mut content, mut target, mut device) = (None, None, None);
        while !rest.is_empty() {
            let (word, after) = word_and_rest(rest);
            rest = after;
            match word {
                "=" => content = Some(bytes_of(std::mem::take(&mut rest))),
                "->" => target = Some(bytes_of(std::mem::take(&mut rest))),
                "=busybox" => {
                    content = Some(std::fs::read(base_image::busybox()).expect("read busybox"))
                }
                _ => device = spec.read_word(word, line).or(device),
            }
        }
        spec.kind = match (kind, content, target, device) {
            ("dir", None, None, None) => FileKind::Dir,
            ("file", Some(content), None, None) => FileKind::File(content),
            ("symlink", None, Some(target), None) => FileKind::Symlink(target),
            ("fifo", None, None, None) => FileKind::Fifo,
            ("socket", None, None, None) => FileKind::Socket,
            ("char", None, None, Some((major, minor))) => FileKind::Char(major, minor),
            ("block", None, None, Some((major, minor))) => FileKind::Block(major, minor),
            _ => panic!("a kind with what belongs to it: {line}"),
        };
        spec
    }

    /// Reads a word whose form says what it is; returns the number of a device.
    fn read_word(&mut self, word: &str, line: &str) -> Option<(u32, u32)> {
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("a number: {line}"));
        if let Some(time) = word.strip_prefix('@') {
            self.time = Some(Time::of(time));
        } else if let Some(xattr) = word.strip_prefix("xattr.") {
            let (name, value) = xattr
                .split_once('=')
                .unwrap_or_else(|| panic!("`=`: {line}"));
            self.xattrs.insert(name.to_owned(), bytes_of(value));
        } else if let Some((uid, gid)) = word.split_once(':') {
            self.owner = Some((number(uid), number(gid)));
        } else if let Some((major, minor)) = word.split_once(',') {
            return Some((number(major), number(minor)));
        } else {
            assert_eq!(word.len(), 4, "a mode of four digits: {line}");
            self.mode =
                Some(u32::from_str_radix(word, 8).unwrap_or_else(|_| panic!("a mode: {line}")));
        }
        None
    }
}

impl Time {
    fn of(text: &str) -> Self {
        match text {
            "now" => Self::Now,
            "any" => Self::Any,
            "context" => Self::At(context::MTIME),
            "base" => Self::At(i64::try_from(crafted::MTIME).expect("a time")),
            number => Self::At(
                number
                    .parse()
                    .unwrap_or_else(|_| panic!("no time: @{number}")),
            ),
        }
    }
}

/// The first word, and what follows the blank after it; blanks before the word are dropped, others kept.
fn word_and_rest(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(' ');
    text.split_once(' ').unwrap_or((text, ""))
}
