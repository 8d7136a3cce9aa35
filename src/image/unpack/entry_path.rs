//! Names of entries, made safe: relative, without `.` and `..`, short enough for one system call.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::EntryError;

/// Longest path that Linux takes in one call, in bytes without the final NUL (`PATH_MAX`).
pub(super) const PATH_BYTES_MAX: usize = 4095;

/// A cleaned path with at least one component.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::image) struct EntryPath {
    bytes: Vec<u8>,
    /// Where the last component begins.
    name_start: usize,
}

impl EntryPath {
    /// Cleans a name as the archive has it, as Go's `path.Clean` does: absolute names are relative to
    /// the root, `a/../b` is `b` whatever `a` is. `None` for the root itself.
    pub(in crate::image) fn clean(raw: &[u8]) -> Result<Option<Self>, EntryError> {
        if raw.contains(&0) {
            return Err(EntryError::NulInName);
        }
        let mut bytes = Vec::with_capacity(raw.len());
        for component in raw.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." if bytes.is_empty() => return Err(EntryError::ClimbsOut),
                b".." => bytes.truncate(name_start(&bytes).saturating_sub(1)),
                name => {
                    if !bytes.is_empty() {
                        bytes.push(b'/');
                    }
                    bytes.extend_from_slice(name);
                }
            }
        }
        if bytes.len() > PATH_BYTES_MAX {
            return Err(EntryError::NameTooLong);
        }
        let name_start = name_start(&bytes);
        Ok((!bytes.is_empty()).then_some(Self { bytes, name_start }))
    }

    pub(in crate::image) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns everything before the last component; empty for the root.
    pub(in crate::image) fn parent(&self) -> &[u8] {
        &self.bytes[..self.name_start.saturating_sub(1)]
    }

    pub(super) fn name(&self) -> &OsStr {
        OsStr::from_bytes(&self.bytes[self.name_start..])
    }
}

fn name_start(bytes: &[u8]) -> usize {
    let slash = bytes.iter().rposition(|byte| *byte == b'/');
    slash.map_or(0, |slash| slash + 1)
}

/// Appends a component to a cleaned path, which may be empty.
pub(in crate::image) fn join(parent: &[u8], name: &OsStr) -> Vec<u8> {
    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
    path.extend_from_slice(parent);
    if !parent.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    path
}

pub(in crate::image) fn to_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(raw: &str) -> Option<String> {
        let path = EntryPath::clean(raw.as_bytes()).unwrap();
        path.map(|path| String::from_utf8(path.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn names_are_relative_to_the_root_and_clean() {
        for raw in [
            "a/b",
            "/a/b",
            "./a/b/",
            "//a//./b",
            "a/c/../b",
            "x/../a/y/z/../../b",
        ] {
            assert_eq!(clean(raw).as_deref(), Some("a/b"), "{raw}");
        }
        for raw in ["", ".", "./", "/", "a/.."] {
            assert_eq!(clean(raw), None, "{raw}");
        }
    }

    #[test]
    fn a_path_splits_into_parent_and_name() {
        for (raw, parent, name) in [("a", "", "a"), ("a/b", "a", "b"), ("a/b/c", "a/b", "c")] {
            let path = EntryPath::clean(raw.as_bytes()).unwrap().unwrap();
            assert_eq!(
                (path.parent(), path.name()),
                (parent.as_bytes(), OsStr::new(name))
            );
        }
    }

    #[test]
    fn names_that_climb_out_have_nul_or_are_too_long_are_refused() {
        for raw in ["..", "../a", "/..", "a/../../b", "/../../etc/passwd"] {
            let error = EntryPath::clean(raw.as_bytes()).unwrap_err();
            assert!(matches!(error, EntryError::ClimbsOut), "{raw}");
        }
        let error = EntryPath::clean(b"a\0b").unwrap_err();
        assert!(matches!(error, EntryError::NulInName));
        let long = "d/".repeat(PATH_BYTES_MAX);
        let error = EntryPath::clean(long.as_bytes()).unwrap_err();
        assert!(matches!(error, EntryError::NameTooLong));
    }
}
