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
use generated::Generated;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use support::image::Image;
use support::{Base, Executor, Registry, Who};

const SEEDS: Range<u64> = 1..26;

/// Builds at a time: each is mostly one process after the other.
const WORKERS: usize = 3;

#[test]
fn generated_dockerfiles_give_what_buildah_gives() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry).reference;
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let verdicts: Vec<(u64, Result<bool, String>)> = std::thread::scope(|scope| {
        let work = || {
            let buildah = Buildah::new(&base);
            let mut verdicts = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return verdicts;
                }
                verdicts.push((seed, judge(seed, &base, &buildah)));
            }
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.flat_map(|verdicts| verdicts.expect("a worker panicked"))
            .collect()
    });
    let wrong: Vec<&String> = verdicts
        .iter()
        .filter_map(|(_, verdict)| verdict.as_ref().err())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} seeds differ\n\n{}",
        wrong.len(),
        verdicts.len(),
        wrong
            .iter()
            .map(|text| text.as_str())
            .collect::<Vec<_>>()
            .join("\n\n")
    );
    // What neither can build compares nothing.
    let built = verdicts
        .iter()
        .filter(|(_, verdict)| *verdict == Ok(true))
        .count();
    assert!(
        built * 4 >= verdicts.len() * 3,
        "only {built} of {} were built",
        verdicts.len()
    );
}

fn seeds() -> Range<u64> {
    let Ok(given) = std::env::var("SAWAGANI_DIFFERENTIAL_SEEDS") else {
        return SEEDS;
    };
    let range = given
        .split_once("..")
        .and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    range.unwrap_or_else(|| {
        panic!("SAWAGANI_DIFFERENTIAL_SEEDS is no range like 100..200: {given:?}")
    })
}

/// Builds one Dockerfile with both. `Ok(false)` says that both refuse it.
fn judge(seed: u64, base: &str, buildah: &Buildah) -> Result<bool, String> {
    let generated = Generated::of_seed(seed, base);
    let context = generated.context();
    let executor = Executor::new(Who::Root);
    let layout = executor.out("layout");
    let build = executor
        .context(&context)
        .args(["--no-push", "--image-format=docker"])
        .arg(format!("--oci-layout-path={}", layout.display()))
        .run();
    let ours = match build.code() {
        0 => Ok(Image::copied_from(&format!("oci:{}", layout.display()))),
        _ => Err(build.report()),
    };
    let theirs = buildah.build(&context);
    let differences = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => compare::differences(&generated, &ours, &theirs),
        (Err(_), Err(_)) => return Ok(false),
        (Err(report), Ok(_)) => vec![format!("only buildah builds it:\n{report}")],
        (Ok(_), Err(report)) => vec![format!("only the executor builds it:\n{report}")],
    };
    if differences.is_empty() {
        return Ok(true);
    }
    Err(format!(
        "seed {seed}:\n{}\n{}",
        generated.dockerfile,
        differences.join("\n")
    ))
}
