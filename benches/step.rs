//! What a step costs when its command does nothing, and what removing an image costs.
//!
//! Run as root: `cargo bench --bench step [directory] [files]`. Entering a sandbox needs a process
//! without threads, so this is a program that measures itself, not a criterion bench.

use std::path::{Path, PathBuf};
use std::time::Instant;

use sawagani::sandbox::{Command, EnterOptions, Exit, Isolation, Rootfs, Stop, enter};

/// Steps in a row; each makes a layer, so that later ones have more below them.
const STEPS: usize = 100;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'));
    let dir = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let files: usize = arguments
        .next()
        .map_or(60_000, |word| word.parse().unwrap());
    let start = Instant::now();
    let sandbox = enter(&EnterOptions {
        isolation: Isolation::Auto,
        state_dir: Some(dir),
        ..EnterOptions::default()
    })
    .unwrap();
    println!("enter: {:.1?} ({})", start.elapsed(), sandbox.description());

    let layer = sandbox.new_layer_dir().unwrap();
    fill(layer.path(), files);
    let mut rootfs = Rootfs::new(&sandbox);
    rootfs.push_layer(layer);
    let stop = Stop::new().unwrap();
    let command = Command::new(["/true"]);
    let mut times = Vec::new();
    for _ in 0..STEPS {
        let start = Instant::now();
        let mut step = rootfs.begin_step().unwrap();
        let begun = start.elapsed();
        let exit = step.run(&command, &stop, &mut |_, _| {}).unwrap();
        assert_eq!(exit, Exit::Code(0));
        let ran = start.elapsed();
        step.freeze().unwrap();
        times.push([begun, ran - begun, start.elapsed() - ran, start.elapsed()]);
    }
    for (index, name) in ["begin", "run", "freeze", "step"].iter().enumerate() {
        let mut column: Vec<_> = times.iter().map(|row| row[index]).collect();
        column.sort();
        let (median, slowest) = (column[STEPS / 2], column[STEPS - 1]);
        println!("{name}: median {median:.2?}, slowest {slowest:.2?}");
    }
    drop(rootfs);
    let start = Instant::now();
    sandbox.close().unwrap();
    println!(
        "removal of {files} files and {STEPS} layers: {:.1?}",
        start.elapsed()
    );
}

/// Makes an image of small files, with one program that does nothing.
fn fill(root: &Path, files: usize) {
    std::fs::copy("/bin/busybox", root.join("true")).unwrap();
    for number in 0..files {
        let dir = root.join(format!("usr/share/{}/{}", number / 1000, number / 20));
        if number % 20 == 0 {
            std::fs::create_dir_all(&dir).unwrap();
        }
        std::fs::write(dir.join(number.to_string()), b"contents").unwrap();
    }
}
