//! Writing layers: many small files, one big file, and gzip alone. `cargo bench --bench layer`.
//!
//! Sources and blobs are on `/dev/shm` where it exists, so that no disk is measured.
#![allow(missing_docs)]

use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sawagani::fs::Root;
use sawagani::image::layer_writer::{Compression, LayerOptions, LayerWriter};
use sawagani::image::overlay::OverlayXattrs;
use sawagani::image::parallel_gzip::ParallelGzip;
use sawagani::snapshot::{OverlayDiff, write_layer};

const SMALL_FILES: usize = 20_000;
const BIG_FILE_BYTES: usize = 64 * 1024 * 1024;
const SPARSE_FILE_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// Programs and libraries of the machine, as a layer would hold them.
fn sample(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    let mut files: Vec<PathBuf> = ["/usr/bin", "/usr/share/perl", "/usr/share/doc", "/usr/lib"]
        .iter()
        .flat_map(fs::read_dir)
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.symlink_metadata().is_ok_and(|found| found.is_file()))
        .collect();
    files.sort_unstable();
    for file in files.iter().cycle().take(files.len() * 100) {
        if bytes.len() >= length {
            break;
        }
        bytes.extend(fs::read(file).unwrap_or_default());
    }
    bytes.truncate(length);
    bytes
}

struct Tree {
    temp: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        let temp = tempfile::tempdir_in(base).unwrap();
        fs::create_dir(temp.path().join("upper")).unwrap();
        fs::create_dir(temp.path().join("lower")).unwrap();
        Self { temp }
    }

    fn upper(&self) -> PathBuf {
        self.temp.path().join("upper")
    }

    fn write_layer(&self, compression: Compression, threads: usize) -> u64 {
        let options = LayerOptions {
            compression,
            clamp_mtime: None,
            threads,
        };
        let diff = OverlayDiff {
            upper: &Root::open(&self.upper()).unwrap(),
            lower: &Root::open(&self.temp.path().join("lower")).unwrap(),
            xattrs: OverlayXattrs::Trusted,
            excluded: &Default::default(),
        };
        let writer = LayerWriter::create(&self.temp.path().join("layer"), options).unwrap();
        write_layer(&diff, writer).unwrap().0.size
    }
}

fn gzip(criterion: &mut Criterion) {
    let input = sample(BIG_FILE_BYTES);
    let mut group = criterion.benchmark_group("gzip");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(input.len() as u64));
    for level in [1, 2, 3, 4, 5, 6] {
        for threads in [1, 2] {
            let compress = || {
                let mut writer = ParallelGzip::new(Vec::new(), level, threads);
                writer.write_all(&input).unwrap();
                writer.finish().unwrap()
            };
            let ratio = input.len() as f64 / compress().len() as f64;
            let name = format!("level {level}, ratio {ratio:.3}");
            group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                bencher.iter(|| black_box(compress()));
            });
        }
    }
    group.finish();
}

fn small_files(criterion: &mut Criterion) {
    let tree = Tree::new();
    let contents = sample(SMALL_FILES * 2048);
    let mut bytes = 0;
    for (number, piece) in contents.chunks(2048).enumerate() {
        let dir = tree.upper().join(format!("d{:03}", number / 100));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("f{number}")), piece).unwrap();
        bytes += piece.len();
    }
    bench_tree(criterion, "many_small_files", &tree, bytes as u64);
}

fn big_file(criterion: &mut Criterion) {
    let tree = Tree::new();
    fs::write(tree.upper().join("big"), sample(BIG_FILE_BYTES)).unwrap();
    bench_tree(criterion, "one_big_file", &tree, BIG_FILE_BYTES as u64);
}

fn sparse_file(criterion: &mut Criterion) {
    let tree = Tree::new();
    let file = fs::File::create(tree.upper().join("sparse")).unwrap();
    file.set_len(SPARSE_FILE_BYTES).unwrap();
    bench_tree(criterion, "sparse_file_of_2_gib", &tree, SPARSE_FILE_BYTES);
}

fn bench_tree(criterion: &mut Criterion, name: &str, tree: &Tree, bytes: u64) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group.throughput(Throughput::Bytes(bytes));
    let compressions = [
        ("none", Compression::None),
        ("gzip", Compression::default()),
        (
            "zstd",
            Compression::Zstd {
                level: Compression::ZSTD_LEVEL,
            },
        ),
    ];
    for (label, compression) in compressions {
        for threads in [1, 2] {
            group.bench_function(BenchmarkId::new(label, threads), |bencher| {
                bencher.iter(|| black_box(tree.write_layer(compression, threads)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, gzip, small_files, big_file, sparse_file);
criterion_main!(benches);
