//! The Dockerfile suite in ordinary containers, case after case in each, held against the builds in namespaces.

use super::call::Call;
use super::docker;
use super::images::images;
use super::root_listing::LOOK;
use crate::suite::{Case, Mode, Outcome, Place, compare, place};
use crate::support::image::Image;
use crate::support::tool::Tool;
use crate::support::{Executor, TestDir, oracle};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Builds every case, each with the flags of its own file, and then says whether the root directory is as it was. What the
/// script needs lies below `/builds`, where no case has files: a step in place can see and write what is mounted.
const SCRIPT: &str = r#"
look before
for case in /builds/jobs/*; do
  name=${case##*/}
  code=0
  # No flag has a space in it.
  set -- $(cat "$case/flags")
  SOURCE_DATE_EPOCH=$EPOCH /kaniko/executor --context "$case/context" --dockerfile "$case/context/Dockerfile" "$@" \
    >"/builds/out/$name.stdout" 2>"/builds/out/$name.stderr" || code=$?
  echo $code >"/builds/out/$name.code"
done
look after
diff /builds/out/before /builds/out/after
"#;

/// How many containers share the cases. A build waits for its steps and its registry: one container after the other would
/// leave the machine idle for minutes.
const CONTAINERS: usize = 3;

#[test]
fn the_suite_has_one_result_in_place() {
    let place = Place::open();
    let cases = wanted_cases();
    let share = cases.len().div_ceil(CONTAINERS).max(1);
    let complaints: String = std::thread::scope(|scope| {
        let containers = cases.chunks(share);
        let started: Vec<_> = containers
            .map(|cases| scope.spawn(|| in_one_container(&place, cases)))
            .collect();
        let ended = started.into_iter().map(|container| container.join());
        ended
            .map(|complaints| complaints.expect("it says what is wrong"))
            .collect()
    });
    assert!(complaints.is_empty(), "{complaints}");
}

/// Builds the cases one after the other and returns what is wrong with them; empty for nothing.
fn in_one_container(place: &Place, cases: &[Case]) -> String {
    let (jobs, out) = (TestDir::new(), TestDir::new());
    for case in cases {
        lay_out(place, case, &jobs);
    }
    let call = Call::script(&format!("{LOOK}{SCRIPT}"))
        .env("EPOCH", place::EPOCH)
        .read_only_volume(jobs.path(), "/builds/jobs")
        .volume(out.path(), "/builds/out");
    let ended = docker::run(&[], &call);
    let mut complaints = String::new();
    if ended.code() != 0 {
        let differences = ended.stdout + &ended.stderr;
        writeln!(
            complaints,
            "the root directory is another one:\n{differences}"
        )
        .expect("text");
    }
    for case in cases {
        for complaint in about(place, case, &out) {
            writeln!(complaints, "{}: {complaint}", case.name).expect("text");
        }
    }
    complaints
}

/// Every case, or those whose names have the word in `SAWAGANI_TEST_CASES` in them.
fn wanted_cases() -> Vec<Case> {
    let word = std::env::var("SAWAGANI_TEST_CASES").unwrap_or_default();
    let mut cases = Case::all();
    cases.retain(|case| case.name.contains(&word));
    cases
}

/// Writes the case's context and flags for the script.
fn lay_out(place: &Place, case: &Case, jobs: &TestDir) {
    let dir = jobs.join(&case.name);
    fs::create_dir(&dir).expect("make a directory of the case");
    Tool::new("cp")
        .arg("--archive")
        .arg(case.context().path())
        .arg(dir.join("context"))
        .run();
    let destination = place.registry.reference(&name(case, Mode::Inplace));
    let own = Mode::Inplace.flags().iter().map(|flag| (*flag).to_owned());
    let flags: Vec<String> = own
        .chain([format!("--destination={destination}")])
        .chain(place.build_args(case))
        .chain(case.named_context(&Path::new("/builds/jobs").join(&case.name).join("context")))
        .chain(case.flags())
        .collect();
    fs::write(dir.join("flags"), flags.join("\n")).expect("write the flags");
}

/// What is wrong with the case's build in the container; empty for nothing.
fn about(place: &Place, case: &Case, out: &TestDir) -> Vec<String> {
    let read = |end: &str| {
        let file = out.join(format!("{}.{end}", case.name));
        fs::read_to_string(file).unwrap_or_else(|error| format!("nothing written: {error}"))
    };
    let (code, stderr) = (read("code"), read("stderr"));
    let code = code.trim();
    match case.outcome(Mode::Inplace) {
        Outcome::Image if code == "0" => against_reference(place, case),
        Outcome::Image => vec![format!("ended with {code}\n{stderr}")],
        Outcome::Error { exit, parts } => {
            let mut complaints = Vec::new();
            let is_right = exit.map_or(code != "0", |exit| code == exit.to_string());
            if !is_right {
                complaints.push(format!("ended with {code}, not {exit:?}\n{stderr}"));
            }
            let text = stderr.to_lowercase();
            let missing = parts
                .iter()
                .filter(|part| !text.contains(&part.to_lowercase()));
            complaints.extend(missing.map(|part| format!("the error lacks {part:?}\n{stderr}")));
            complaints
        }
    }
}

fn against_reference(place: &Place, case: &Case) -> Vec<String> {
    let executor = Executor::new(Mode::REFERENCE.who()).program(&images().executor);
    let context = case.context();
    let build = executor
        .context(&context)
        .destination(&place.registry.reference(&name(case, Mode::REFERENCE)))
        .args(Mode::REFERENCE.flags())
        .args(case.flags())
        .args(place.build_args(case))
        .args(case.named_context(context.path()))
        .env("SOURCE_DATE_EPOCH", place::EPOCH)
        .run();
    if build.code() != 0 {
        return vec![format!("the reference failed\n{}", build.report())];
    }
    let manifest = |mode| place.registry.inspect(&name(case, mode), &["--raw"]);
    let forced = case.differences(Mode::Inplace);
    // The same manifest names the same layers, which `tests/modes` has looked at.
    if forced.is_empty() && manifest(Mode::REFERENCE) == manifest(Mode::Inplace) {
        return Vec::new();
    }
    let reference = Image::pull(&place.registry, &name(case, Mode::REFERENCE));
    let image = Image::pull(&place.registry, &name(case, Mode::Inplace));
    let base = place.base(case.base());
    let mut complaints = oracle::complaints_about(&image, &base.diff_ids);
    complaints.extend(compare::complaints(case, Mode::Inplace, &reference, &image));
    complaints
}

fn name(case: &Case, mode: Mode) -> String {
    format!("{}/{}:1", mode.name(), case.name)
}
