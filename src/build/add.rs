//! What ADD does and COPY does not: a local archive is unpacked, and files come from the network.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::Result;

use crate::fs::{Root, create_dir_all};
use crate::image::archive;
use crate::image::decompress::{Compression, Decoder, Decompressor};
use crate::image::unpack::{Form, UnpackOptions, unpack};

use super::action::Transfer;
use super::copy::{Looks, Target};
use super::remote_source::RemoteSource;
use super::remotes::cannot_fetch;
use super::sources::Origin;
use super::stage::StageBuilder;

/// Mode of the directory that an archive is unpacked into, where it does not exist.
const UNPACK_DIR_MODE: u32 = 0o755;

impl StageBuilder<'_> {
    /// Fetches a source from the network and copies it.
    pub(super) fn add_remote(
        &self,
        source: &RemoteSource,
        transfer: &Transfer,
        target: &Target<'_>,
        looks: &Looks,
    ) -> Result<()> {
        let fetched = self.workshop.wait(self.workshop.remotes.fetch(source));
        let fetched = fetched
            .map_err(|error| cannot_fetch(&self.workshop.text, target.span, source, error))?;
        let (origin, path) = (Origin::fetched(&fetched.root), &fetched.path);
        let filter = self.workshop.filter(&transfer.exclude, target.span)?;
        if filter.leaves_out(origin.root, path, false)? {
            return Ok(());
        }
        if transfer.unpacks_remotes && self.unpack_archive(&origin, path, target, looks)? {
            return Ok(());
        }
        self.copy_one(&origin, &filter, path, target, looks)
    }

    /// Unpacks a source that is an archive below the destination; says whether it was one.
    pub(super) fn unpack_archive(
        &self,
        origin: &Origin<'_>,
        path: &Path,
        target: &Target<'_>,
        looks: &Looks,
    ) -> Result<bool> {
        if !is_archive(origin.root, path)? {
            return Ok(false);
        }
        let unpack = || -> Result<()> {
            let owner = looks.owner.unwrap_or((0, 0));
            let directory = target.destination().path;
            let dir = create_dir_all(target.root, directory, UNPACK_DIR_MODE, owner)?;
            unpack_into(
                origin.root.open_file(path)?,
                &Root::from_dir(dir),
                looks.owner,
            )
        };
        unpack().map_err(|error| {
            let message = format!("cannot unpack `/{}` to `{}`", path.display(), target.path);
            self.error(target.span, message).because(error)
        })?;
        Ok(true)
    }
}

/// Says whether a path is a regular file that begins, once decompressed, with a tar header.
///
/// BuildKit (`llbsolver/file/unpack.go`) and Docker (`archive.IsArchivePath`) look at the contents
/// and never at the name.
pub(super) fn is_archive(root: &Root, path: &Path) -> Result<bool> {
    if !root.metadata(path)?.is_some_and(|found| found.is_file()) {
        return Ok(false);
    }
    let file = root.open_file(path)?;
    Ok(begins_with_header(file))
}

/// What cannot be decompressed is an ordinary file, not an error.
pub(super) fn begins_with_header(bytes: impl Read + Send) -> bool {
    let Ok((compression, reader)) = Compression::detect(bytes) else {
        return false;
    };
    let Ok(decoder) = Decoder::new(BufReader::new(reader), compression) else {
        return false;
    };
    let mut head = Vec::with_capacity(archive::BLOCK_BYTES);
    let limit = archive::BLOCK_BYTES as u64;
    decoder.take(limit).read_to_end(&mut head).is_ok() && archive::is_header(&head)
}

pub(super) fn unpack_into(file: File, root: &Root, owner: Option<(u32, u32)>) -> Result<()> {
    let (compression, reader) = Compression::detect(BufReader::new(file))?;
    let mut decompressor = Decompressor::spawn(reader, compression)?;
    let options = UnpackOptions {
        form: Form::Archive,
        owner,
    };
    unpack(&mut decompressor, root, &options)?;
    decompressor.finish()?;
    Ok(())
}
