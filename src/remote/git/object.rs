//! Git's objects: their names, and what commits, tags and trees say. This module knows bytes, not where they are kept.

use std::fmt;
use std::io;

use sha1_checked::{CollisionResult, Digest as _, Sha1};

use super::error::malformed;

/// Name of an object: the SHA-1 of its kind, size and bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ObjectId([u8; Self::BYTES]);

impl ObjectId {
    pub(super) const BYTES: usize = 20;
    const HEX_DIGITS: usize = 40;

    pub(super) fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let bytes = bytes.try_into();
        bytes
            .map(Self)
            .map_err(|_| malformed("an object name of the wrong length"))
    }

    /// Reads 40 hexadecimal digits; `None` for anything else.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.len() != Self::HEX_DIGITS || !is_hex {
            return None;
        }
        let mut bytes = [0; Self::BYTES];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl ObjectKind {
    fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }
}

/// Works out the name of an object.
pub(super) struct IdHasher(Sha1);

impl IdHasher {
    pub(super) fn new(kind: ObjectKind, size: u64) -> Self {
        let mut hasher = Sha1::new();
        hasher.update(format!("{} {size}\0", kind.name()));
        Self(hasher)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Refuses bytes that were made so that others have the same name (sha1dc, as in git itself).
    pub(super) fn finish(self) -> io::Result<ObjectId> {
        match self.0.try_finalize() {
            CollisionResult::Ok(hash) => ObjectId::from_bytes(&hash),
            CollisionResult::Mitigated(_) | CollisionResult::Collision(_) => {
                Err(malformed("an object whose SHA-1 was forged"))
            }
        }
    }

    pub(super) fn id_of(kind: ObjectKind, bytes: &[u8]) -> io::Result<ObjectId> {
        let mut hasher = Self::new(kind, bytes.len() as u64);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// What a commit says, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommitObject {
    pub(super) tree: ObjectId,
    /// When it was committed, in seconds since the Unix epoch.
    pub(super) time: i64,
}

impl CommitObject {
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Self> {
        let tree = header(bytes, "tree").and_then(ObjectId::from_hex);
        let tree = tree.ok_or_else(|| malformed("a commit without a tree"))?;
        // `committer NAME <MAIL> SECONDS ZONE`
        let committer = header(bytes, "committer").unwrap_or_default();
        let after_mail = committer.rsplit_once('>').map_or("", |(_, rest)| rest);
        let seconds = after_mail.split_whitespace().next();
        Ok(Self {
            tree,
            time: seconds.and_then(|text| text.parse().ok()).unwrap_or(0),
        })
    }
}

/// Returns what an annotated tag is about.
pub(super) fn tagged(bytes: &[u8]) -> io::Result<ObjectId> {
    let object = header(bytes, "object").and_then(ObjectId::from_hex);
    object.ok_or_else(|| malformed("a tag without an object"))
}

/// Finds a line among those before the first empty one.
fn header<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.by_ref().take_while(|line| !line.is_empty());
    let mut texts = lines.filter_map(|line| std::str::from_utf8(line).ok());
    texts.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
}

/// A name in a tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TreeEntry<'a> {
    pub(super) kind: EntryKind,
    pub(super) name: &'a [u8],
    pub(super) id: ObjectId,
}

/// What a name in a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File {
        is_executable: bool,
    },
    Symlink,
    Directory,
    /// A commit of another repository.
    Submodule,
}

/// Reads a tree, in its order. Ends after what cannot be read.
pub(super) fn tree_entries(bytes: &[u8]) -> impl Iterator<Item = io::Result<TreeEntry<'_>>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = tree_entry(rest);
        rest = read.as_ref().map_or(&[], |(_, after)| after);
        Some(match read {
            Some((entry, _)) => Ok(entry),
            None => Err(malformed("a tree that cannot be read")),
        })
    })
}

/// `MODE NAME\0ID`, the mode in octal digits.
fn tree_entry(bytes: &[u8]) -> Option<(TreeEntry<'_>, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let mode = std::str::from_utf8(&bytes[..space]).ok()?;
    let rest = &bytes[space + 1..];
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (name, rest) = (&rest[..end], &rest[end + 1..]);
    let (id, rest) = rest.split_at_checked(ObjectId::BYTES)?;
    let mode = u32::from_str_radix(mode, 8).ok()?;
    let kind = match mode & 0o170_000 {
        0o100_000 => EntryKind::File {
            is_executable: mode & 0o100 != 0,
        },
        0o120_000 => EntryKind::Symlink,
        0o040_000 => EntryKind::Directory,
        0o160_000 => EntryKind::Submodule,
        _ => return None,
    };
    let id = ObjectId::from_bytes(id).ok()?;
    Some((TreeEntry { kind, name, id }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_the_names_that_git_gives_them() {
        // git's documentation: the empty tree, and an empty blob.
        let tree = IdHasher::id_of(ObjectKind::Tree, b"").unwrap();
        assert_eq!(tree.to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        let blob = IdHasher::id_of(ObjectKind::Blob, b"").unwrap();
        assert_eq!(blob.to_string(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(ObjectId::from_hex(&blob.to_string()), Some(blob));
        assert_eq!(ObjectId::from_hex("e69de29"), None);
    }

    #[test]
    fn a_commit_names_its_tree_and_its_time() {
        let text = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a> 1 +0000\n\
            committer B > C <b@c> 1700000000 +0100\n\ntree 0000\n";
        let commit = CommitObject::parse(text.as_bytes()).unwrap();
        assert_eq!(commit.time, 1_700_000_000);
        assert_eq!(
            commit.tree.to_string(),
            "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        );
        assert!(
            CommitObject::parse(b"author A\n\ntree 4b825dc642cb6eb9a060e54bf8d69288fbee4904")
                .is_err()
        );
    }

    #[test]
    fn a_tree_that_is_cut_off_or_has_strange_modes_is_refused() {
        let mut bytes = b"100755 run\0".to_vec();
        bytes.extend([7; 20]);
        let entries = |bytes| tree_entries(bytes).collect::<io::Result<Vec<_>>>();
        let read = entries(&bytes).unwrap();
        assert_eq!(
            read[0].kind,
            EntryKind::File {
                is_executable: true
            }
        );
        assert_eq!(read[0].name, b"run");
        assert!(entries(&bytes[..bytes.len() - 1]).is_err());
        let mut device = b"20644 null\0".to_vec();
        device.extend([7; 20]);
        assert!(entries(&device).is_err());
    }
}
