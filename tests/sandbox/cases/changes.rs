//! What a step changed is kept, whole and alone.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;

use sawagani::fs::Root;
use sawagani::sandbox::{Rootfs, Step, View};

use crate::fixture::{Fixture, freeze, run_in, shell, state_dir, succeeded};

/// Returns the paths of everything below a root, sorted; a whiteout has a `-` in front.
fn tree(root: &Root) -> Vec<String> {
    fn walk(root: &Root, path: &Path, found: &mut BTreeSet<String>) {
        let dir = root.open_dir(path).unwrap();
        for name in dir.names().unwrap() {
            let metadata = dir.metadata_of(&name).unwrap().unwrap();
            let path = path.join(&name);
            let mark = if metadata.is_overlay_whiteout() {
                "-"
            } else {
                ""
            };
            found.insert(format!("{mark}{}", path.display()));
            if metadata.is_dir() {
                walk(root, &path, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(root, Path::new(""), &mut found);
    found.into_iter().collect()
}

fn read(root: &Root, path: &str) -> String {
    let mut text = String::new();
    let mut file = root.open_file(Path::new(path)).unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

fn has(view: &View, path: &str) -> bool {
    view.root()
        .symlink_metadata(Path::new(path))
        .unwrap()
        .is_some()
}

pub(crate) fn a_step_that_changes_nothing_leaves_an_empty_upper_directory() {
    let mut fixture = Fixture::new();
    let frozen = fixture.keep("true");
    assert_eq!(tree(&frozen.upper), [""; 0]);
    let frozen = fixture
        .keep("cat /etc/passwd /etc/hosts; ls -R /proc/self /dev > /dev/null; touch /dev/shm/x");
    assert_eq!(tree(&frozen.upper), [""; 0]);
}

pub(crate) fn stubs_are_in_no_diff_and_their_parents_look_as_before() {
    let mut fixture = Fixture::new();
    // The image has /etc, without hosts and resolv.conf.
    fixture.push(|root| {
        use std::os::unix::fs::{PermissionsExt, chown};
        std::fs::create_dir(root.join("etc")).unwrap();
        chown(root.join("etc"), Some(7), Some(8)).unwrap();
        let mode = PermissionsExt::from_mode(0o2750);
        std::fs::set_permissions(root.join("etc"), mode).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        std::fs::File::open(root.join("etc"))
            .unwrap()
            .set_modified(time)
            .unwrap();
    });
    let seen = fixture.output("stat -c '%a %u:%g %Y' /etc; ls /etc | xargs");
    assert_eq!(
        seen,
        "2750 7:8 1000000\ngroup hosts passwd resolv.conf shadow\n"
    );
    let frozen = fixture.keep("echo x > /etc/foo; mkdir /sys2; ls / > /dev/null");
    assert_eq!(tree(&frozen.upper), ["etc", "etc/foo", "sys2"]);
    let etc = frozen.upper.metadata(Path::new("etc")).unwrap().unwrap();
    assert_eq!((etc.mode, etc.uid, etc.gid), (0o2750, 7, 8));
    assert!(!has(&frozen.lower, "etc/hosts") && !has(&frozen.lower, "proc"));
    let view = fixture.rootfs.view().unwrap();
    assert!(has(&view, "etc/foo") && !has(&view, "etc/hosts") && !has(&view, "dev"));

    // An image without any /etc: the step's own is new, and nothing of ours is in it.
    fixture.keep("rm -rf /home");
    let mut scratch = Rootfs::new(&fixture.sandbox);
    let busybox = fixture.sandbox.new_layer_dir().unwrap();
    std::fs::create_dir(busybox.path().join("bin")).unwrap();
    let source = fixture.rootfs.view().unwrap();
    let mut from = source.root().open_file(Path::new("bin/busybox")).unwrap();
    let mut to = std::fs::File::create(busybox.path().join("bin/sh")).unwrap();
    std::io::copy(&mut from, &mut to).unwrap();
    drop(to);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(busybox.path().join("bin/sh"), mode).unwrap();
    scratch.push_layer(busybox);
    let mut step = Step::Overlay(scratch.begin_step().unwrap());
    succeeded(run_in(&mut step, &shell("echo x > /etc/foo"), &fixture.stop).unwrap());
    let frozen = freeze(step);
    assert_eq!(tree(&frozen.upper), ["etc", "etc/foo"]);
    assert!(!has(&frozen.lower, "etc"));
    assert_eq!(
        tree(scratch.view().unwrap().root()),
        ["bin", "bin/sh", "etc", "etc/foo"]
    );
}

pub(crate) fn frozen_steps_stay_what_they_were() {
    let mut fixture = Fixture::new();
    let first = fixture.keep("echo 1 > /file; mkdir /d; echo a > /d/a");
    let second = fixture.keep("echo 2 > /file; rm /d/a; echo b > /d/b");
    fixture.keep("rm -r /file /d");
    assert_eq!(tree(&first.upper), ["d", "d/a", "file"]);
    assert_eq!(tree(&second.upper), ["-d/a", "d", "d/b", "file"]);
    assert_eq!(read(&first.upper, "file"), "1\n");
    assert_eq!(read(&second.upper, "file"), "2\n");
    assert!(!has(&first.lower, "file"));
    assert_eq!(read(second.lower.root(), "file"), "1\n");
    assert!(has(&second.lower, "d/a") && !has(&second.lower, "d/b"));
    assert!(!has(&fixture.rootfs.view().unwrap(), "d"));
}

pub(crate) fn deletions_and_replacements_are_marked() {
    let mut fixture = Fixture::new();
    fixture.keep("mkdir -p /d/sub; touch /d/x /d/sub/y; echo f > /f");
    let frozen = fixture.keep("rm -r /d; mkdir /d; touch /d/new; rm /f; mkdir /f; rm /bin/ls");
    assert_eq!(tree(&frozen.upper), ["-bin/ls", "bin", "d", "d/new", "f"]);
    let key = frozen.xattrs.opaque_key();
    for (name, expected) in [("d", Some(b"y".to_vec())), ("bin", None)] {
        let found = frozen.upper.dir().xattr(OsStr::new(name), key).unwrap();
        assert_eq!(found, expected, "{name}");
    }
    // Renaming a directory of the image: programs fall back to copying, as in Docker.
    let frozen = fixture.keep("mv /d /e");
    assert_eq!(tree(&frozen.upper), ["-d", "e", "e/new"]);
}

pub(crate) fn files_written_before_a_command_are_seen_by_it() {
    let mut fixture = Fixture::new();
    let mut step = Step::Overlay(fixture.rootfs.begin_step().unwrap());
    let root = step.root().unwrap();
    assert_eq!(root.metadata(Path::new("proc")).unwrap(), None);
    root.dir().create_dir(OsStr::new("proc"), 0o555).unwrap();
    let mut file = root.dir().create_file(OsStr::new("copied"), 0o644).unwrap();
    file.write_all(b"by us\n").unwrap();
    drop(file);
    let script = "cat /copied; cat /proc/self/comm; echo run > /ran; ls /etc/hosts";
    let output = succeeded(run_in(&mut step, &shell(script), &fixture.stop).unwrap());
    assert_eq!(output, "by us\ncat\n/etc/hosts\n");
    // A second command in the same step, and a look at the tree in between.
    assert_eq!(
        step.root()
            .unwrap()
            .metadata(Path::new("etc/hosts"))
            .unwrap(),
        None
    );
    let output = succeeded(run_in(&mut step, &shell("cat /ran"), &fixture.stop).unwrap());
    assert_eq!(output, "run\n");
    let frozen = freeze(step);
    assert_eq!(tree(&frozen.upper), ["copied", "proc", "ran"]);
}

pub(crate) fn a_discarded_step_changes_nothing() {
    let mut fixture = Fixture::new();
    let mut step = Step::Overlay(fixture.rootfs.begin_step().unwrap());
    succeeded(run_in(&mut step, &shell("rm -r /home; echo x > /x"), &fixture.stop).unwrap());
    drop(step);
    let view = fixture.rootfs.view().unwrap();
    assert!(has(&view, "home") && !has(&view, "x"));
    assert_eq!(fixture.rootfs.layer_count(), 1);
}

pub(crate) fn stages_share_layers_and_part_ways() {
    let mut fixture = Fixture::new();
    fixture.keep("echo base > /base");
    let mut other = fixture.rootfs.clone();
    fixture.keep("echo one > /one");
    let mut step = Step::Overlay(other.begin_step().unwrap());
    succeeded(
        run_in(
            &mut step,
            &shell("cat /base; echo two > /two"),
            &fixture.stop,
        )
        .unwrap(),
    );
    freeze(step);
    let (one, two) = (fixture.rootfs.view().unwrap(), other.view().unwrap());
    assert!(has(&one, "base") && has(&one, "one") && !has(&one, "two"));
    assert!(has(&two, "base") && has(&two, "two") && !has(&two, "one"));
    // A view cannot be written to.
    assert!(
        one.root()
            .dir()
            .create_file(OsStr::new("no"), 0o644)
            .is_err()
    );
}

pub(crate) fn an_empty_root_and_two_hundred_layers_work() {
    let mut fixture = Fixture::new();
    let mut empty = Rootfs::new(&fixture.sandbox);
    assert_eq!(tree(empty.view().unwrap().root()), [""; 0]);
    let mut step = Step::Overlay(empty.begin_step().unwrap());
    step.root()
        .unwrap()
        .dir()
        .create_dir(OsStr::new("d"), 0o755)
        .unwrap();
    assert_eq!(tree(&freeze(step).upper), ["d"]);
    assert_eq!(tree(empty.view().unwrap().root()), ["d"]);

    for number in 0..220 {
        fixture.push(|root| std::fs::write(root.join(format!("f{number}")), "").unwrap());
    }
    fixture.push(|root| std::fs::write(root.join("f0"), "top").unwrap());
    assert_eq!(fixture.output("ls -d /f* | wc -l; cat /f0"), "220\ntop");
}

pub(crate) fn layers_that_lie_elsewhere_are_stacked_and_stay_what_they_are() {
    let mut fixture = Fixture::new();
    // Neither a colon nor a comma may get into a mount's options.
    let elsewhere = state_dir().join("a:b,c");
    std::fs::create_dir_all(elsewhere.join("layer/d")).unwrap();
    std::fs::write(elsewhere.join("layer/d/file"), "x").unwrap();
    assert!(fixture.sandbox.can_adopt_from(&elsewhere));
    assert!(!fixture.sandbox.can_adopt_from(&elsewhere.join("missing")));
    let layer = fixture.sandbox.adopt_layer_dir(&elsewhere.join("layer"));
    fixture.rootfs.push_layer(layer.unwrap());
    assert_eq!(
        fixture.output("cat /d/file; rm -r /d; ls -d /d 2>/dev/null; echo"),
        "x\n"
    );
    let left = std::fs::read(elsewhere.join("layer/d/file")).unwrap();
    assert_eq!(left, b"x");
    std::fs::remove_dir_all(elsewhere).unwrap();
}

pub(crate) fn deep_trees_go_with_the_sandbox() {
    let mut fixture = Fixture::new();
    fixture.keep("mkdir -m 0 /locked; for i in 1 2 3; do mkdir -p /wide/$i/a/b; done");
    // Deeper than a path can be long.
    let mut step = Step::Overlay(fixture.rootfs.begin_step().unwrap());
    let name = OsStr::new("directory");
    let mut dir = step.root().unwrap().dir().try_clone().unwrap();
    for _ in 0..3000 {
        dir.create_dir(name, 0o755).unwrap();
        dir = dir.open_dir(name).unwrap();
    }
    drop(dir);
    freeze(step);
    fixture.sandbox.close().unwrap();
    assert_eq!(crate::runner::names_in(&state_dir()), [""; 0]);
}

pub(crate) fn the_roots_own_metadata_is_kept() {
    let mut fixture = Fixture::new();
    fixture.push(|root| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o751);
        std::fs::set_permissions(root, mode).unwrap();
    });
    assert_eq!(fixture.output("stat -c '%a %u:%g' /"), "751 0:0\n");
    let frozen = fixture.keep("touch /file");
    assert_eq!(frozen.upper.dir().metadata().unwrap().mode, 0o751);
    fixture.keep("chmod 700 /");
    let view = fixture.rootfs.view().unwrap();
    assert_eq!(view.root().dir().metadata().unwrap().mode, 0o700);
}
