//! Random work on a plain directory: the same work on an overlay has the same changes, and the layers of several steps
//! applied to what was below give the directory.

use std::cell::Cell;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use super::{Tree, contents_of};
use crate::fs::KnownContents;
use crate::fs::Root;
use crate::image::layer_writer::{Compression, LayerOptions, LayerWriter};
use crate::snapshot::change::{Change, DiffError};
use crate::snapshot::overlay::tests::BOTH;
use crate::snapshot::overlay::tests::random::{Dice, apply, compare, copy, tree, work_at_random};
use crate::snapshot::overlay::tests::step::{Step, line};
use crate::snapshot::{Diff, write_layer};

/// Enough that each kind of work meets each kind of file in most rounds.
const OPERATIONS: usize = 120;
const ROUNDS: u64 = 30;
const STEPS: u64 = 3;

/// Files with several names below a step are left out of this: there an overlay breaks links and a directory does not.
/// Names that the step itself gives are in it.
#[test]
fn the_same_random_work_has_the_same_changes_on_an_overlay() {
    let mut changes = 0;
    for seed in 1..=ROUNDS {
        let mut below = Dice(seed);
        let step = Step::over(BOTH[seed as usize % 2], |lower| {
            for _ in 0..OPERATIONS {
                work_at_random(lower, &mut below, |from, to| fs::rename(from, to));
            }
            give_each_name_its_own_file(lower);
        });
        let mut plain = Tree::over(|root| copy(&step.path("lower").join("."), root));
        let merged = step.mount();
        let (mut dice, mut same) = (Dice(seed + 1_000_000), Dice(seed + 1_000_000));
        let work = |root: &Path| {
            for _ in 0..OPERATIONS {
                let is_copied = Cell::new(false);
                work_at_random(&merged.path(), &mut dice, |from, to| {
                    rename_or_copy(from, to, &is_copied)
                });
                work_at_random(root, &mut same, |from, to| {
                    // What `mv` copied there has lost its links to elsewhere.
                    if is_copied.get() && has_linked_files(from) {
                        return copy_and_remove(from, to);
                    }
                    fs::rename(from, to)
                });
            }
        };
        let found = plain.step(work, |diff| lines(&diff.into())).unwrap();
        drop(merged);
        let upper = Root::open(&step.path("upper")).unwrap();
        let lower = Root::open(&step.path("lower")).unwrap();
        let expected = lines(&(&step.diff(&upper, &lower)).into()).unwrap();
        assert_eq!(found, expected, "seed {seed}");
        changes += found.len();
    }
    assert!(changes > 300, "the work did next to nothing: {changes}");
}

#[test]
fn the_layers_of_random_steps_applied_below_give_the_directory() {
    for seed in 1..=ROUNDS {
        let mut dice = Dice(seed + 2_000_000);
        let mut work = |root: &Path| {
            for _ in 0..OPERATIONS {
                work_at_random(root, &mut dice, |from, to| fs::rename(from, to));
            }
        };
        let is_known = seed % 2 == 0;
        let contents = |root: &Path| match is_known {
            true => contents_of(root),
            false => KnownContents::default(),
        };
        let mut plain = Tree::skipping(&[], &mut work, contents);
        let outside = tempfile::tempdir().unwrap();
        let applied = outside.path().join("applied");
        copy(plain.path(), &applied);
        for number in 1..=STEPS {
            let context = format!("seed {seed} step {number}");
            let layer = outside.path().join("layer.tar");
            plain
                .step(&mut work, |diff| {
                    write(&diff.into(), &layer);
                    Ok(())
                })
                .unwrap();
            let below = tree(&applied);
            apply(&fs::read(&layer).unwrap(), &applied, &context);
            compare(&tree(plain.path()), &tree(&applied), &below, &context);
            fs::remove_file(&layer).unwrap();
        }
    }
}

fn write(diff: &Diff<'_>, path: &Path) {
    let options = LayerOptions {
        compression: Compression::None,
        clamp_mtime: None,
        threads: 1,
    };
    let writer = LayerWriter::create(path, options).unwrap();
    write_layer(*diff, writer).unwrap();
}

/// Returns everything that a layer says of each change, but for times that are of today.
fn lines(diff: &Diff<'_>) -> Result<Vec<String>, DiffError> {
    const TODAY: i64 = 1_500_000_000;
    let mut lines = Vec::new();
    diff.visit(|change| {
        let mut text = line(&change);
        if let Change::Present(entry, file) = &change {
            let seconds = Some(entry.mtime.seconds).filter(|seconds| *seconds < TODAY);
            let (mode, uid, gid) = (entry.mode, entry.uid, entry.gid);
            let mut contents = String::new();
            if let Some(mut file) = *file {
                file.read_to_string(&mut contents).unwrap();
            }
            text += &format!(" {mode:o} {uid}:{gid} {seconds:?} {contents:?}");
        }
        lines.push(text);
        Ok::<(), DiffError>(())
    })?;
    Ok(lines)
}

/// Renames as `mv` does: by copying where the file system refuses.
fn rename_or_copy(from: &Path, to: &Path, is_copied: &Cell<bool>) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            is_copied.set(true);
            copy_and_remove(from, to)
        }
        other => other,
    }
}

fn copy_and_remove(from: &Path, to: &Path) -> io::Result<()> {
    match to.symlink_metadata() {
        // As rename(2): only an empty directory gives way to a directory.
        Ok(_) => fs::remove_dir(to)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    copy(from, to);
    fs::remove_dir_all(from)
}

fn has_linked_files(root: &Path) -> bool {
    walkdir::WalkDir::new(root).into_iter().any(|entry| {
        let metadata = entry.unwrap().path().symlink_metadata().unwrap();
        !metadata.is_dir() && metadata.nlink() > 1
    })
}

fn give_each_name_its_own_file(root: &Path) {
    let copied = root.join("copied");
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let metadata = entry.path().symlink_metadata().unwrap();
        if !metadata.is_dir() && metadata.nlink() > 1 {
            let mut cp = Command::new("cp");
            let status = cp.arg("-a").args([entry.path(), &copied]).status();
            assert!(status.unwrap().success());
            fs::rename(&copied, entry.path()).unwrap();
        }
    }
}
