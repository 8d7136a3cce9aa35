//! Where an archive is written: a file, which appears whole or not at all, or a stream.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use crate::fs::{PathContext, replace_file};

/// Where an archive goes.
#[derive(Debug, Clone)]
pub enum ArchivePlace {
    /// A file. A pipe or device that is there already is written to as a stream.
    File(PathBuf),
    /// The program's standard output, which nobody else may write to meanwhile.
    StandardOutput(Arc<File>),
}

impl ArchivePlace {
    /// Has the archive written. After an error no file is left, and one that was there is still there.
    pub(super) fn write(&self, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let path = match self {
            Self::StandardOutput(stream) => {
                return write(&mut stream.try_clone().on("open", "standard output")?);
            }
            Self::File(path) => path,
        };
        let is_stream =
            std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        if is_stream {
            let options = File::options().write(true).open(path);
            return write(&mut options.on("open", path)?);
        }
        // What a link leads to is replaced, not the link.
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let mut result = Ok(());
        let replaced = replace_file(path, |file| {
            result = write(file);
            match &result {
                Ok(()) => Ok(()),
                Err(_) => Err(io::Error::other("not written")),
            }
        });
        result?;
        Ok(replaced?)
    }
}

impl fmt::Display for ArchivePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "`{}`", path.display()),
            Self::StandardOutput(_) => formatter.write_str("on standard output"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use anyhow::bail;

    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("image.tar");
        let place = ArchivePlace::File(path.clone());
        let error = place.write(|file| {
            file.write_all(b"half")?;
            bail!("a layer is missing")
        });
        assert_eq!(error.unwrap_err().to_string(), "a layer is missing");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
        for text in ["first", "second"] {
            place
                .write(|file| Ok(file.write_all(text.as_bytes())?))
                .unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_written_through() {
        let temp = tempfile::tempdir().unwrap();
        let (file, link) = (temp.path().join("file"), temp.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let place = ArchivePlace::File(link.clone());
        place.write(|file| Ok(file.write_all(b"new")?)).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
    }

    #[test]
    fn a_device_that_is_there_gets_the_bytes_and_stays() {
        let place = ArchivePlace::File(PathBuf::from("/dev/null"));
        place.write(|file| Ok(file.write_all(b"bytes")?)).unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}
