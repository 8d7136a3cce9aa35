//! Generated Dockerfiles, built by the executor and by Debian's buildah: both must give the same files and settings,
//! but for what `known` lists, each with the line of the reference that decides.
//!
//! The seeds below are fixed. `SAWAGANI_DIFFERENTIAL_SEEDS=100..200` builds others, and `SAWAGANI_TEST_KEEP=1` keeps
//! what they were built of.

#[allow(
    dead_code,
    unused_imports,
    reason = "written for all test binaries, and no binary needs all of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod buildah;
mod commands;
mod compare;
mod generated;
mod known;
mod random;

use buildah::Buildah;
use compare::Differences;
use generated::Generated;
use known::KNOWN;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use support::image::Image;
use support::{Context, CraftedImage, Encoding, Executor, Family, LayerTar, Registry, Who};

const SEEDS: Range<u64> = 1..26;

const BASE: &str = "base/tools:1";

/// Builds at a time: each is mostly one process after the other.
const WORKERS: usize = 3;

#[test]
fn generated_dockerfiles_give_what_buildah_gives() {
    let registry = Registry::start();
    base().push_to(&registry, BASE);
    let base = registry.reference(BASE);
    let given = std::env::var("SAWAGANI_DIFFERENTIAL_SEEDS").ok();
    let seeds = given.as_deref().map_or(SEEDS, range);
    let judged = judge_all(&base, &seeds);
    let wrong: Vec<&str> = judged
        .iter()
        .filter_map(|judged| judged.complaint.as_deref())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} seeds differ\n\n{}",
        wrong.len(),
        judged.len(),
        wrong.join("\n\n")
    );
    // What neither can build compares nothing.
    let built = judged.iter().filter(|judged| judged.was_built).count();
    assert!(
        built * 10 >= judged.len() * 9,
        "only {built} of {} were built",
        judged.len()
    );
    if given.is_none() {
        let explained: BTreeSet<&str> = judged
            .iter()
            .flat_map(|judged| &judged.explained)
            .copied()
            .collect();
        for known in KNOWN {
            assert!(
                explained.contains(known.buildah),
                "buildah no longer {}: that is to be taken off the list (it had `{}` on it)",
                known.buildah,
                known.decides
            );
        }
    }
}

fn range(given: &str) -> Range<u64> {
    let range = given
        .split_once("..")
        .and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    range.unwrap_or_else(|| {
        panic!("SAWAGANI_DIFFERENTIAL_SEEDS is no range like 100..200: {given:?}")
    })
}

/// A shell, the commands that are used, and two accounts. Small, for buildah copies it with every container.
fn base() -> CraftedImage {
    let commands = [
        "chmod", "chown", "cp", "dirname", "echo", "id", "ln", "mkdir", "mkfifo", "mv", "pwd",
        "rm", "touch", "true",
    ];
    let layer = commands
        .iter()
        .fold(LayerTar::new().shell(), |layer, command| {
            layer.symlink(&format!("bin/{command}"), "busybox")
        })
        .dir("etc/", 0o755)
        .file(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n",
        )
        .file("etc/group", "root:x:0:\napp:x:1000:\nmedia:x:2000:app\n")
        .dir("home/", 0o755)
        .dir("home/app/", 0o755)
        .dir("root/", 0o700)
        .dir("tmp/", 0o1777);
    CraftedImage::new(Family::Docker).layer(layer, Encoding::Gzip)
}

fn judge_all(base: &str, seeds: &Range<u64>) -> Vec<Judged> {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let buildah = Buildah::new(base);
        let seed = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end);
        std::iter::from_fn(seed)
            .map(|seed| Judged::of_seed(seed, base, &buildah))
            .collect()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.flat_map(|judged: Result<Vec<_>, _>| judged.expect("a worker panicked"))
            .collect()
    })
}

/// What came of one seed.
struct Judged {
    /// Both have built it; otherwise both have refused it.
    was_built: bool,
    /// What differs without a reason, below the Dockerfile.
    complaint: Option<String>,
    /// What buildah is known to do and did.
    explained: Vec<&'static str>,
}

impl Judged {
    fn of_seed(seed: u64, base: &str, buildah: &Buildah) -> Self {
        let generated = Generated::of_seed(seed, base);
        let context = generated.context();
        let theirs = buildah.build(&context);
        let differences = match (build(&context), &theirs) {
            (Ok(ours), Ok(theirs)) => compare::differences(&generated, &ours, theirs),
            (Err(_), Err(_)) => Differences::default(),
            (Err(report), Ok(_)) => Differences::of(format!("only buildah builds it:\n{report}")),
            (Ok(_), Err(report)) => {
                Differences::of(format!("only the executor builds it:\n{report}"))
            }
        };
        let lines = differences.unexplained.join("\n");
        let complaint = format!("seed {seed}:\n{}\n{lines}", generated.dockerfile);
        Self {
            was_built: theirs.is_ok(),
            complaint: Some(complaint).filter(|_| !lines.is_empty()),
            explained: differences
                .explained
                .iter()
                .map(|known| known.buildah)
                .collect(),
        }
    }
}

/// Builds with the executor; the error is what it printed.
fn build(context: &Context) -> Result<Image, String> {
    let executor = Executor::new(Who::Root);
    let layout = executor.out("layout");
    let build = executor
        .context(context)
        .args(["--no-push", "--image-format=docker"])
        .arg(format!("--oci-layout-path={}", layout.display()))
        .run();
    match build.code() {
        0 => Ok(Image::copied_from(&format!("oci:{}", layout.display()))),
        _ => Err(build.report()),
    }
}
