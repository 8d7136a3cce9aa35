//! `.git`, for `--keep-git-dir`: a shallow repository with the commit in it, so that `git describe` and the like work.
//!
//! Its configuration says where the repository came from, without user and password, and nothing else.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use sha1_checked::{Digest as _, Sha1};

use super::checkout::{CheckedOut, Gitlink};
use super::object::{EntryKind, ObjectId};
use super::pack::Pack;
use super::url::RepositoryUrl;
use crate::fs::{Dir, PathContext, PathError};

const FILE_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;

/// Offsets beyond this stand in a table of their own (git documentation, "gitformat-pack").
const SMALL_OFFSET_MAX: u64 = 0x7fff_ffff;

/// What the repository is about.
pub(super) struct About<'a> {
    pub(super) repository: &'a RepositoryUrl,
    pub(super) commit: ObjectId,
    /// The commit, or the annotated tag that is about it.
    pub(super) wanted: ObjectId,
    /// The full name that it was found under. Empty for none.
    pub(super) reference: &'a str,
}

/// Writes `.git` into the directory of the checkout.
pub(super) fn write(
    pack: &Pack,
    about: &About<'_>,
    files: &[CheckedOut],
    links: &[Gitlink],
    target: &Dir,
) -> io::Result<()> {
    let dir = make_dir(target, ".git")?;
    let head = format!("{}\n", about.commit);
    write_file(&dir, "HEAD", |file| file.write_all(head.as_bytes()))?;
    write_file(&dir, "shallow", |file| file.write_all(head.as_bytes()))?;
    let config = config(about.repository);
    write_file(&dir, "config", |file| file.write_all(config.as_bytes()))?;
    make_dir(&dir, "refs")?;
    let packed = packed_refs(about);
    write_file(&dir, "packed-refs", |file| {
        file.write_all(packed.as_bytes())
    })?;
    write_file(&dir, "index", |file| write_index(file, files, links))?;
    let packs = make_dir(&make_dir(&dir, "objects")?, "pack")?;
    let name = format!("pack-{}", pack.checksum);
    write_file(&packs, &format!("{name}.pack"), |file| {
        pack.copy_file_to(file)
    })?;
    write_file(&packs, &format!("{name}.idx"), |file| {
        write_pack_index(file, pack)
    })
}

fn make_dir(parent: &Dir, name: &str) -> io::Result<Dir> {
    let name = OsStr::new(name);
    let make = || -> Result<Dir, PathError> {
        parent.create_dir(name, DIR_MODE)?;
        let made = parent.open_dir(name)?;
        made.set_own_mode(DIR_MODE)?;
        Ok(made)
    };
    make().map_err(io::Error::other)
}

fn write_file(
    dir: &Dir,
    name: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let name = OsStr::new(name);
    let make = || -> Result<(), PathError> {
        let file = dir.create_file(name, FILE_MODE)?;
        let mut file = BufWriter::new(file);
        write(&mut file)
            .and_then(|()| file.flush())
            .on("write", dir.path_of(name))?;
        dir.set_mode(name, FILE_MODE)
    };
    make().map_err(io::Error::other)
}

fn config(repository: &RepositoryUrl) -> String {
    let url = repository.to_string();
    let url = url.replace('\\', r"\\").replace('"', r#"\""#);
    format!(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\
         [remote \"origin\"]\n\turl = \"{}\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        url.replace(['\n', '\r', '\0'], "")
    )
}

/// A tag keeps its name; a branch is one of `origin`.
fn packed_refs(about: &About<'_>) -> String {
    let About { wanted, commit, .. } = about;
    let name = match about.reference.strip_prefix("refs/heads/") {
        Some(branch) => format!("refs/remotes/origin/{branch}"),
        None => about.reference.to_owned(),
    };
    let is_plain = name.starts_with("refs/") && !name.contains(char::is_whitespace);
    match is_plain {
        true if wanted != commit => format!("{wanted} {name}\n^{commit}\n"),
        true => format!("{wanted} {name}\n"),
        false => String::new(),
    }
}

/// Everything that is written, hashed: what comes last in git's binary files.
struct Hashed<'a, W> {
    inner: &'a mut W,
    hasher: Sha1,
}

impl<'a, W: Write> Hashed<'a, W> {
    fn new(inner: &'a mut W) -> Self {
        Self {
            inner,
            hasher: Sha1::new(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }

    fn finish(self) -> io::Result<()> {
        let sum = self.hasher.finalize();
        self.inner.write_all(&sum)
    }
}

/// git documentation, "gitformat-index", version 2. The fields of `stat` are 0: git looks at the files once.
fn write_index(file: &mut impl Write, files: &[CheckedOut], links: &[Gitlink]) -> io::Result<()> {
    let of_file = |file: &CheckedOut| {
        let mode: u32 = match file.kind {
            EntryKind::File {
                is_executable: true,
            } => 0o100_755,
            EntryKind::File {
                is_executable: false,
            } => 0o100_644,
            EntryKind::Symlink => 0o120_000,
            EntryKind::Directory => 0o040_000,
            EntryKind::Submodule => 0o160_000,
        };
        (file.path.clone(), mode, file.size, file.id)
    };
    let of_link = |link: &Gitlink| (link.path.clone().into_bytes(), 0o160_000, 0, link.id);
    let mut entries: Vec<_> = files.iter().map(of_file).collect();
    entries.extend(links.iter().map(of_link));
    entries.sort();
    let mut index = Hashed::new(file);
    index.put(b"DIRC")?;
    index.put(&2_u32.to_be_bytes())?;
    index.put(&(entries.len() as u32).to_be_bytes())?;
    for (path, mode, size, id) in &entries {
        // Times, device and inode.
        index.put(&[0; 24])?;
        index.put(&mode.to_be_bytes())?;
        // Owner and group.
        index.put(&[0; 8])?;
        index.put(&(*size as u32).to_be_bytes())?;
        index.put(id.as_bytes())?;
        index.put(&(path.len().min(0xfff) as u16).to_be_bytes())?;
        index.put(path)?;
        // At least one zero, up to a multiple of eight from the entry's beginning.
        let padding = 8 - (62 + path.len()) % 8;
        index.put(&[0; 8][..padding])?;
    }
    index.finish()
}

/// git documentation, "gitformat-pack", "Version 2 pack-*.idx files".
fn write_pack_index(file: &mut impl Write, pack: &Pack) -> io::Result<()> {
    let sorted = pack.sorted();
    let mut index = Hashed::new(file);
    index.put(b"\xfftOc")?;
    index.put(&2_u32.to_be_bytes())?;
    for first in 0..=255 {
        let up_to = sorted.partition_point(|(id, _)| id.as_bytes()[0] <= first);
        index.put(&(up_to as u32).to_be_bytes())?;
    }
    for (id, _) in &sorted {
        index.put(id.as_bytes())?;
    }
    for (_, entry) in &sorted {
        index.put(&entry.crc.to_be_bytes())?;
    }
    let mut large = Vec::new();
    for (_, entry) in &sorted {
        let small = match entry.offset {
            offset @ 0..=SMALL_OFFSET_MAX => offset as u32,
            offset => {
                large.push(offset);
                0x8000_0000 | (large.len() as u32 - 1)
            }
        };
        index.put(&small.to_be_bytes())?;
    }
    for offset in large {
        index.put(&offset.to_be_bytes())?;
    }
    index.put(pack.checksum.as_bytes())?;
    index.finish()
}
