use std::io::Cursor;
use std::process::Command;

use tar::EntryType;

use super::test_archive::TestArchive;
use super::*;

fn read_all(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, ArchiveError> {
    let mut reader = ArchiveReader::new(Cursor::new(bytes));
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut contents = Vec::new();
        loop {
            let bytes = reader.contents()?;
            if bytes.is_empty() {
                break;
            }
            contents.extend_from_slice(bytes);
            let count = bytes.len();
            reader.consume(count);
        }
        entries.push((entry, contents));
    }
    Ok(entries)
}

fn names(bytes: &[u8]) -> Vec<String> {
    let entries = read_all(bytes).unwrap();
    let name = |(entry, _): (Entry, _)| String::from_utf8(entry.name).unwrap();
    entries.into_iter().map(name).collect()
}

fn gnu_tar(args: &[&str], dir: &std::path::Path) -> Vec<u8> {
    let output = Command::new("tar")
        .args(args)
        .current_dir(dir)
        .output()
        .expect("this test needs GNU tar");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn entries_come_in_order_with_their_contents_and_unread_ones_are_passed_over() {
    let bytes = TestArchive::new()
        .file("a", "first")
        .dir("d/")
        .file("d/b", &"x".repeat(5000))
        .symlink("l", "d/b")
        .finish();
    assert_eq!(names(&bytes), ["a", "d/", "d/b", "l"]);
    let entries = read_all(&bytes).unwrap();
    assert_eq!(entries[0].1, b"first");
    assert_eq!(entries[2].1.len(), 5000);
    let target = b"d/b".to_vec();
    assert_eq!(entries[3].0.kind, EntryKind::Symlink { target });

    let mut reader = ArchiveReader::new(Cursor::new(&bytes));
    let mut count = 0;
    while reader.next_entry().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn an_empty_stream_and_zeros_alone_are_empty_archives() {
    assert!(read_all(b"").unwrap().is_empty());
    assert!(read_all(&[0; 512]).unwrap().is_empty());
    assert!(read_all(&[0; 10240]).unwrap().is_empty());
}

#[test]
fn nothing_hides_behind_a_single_block_of_zeros() {
    let mut bytes = TestArchive::new().file("seen", "").cut_off();
    bytes.extend([0; 512]);
    bytes.extend(TestArchive::new().file("hidden", "").finish());
    let error = read_all(&bytes).unwrap_err();
    assert!(matches!(error, ArchiveError::NotAHeader { .. }), "{error}");
}

#[test]
fn pax_records_override_the_header_and_keep_binary_values() {
    let long = "n".repeat(300);
    let capability = [
        1, 0, 0, 2, b'\n', 0, 0, 0, b'\n', b'=', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let bytes = TestArchive::new()
        .pax("path", long.as_bytes())
        .pax("uid", b"3000000000")
        .pax("mtime", b"1700000000.123456789")
        .pax("SCHILY.xattr.security.capability", &capability)
        .pax("comment", b"anything")
        .file("short", "text")
        .file("next", "")
        .finish();
    let entries = read_all(&bytes).unwrap();
    let (first, contents) = &entries[0];
    assert_eq!(first.name, long.as_bytes());
    assert_eq!((first.uid, first.gid), (3_000_000_000, 0));
    assert_eq!(first.mtime.seconds, 1_700_000_000);
    assert_eq!(first.mtime.nanos, 123_456_789);
    assert_eq!(
        first.xattrs,
        [(b"security.capability".to_vec(), capability.to_vec())]
    );
    assert_eq!(contents, b"text");
    assert_eq!(entries[1].0.name, b"next", "records are for one entry only");
}

#[test]
fn the_pax_size_counts_so_that_no_entry_hides_in_anothers_contents() {
    // CVE-2025-62518: readers that trust the header's zero take the contents for entries.
    let inner = TestArchive::new().file("hidden", "").finish();
    let bytes = TestArchive::new()
        .pax("size", inner.len().to_string().as_bytes())
        .entry(EntryType::Regular, "outer", "", &inner, |header| {
            header.set_size(0);
        })
        .file("after", "")
        .finish();
    assert_eq!(names(&bytes), ["outer", "after"]);
}

#[test]
fn a_size_beyond_the_stream_is_an_error_and_costs_no_memory() {
    for size in [
        "1152921504606846976",
        "9223372036854775807",
        "18446744073709551615",
    ] {
        let bytes = TestArchive::new()
            .pax("size", size.as_bytes())
            .file("liar", "few bytes")
            .finish();
        let error = read_all(&bytes).unwrap_err();
        let is_expected = matches!(
            error,
            ArchiveError::Truncated | ArchiveError::InvalidField { .. }
        );
        assert!(is_expected, "{size}: {error}");
    }
}

#[test]
fn extended_headers_larger_than_a_mebibyte_are_refused_unread() {
    let kinds = [
        EntryType::XHeader,
        EntryType::GNULongName,
        EntryType::GNULongLink,
    ];
    for kind in kinds {
        let bytes = TestArchive::new()
            .entry(kind, "huge", "", b"", |header| {
                header.set_size(8 * 1024 * 1024 * 1024);
            })
            .finish();
        let error = read_all(&bytes).unwrap_err();
        let ArchiveError::ExtensionTooLarge { size, .. } = error else {
            panic!("{kind:?}: {error}");
        };
        assert_eq!(size, 8 * 1024 * 1024 * 1024);
    }
}

#[test]
fn global_headers_change_nothing() {
    let bytes = TestArchive::new()
        .entry(
            EntryType::XGlobalHeader,
            "g",
            "",
            b"19 path=everywhere\n",
            |_| {},
        )
        .file("own-name", "")
        .finish();
    assert_eq!(names(&bytes), ["own-name"]);
}

#[test]
fn archives_that_end_early_are_errors() {
    let whole = TestArchive::new().file("a", &"x".repeat(600)).cut_off();
    for length in [100, 512, 700, 1112, 1535] {
        let error = read_all(&whole[..length]).unwrap_err();
        assert!(
            matches!(error, ArchiveError::Truncated),
            "{length}: {error}"
        );
    }
    let lonely = TestArchive::new()
        .entry(EntryType::XHeader, "x", "", b"10 path=a\n", |_| {})
        .finish();
    let error = read_all(&lonely).unwrap_err();
    assert!(matches!(error, ArchiveError::Truncated), "{error}");
}

#[test]
fn a_wrong_checksum_or_numbers_that_are_none_are_errors() {
    let mut bytes = TestArchive::new().file("a", "").finish();
    bytes[0] = b'b';
    let error = read_all(&bytes).unwrap_err();
    assert!(
        matches!(error, ArchiveError::NotAHeader { position: 0 }),
        "{error}"
    );

    let fields: [fn(&mut Header); 4] = [
        |header| header.as_old_mut().mode = *b"garbage\0",
        |header| header.as_old_mut().uid = *b"99999999",
        |header| header.as_old_mut().mtime = *b"x0000000000\0",
        |header| header.as_old_mut().size = [0xff; 12],
    ];
    for set in fields {
        let bytes = TestArchive::new()
            .entry(EntryType::Regular, "odd", "", b"", set)
            .finish();
        let error = read_all(&bytes).unwrap_err();
        assert!(error.to_string().contains("`odd`"), "{error}");
        assert!(
            matches!(error, ArchiveError::InvalidField { .. }),
            "{error}"
        );
    }
}

#[test]
fn unknown_types_are_refused_by_name() {
    for type_byte in [b'V', b'M', b'Z', 0xff] {
        let bytes = TestArchive::new()
            .entry(EntryType::new(type_byte), "strange", "", b"", |_| {})
            .finish();
        let error = read_all(&bytes).unwrap_err();
        assert!(error.to_string().contains("`strange`"), "{error}");
    }
}

#[test]
fn every_prefix_and_every_flipped_byte_is_read_or_refused() {
    let bytes = TestArchive::new()
        .pax("path", b"long name")
        .pax("GNU.sparse.map", b"0,3,10,2")
        .pax("GNU.sparse.size", b"20")
        .file("a", "abcde")
        .char_device("dev", 1, 3)
        .finish();
    for length in 0..bytes.len() {
        let _ = read_all(&bytes[..length]);
    }
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x80;
        let _ = read_all(&damaged);
        let mut recomputed = bytes.clone();
        recomputed[position] = b'9';
        for block in recomputed.chunks_exact_mut(512) {
            let mut header = Header::from_byte_slice(block).clone();
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
        let _ = read_all(&recomputed);
    }
}

#[test]
fn sparse_files_of_every_format_of_gnu_tar_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(temp.path().join("sparse")).unwrap();
    let mut expected = Vec::new();
    for piece in 0..40_u64 {
        use std::os::unix::fs::FileExt;
        let bytes = vec![b'a' + (piece % 26) as u8; 4096];
        file.write_all_at(&bytes, piece * 1024 * 1024).unwrap();
        expected.extend(bytes);
    }
    file.set_len(100 * 1024 * 1024).unwrap();
    let formats: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ];
    for format in formats {
        let args = [format, &["-S", "-cf", "-", "sparse", "/dev/null"]].concat();
        let bytes = gnu_tar(&args, temp.path());
        assert!(bytes.len() < 1024 * 1024, "{format:?} is not sparse");
        let entries = read_all(&bytes).unwrap();
        let (entry, contents) = &entries[0];
        assert_eq!(entry.name, b"sparse", "{format:?}");
        let EntryKind::File { size, segments } = &entry.kind else {
            panic!("{entry:?}");
        };
        assert_eq!(*size, 100 * 1024 * 1024, "{format:?}");
        let segments = segments.as_ref().unwrap();
        for (piece, segment) in segments.iter().filter(|s| s.length > 0).enumerate() {
            assert_eq!(segment.offset, piece as u64 * 1024 * 1024, "{format:?}");
        }
        assert!(contents == &expected, "{format:?}");
        assert_eq!(entries.len(), 2, "{format:?}: the next entry is found");
    }
}

#[test]
fn maps_of_holes_that_contradict_themselves_are_refused() {
    let cases = [
        ("0,3,2,2", "20"),
        ("0,3,10", "20"),
        ("0,3,18446744073709551615,2", "20"),
        ("0,3,18,3", "20"),
        ("0,4,10,2", "20"),
        ("0,x", "20"),
        ("0,3,10,2", "18446744073709551615"),
    ];
    for (map, size) in cases {
        let bytes = TestArchive::new()
            .pax("GNU.sparse.map", map.as_bytes())
            .pax("GNU.sparse.size", size.as_bytes())
            .file("holes", "abcde")
            .finish();
        assert!(read_all(&bytes).is_err(), "{map} of {size}");
    }
    let bytes = TestArchive::new()
        .pax("GNU.sparse.major", b"1")
        .pax("GNU.sparse.minor", b"0")
        .pax("GNU.sparse.realsize", b"20")
        .file("holes", "99999999999999999999\n")
        .finish();
    assert!(read_all(&bytes).is_err());
}

#[test]
fn gnu_long_names_and_links_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let name = "n".repeat(200);
    std::fs::write(temp.path().join(&name), "text").unwrap();
    std::os::unix::fs::symlink("t".repeat(300), temp.path().join("link")).unwrap();
    for format in ["--format=gnu", "--format=pax"] {
        let bytes = gnu_tar(&[format, "-cf", "-", &name, "link"], temp.path());
        let entries = read_all(&bytes).unwrap();
        assert_eq!(entries[0].0.name, name.as_bytes(), "{format}");
        let target = vec![b't'; 300];
        assert_eq!(entries[1].0.kind, EntryKind::Symlink { target }, "{format}");
    }
}

#[test]
fn an_archive_is_told_from_other_files() {
    assert!(is_header(&TestArchive::new().file("a", "").finish()));
    assert!(!is_header(b"#!/bin/sh\n"));
    assert!(!is_header(&[0; 1024]));
    assert!(!is_header(&[b'x'; 1024]));
}
