//! One case in all modes.

use crate::suite::{Case, Mode, Outcome, Place, compare, place, reference};
use crate::support::executor::Build;
use crate::support::harness;
use crate::support::{Executor, Image, check_image, oracle};

/// What is wrong with the case, a paragraph for each mode; empty where all is well.
pub(crate) fn complaints(place: &Place, case: &Case, modes: &[Mode]) -> Vec<String> {
    let mut found = Vec::new();
    let reference = guarded(Mode::REFERENCE, &mut found, || {
        let image = build(place, case, Mode::REFERENCE).then(|| {
            let base = place.base(case.base());
            check_image(&place.registry, &name(case, Mode::REFERENCE), base)
        });
        let complaints = image.as_ref().map_or(Vec::new(), |image| {
            reference::complaints(case, image, place.base(case.base()).diff_ids.len())
        });
        (image, complaints)
    });
    let others = modes.iter().filter(|mode| **mode != Mode::REFERENCE);
    for mode in others {
        guarded(*mode, &mut found, || {
            let has_image = build(place, case, *mode);
            let complaints = match &reference {
                Some(Some(reference)) if has_image => against(place, case, *mode, reference),
                // Nothing to compare: the mode's own outcome has been looked at, and the reference's failure is told.
                _ => Vec::new(),
            };
            ((), complaints)
        });
    }
    found
}

/// Adds what `work` complains of, or how it panicked, to `found`.
fn guarded<T>(
    mode: Mode,
    found: &mut Vec<String>,
    work: impl FnOnce() -> (T, Vec<String>),
) -> Option<T> {
    let name = mode.name();
    match harness::guarded(work) {
        Ok((value, complaints)) => {
            found.extend(
                complaints
                    .into_iter()
                    .map(|complaint| format!("{name}: {complaint}")),
            );
            Some(value)
        }
        Err(panic) => {
            found.push(format!("{name}: {panic}"));
            None
        }
    }
}

/// Builds the case, and says whether it pushed an image, as it must in this mode.
fn build(place: &Place, case: &Case, mode: Mode) -> bool {
    let build = run(place, case, mode);
    let outcome = case.outcome(mode);
    outcome.assert_of(&build);
    let repository = name(case, mode);
    let pushed = place.registry.tags(repository.trim_end_matches(":1"));
    match outcome {
        Outcome::Image => true,
        Outcome::Error { .. } => {
            assert_eq!(
                pushed,
                Vec::<String>::new(),
                "a failed build pushes nothing"
            );
            false
        }
    }
}

fn run(place: &Place, case: &Case, mode: Mode) -> Build {
    let context = case.context();
    Executor::new(mode.who())
        .context(&context)
        .destination(&place.registry.reference(&name(case, mode)))
        .args(mode.flags())
        .args(case.flags())
        .args(place.build_args(case))
        .args(case.named_context(context.path()))
        .env("SOURCE_DATE_EPOCH", place::EPOCH)
        .run()
}

/// Each mode pushes into a repository of its own, so that none finds another's blobs there.
fn name(case: &Case, mode: Mode) -> String {
    format!("{}/{}:1", mode.name(), case.name)
}

fn against(place: &Place, case: &Case, mode: Mode, reference: &Image) -> Vec<String> {
    let name = name(case, mode);
    // The same manifest names the same config and layers, which the oracle has passed already.
    if place.registry.inspect(&name, &["--raw"]).as_bytes() == reference.manifest_bytes
        && case.differences(mode).is_empty()
    {
        return Vec::new();
    }
    let image = Image::pull(&place.registry, &name);
    let mut complaints = oracle::complaints_about(&image, &place.base(case.base()).diff_ids);
    complaints.extend(compare::complaints(case, mode, reference, &image));
    complaints
}
