//! Tar archives of files written as lines: those that contexts hold, and layers of bases.

use crate::file_line::{FileKind, FileLine, FileSpec, Time, What};
use crate::support::{Encoding, crafted};
use std::io::Write;
use tar::{EntryType, Header};

/// Files without a time of their own have that of all bases.
pub(crate) fn tar_of(lines: &[String]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for line in lines {
        append(&mut builder, FileLine::of(line));
    }
    builder.into_inner().expect("write to memory")
}

/// Stores a tar as the name says: `tar`, `gzip`, `bzip2`, `xz` or `zstd`.
pub(crate) fn stored_as(tar: &[u8], encoding: &str) -> Vec<u8> {
    match encoding {
        "tar" => tar.to_vec(),
        "gzip" => crafted::encode(tar, Encoding::Gzip),
        "zstd" => crafted::encode(tar, Encoding::Zstd),
        "bzip2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(tar).expect("write to memory");
            encoder.finish().expect("write to memory")
        }
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(tar).expect("write to memory");
            encoder.finish().expect("write to memory")
        }
        other => panic!("no such encoding: {other}"),
    }
}

fn append(builder: &mut tar::Builder<Vec<u8>>, line: FileLine) {
    let mut header = Header::new_ustar();
    header.set_size(0);
    let mut content: &[u8] = b"";
    let spec = match &line.what {
        What::Gone => panic!("an archive has no `gone`: {}", line.path),
        What::SameAs(target) => {
            header.set_entry_type(EntryType::Link);
            header.set_link_name_literal(target).expect("a short name");
            &FileSpec {
                kind: FileKind::File(Vec::new()),
                mode: None,
                owner: None,
                time: None,
                xattrs: [].into(),
            }
        }
        What::File(spec) => {
            content = set_kind(&mut header, &spec.kind);
            spec
        }
    };
    let records: Vec<(String, &[u8])> = spec
        .xattrs
        .iter()
        .map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.as_slice()))
        .collect();
    let records = records.iter().map(|(key, value)| (key.as_str(), *value));
    builder
        .append_pax_extensions(records)
        .expect("write to memory");
    let is_dir = matches!(spec.kind, FileKind::Dir);
    header
        .set_path(format!("{}{}", line.path, if is_dir { "/" } else { "" }))
        .expect("a short name");
    header.set_mode(spec.mode.unwrap_or(if is_dir { 0o755 } else { 0o644 }));
    let (uid, gid) = spec.owner.unwrap_or((0, 0));
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    header.set_mtime(match spec.time {
        None => crafted::MTIME,
        Some(Time::At(seconds)) => u64::try_from(seconds).expect("a time after 1970"),
        Some(time) => panic!("an archive has times of its own, not {time:?}"),
    });
    header.set_cksum();
    builder.append(&header, content).expect("write to memory");
}

/// Sets what makes the kind, and returns the contents.
fn set_kind<'a>(header: &mut Header, kind: &'a FileKind) -> &'a [u8] {
    let (entry_type, device) = match kind {
        FileKind::Dir => (EntryType::Directory, (0, 0)),
        FileKind::File(content) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(content.len() as u64);
            return content;
        }
        FileKind::Symlink(target) => {
            header.set_link_name_literal(target).expect("a short name");
            (EntryType::Symlink, (0, 0))
        }
        FileKind::Fifo => (EntryType::Fifo, (0, 0)),
        FileKind::Socket => panic!("an archive has no sockets"),
        FileKind::Char(major, minor) => (EntryType::Char, (*major, *minor)),
        FileKind::Block(major, minor) => (EntryType::Block, (*major, *minor)),
    };
    header.set_entry_type(entry_type);
    header.set_device_major(device.0).expect("a ustar header");
    header.set_device_minor(device.1).expect("a ustar header");
    b""
}
