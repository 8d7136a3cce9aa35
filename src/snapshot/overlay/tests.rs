//! What the kernel leaves in an upper directory, and the changes that must come of it. Expected lists are written from
//! OCI image-spec, layer.md, and from what the operations mean.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::snapshot::scan::tests::Tree;
use step::{Mount, Step, age, set_mtime};

pub(in crate::snapshot) mod random;
pub(in crate::snapshot) mod step;

pub(in crate::snapshot) const BOTH: [OverlayXattrs; 2] =
    [OverlayXattrs::Trusted, OverlayXattrs::User];

/// Checks the changes of `work` on the tree of `prepare`: with both families of overlay attributes, and in a plain
/// directory.
#[track_caller]
fn check(prepare: impl Fn(&Path), work: impl Fn(&Path), expected: &[&str]) {
    check_overlay(&prepare, &work, expected);
    let changes = Tree::over(&prepare).changes(&work);
    assert_eq!(changes, expected, "plain directory");
}

/// Checks what only an overlay does.
#[track_caller]
fn check_overlay(prepare: impl Fn(&Path), work: impl Fn(&Path), expected: &[&str]) {
    for xattrs in BOTH {
        let step = Step::over(xattrs, &prepare).run(&work);
        assert_eq!(step.changes(), expected, "{xattrs:?}");
    }
}

pub(in crate::snapshot) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub(in crate::snapshot) fn mknod(path: &Path, file_type: rustix::fs::FileType, device: u64) {
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, path, file_type, mode, device).unwrap();
}

#[test]
fn a_step_that_changes_nothing_has_no_changes() {
    let step = Step::over(OverlayXattrs::Trusted, |lower| {
        write(&lower.join("d/f"), "x")
    });
    let (lines, summary) = step.run(|_| {}).try_changes().unwrap();
    assert!(lines.is_empty());
    assert!(summary.is_empty());
}

#[test]
fn new_files_of_every_kind_come_in_order_below_their_parents() {
    check(
        |lower| write(&lower.join("usr/bin/old"), "old"),
        |merged| {
            write(&merged.join("usr/bin/new"), "new!");
            symlink("new", merged.join("usr/bin/alias")).unwrap();
            fs::create_dir(merged.join("usr/empty")).unwrap();
            mknod(&merged.join("usr/bin.d"), rustix::fs::FileType::Fifo, 0);
            let null = rustix::fs::makedev(1, 3);
            mknod(
                &merged.join("null"),
                rustix::fs::FileType::CharacterDevice,
                null,
            );
            let disk = rustix::fs::makedev(8, 1);
            mknod(
                &merged.join("disk"),
                rustix::fs::FileType::BlockDevice,
                disk,
            );
        },
        &[
            "b disk 801",
            "c null 103",
            "d usr",
            "d usr/bin",
            "l usr/bin/alias -> new",
            "f usr/bin/new 4",
            "p usr/bin.d",
            "d usr/empty",
        ],
    );
}

#[test]
fn what_was_removed_comes_first_in_its_directory() {
    check(
        |lower| {
            for name in ["d/b", "d/z", "d/sub/x", "other/y"] {
                write(&lower.join(name), name);
            }
        },
        |merged| {
            write(&merged.join("d/a"), "new");
            fs::remove_file(merged.join("d/z")).unwrap();
            fs::remove_file(merged.join("d/b")).unwrap();
            fs::remove_dir_all(merged.join("d/sub")).unwrap();
            fs::remove_dir_all(merged.join("other")).unwrap();
        },
        &["- other", "d d", "- d/b", "- d/sub", "- d/z", "f d/a 3"],
    );
}

#[test]
fn what_the_step_made_and_removed_again_leaves_no_whiteout() {
    check(
        |lower| write(&lower.join("d/f"), "x"),
        |merged| {
            write(&merged.join("new/file"), "x");
            fs::remove_dir_all(merged.join("new")).unwrap();
            fs::rename(merged.join("d/f"), merged.join("d/g")).unwrap();
            fs::rename(merged.join("d/g"), merged.join("d/f")).unwrap();
        },
        &["d d"],
    );
}

#[test]
fn a_whiteout_made_of_a_hard_link_is_a_whiteout() {
    let names: Vec<String> = (0..5).map(|i| format!("d/{i}")).collect();
    let step = Step::over(OverlayXattrs::Trusted, |lower| {
        for name in &names {
            write(&lower.join(name), name);
        }
    });
    let step = step.run(|merged| {
        for name in &names {
            fs::remove_file(merged.join(name)).unwrap();
        }
    });
    let whiteout = fs::symlink_metadata(step.path("upper/d/4")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.nlink() > 1);
    let expected = ["d d", "- d/0", "- d/1", "- d/2", "- d/3", "- d/4"];
    assert_eq!(step.changes(), expected);
}

#[test]
fn a_directory_made_anew_deletes_what_it_does_not_have_at_every_depth() {
    check(
        |lower| {
            for name in [
                "d/gone",
                "d/sub/gone",
                "d/sub/kept",
                "d/sub/deep/gone",
                "d/none/x",
            ] {
                write(&lower.join(name), name);
            }
        },
        |merged| {
            let d = merged.join("d");
            fs::remove_dir_all(&d).unwrap();
            write(&d.join("sub/kept"), "new");
            fs::create_dir(d.join("sub/deep")).unwrap();
            write(&d.join("sub/own/file"), "own");
        },
        &[
            "d d",
            "- d/gone",
            "- d/none",
            "d d/sub",
            "- d/sub/gone",
            "d d/sub/deep",
            "- d/sub/deep/gone",
            "f d/sub/kept 3",
            "d d/sub/own",
            "f d/sub/own/file 3",
        ],
    );
}

#[test]
fn a_directory_moved_into_the_place_of_another_replaces_it_wholly() {
    check(
        |lower| {
            write(&lower.join("target/same/x"), "x");
            write(&lower.join("target/y"), "y");
        },
        |merged| {
            write(&merged.join("made/same/z"), "z");
            fs::remove_dir_all(merged.join("target")).unwrap();
            fs::rename(merged.join("made"), merged.join("target")).unwrap();
        },
        &[
            "d target",
            "- target/y",
            "d target/same",
            "- target/same/x",
            "f target/same/z 1",
        ],
    );
}

#[test]
fn an_opaque_mark_where_nothing_is_below_says_nothing() {
    for xattrs in BOTH {
        let step = Step::over(xattrs, |_| {}).run(|merged| {
            write(&merged.join("n/f"), "x");
            fs::rename(merged.join("n"), merged.join("n2")).unwrap();
        });
        let upper = Root::open(&step.path("upper")).unwrap();
        let mark = upper
            .dir()
            .xattr(OsStr::new("n2"), xattrs.opaque_key())
            .unwrap();
        assert_eq!(mark.as_deref(), Some(xattrs.opaque_value()), "{xattrs:?}");
        assert_eq!(step.changes(), ["d n2", "f n2/f 1"], "{xattrs:?}");
    }
}

#[test]
fn a_change_of_kind_is_the_entry_alone() {
    check(
        |lower| {
            write(&lower.join("dir-to-file/x"), "x");
            write(&lower.join("dir-to-link/x"), "x");
            write(&lower.join("file-to-dir"), "x");
            symlink("dir-to-file", lower.join("link-to-dir")).unwrap();
        },
        |merged| {
            fs::remove_dir_all(merged.join("dir-to-file")).unwrap();
            write(&merged.join("dir-to-file"), "file");
            fs::remove_dir_all(merged.join("dir-to-link")).unwrap();
            symlink("elsewhere", merged.join("dir-to-link")).unwrap();
            for name in ["file-to-dir", "link-to-dir"] {
                fs::remove_file(merged.join(name)).unwrap();
                write(&merged.join(name).join("x"), "new");
            }
        },
        &[
            "f dir-to-file 4",
            "l dir-to-link -> elsewhere",
            "d file-to-dir",
            "f file-to-dir/x 3",
            "d link-to-dir",
            "f link-to-dir/x 3",
        ],
    );
}

#[test]
fn a_directory_that_became_a_file_and_a_directory_again_is_replaced() {
    check(
        |lower| write(&lower.join("d/old"), "x"),
        |merged| {
            let d = merged.join("d");
            fs::remove_dir_all(&d).unwrap();
            write(&d, "file");
            fs::remove_file(&d).unwrap();
            write(&d.join("new"), "x");
        },
        &["d d", "- d/old", "f d/new 1"],
    );
}

#[test]
fn what_was_only_copied_up_is_no_change() {
    check(
        |lower| {
            write(&lower.join("d/opened"), "same");
            write(&lower.join("d/owned"), "same");
            write(&lower.join("d/moded"), "same");
            symlink("x", lower.join("d/link")).unwrap();
        },
        |merged| {
            let d = merged.join("d");
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(d.join("opened"))
                .unwrap();
            chown(d.join("owned"), Some(0), Some(0)).unwrap();
            fs::set_permissions(d.join("moded"), Permissions::from_mode(0o644)).unwrap();
            std::os::unix::fs::lchown(d.join("link"), Some(0), Some(0)).unwrap();
        },
        &[],
    );
}

#[test]
fn each_property_of_a_file_counts() {
    let names = ["content", "group", "mode", "mtime", "owner", "xattr"];
    check(
        |lower| {
            for name in names {
                write(&lower.join("d").join(name), "same");
            }
            symlink("a", lower.join("d/link")).unwrap();
        },
        |merged| {
            let d = merged.join("d");
            let before = fs::metadata(d.join("content")).unwrap().modified().unwrap();
            fs::write(d.join("content"), "SAME").unwrap();
            set_mtime(&d.join("content"), before);
            chown(d.join("group"), None, Some(7)).unwrap();
            fs::set_permissions(d.join("mode"), Permissions::from_mode(0o4755)).unwrap();
            set_mtime(&d.join("mtime"), before + std::time::Duration::from_secs(1));
            chown(d.join("owner"), Some(7), None).unwrap();
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(d.join("xattr"), "user.note", b"text", flags).unwrap();
            let link_time = fs::symlink_metadata(d.join("link"))
                .unwrap()
                .modified()
                .unwrap();
            let dir_time = fs::metadata(&d).unwrap().modified().unwrap();
            fs::remove_file(d.join("link")).unwrap();
            symlink("b", d.join("link")).unwrap();
            set_mtime(&d.join("link"), link_time);
            set_mtime(&d, dir_time);
        },
        &[
            "d d",
            "f d/content 4",
            "f d/group 4",
            "l d/link -> b",
            "f d/mode 4",
            "f d/mtime 4",
            "f d/owner 4",
            "f d/xattr 4 user.note=text",
        ],
    );
}

#[test]
fn a_directory_whose_own_mode_changed_is_a_change_without_its_contents() {
    check(
        |lower| write(&lower.join("a/b/f"), "x"),
        |merged| {
            fs::set_permissions(merged.join("a/b"), Permissions::from_mode(0o1777)).unwrap();
        },
        &["d a", "d a/b"],
    );
}

#[test]
fn the_root_itself_never_comes() {
    check(
        |_| {},
        |merged| fs::set_permissions(merged, Permissions::from_mode(0o700)).unwrap(),
        &[],
    );
}

#[test]
fn names_of_one_file_stay_together() {
    check(
        |lower| {
            write(&lower.join("d/unchanged"), "x");
            write(&lower.join("z"), "z");
        },
        |merged| {
            // Linking copies the old file up: it must be in the layer for its new name to lead to it.
            fs::hard_link(merged.join("d/unchanged"), merged.join("a-new-name")).unwrap();
            write(&merged.join("m"), "mm");
            fs::hard_link(merged.join("m"), merged.join("d/m")).unwrap();
            fs::hard_link(merged.join("m"), merged.join("d/n")).unwrap();
        },
        &[
            "f a-new-name 1",
            "d d",
            "f d/m 2",
            "h d/n => d/m",
            "h d/unchanged => a-new-name",
            "h m => d/m",
        ],
    );
}

#[test]
fn two_equal_files_that_became_one_are_a_change() {
    check(
        |lower| {
            write(&lower.join("a"), "x");
            write(&lower.join("b"), "x");
        },
        |merged| {
            let before = fs::metadata(merged).unwrap().modified().unwrap();
            fs::remove_file(merged.join("b")).unwrap();
            fs::hard_link(merged.join("a"), merged.join("b")).unwrap();
            set_mtime(merged, before);
        },
        &["f a 1", "h b => a"],
    );
}

#[test]
fn a_mode_change_of_one_name_breaks_the_link_as_overlayfs_does() {
    check_overlay(
        |lower| {
            write(&lower.join("h1"), "x");
            fs::hard_link(lower.join("h1"), lower.join("h2")).unwrap();
        },
        |merged| {
            fs::set_permissions(merged.join("h1"), Permissions::from_mode(0o600)).unwrap();
        },
        &["f h1 1"],
    );
}

#[test]
fn sockets_are_left_out_and_what_they_replaced_is_gone() {
    check(
        |lower| write(&lower.join("was-a-file"), "x"),
        |merged| {
            mknod(&merged.join("new"), rustix::fs::FileType::Socket, 0);
            fs::remove_file(merged.join("was-a-file")).unwrap();
            mknod(&merged.join("was-a-file"), rustix::fs::FileType::Socket, 0);
        },
        &["- was-a-file"],
    );
}

#[test]
fn a_name_that_means_deleted_is_an_error_that_names_it() {
    let step = Step::over(OverlayXattrs::Trusted, |_| {});
    let step = step.run(|merged| write(&merged.join("d/.wh.x"), "x"));
    let error = step.try_changes().unwrap_err();
    assert!(matches!(error, DiffError::ReservedName { .. }));
    assert!(error.to_string().contains("`d/.wh.x`"), "{error}");
}

#[test]
fn excluded_paths_are_as_if_the_step_had_not_touched_them() {
    for xattrs in BOTH {
        let mut step = Step::over(xattrs, |lower| {
            write(&lower.join("etc/hosts"), "x");
            write(&lower.join("d/kept"), "x");
        })
        .run(|merged| {
            fs::remove_file(merged.join("etc/hosts")).unwrap();
            write(&merged.join("etc/resolv.conf"), "x");
            write(&merged.join("proc/1/x"), "x");
            fs::remove_dir_all(merged.join("d")).unwrap();
            write(&merged.join("d/new"), "x");
        });
        let paths = ["etc/hosts", "etc/resolv.conf", "proc", "d/kept"];
        step.excluded = paths.iter().map(PathBuf::from).collect();
        assert_eq!(step.changes(), ["d d", "f d/new 1", "d etc"], "{xattrs:?}");
    }
}

#[test]
fn only_capabilities_and_user_attributes_are_kept() {
    check(
        |_| {},
        |merged| {
            write(&merged.join("f"), "x");
            let flags = rustix::fs::XattrFlags::empty();
            // cap_net_raw+ep, as `setcap` writes it (linux/capability.h, VFS_CAP_REVISION_2).
            let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
            let set = |key: &str, value: &[u8]| {
                rustix::fs::setxattr(merged.join("f"), key, value, flags).unwrap();
            };
            set("security.capability", capability);
            set("user.note", b"text");
            set("trusted.note", b"dropped");
        },
        &[
            "f f 1 security.capability=\\x01\\x00\\x00\\x02\\x00 \\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00 user.note=text",
        ],
    );
}

#[test]
fn attributes_of_a_nested_overlay_keep_the_names_that_the_step_gave_them() {
    check(
        |_| {},
        |merged| {
            write(&merged.join("f"), "x");
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(merged.join("f"), "user.overlay.opaque", b"y", flags).unwrap();
        },
        &["f f 1 user.overlay.opaque=y"],
    );
}

#[test]
fn data_kept_elsewhere_by_the_mount_is_an_error() {
    let step = Step::over(OverlayXattrs::User, |_| {});
    write(&step.path("upper/f"), "x");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(step.path("upper/f"), "user.overlay.metacopy", b"", flags).unwrap();
    let error = step.try_changes().unwrap_err();
    assert!(
        error.to_string().contains("`user.overlay.metacopy`"),
        "{error}"
    );
}

#[test]
fn several_layers_below_are_one_tree() {
    for xattrs in BOTH {
        let step = Step::over(xattrs, |lower| write(&lower.join("d/bottom"), "x"));
        write(&step.path("second/d/middle"), "x");
        age(&step.path("second"));
        let lowers = format!(
            "{}:{}",
            step.path("second").display(),
            step.path("lower").display()
        );
        let (upper, work) = (step.path("upper"), step.path("work"));
        let merged = Mount::of(Path::new(&lowers), Some((&upper, &work)), xattrs);
        fs::remove_dir_all(merged.path().join("d")).unwrap();
        write(&merged.path().join("d/new"), "x");
        drop(merged);
        let below = Mount::of(Path::new(&lowers), None, xattrs);
        let lower = Root::open(&below.path()).unwrap();
        let upper = Root::open(&upper).unwrap();
        let mut removed = Vec::new();
        let visit = |change: Change<'_>| {
            if let Change::Removed(path) = change {
                removed.push(path.to_path_buf());
            }
            Ok::<(), DiffError>(())
        };
        step.diff(&upper, &lower).visit(visit).unwrap();
        assert_eq!(removed, [Path::new("d/bottom"), Path::new("d/middle")]);
    }
}

#[test]
fn a_tree_of_ten_thousand_levels_is_walked() {
    const LEVELS: usize = 10_500;
    let step = Step::over(OverlayXattrs::Trusted, |_| {});
    let upper = Root::open(&step.path("upper")).unwrap();
    let name = OsStr::new("d");
    let mut dir = upper.dir().try_clone().unwrap();
    for _ in 0..LEVELS {
        dir.create_dir(name, 0o755).unwrap();
        dir = dir.open_dir(name).unwrap();
    }
    dir.create_file(OsStr::new("f"), 0o644).unwrap();
    let lower = Root::open(&step.path("lower")).unwrap();
    let mut longest = 0;
    let visit = |change: Change<'_>| {
        if let Change::Present(entry, _) = change {
            longest = longest.max(entry.path.as_os_str().as_bytes().len());
        }
        Ok::<(), DiffError>(())
    };
    let summary = step.diff(&upper, &lower).visit(visit).unwrap();
    assert_eq!(summary.files as usize, LEVELS + 1);
    assert_eq!(longest, 2 * LEVELS + 1);
    crate::fs::remove_tree(upper.dir(), name).unwrap();
}

#[test]
fn setcap_through_the_mount_lands_in_the_layer() {
    for xattrs in BOTH {
        let step = Step::over(xattrs, |lower| write(&lower.join("ping"), "x"));
        let step = step.run(|merged| {
            let status = Command::new("setcap")
                .arg("cap_net_raw+ep")
                .arg(merged.join("ping"))
                .status();
            assert!(status.expect("setcap of libcap2-bin").success());
        });
        let changes = step.changes();
        assert_eq!(changes.len(), 1);
        let expected = "f ping 1 security.capability=\\x01\\x00\\x00\\x02\\x00 \\x00\\x00";
        assert!(changes[0].starts_with(expected), "{changes:?}");
    }
}
