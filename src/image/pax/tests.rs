//! Expected bytes follow POSIX pax, "ustar Interchange Format", and Go's archive/tar for the choices it leaves.

use std::ffi::OsString;
use std::path::PathBuf;

use super::*;
use crate::fs::{Timestamp, Xattrs};

fn entry(path: &str, kind: EntryKind) -> LayerEntry {
    LayerEntry {
        path: PathBuf::from(path),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Timestamp::EPOCH,
        xattrs: Xattrs::new(),
    }
}

fn text(header: &[u8], start: usize, length: usize) -> String {
    let field = &header[start..start + length];
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
    String::from_utf8(field[..end].to_vec()).unwrap()
}

/// Returns the records of the `x` header that `bytes` start with.
fn records_of(bytes: &[u8]) -> String {
    assert_eq!(bytes[156], b'x');
    let size = usize::from_str_radix(&text(bytes, 124, 12), 8).unwrap();
    String::from_utf8_lossy(&bytes[512..512 + size]).into_owned()
}

fn main_header(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len() - 512..]
}

#[test]
fn a_plain_file_is_one_ustar_header() {
    let mut file = entry("etc/passwd", EntryKind::File { size: 1234 });
    file.mode = 0o4755;
    file.uid = 1000;
    file.gid = 2_097_151;
    file.mtime = Timestamp {
        seconds: 1_700_000_000,
        nanos: 999_999_999,
    };
    let header = encode(&file).unwrap();
    let mut expected = [0; 512];
    let fields: [(usize, &[u8]); 11] = [
        (0, b"etc/passwd"),
        (100, b"0004755\0"),
        (108, b"0001750\0"),
        (116, b"7777777\0"),
        (124, b"00000002322\0"),
        (136, b"14524770400\0"),
        (148, b"        "),
        (156, b"0"),
        (257, b"ustar\x0000"),
        (329, b"0000000\0"),
        (337, b"0000000\0"),
    ];
    for (start, bytes) in fields {
        expected[start..start + bytes.len()].copy_from_slice(bytes);
    }
    let sum: u32 = expected.iter().map(|byte| u32::from(*byte)).sum();
    expected[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(header, expected);
}

#[test]
fn a_directory_ends_with_a_slash_and_a_link_has_its_target() {
    let header = encode(&entry("var/lib", EntryKind::Directory)).unwrap();
    assert_eq!(
        (text(&header, 0, 100), header[156]),
        ("var/lib/".to_owned(), b'5')
    );
    let target = OsString::from("../x");
    let header = encode(&entry("l", EntryKind::Symlink { target })).unwrap();
    assert_eq!(
        (text(&header, 157, 100), header[156]),
        ("../x".to_owned(), b'2')
    );
    let target = PathBuf::from("a/b");
    let header = encode(&entry("h", EntryKind::HardLink { target })).unwrap();
    assert_eq!(
        (text(&header, 157, 100), header[156]),
        ("a/b".to_owned(), b'1')
    );
}

#[test]
fn a_long_ascii_name_is_split_into_prefix_and_name() {
    let path = format!("{}/{}", "p".repeat(120), "n".repeat(90));
    let header = encode(&entry(&path, EntryKind::File { size: 0 })).unwrap();
    assert_eq!(header.len(), 512);
    assert_eq!(text(&header, 0, 100), "n".repeat(90));
    assert_eq!(text(&header, 345, 155), "p".repeat(120));
}

#[test]
fn the_slash_of_a_directory_is_no_place_to_split() {
    let path = "d".repeat(120);
    let bytes = encode(&entry(&path, EntryKind::Directory)).unwrap();
    assert_eq!(records_of(&bytes), format!("131 path={path}/\n"));
    // Cut to the field, and no slash at its end.
    assert_eq!(text(main_header(&bytes), 0, 100), "d".repeat(100));
}

#[test]
fn a_name_cut_right_after_a_slash_loses_it() {
    let path = format!("{}/{}", "a".repeat(99), "é".repeat(60));
    let bytes = encode(&entry(&path, EntryKind::File { size: 0 })).unwrap();
    assert_eq!(
        text(main_header(&bytes), 0, 100),
        format!("{}/", "a".repeat(99))
    );
    let path = format!("{}/{}", "a".repeat(99), "b".repeat(160));
    let bytes = encode(&entry(&path, EntryKind::File { size: 0 })).unwrap();
    assert_eq!(text(main_header(&bytes), 0, 100), "a".repeat(99));
}

#[test]
fn a_name_of_300_characters_is_a_record() {
    let path = "x".repeat(300);
    let bytes = encode(&entry(&path, EntryKind::File { size: 0 })).unwrap();
    assert_eq!(records_of(&bytes), format!("310 path={path}\n"));
    assert_eq!(
        text(&bytes, 0, 100),
        format!("PaxHeaders.0/{}", "x".repeat(87))
    );
    for field in [100, 108, 116] {
        assert_eq!(text(&bytes, field, 8), "0000000");
    }
}

#[test]
fn a_name_beyond_ascii_is_a_record_and_its_ascii_is_in_the_header() {
    let bytes = encode(&entry("dir/naïve", EntryKind::File { size: 0 })).unwrap();
    assert_eq!(records_of(&bytes), "19 path=dir/naïve\n");
    assert_eq!(text(&bytes, 0, 100), "dir/PaxHeaders.0/nave");
    assert_eq!(text(main_header(&bytes), 0, 100), "dir/nave");
}

#[test]
fn records_are_sorted_and_count_their_own_length() {
    let mut file = entry(&"y".repeat(101), EntryKind::File { size: 1 << 33 });
    file.uid = 2_097_152;
    file.gid = u32::MAX;
    file.mtime = Timestamp {
        seconds: -2,
        nanos: 500_000_000,
    };
    file.xattrs.insert("user.b".into(), b"two\nlines".to_vec());
    file.xattrs
        .insert("security.capability".into(), b"\x01=".to_vec());
    file.xattrs
        .insert("user.a=b".into(), b"cannot be written".to_vec());
    let bytes = encode(&file).unwrap();
    let expected = format!(
        "39 SCHILY.xattr.security.capability=\x01=\n33 SCHILY.xattr.user.b=two\nlines\n\
         18 gid=4294967295\n12 mtime=-2\n111 path={}\n19 size=8589934592\n15 uid=2097152\n",
        "y".repeat(101)
    );
    assert_eq!(records_of(&bytes), expected);
    let header = main_header(&bytes);
    assert_eq!(text(header, 108, 8), "0000000");
    assert_eq!(text(header, 124, 12), "00000000000");
    assert_eq!(text(header, 136, 12), "00000000000");
}

#[test]
fn the_length_of_a_record_may_need_a_digit_more_for_itself() {
    let mut body = Vec::new();
    append_record(&mut body, b"k", &[b'v'; 5]);
    append_record(&mut body, b"k", &[b'v'; 94]);
    let expected = format!("11 k=vvvvv\n101 k={}\n", "v".repeat(94));
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[test]
fn devices_have_their_numbers() {
    let device = rustix::fs::makedev(259, 1_048_575);
    let header = encode(&entry("dev/x", EntryKind::BlockDevice(device))).unwrap();
    assert_eq!(header[156], b'4');
    assert_eq!(
        (text(&header, 329, 8), text(&header, 337, 8)),
        ("0000403".into(), "3777777".into())
    );
    let device = rustix::fs::makedev(u32::MAX, 0);
    assert!(encode(&entry("dev/x", EntryKind::CharDevice(device))).is_none());
}
