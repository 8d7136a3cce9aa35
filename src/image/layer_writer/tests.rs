use std::fs;
use std::io::{Seek, SeekFrom};
use std::process::{Command, Stdio};

use super::*;
use crate::fs::Xattrs;

const PLAIN: LayerOptions = LayerOptions {
    compression: Compression::None,
    clamp_mtime: None,
    threads: 1,
};

fn entry(path: &str, kind: EntryKind) -> LayerEntry {
    LayerEntry {
        path: PathBuf::from(path),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Timestamp::from_seconds(1_700_000_000),
        xattrs: Xattrs::new(),
    }
}

fn file(path: &str, size: u64) -> LayerEntry {
    entry(path, EntryKind::File { size })
}

struct Case {
    temp: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self { temp }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn writer(&self, options: LayerOptions) -> LayerWriter {
        LayerWriter::create(&self.path("layer"), options).unwrap()
    }
}

/// Writes a small tree with one entry of every kind.
fn append_known_tree(writer: &mut LayerWriter) {
    let mut directory = entry("etc", EntryKind::Directory);
    directory.mode = 0o755;
    writer.append(&directory, Content::Empty).unwrap();
    writer.append_whiteout(Path::new("etc/gone")).unwrap();
    let contents = &mut b"root:x:0:0\n".as_slice();
    writer
        .append(&file("etc/passwd", 11), Content::Reader(contents))
        .unwrap();
    let target = PathBuf::from("etc/passwd");
    let link = entry("etc/passwd-", EntryKind::HardLink { target });
    writer.append(&link, Content::Empty).unwrap();
    let mut ping = file("ping", 3);
    ping.mode = 0o4755;
    ping.xattrs.insert(
        "security.capability".into(),
        b"\x01\0\0\x02\0\x20\0\0".to_vec(),
    );
    writer
        .append(&ping, Content::Reader(&mut b"elf".as_slice()))
        .unwrap();
    let target = "naïve".into();
    let mut link = entry("symlink", EntryKind::Symlink { target });
    link.mode = 0o777;
    writer.append(&link, Content::Empty).unwrap();
    let mut long = file(&format!("{}/{}", "p".repeat(100), "n".repeat(300)), 0);
    (long.uid, long.gid) = (3_000_000, 7);
    writer.append(&long, Content::Empty).unwrap();
    let null = EntryKind::CharDevice(rustix::fs::makedev(1, 3));
    writer.append(&entry("null", null), Content::Empty).unwrap();
    writer
        .append(&entry("pipe", EntryKind::Fifo), Content::Empty)
        .unwrap();
}

#[test]
fn a_known_tree_has_known_digests() {
    // The diff ID was computed by a program of its own, from POSIX pax and the rules of Go's archive/tar.
    const DIFF_ID: &str = "sha256:bf0f4fa5c73f57369fb620665c17f306f2f3a3207fdc9fd6c999ed9a084991d6";
    let case = Case::new();
    let digests = [
        (Compression::None, DIFF_ID),
        // What this program writes: a change of these is a change of every image's bytes.
        (
            Compression::Gzip { level: 4 },
            "sha256:f055d15617ec786631e6a14b6c54115b06ba0fda7ec068e98a22cd2e17c76d45",
        ),
        (
            Compression::Zstd { level: 3 },
            "sha256:70adcdce2aa739ede96ca80007eb305d4a72f6e20f3f57bd857035657148ca2c",
        ),
    ];
    for (compression, digest) in digests {
        let mut writer = case.writer(LayerOptions {
            compression,
            ..PLAIN
        });
        append_known_tree(&mut writer);
        let layer = writer.finish().unwrap();
        assert_eq!(layer.diff_id.to_string(), DIFF_ID, "{compression:?}");
        assert_eq!(layer.digest.to_string(), digest, "{compression:?}");
        let blob = fs::read(&layer.path).unwrap();
        assert_eq!(layer.digest, Digest::of(&blob));
        assert_eq!((layer.size, layer.entries), (blob.len() as u64, 9));
    }
}

#[test]
fn an_empty_layer_is_an_empty_tar() {
    // 1024 zero bytes, the diff ID of every builder's empty layer.
    const EMPTY: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    let case = Case::new();
    let options = LayerOptions {
        compression: Compression::default(),
        ..PLAIN
    };
    let layer = case.writer(options).finish().unwrap();
    assert_eq!(layer.diff_id.to_string(), EMPTY);
    assert_eq!((layer.uncompressed_size, layer.entries), (1024, 0));
    assert_eq!(case.writer(options).finish().unwrap(), layer);
    let stdin = File::open(&layer.path).unwrap();
    let output = Command::new("gzip")
        .arg("-dc")
        .stdin(stdin)
        .output()
        .unwrap();
    assert_eq!(output.stdout, [0; 1024]);
}

#[test]
fn gnu_tar_reads_what_was_written() {
    let case = Case::new();
    let mut writer = case.writer(PLAIN);
    append_known_tree(&mut writer);
    let layer = writer.finish().unwrap();
    let output = Command::new("tar")
        .env("LC_ALL", "C.UTF-8")
        .args([
            "--numeric-owner",
            "--utc",
            "--full-time",
            "--xattrs",
            "-tvvf",
        ])
        .arg(&layer.path)
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listing = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<String> = listing
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let long = format!("{}/{}", "p".repeat(100), "n".repeat(300));
    let expected = [
        "drwxr-xr-x 0/0 0 2023-11-14 22:13:20 etc/",
        "---------- 0/0 0 1970-01-01 00:00:00 etc/.wh.gone",
        "-rw-r--r-- 0/0 11 2023-11-14 22:13:20 etc/passwd",
        "hrw-r--r-- 0/0 0 2023-11-14 22:13:20 etc/passwd- link to etc/passwd",
        "-rwsr-xr-x 0/0 3 2023-11-14 22:13:20 ping",
        "lrwxrwxrwx 0/0 0 2023-11-14 22:13:20 symlink -> naïve",
        &format!("-rw-r--r-- 3000000/7 0 2023-11-14 22:13:20 {long}"),
        "crw-r--r-- 0/0 1,3 2023-11-14 22:13:20 null",
        "prw-r--r-- 0/0 0 2023-11-14 22:13:20 pipe",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn python_reads_what_was_written() {
    const SCRIPT: &str = "
import sys, tarfile
for m in tarfile.open(fileobj=sys.stdin.buffer, mode='r|'):
    x = {k: v for k, v in m.pax_headers.items() if k.startswith('SCHILY')}
    print(m.type.decode(), m.name[-12:], len(m.name), oct(m.mode), m.uid, m.gid, m.size, m.mtime, m.linkname, m.devmajor, m.devminor, m.uname + m.gname, ascii(x))
";
    let case = Case::new();
    let mut writer = case.writer(PLAIN);
    append_known_tree(&mut writer);
    let layer = writer.finish().unwrap();
    let output = Command::new("python3")
        .args(["-X", "utf8", "-c", SCRIPT])
        .stdin(File::open(&layer.path).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    let expected = [
        "5 etc 3 0o755 0 0 0 1700000000  0 0  {}",
        "0 etc/.wh.gone 12 0o0 0 0 0 0  0 0  {}",
        "0 etc/passwd 10 0o644 0 0 11 1700000000  0 0  {}",
        "1 etc/passwd- 11 0o644 0 0 0 1700000000 etc/passwd 0 0  {}",
        "0 ping 4 0o4755 0 0 3 1700000000  0 0  {'SCHILY.xattr.security.capability': '\\x01\\x00\\x00\\x02\\x00 \\x00\\x00'}",
        "2 symlink 7 0o777 0 0 0 1700000000 naïve 0 0  {}",
        "0 nnnnnnnnnnnn 401 0o644 3000000 7 0 1700000000  0 0  {}",
        "3 null 4 0o644 0 0 0 1700000000  1 3  {}",
        "6 pipe 4 0o644 0 0 0 1700000000  0 0  {}",
    ];
    assert_eq!(listing.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let case = Case::new();
    // Several jobs of each compression, with contents that compress.
    let size = 20_000_000;
    let contents: Vec<u8> = (0..size as u32 / 4)
        .flat_map(|i| (i / 3).to_le_bytes())
        .collect();
    for compression in [
        Compression::Gzip { level: 4 },
        Compression::Zstd { level: 3 },
    ] {
        let digests = [0, 1, 2, 4, 2].map(|threads| {
            let mut writer = case.writer(LayerOptions {
                compression,
                threads,
                ..PLAIN
            });
            let reader = Content::Reader(&mut contents.as_slice());
            writer.append(&file("f", size), reader).unwrap();
            writer.finish().unwrap().digest
        });
        assert!(
            digests.iter().all(|digest| *digest == digests[0]),
            "{compression:?}"
        );
    }
}

#[test]
fn each_compression_gives_back_the_tar() {
    let case = Case::new();
    for (compression, program) in [
        (Compression::Gzip { level: 1 }, "gzip"),
        (Compression::Zstd { level: 3 }, "zstd"),
    ] {
        let mut writer = case.writer(LayerOptions {
            compression,
            threads: 2,
            ..PLAIN
        });
        append_known_tree(&mut writer);
        let layer = writer.finish().unwrap();
        let stdin = File::open(&layer.path).unwrap();
        let output = Command::new(program)
            .arg("-dc")
            .stdin(stdin)
            .output()
            .unwrap();
        assert_eq!(
            Digest::of(&output.stdout),
            *layer.diff_id.as_digest(),
            "{program}"
        );
        assert_eq!(output.stdout.len() as u64, layer.uncompressed_size);
    }
}

#[test]
fn without_compression_the_digest_is_the_diff_id() {
    let case = Case::new();
    let mut writer = case.writer(PLAIN);
    append_known_tree(&mut writer);
    let layer = writer.finish().unwrap();
    assert_eq!(layer.digest, *layer.diff_id.as_digest());
    assert_eq!(layer.size, layer.uncompressed_size);
}

#[test]
fn contents_of_another_size_than_declared_are_an_error_that_names_the_file() {
    let case = Case::new();
    for (contents, expected) in [("four", 5), ("four", 3), ("", 1), ("x", 0)] {
        let reader = &mut contents.as_bytes();
        let result = case
            .writer(PLAIN)
            .append(&file("dir/f", expected), Content::Reader(reader));
        let error = result.unwrap_err();
        assert!(matches!(error, LayerError::SizeChanged { .. }), "{error}");
        assert!(error.to_string().starts_with("`dir/f` changed"), "{error}");
    }
    let result = case.writer(PLAIN).append(&file("f", 1), Content::Empty);
    assert!(matches!(result, Err(LayerError::SizeChanged { .. })));
}

#[test]
fn a_large_file_of_another_size_is_an_error_too() {
    let case = Case::new();
    let open = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(case.path("large"))
        .unwrap();
    let size = SPARSE_MIN_BYTES * 2;
    for found in [size - 1, size + 1] {
        open.set_len(found).unwrap();
        let error = case
            .writer(PLAIN)
            .append(&file("large", size), Content::File(&open));
        assert!(
            matches!(error, Err(LayerError::SizeChanged { .. })),
            "{found}"
        );
    }
}

#[test]
fn a_sparse_file_has_the_bytes_that_reading_it_gives() {
    let case = Case::new();
    let mut sparse = File::create_new(case.path("sparse")).unwrap();
    let size = 64 * 1024 * 1024 + 77;
    sparse.set_len(size).unwrap();
    for position in [3_000_000, 3_500_001, size - 5_000_000] {
        sparse.seek(SeekFrom::Start(position)).unwrap();
        sparse.write_all(b"data").unwrap();
    }
    let mut digests = Vec::new();
    let open = File::open(case.path("sparse")).unwrap();
    for content in [Content::File(&open), Content::Reader(&mut &open)] {
        let mut writer = case.writer(PLAIN);
        writer.append(&file("sparse", size), content).unwrap();
        digests.push(writer.finish().unwrap().diff_id);
        (&open).seek(SeekFrom::Start(0)).unwrap();
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn later_times_are_moved_back_to_the_limit_and_earlier_ones_stay() {
    let case = Case::new();
    let mut times = Vec::new();
    for seconds in [999, 1000, 1001] {
        let mut writer = case.writer(LayerOptions {
            clamp_mtime: Some(1000),
            ..PLAIN
        });
        let mut late = file("f", 0);
        late.mtime = Timestamp::from_seconds(seconds);
        writer.append(&late, Content::Empty).unwrap();
        let tar = fs::read(writer.finish().unwrap().path).unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        times.push(entry.header().mtime().unwrap());
    }
    assert_eq!(times, [999, 1000, 1000]);
}

#[test]
fn paths_that_are_not_plain_are_refused() {
    let case = Case::new();
    let mut writer = case.writer(PLAIN);
    for path in ["", "/etc", "../x", "a/../b", "./a", "a/", "nul\0", "."] {
        let result = writer.append(&file(path, 0), Content::Empty);
        assert!(
            matches!(result, Err(LayerError::InvalidPath { .. })),
            "{path:?}"
        );
        let target = PathBuf::from(path);
        let result = writer.append(&entry("h", EntryKind::HardLink { target }), Content::Empty);
        assert!(
            matches!(result, Err(LayerError::InvalidPath { .. })),
            "{path:?}"
        );
    }
    assert!(writer.append_whiteout(Path::new("")).is_err());
}

#[test]
fn an_unfinished_layer_leaves_no_file() {
    let case = Case::new();
    let mut writer = case.writer(PLAIN);
    writer.append(&file("f", 0), Content::Empty).unwrap();
    assert!(case.path("layer").exists());
    drop(writer);
    assert!(!case.path("layer").exists());
}
