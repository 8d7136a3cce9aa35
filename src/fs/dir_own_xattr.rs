//! Taking an extended attribute off a directory that is open.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use super::{Dir, PathContext, PathError};

impl Dir {
    /// Removes an extended attribute of the directory itself.
    pub fn remove_own_xattr(&self, key: &OsStr) -> Result<(), PathError> {
        rustix::fs::fremovexattr(self.as_fd(), key).on("remove extended attribute of", self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attribute_goes_and_the_others_stay() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        for key in ["user.goes", "user.stays"] {
            dir.set_own_xattr(OsStr::new(key), b"value").unwrap();
        }
        dir.remove_own_xattr(OsStr::new("user.goes")).unwrap();
        let left: Vec<_> = dir.own_xattrs().unwrap().into_keys().collect();
        assert_eq!(left, ["user.stays"]);
    }
}
