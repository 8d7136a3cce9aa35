//! Unpacking 20,000 files: into an overlay layer, onto a tree, from memory and from gzip.
//!
//! The files go to a temporary directory: point `TMPDIR` at the disk or the tmpfs to be measured.

use std::hint::black_box;
use std::io::Cursor;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sawagani::fs::Root;
use sawagani::image::archive::ArchiveReader;
use sawagani::image::decompress::{Compression, LayerDecompressor};
use sawagani::image::overlay::OverlayXattrs;
use sawagani::image::unpack::{Form, UnpackOptions, unpack};
use tempfile::TempDir;

/// Files in the archive; a base image of Debian has as many in its larger packages.
const FILES: u64 = 20_000;
/// Files in one directory.
const FILES_PER_DIR: u64 = 25;

/// Makes a tar of small files, a few KiB each, as `/usr` has them.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for index in 0..FILES {
        let dir = format!("usr/share/doc/package-{:05}", index / FILES_PER_DIR);
        if index % FILES_PER_DIR == 0 {
            append(&mut builder, &dir, tar::EntryType::Directory, &[]);
        }
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let words = (0..(noise >> 40) % 1000).map(|word| noise.rotate_left(word as u32 / 8));
        let contents: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        let name = format!("{dir}/file-{index}");
        append(&mut builder, &name, tar::EntryType::Regular, &contents);
    }
    builder.into_inner().unwrap()
}

fn append(builder: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, contents: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(contents.len() as u64);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
    header.set_mtime(1_600_000_000);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, name, contents).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::new(6);
    let mut encoder = flate2::read::GzEncoder::new(bytes, level);
    let mut compressed = Vec::new();
    std::io::Read::read_to_end(&mut encoder, &mut compressed).unwrap();
    compressed
}

fn empty_root() -> (TempDir, Root) {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    (temp, root)
}

fn options(form: Form) -> UnpackOptions {
    UnpackOptions { form, owner: None }
}

fn benches(criterion: &mut Criterion) {
    let plain = archive();
    let compressed = gzip(&plain);
    let overlay = Form::OverlayLayer(OverlayXattrs::Trusted);
    let mut group = criterion.benchmark_group("unpack-20000-files");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(20))
        .throughput(Throughput::Elements(FILES));
    group.bench_function("headers-only", |bencher| {
        bencher.iter(|| {
            let mut reader = ArchiveReader::new(&plain[..]);
            while let Some(entry) = reader.next_entry().unwrap() {
                black_box(entry);
            }
        });
    });
    for (name, form) in [("overlay", overlay), ("tree", Form::Tree)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                empty_root,
                |(temp, root)| {
                    unpack(&plain[..], &root, &options(form)).unwrap();
                    // Returned, so that its removal is not measured.
                    temp
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("gzip-overlay-with-diff-id", |bencher| {
        bencher.iter_batched(
            || (empty_root(), Cursor::new(compressed.clone())),
            |((temp, root), compressed)| {
                let mut layer = LayerDecompressor::spawn(compressed, Compression::Gzip).unwrap();
                unpack(&mut layer, &root, &options(overlay)).unwrap();
                black_box(layer.finish().unwrap());
                temp
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
