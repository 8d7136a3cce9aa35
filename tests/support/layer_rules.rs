//! What every layer that we write keeps to, entry by entry, read from the tar's own headers.
//!
//! The rules are the house's ("Layer bytes are defined") and those of the containers' tools that read layers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use tar::{Archive, Entry, EntryType, Header};

/// PAX records that a layer may have besides extended attributes: what a ustar header has no room for.
const PAX_KEYS: [&str; 6] = ["path", "linkpath", "size", "uid", "gid", "mtime"];

/// Returns each rule that the tar breaks, with the entry's name; empty for a good layer.
pub(crate) fn broken_rules(mut layer: impl Read) -> Vec<String> {
    let mut reader = Reader::default();
    let mut archive = Archive::new(&mut layer);
    // Raw entries: extension headers come as entries of their own instead of being applied.
    for entry in archive.entries().expect("read a layer").raw(true) {
        match entry {
            Ok(mut entry) => reader.see(&mut entry),
            Err(error) => reader.broken.push(format!(
                "unreadable after `{}`: {error}",
                reader.last_name()
            )),
        }
    }
    reader.finish(layer)
}

#[derive(Default)]
struct Reader {
    broken: Vec<String>,
    /// PAX records for the entry that comes next.
    pax: BTreeMap<String, Vec<u8>>,
    /// Names in the order of the tar, without trailing slash.
    names: Vec<String>,
    /// What each name is.
    kinds: BTreeMap<String, EntryType>,
}

impl Reader {
    fn see(&mut self, entry: &mut Entry<'_, impl Read>) {
        let header = entry.header().clone();
        if header.entry_type() == EntryType::XHeader {
            self.read_pax(entry);
            return;
        }
        let pax = std::mem::take(&mut self.pax);
        let raw_name = pax
            .get("path")
            .cloned()
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let target = pax
            .get("linkpath")
            .cloned()
            .or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let shown = String::from_utf8_lossy(&raw_name).into_owned();
        self.check_header(&header, &shown);
        self.check_pax(&pax, &shown);
        let name = self.check_name(&shown, header.entry_type());
        if let Some(target) = target.filter(|_| header.entry_type() == EntryType::Link) {
            self.check_hard_link(&name, &String::from_utf8_lossy(&target));
        }
        self.check_whiteout(&name, &header);
        self.check_parent(&name);
        self.kinds.insert(name.clone(), header.entry_type());
        self.names.push(name);
    }

    fn read_pax(&mut self, entry: &mut impl Read) {
        let mut records = Vec::new();
        if let Err(error) = entry.read_to_end(&mut records) {
            self.broken.push(format!(
                "unreadable PAX records after `{}`: {error}",
                self.last_name()
            ));
        }
        match parse_pax(&records) {
            Some(parsed) => self.pax = parsed,
            None => self.broken.push(format!(
                "malformed PAX records after `{}`",
                self.last_name()
            )),
        }
    }

    fn check_header(&mut self, header: &Header, name: &str) {
        let Some(ustar) = header.as_ustar() else {
            self.broken.push(format!("`{name}` has no ustar header"));
            return;
        };
        let entry_type = header.entry_type();
        let known = [
            EntryType::Regular,
            EntryType::Link,
            EntryType::Symlink,
            EntryType::Char,
            EntryType::Block,
            EntryType::Directory,
            EntryType::Fifo,
        ];
        if !known.contains(&entry_type) || ustar.typeflag == [0] {
            self.broken
                .push(format!("`{name}` has the type {:?}", ustar.typeflag));
        }
        if ustar
            .uname
            .iter()
            .chain(&ustar.gname)
            .any(|byte| *byte != 0)
        {
            self.broken.push(format!("`{name}` names its owner"));
        }
        if entry_type != EntryType::Regular && header.size().unwrap_or(1) != 0 {
            self.broken
                .push(format!("`{name}` is {entry_type:?} with a size"));
        }
    }

    fn check_pax(&mut self, pax: &BTreeMap<String, Vec<u8>>, name: &str) {
        for (key, value) in pax {
            let xattr = key.strip_prefix("SCHILY.xattr.");
            let is_known = match xattr {
                Some(xattr) => xattr == "security.capability" || xattr.starts_with("user."),
                None => PAX_KEYS.contains(&key.as_str()),
            };
            if !is_known {
                self.broken
                    .push(format!("`{name}` has the PAX record `{key}`"));
            }
            if key == "mtime" && value.contains(&b'.') {
                self.broken
                    .push(format!("`{name}` has a time in fractions of a second"));
            }
        }
    }

    /// Returns the name without the slash at a directory's end.
    fn check_name(&mut self, name: &str, entry_type: EntryType) -> String {
        let is_directory = entry_type == EntryType::Directory;
        if is_directory != name.ends_with('/') {
            self.broken.push(format!(
                "`{name}`: directories end with a slash, and nothing else does"
            ));
        }
        let name = name.strip_suffix('/').unwrap_or(name);
        if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            self.broken
                .push(format!("`{name}` is not a clean relative path"));
        }
        name.to_owned()
    }

    fn check_hard_link(&mut self, name: &str, target: &str) {
        match self.kinds.get(target) {
            None => self.broken.push(format!(
                "`{name}` links to `{target}`, which does not come before it"
            )),
            Some(EntryType::Directory) => self
                .broken
                .push(format!("`{name}` is a hard link to a directory")),
            Some(_) => {}
        }
    }

    fn check_whiteout(&mut self, name: &str, header: &Header) {
        let last = name.rsplit('/').next().unwrap_or(name);
        let Some(deleted) = last.strip_prefix(".wh.") else {
            return;
        };
        if deleted.starts_with(".wh.") {
            self.broken.push(format!(
                "`{name}` is an opaque marker: deletions are explicit"
            ));
        }
        let is_plain =
            header.entry_type() == EntryType::Regular && header.size().is_ok_and(|size| size == 0);
        // As BuildKit writes them, so that a layer's digest does not depend on when a file was deleted.
        let is_timeless = header.mtime().is_ok_and(|mtime| mtime == 0)
            && header.mode().is_ok_and(|mode| mode & 0o7777 == 0);
        if !is_plain || !is_timeless {
            self.broken.push(format!(
                "`{name}` is not an empty file of mode 0 and time 0"
            ));
        }
    }

    fn check_parent(&mut self, name: &str) {
        let Some((parent, _)) = name.rsplit_once('/') else {
            return;
        };
        if self.kinds.get(parent) != Some(&EntryType::Directory) {
            self.broken
                .push(format!("`{name}` comes without its directory before it"));
        }
    }

    fn finish(mut self, mut rest: impl Read) -> Vec<String> {
        let mut seen = BTreeSet::new();
        for name in &self.names {
            if !seen.insert(deleted_name(name)) {
                self.broken.push(format!(
                    "`{name}` comes twice, or is both deleted and there"
                ));
            }
        }
        // A whiteout may stand where its own name sorts, or where the deleted one does.
        let by_own_name = first_unsorted(self.names.iter().cloned());
        let by_deleted_name = first_unsorted(self.names.iter().map(|name| deleted_name(name)));
        if let (Some(unsorted), Some(_)) = (by_own_name, by_deleted_name) {
            self.broken.push(format!("`{unsorted}` is out of order"));
        }
        let mut end = Vec::new();
        rest.read_to_end(&mut end).expect("read a layer to its end");
        // The archive's reader has taken at least one of the two blocks of zeroes.
        if end.len() < 512 && !self.names.is_empty() || end.iter().any(|byte| *byte != 0) {
            self.broken
                .push("the tar does not end with zeroes".to_owned());
        }
        self.broken
    }

    fn last_name(&self) -> &str {
        self.names.last().map_or("the beginning", String::as_str)
    }
}

/// Returns the first path that does not come after the one before it, as a walk that sorts each directory meets them.
fn first_unsorted(names: impl Iterator<Item = String>) -> Option<String> {
    let mut previous: Vec<String> = Vec::new();
    for name in names {
        let parts: Vec<String> = name.split('/').map(str::to_owned).collect();
        if parts <= previous {
            return Some(name);
        }
        previous = parts;
    }
    None
}

/// `a/.wh.b` is about `a/b`; any other name about itself.
fn deleted_name(name: &str) -> String {
    let (parent, last) = name
        .rsplit_once('/')
        .map_or(("", name), |(parent, last)| (parent, last));
    match last.strip_prefix(".wh.") {
        Some(deleted) if parent.is_empty() => deleted.to_owned(),
        Some(deleted) => format!("{parent}/{deleted}"),
        None => name.to_owned(),
    }
}

/// `LENGTH KEY=VALUE\n`, the length being that of the whole record (POSIX, pax "Extended Header").
fn parse_pax(mut records: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut parsed = BTreeMap::new();
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
        let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let key = String::from_utf8(record[..equals].to_vec()).ok()?;
        parsed.insert(key, record[equals + 1..].to_vec());
        records = &records[length..];
    }
    Some(parsed)
}
