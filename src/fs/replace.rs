//! Files that others may read appear under their name whole or not at all.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{PathContext, PathError};

/// Writes a file, mode 0644, under a temporary name beside `path`, a path of ours or of the user, and
/// renames it. After an error nothing is left and what was at `path` is still there.
pub fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), PathError> {
    let renamed = written_beside(path, write)?.persist(path);
    let renamed = renamed.map_err(|error| error.error);
    renamed.map(drop).on("create", path)
}

/// As [`replace_file`], but what is at `path` stays there, whoever made it and however late.
pub fn create_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), PathError> {
    match written_beside(path, write)?.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system can do that.
        Err(error) => {
            let renamed = error.file.persist(path).map_err(|error| error.error);
            renamed.map(drop).on("create", path)
        }
    }
}

fn written_beside(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<tempfile::NamedTempFile, PathError> {
    let dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let mut temp = tempfile::Builder::new()
        .prefix(".sawagani-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(dir)
        .on("create a file in", dir)?;
    write(temp.as_file_mut()).on("write", path)?;
    Ok(temp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        replace_file(&path, |file| file.write_all(b"old")).unwrap();
        let error = replace_file(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert_eq!(error.unwrap_err().path, path);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        replace_file(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        create_file(&path, |file| file.write_all(b"later")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}
