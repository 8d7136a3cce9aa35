//! Does what a row of the tables says, and holds the builds against it.

use super::super::log::{Step, spaced, steps};
use super::super::project::Project;
use super::{BaseImages, Change, Edit};
use crate::support::executor::Build;
use crate::support::tool::Tool;
use crate::support::{
    Base, BaseImage, Context, CraftedImage, Encoding, Family, LayerTar, Registry,
};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The width of the margin in which the tables say `hit` and `miss`.
const MARGIN: usize = 5;

/// Checks all rows in one registry; those that fail are named together.
pub(super) fn all(changes: &[Change]) {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let mut failed = Vec::new();
    for (number, change) in changes.iter().enumerate() {
        // The reason has been printed by the time that the panic arrives here.
        let checking = AssertUnwindSafe(|| check(&registry, &base, number, change));
        if catch_unwind(checking).is_err() {
            failed.push(change.what);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn check(registry: &Registry, base: &BaseImage, number: usize, change: &Change) {
    let repository = format!("case{number}");
    let reference = match change.bases {
        BaseImages::One => base.reference.clone(),
        _ => registry.reference(&base_name(number)),
    };
    let before = match change.before {
        "" => change.dockerfile,
        before => before,
    };
    let project = Project::new(registry, &repository, context());
    let put = |text: &str| {
        let path = project.context.path().join("Dockerfile");
        fs::write(path, without_margin(text, &reference)).expect("write a Dockerfile");
    };
    let with_context = |flags: &[&str]| -> Vec<String> {
        let path = project.context.path().display().to_string();
        let flags = flags.iter();
        flags.map(|flag| flag.replace("CONTEXT", &path)).collect()
    };
    let build = |flags: &[&[&str]]| {
        let flags = with_context(&flags.concat());
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        project.build(&flags)
    };
    let cached: &[&str] = &["--cache", "--cache-copy-layers"];

    put(before);
    push_base(registry, number, change.bases, false);
    build(&[change.flags_before, cached]);
    put(change.dockerfile);
    push_base(registry, number, change.bases, true);
    for edit in change.edits {
        edit.apply(&project.context);
    }
    let second = build(&[change.flags, cached, change.cache_flags]);
    assert_steps(change, &second.build);
    let base = match change.bases {
        BaseImages::One => base,
        _ => &BaseImage::in_registry(registry, &base_name(number)),
    };
    let flags = with_context(change.flags);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    project.assert_same_as_uncached(&second, &flags, base);
}

/// What all rows build: files of every kind, and one that is ignored.
fn context() -> Context {
    Context::new("")
        .file("src/a", "a\n")
        .file("src/sub/b", "b\n")
        .file("src/ignored", "")
        .file("src/twin", "a\n")
        .symlink("src/link", "a")
        .file("other", "other\n")
        .file("secret", "first\n")
        .file(".dockerignore", "src/ignored\nsecret\n")
}

fn without_margin(text: &str, base: &str) -> String {
    let lines = text
        .lines()
        .skip(1)
        .map(|line| line.get(MARGIN..).unwrap_or_default());
    let lines = lines.map(|line| match line.strip_prefix("FROM base") {
        Some(rest) => format!("FROM {base}{rest}"),
        None => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

/// Every marked line is a step of the build, and every step of the build is a marked line.
fn assert_steps(change: &Change, build: &Build) {
    let mut found = steps(build);
    for line in change.dockerfile.lines().skip(1) {
        let is_hit = match line.get(..MARGIN).map(str::trim) {
            Some("hit") => true,
            Some("miss") => false,
            None | Some("") => continue,
            Some(other) => panic!("{}: what is `{other}`?", change.what),
        };
        // A step that goes on in further lines is known by its first.
        let (start, is_whole) = match line[MARGIN..].strip_suffix('\\') {
            Some(start) => (spaced(start), false),
            None => (spaced(&line[MARGIN..]), true),
        };
        let is_it = |step: &Step| step.text == start || !is_whole && step.text.starts_with(&start);
        let at = found.iter().position(is_it);
        let at =
            at.unwrap_or_else(|| panic!("{}: no step `{start}`\n{}", change.what, build.report()));
        let step = found.remove(at);
        assert_eq!(
            step.is_hit,
            is_hit,
            "{}: hit or miss of `{start}`\n{}",
            change.what,
            build.report()
        );
    }
    assert_eq!(
        found,
        [],
        "{}: steps that were not expected\n{}",
        change.what,
        build.report()
    );
}

fn base_name(number: usize) -> String {
    format!("base{number}:1")
}

/// Puts what a row has as its base under its name.
fn push_base(registry: &Registry, number: usize, bases: BaseImages, is_second: bool) {
    let files = |text: &str| LayerTar::new().shell().file("file", text);
    let image = CraftedImage::new(Family::Oci);
    let plain = |image: CraftedImage| image.layer(files("one"), Encoding::Gzip);
    let image = match (bases, is_second) {
        (BaseImages::One, _) => return,
        (BaseImages::Recompressed, true) => image.layer(files("one"), Encoding::Zstd),
        (BaseImages::Relabelled, true) => {
            plain(image.config("Labels", serde_json::json!({ "made": "later" })))
        }
        (BaseImages::OtherEnvironment, true) => {
            plain(image.config("Env", serde_json::json!(["PATH=/bin", "NEW=1"])))
        }
        (BaseImages::OtherFiles, true) => image.layer(files("two"), Encoding::Gzip),
        (BaseImages::Split, true) => image
            .layer(LayerTar::new().shell(), Encoding::Gzip)
            .layer(LayerTar::new().file("file", "one"), Encoding::Gzip),
        (
            BaseImages::Recompressed
            | BaseImages::Relabelled
            | BaseImages::OtherEnvironment
            | BaseImages::OtherFiles
            | BaseImages::Split,
            false,
        ) => plain(image),
    };
    image.push_to(registry, &base_name(number));
}

impl Edit {
    fn apply(self, context: &Context) {
        let at = |path: &str| context.path().join(path);
        match self {
            Self::Write(path, text) => fs::write(at(path), text).expect("write a file"),
            Self::Mode(path, mode) => {
                fs::set_permissions(at(path), Permissions::from_mode(mode)).expect("set a mode");
            }
            Self::Mtime(path, seconds) => {
                Tool::new("touch")
                    .arg("--no-dereference")
                    .arg(format!("--date=@{seconds}"))
                    .arg(at(path))
                    .run();
            }
            Self::Owner(path, id) => lchown(at(path), Some(id), Some(id)).expect("give it away"),
            Self::Remove(path) => fs::remove_file(at(path)).expect("remove a file"),
            Self::Rename(from, to) => fs::rename(at(from), at(to)).expect("rename a file"),
            Self::Dir(path) => fs::create_dir(at(path)).expect("make a directory"),
            Self::Symlink(path, target) => symlink(target, at(path)).expect("make a symlink"),
            Self::HardLink(path, existing) => {
                fs::hard_link(at(existing), at(path)).expect("make a hard link");
            }
            Self::Capability(path) => {
                Tool::new("setcap")
                    .arg("cap_net_raw+ep")
                    .arg(at(path))
                    .run();
            }
        }
    }
}
