//! Finding what a step changed by walking a plain directory. `cargo bench --bench scan`.
//!
//! The tree has 70,000 entries, in the directory for temporary files; everything that `stat` says of it is in memory,
//! as after a step. All processors walk.
#![allow(missing_docs)]

use std::fs;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sawagani::fs::{KnownContents, Root};
use sawagani::snapshot::Excluded;
use sawagani::snapshot::change::DiffError;
use sawagani::snapshot::{Index, ScanDiff, Summary};

const DIRS: usize = 10_000;
const FILES_PER_DIR: usize = 6;

fn fill(root: &Path) {
    for number in 0..DIRS {
        // Ten directories in each, as many levels deep as it takes.
        let digits = number.to_string();
        let dir = digits.chars().fold(root.to_path_buf(), |path, digit| {
            path.join(format!("directory-{digit}"))
        });
        fs::create_dir_all(&dir).unwrap();
        for file in 0..FILES_PER_DIR {
            fs::write(
                dir.join(format!("some-file-name.{file}")),
                digits.as_bytes(),
            )
            .unwrap();
        }
    }
}

fn diff(root: &Root, before: &Index, after: &Index) -> Summary {
    let diff = ScanDiff {
        before,
        after,
        root,
        excluded: &Excluded::new(),
    };
    diff.visit(|change| {
        black_box(change);
        Ok::<(), DiffError>(())
    })
    .unwrap()
}

fn scan(criterion: &mut Criterion) {
    let temp = tempfile::tempdir().unwrap();
    fill(temp.path());
    let root = Root::open(temp.path()).unwrap();
    let take = || Index::take(&root, &Excluded::new(), &KnownContents::default()).unwrap();
    let mut group = criterion.benchmark_group("scan of 70,000 entries");
    group.sample_size(20);
    group.bench_function("first index", |bencher| {
        bencher.iter_batched(|| (), |()| take(), BatchSize::PerIteration);
    });
    let mut before = take();
    let changed = temp.path().join("directory-7/directory-7/some-file-name.3");
    group.bench_function("diff of one changed file", |bencher| {
        bencher.iter(|| {
            before.wait_until_changes_show();
            fs::write(&changed, "changed").unwrap();
            let after = before.retake(&root).unwrap();
            let summary = diff(&root, &before, &after);
            // The file and the two directories above it.
            assert_eq!((summary.files, summary.whiteouts), (3, 0));
            before = after;
        });
    });
    let after = before.retake(&root).unwrap();
    group.bench_function("comparison of two indexes alone", |bencher| {
        bencher.iter(|| diff(&root, &before, &after));
    });
    group.finish();
}

criterion_group!(benches, scan);
criterion_main!(benches);
