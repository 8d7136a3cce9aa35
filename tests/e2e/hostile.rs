//! Layers and archives made to write outside the root: each is refused by name, or stays inside.

use crate::support::executor::Build;
use crate::support::{
    BaseImage, Context, CraftedImage, Encoding, Executor, Family, LayerTar, Registry, TestDir, Who,
};
use std::fs;

/// A directory outside of every root, whose one file must stay as it is, and to which nothing may be added.
struct Canary {
    dir: TestDir,
}

impl Canary {
    fn new() -> Self {
        let canary = Self {
            dir: TestDir::new(),
        };
        fs::write(canary.dir.join("kept"), "untouched").expect("write the canary");
        canary
    }

    /// Its absolute path, for a name or a link in an archive.
    fn path(&self) -> String {
        self.dir.path().display().to_string()
    }

    /// Its path by way of more parents than any root is deep.
    fn climbing_path(&self) -> String {
        format!(
            "{}{}",
            "../".repeat(12),
            self.path().trim_start_matches('/')
        )
    }

    fn assert_untouched(&self, what: &str) {
        let entries = fs::read_dir(self.dir.path()).expect("read the canary's directory");
        let names: Vec<_> = entries
            .map(|entry| entry.expect("read the canary's directory").file_name())
            .collect();
        assert_eq!(names, ["kept"], "{what}");
        assert_eq!(
            fs::read_to_string(self.dir.join("kept")).expect("read the canary"),
            "untouched",
            "{what}"
        );
    }
}

/// Archives, each with the entry that does the harm.
fn hostile_archives(canary: &Canary) -> Vec<(&'static str, LayerTar)> {
    let (outside, climbing) = (canary.path(), canary.climbing_path());
    let planted = format!("{outside}/planted");
    let kept = format!("{outside}/kept");
    vec![
        ("an absolute name", LayerTar::new().file(&planted, "x")),
        (
            "a name that climbs",
            LayerTar::new().file(&format!("{climbing}/planted"), "x"),
        ),
        (
            "a name that climbs from within",
            LayerTar::new()
                .dir("in/", 0o755)
                .file(&format!("in/{climbing}/planted"), "x"),
        ),
        (
            "a symlink out and a file through it",
            LayerTar::new()
                .symlink("escape", &outside)
                .file("escape/planted", "x"),
        ),
        (
            "a climbing symlink and a file through it",
            LayerTar::new()
                .symlink("escape", &climbing)
                .file("escape/planted", "x"),
        ),
        (
            "a symlink that is made to a directory again",
            LayerTar::new()
                .symlink("escape", &outside)
                .dir("escape/", 0o777)
                .file("escape/planted", "x"),
        ),
        (
            "a symlink to a file outside, written through",
            LayerTar::new()
                .symlink("escape", &kept)
                .file("escape", "changed"),
        ),
        (
            "a hard link to a file outside",
            LayerTar::new()
                .hard_link("linked", &kept)
                .file("linked", "changed"),
        ),
        (
            "a hard link that climbs",
            LayerTar::new()
                .hard_link("linked", &format!("{climbing}/kept"))
                .file("linked", "changed"),
        ),
        (
            "a hard link through a symlink",
            LayerTar::new()
                .symlink("escape", &outside)
                .hard_link("linked", "escape/kept")
                .file("linked", "changed"),
        ),
        (
            "a fifo through a symlink",
            LayerTar::new()
                .symlink("escape", &outside)
                .fifo("escape/planted"),
        ),
        (
            "a directory through a symlink",
            LayerTar::new()
                .symlink("escape", &outside)
                .dir("escape/planted/", 0o777),
        ),
        (
            "a device where a directory is expected",
            LayerTar::new()
                .null_device("device")
                .file("device/planted", "x"),
        ),
        (
            "a fifo where a file is expected",
            LayerTar::new()
                .fifo("pipe")
                .file("pipe", "must not wait for a reader"),
        ),
        (
            "a file where a directory is expected",
            LayerTar::new()
                .file("plain", "x")
                .file("plain/planted", "x"),
        ),
        (
            "the same file twice",
            LayerTar::new()
                .file("twice", "first")
                .file("twice", "second"),
        ),
        (
            "a directory, then a file of its name",
            LayerTar::new()
                .dir("both/", 0o755)
                .file("both/in", "x")
                .file("both", "x"),
        ),
        ("a root that is a file", LayerTar::new().file("./", "x")),
        ("a name of dots", LayerTar::new().file("..", "x")),
        (
            "a hard link to itself",
            LayerTar::new().hard_link("self", "self"),
        ),
        (
            "a loop of symlinks",
            LayerTar::new()
                .symlink("one", "two")
                .symlink("two", "one")
                .file("one/planted", "x"),
        ),
    ]
}

/// Deletions, which only layers have.
fn hostile_whiteouts(canary: &Canary) -> Vec<(&'static str, LayerTar)> {
    let (outside, climbing) = (canary.path(), canary.climbing_path());
    vec![
        (
            "a whiteout through a symlink",
            LayerTar::new()
                .symlink("escape", &outside)
                .file("escape/.wh.kept", ""),
        ),
        (
            "an opaque marker through a symlink",
            LayerTar::new().symlink("escape", &outside).opaque("escape"),
        ),
        (
            "a whiteout that climbs",
            LayerTar::new().file(&format!("{climbing}/.wh.kept"), ""),
        ),
        (
            "a whiteout of the directory itself",
            LayerTar::new().file(".wh..", ""),
        ),
        (
            "a whiteout of the parent",
            LayerTar::new().file(".wh...", ""),
        ),
        (
            "a whiteout without a name",
            LayerTar::new().file(".wh.", ""),
        ),
    ]
}

/// Refused with exit 1 and one clean error, or done without harm.
fn assert_refused_or_contained(build: &Build, canary: &Canary, what: &str) {
    canary.assert_untouched(what);
    if build.code() == 0 {
        build.assert_success();
    } else {
        build.assert_error(1, &[]);
    }
}

#[test]
fn no_layer_of_a_base_writes_outside_its_root() {
    let registry = Registry::start();
    for who in Who::BOTH {
        let canary = Canary::new();
        for (what, tar) in hostile_archives(&canary)
            .into_iter()
            .chain(hostile_whiteouts(&canary))
        {
            let shell = LayerTar::new().shell();
            let image = CraftedImage::new(Family::Oci)
                .layer(shell, Encoding::Gzip)
                .layer(tar, Encoding::Gzip);
            image.push_to(&registry, "hostile:1");
            let base = BaseImage::in_registry(&registry, "hostile:1");
            // Something of each entry's likely place is read, so that the layer must have been unpacked.
            let context = Context::new(format!(
                "FROM {base}\nRUN ls -lR /escape /linked /device /plain || true\n"
            ));
            let build = Executor::new(who).context(&context).arg("--no-push").run();
            assert_refused_or_contained(&build, &canary, &format!("{who:?}: {what}"));
        }
    }
}

#[test]
fn no_added_archive_writes_outside_the_root() {
    let registry = Registry::start();
    let base = crate::support::Base::Busybox.push_to(&registry);
    for who in Who::BOTH {
        let canary = Canary::new();
        for (what, tar) in hostile_archives(&canary) {
            let context = Context::new(format!("FROM {base}\nADD evil.tar /deep/in/the/image/\n"))
                .file("evil.tar", tar.finish());
            let build = Executor::new(who).context(&context).arg("--no-push").run();
            assert_refused_or_contained(&build, &canary, &format!("{who:?}: {what}"));
        }
    }
}

#[test]
fn an_entry_that_cannot_be_placed_is_named() {
    let registry = Registry::start();
    let base = crate::support::Base::Busybox.push_to(&registry);
    let bad = || LayerTar::new().hard_link("linked", "no/such/file");
    let shell = LayerTar::new().shell();
    let image = CraftedImage::new(Family::Oci).layer(shell, Encoding::Gzip);
    image
        .layer(bad(), Encoding::Gzip)
        .push_to(&registry, "hostile:1");
    let as_layer = Context::new(format!(
        "FROM {}\nRUN true\n",
        registry.reference("hostile:1")
    ));
    let as_archive =
        Context::new(format!("FROM {base}\nADD evil.tar /\n")).file("evil.tar", bad().finish());
    for who in Who::BOTH {
        for context in [&as_layer, &as_archive] {
            let build = Executor::new(who).context(context).arg("--no-push").run();
            build.assert_error(1, &["linked"]);
        }
    }
}

#[test]
fn copies_do_not_follow_the_contexts_links_out_of_it() {
    let registry = Registry::start();
    let base = crate::support::Base::Busybox.push_to(&registry);
    let canary = Canary::new();
    let outside = canary.path();
    for source in [
        "link",
        "dir-link/kept",
        "../../../../etc/hostname",
        "/etc/hostname",
    ] {
        let context = Context::new(format!("FROM {base}\nCOPY {source} /copied\n"))
            .symlink("link", &format!("{outside}/kept"))
            .symlink("dir-link", &outside);
        let build = Executor::new(Who::Root)
            .context(&context)
            .arg("--no-push")
            .run();
        build.assert_error(1, &["Dockerfile:2", "not found"]);
    }
}

#[test]
fn a_symlink_in_the_image_does_not_lead_a_copy_out_of_it() {
    let registry = Registry::start();
    let base = crate::support::Base::Busybox.push_to(&registry);
    let canary = Canary::new();
    let outside = canary.path();
    let context = Context::new(format!(
        "FROM {base}\nRUN ln -s {outside} /escape && ln -s {outside}/kept /file-escape\n\
         COPY planted /escape/\nCOPY planted /file-escape\nWORKDIR /escape/made\nRUN test -e {outside}/planted\n"
    ))
    .file("planted", "x");
    for who in Who::BOTH {
        let build = Executor::new(who).context(&context).arg("--no-push").run();
        canary.assert_untouched(&format!("{who:?}"));
        build.assert_success();
    }
}

#[test]
fn layers_that_are_no_tar_or_end_early_are_refused() {
    let registry = Registry::start();
    let whole = LayerTar::new()
        .shell()
        .file("big", vec![7; 100_000])
        .finish();
    let cut = whole[..whole.len() / 2].to_vec();
    for (what, bytes) in [
        ("cut short", cut),
        ("no tar at all", b"this is no tar archive".repeat(100)),
    ] {
        CraftedImage::new(Family::Oci)
            .layer_of_bytes(bytes, Encoding::Gzip)
            .push_to(&registry, "hostile:1");
        let context = Context::new(format!(
            "FROM {}\nRUN true\n",
            registry.reference("hostile:1")
        ));
        let build = Executor::new(Who::Root)
            .context(&context)
            .arg("--no-push")
            .run();
        assert_eq!(build.code(), 1, "{what}: {}", build.report());
        build.assert_error(1, &["sha256:"]);
    }
}
