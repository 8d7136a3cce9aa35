//! One case: built once, as root, and held against what it says.

use crate::bases::{Base, Bases};
use crate::case::Case;
use crate::config_check;
use crate::expected::{Expected, ExpectedImage};
use crate::support::executor::Build;
use crate::support::image::Layer;
use crate::support::{Executor, Image, TestDir, Who, oracle};
use crate::tree_check;
use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is wrong with the case; empty where all is as it says.
pub(crate) fn complaints(bases: &Bases, case: &Case) -> Vec<String> {
    let expected = case.expected(&bases.server.url(&case.name));
    let here = TestDir::new();
    case.copy_dockerfile(here.path());
    let start = now();
    let layout = here.join("layout");
    let build = run(bases, case, &here);
    match expected {
        Expected::Error { exit, parts } => {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            build.assert_error(exit, &parts);
            assert!(
                !build.stderr().contains("not yet supported"),
                "no rule asks for this\n{}",
                build.report()
            );
            assert!(!layout.exists(), "a failed build gives no image");
            Vec::new()
        }
        Expected::Image(expected) => {
            build.assert_success();
            let image = Image::taken_from_layout(&layout);
            let base = bases.get(&expected.base);
            let mut complaints = about_image(&expected, base, &image, &(start..=now()));
            complaints.extend(about_output(&expected, &build));
            complaints
        }
    }
}

fn run(bases: &Bases, case: &Case, here: &TestDir) -> Build {
    let setup = case.setup();
    setup.make(here.path(), &case.committed_context());
    setup.serve(&bases.server, &case.name);
    let path = |flag: &str, name: &str| format!("--{flag}={}", here.join(name).display());
    let executor = Executor::new(Who::Root)
        .args([
            path("context", "context"),
            path("dockerfile", setup.dockerfile()),
        ])
        .args([path("oci-layout-path", "layout"), "--no-push".to_owned()])
        .args(bases.flags())
        .args(setup.flags(here.path(), &bases.server.url(&case.name)));
    let variables = setup.variables().iter();
    variables
        .fold(executor, |executor, (name, value)| {
            executor.env(name, value)
        })
        .run()
}

fn about_image(
    expected: &ExpectedImage,
    base: &Base,
    image: &Image,
    build: &RangeInclusive<i64>,
) -> Vec<String> {
    let mut complaints = oracle::complaints_about(image, &base.diff_ids);
    // The default, and the oracle holds config and layers against it.
    if image.manifest["mediaType"] != MEDIA_TYPE {
        complaints.push(format!("the manifest is {}", image.manifest["mediaType"]));
    }
    complaints.extend(tree_check::complaints(
        &expected.files,
        &base.tree,
        &image.tree(),
        build,
    ));
    complaints.extend(config_check::complaints(expected, base, &image.config));
    if let Some(wanted) = &expected.layers {
        let own = image.layers.iter().skip(base.diff_ids.len());
        let found: Vec<Vec<String>> = own.map(names_in).collect();
        if found != *wanted {
            complaints.push(format!(
                "the layers have {found:?}, expected was {wanted:?}"
            ));
        }
    }
    complaints
}

/// The names as they stand in the tar, in its order.
fn names_in(layer: &Layer) -> Vec<String> {
    let mut archive = tar::Archive::new(layer.open());
    let entries = archive.entries().expect("read a layer");
    let names = entries.map(|entry| {
        let entry = entry.expect("read a layer");
        String::from_utf8_lossy(&entry.path_bytes()).into_owned()
    });
    names.collect()
}

fn about_output(expected: &ExpectedImage, build: &Build) -> Vec<String> {
    let missing = expected
        .says
        .iter()
        .filter(|part| !build.stderr().contains(*part));
    missing
        .map(|part| format!("the build does not say {part:?}\n{}", build.report()))
        .collect()
}

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    i64::try_from(since.as_secs()).expect("a year before 292 billion")
}
