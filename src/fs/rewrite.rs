//! Files that must stay the inode that they are: something is mounted on their name, or watches them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use super::dir::proc_path;
use super::{PathContext, PathError};

/// Replaces the contents of an open regular file in place. Others may see it half-written. `path` is for messages.
pub fn rewrite(file: &File, contents: &[u8], path: &Path) -> Result<(), PathError> {
    let open = OpenOptions::new().write(true).open(proc_path(file.as_fd()));
    let written = open.and_then(|mut file| {
        file.write_all(contents)?;
        file.set_len(contents.len() as u64)
    });
    written.on("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_that_is_rewritten_stays_the_same_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        std::fs::write(&path, "a longer text than the next").unwrap();
        let before = std::fs::metadata(&path).unwrap().ino();
        let file = File::open(&path).unwrap();
        for contents in ["short", "", "long again"] {
            rewrite(&file, contents.as_bytes(), &path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), contents);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), before);
    }
}
