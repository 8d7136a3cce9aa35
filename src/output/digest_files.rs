//! The small files that tell a later job what was built, byte for byte as kaniko writes them.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::fs::{PathContext, PathError};
use crate::image::{Digest, Reference};

use super::DeliveryOptions;

/// Writes the files that were asked for. Each is complete or not there.
pub(super) fn write_digest_files(
    options: &DeliveryOptions,
    digest: &Digest,
) -> Result<(), PathError> {
    if let Some(path) = &options.digest_file {
        // No newline: Tekton's results take the file as it is.
        write_file(path, digest.as_str())?;
    }
    if let Some(path) = &options.name_with_digest_file {
        write_file(
            path,
            &lines(&options.destinations, |name| with_digest(name, digest)),
        )?;
    }
    if let Some(path) = &options.name_tag_with_digest_file {
        write_file(
            path,
            &lines(&options.destinations, |name| {
                with_tag_and_digest(name, digest)
            }),
        )?;
    }
    Ok(())
}

fn lines(destinations: &[Reference], line: impl Fn(&Reference) -> String) -> String {
    destinations
        .iter()
        .map(|destination| line(destination) + "\n")
        .collect()
}

fn with_digest(destination: &Reference, digest: &Digest) -> String {
    format!("{}@{digest}", destination.name_in_digest_files())
}

fn with_tag_and_digest(destination: &Reference, digest: &Digest) -> String {
    let name = destination.name_in_digest_files();
    match destination.tag() {
        Some(tag) => format!("{name}:{tag}@{digest}"),
        None => format!("{name}@{digest}"),
    }
}

/// Writes a file; parents are created 0700, a new file is 0644, as kaniko's.
///
/// A link, a pipe or a device that is there is written through. A file is replaced as a whole, unless
/// it is a mount point, as Kubernetes' `/dev/termination-log` is.
pub(super) fn write_file(path: &Path, content: &str) -> Result<(), PathError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(directory)
        .on("create directory", directory)?;
    let is_special = fs::symlink_metadata(path).is_ok_and(|found| !found.is_file());
    if is_special {
        return write_in_place(path, content);
    }
    let mut file = tempfile::NamedTempFile::new_in(directory).on("write", path)?;
    file.write_all(content.as_bytes()).on("write", path)?;
    let mode = fs::Permissions::from_mode(0o644);
    file.as_file().set_permissions(mode).on("write", path)?;
    match file.persist(path) {
        Ok(_) => Ok(()),
        Err(failure) if failure.error.kind() == ErrorKind::ResourceBusy => {
            write_in_place(path, content)
        }
        Err(failure) => Err(failure.error).on("write", path),
    }
}

fn write_in_place(path: &Path, content: &str) -> Result<(), PathError> {
    fs::write(path, content).on("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_exactly_what_kaniko_writes() {
        let temp = tempfile::tempdir().unwrap();
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = Digest::parse(&format!("sha256:{hex}")).unwrap();
        let options = DeliveryOptions {
            destinations: vec![
                Reference::parse("busybox").unwrap(),
                Reference::parse("localhost:5000/team/app:1.0").unwrap(),
            ],
            digest_file: Some(temp.path().join("new/digest")),
            name_with_digest_file: Some(temp.path().join("names")),
            name_tag_with_digest_file: Some(temp.path().join("tags")),
            ..DeliveryOptions::default()
        };
        write_digest_files(&options, &digest).unwrap();
        let read = |name: &str| fs::read_to_string(temp.path().join(name)).unwrap();
        assert_eq!(read("new/digest"), format!("sha256:{hex}"));
        assert_eq!(
            read("names"),
            format!(
                "index.docker.io/library/busybox@sha256:{hex}\nlocalhost:5000/team/app@sha256:{hex}\n"
            )
        );
        assert_eq!(
            read("tags"),
            format!(
                "index.docker.io/library/busybox:latest@sha256:{hex}\nlocalhost:5000/team/app:1.0@sha256:{hex}\n"
            )
        );
    }

    #[test]
    fn what_is_no_plain_file_is_written_through() {
        let temp = tempfile::tempdir().unwrap();
        let (link, target) = (temp.path().join("link"), temp.path().join("target"));
        fs::write(&target, "longer than the new text").unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        write_file(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
    }
}
