//! Extended attributes of a directory and of the names right inside it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::dir::proc_path;
use super::inode::Handle;
use super::{Dir, PathContext, PathError};

/// Extended attributes by name, sorted. Empty where there are none or the file system has none.
pub type Xattrs = BTreeMap<OsString, Vec<u8>>;

/// Largest list of attribute names that Linux returns (`XATTR_LIST_MAX`).
const XATTR_LIST_MAX: usize = 64 * 1024;
/// Largest attribute value that Linux stores (`XATTR_SIZE_MAX`).
const XATTR_VALUE_MAX: usize = 64 * 1024;

impl Dir {
    /// Sets an extended attribute of `name` itself.
    pub fn set_xattr(&self, name: &OsStr, key: &OsStr, value: &[u8]) -> Result<(), PathError> {
        self.check("set extended attribute of", name)?;
        let set =
            || rustix::fs::lsetxattr(self.proc_path_of(name), key, value, XattrFlags::empty());
        let result = match self.ledger() {
            Some(ledger) => ledger.change_xattr(self.handle(name), (key, value), set),
            None => set(),
        };
        result.map_err(|errno| self.error("set extended attribute of", name, errno))
    }

    /// Removes an extended attribute of `name` itself.
    pub fn remove_xattr(&self, name: &OsStr, key: &OsStr) -> Result<(), PathError> {
        self.check("remove extended attribute of", name)?;
        let remove = || rustix::fs::lremovexattr(self.proc_path_of(name), key);
        let result = match self.ledger() {
            Some(ledger) => ledger.take_xattr(self.handle(name), key, remove),
            None => remove(),
        };
        result.map_err(|errno| self.error("remove extended attribute of", name, errno))
    }

    /// Returns one extended attribute of `name` itself, or `None` where it is not set.
    pub fn xattr(&self, name: &OsStr, key: &OsStr) -> Result<Option<Vec<u8>>, PathError> {
        self.check("read extended attribute of", name)?;
        let read = || match self.recorded(self.handle(name))?.remove(key) {
            Some(value) => Ok(Some(value)),
            None => read_xattr(&self.proc_path_of(name), key),
        };
        read().map_err(|errno| self.error("read extended attribute of", name, errno))
    }

    /// Returns all extended attributes of `name` itself that this process may see.
    pub fn xattrs(&self, name: &OsStr) -> Result<Xattrs, PathError> {
        self.xattrs_where(name, |_| true)
    }

    /// Returns those extended attributes of `name` itself whose names `is_wanted` accepts; the
    /// values of others are not read.
    pub fn xattrs_where(
        &self,
        name: &OsStr,
        is_wanted: impl Fn(&OsStr) -> bool,
    ) -> Result<Xattrs, PathError> {
        self.check("read extended attributes of", name)?;
        let path = self.proc_path_of(name);
        let read = || -> Result<Xattrs, Errno> {
            let mut xattrs = self.recorded(self.handle(name))?;
            xattrs.retain(|key, _| is_wanted(key));
            for key in list_xattrs(&path)? {
                if is_wanted(&key)
                    && !xattrs.contains_key(&key)
                    && let Some(value) = read_xattr(&path, &key)?
                {
                    xattrs.insert(key, value);
                }
            }
            Ok(xattrs)
        };
        read().map_err(|errno| self.error("read extended attributes of", name, errno))
    }

    /// Sets an extended attribute of the directory itself.
    pub fn set_own_xattr(&self, key: &OsStr, value: &[u8]) -> Result<(), PathError> {
        let set = || rustix::fs::fsetxattr(self.as_fd(), key, value, XattrFlags::empty());
        let result = match self.ledger() {
            Some(ledger) => ledger.change_xattr(self.own_handle(), (key, value), set),
            None => set(),
        };
        result.on("set extended attribute of", self.path())
    }

    /// Returns all extended attributes of the directory itself that this process may see.
    pub fn own_xattrs(&self) -> Result<Xattrs, PathError> {
        let path = proc_path(self.as_fd());
        let read = || -> Result<Xattrs, Errno> {
            let mut xattrs = self.recorded(self.own_handle())?;
            // The magic link itself must be followed here, so not the l-calls.
            let mut names = vec![0; XATTR_LIST_MAX];
            let length = match rustix::fs::listxattr(&path, &mut names) {
                Err(Errno::OPNOTSUPP) => 0,
                other => other?,
            };
            for key in split_names(&names[..length]) {
                let mut value = vec![0; XATTR_VALUE_MAX];
                match rustix::fs::getxattr(&path, &key, &mut value) {
                    Ok(length) => {
                        value.truncate(length);
                        xattrs.insert(key, value);
                    }
                    Err(Errno::NODATA) => {}
                    Err(errno) => return Err(errno),
                }
            }
            Ok(xattrs)
        };
        read().on("read extended attributes of", self.path())
    }

    /// Returns the attributes that the ledger has of a file.
    fn recorded(&self, file: Handle<'_>) -> Result<Xattrs, Errno> {
        match self.ledger() {
            Some(ledger) => ledger.recorded_xattrs(file),
            None => Ok(Xattrs::new()),
        }
    }

    // There are no xattr calls relative to a descriptor before Linux 6.13: the l-calls go through
    // the descriptor's magic link and stop at the last component.
    fn proc_path_of(&self, name: &OsStr) -> PathBuf {
        proc_path(self.as_fd()).join(name)
    }
}

fn list_xattrs(path: &Path) -> Result<Vec<OsString>, Errno> {
    // Most files have none or few: one call is enough for them.
    let mut few = [0_u8; 1024];
    match rustix::fs::llistxattr(path, &mut few) {
        Ok(length) => Ok(split_names(&few[..length]).collect()),
        Err(Errno::OPNOTSUPP) => Ok(Vec::new()),
        Err(Errno::RANGE) => {
            let mut names = vec![0; XATTR_LIST_MAX];
            let length = rustix::fs::llistxattr(path, &mut names)?;
            Ok(split_names(&names[..length]).collect())
        }
        Err(errno) => Err(errno),
    }
}

fn split_names(names: &[u8]) -> impl Iterator<Item = OsString> + '_ {
    names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| OsString::from_vec(name.to_vec()))
}

fn read_xattr(path: &Path, key: &OsStr) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = [0_u8; 1024];
    match rustix::fs::lgetxattr(path, key, &mut value) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(Errno::RANGE) => {
            let mut value = vec![0; XATTR_VALUE_MAX];
            let length = rustix::fs::lgetxattr(path, key, &mut value)?;
            value.truncate(length);
            Ok(Some(value))
        }
        Err(errno) => Err(errno),
    }
}
