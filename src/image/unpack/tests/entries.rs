//! What each kind of entry becomes.

use std::process::Command;

use tar::EntryType;

use super::*;

/// Version 2 of the attribute, effective, with CAP_NET_RAW permitted (linux/capability.h).
const NET_RAW: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

#[test]
fn every_kind_gets_owner_mode_and_time() {
    let tree = Tree::new();
    let owned = |header: &mut tar::Header| {
        header.set_uid(1000);
        header.set_gid(2000);
        header.set_mode(0o751);
        header.set_mtime(1_234_567_890);
    };
    let device = |header: &mut tar::Header| {
        owned(header);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    };
    let archive = TestArchive::new()
        .entry(EntryType::Directory, "d/", "", b"", owned)
        .entry(EntryType::Regular, "d/file", "", b"text", owned)
        .entry(EntryType::Symlink, "d/link", "/any/where", b"", owned)
        .entry(EntryType::Fifo, "d/pipe", "", b"", owned)
        .entry(EntryType::Char, "d/null", "", b"", device)
        .entry(EntryType::Block, "d/disk", "", b"", device);
    let unpacked = tree.unpack(Form::Tree, archive).unwrap();
    assert_eq!((unpacked.entries, unpacked.bytes), (6, 4));
    let listing = tree.listing();
    let common = "0751 1000:2000 1234567890";
    assert_eq!(listing["d"], format!("{common} dir"));
    assert_eq!(listing["d/file"], format!("{common} file \"text\""));
    assert_eq!(listing["d/pipe"], format!("{common} special 0"));
    assert_eq!(listing["d/null"], format!("{common} special 403"));
    assert!(tree.metadata("d/disk").file_type().is_block_device());
    assert_eq!(listing["d/disk"], format!("{common} special 403"));
    assert_eq!(listing["d/link"], "0777 1000:2000 1234567890 -> /any/where");
}

#[test]
fn setuid_setgid_and_sticky_bits_survive_the_change_of_owner() {
    let tree = Tree::new();
    let with = |mode: u32| {
        move |header: &mut tar::Header| {
            header.set_uid(7);
            header.set_gid(8);
            header.set_mode(mode);
        }
    };
    let archive = TestArchive::new()
        .entry(EntryType::Regular, "su", "", b"x", with(0o4755))
        .entry(EntryType::Regular, "sg", "", b"x", with(0o2711))
        .entry(EntryType::Directory, "tmp", "", b"", with(0o1777))
        .entry(EntryType::Directory, "shared", "", b"", with(0o2775))
        .file("shared/plain", "");
    tree.unpack(TRUSTED, archive).unwrap();
    let mode = |name: &str| tree.metadata(name).mode() & 0o7777;
    assert_eq!((mode("su"), mode("sg")), (0o4755, 0o2711));
    assert_eq!((mode("tmp"), mode("shared")), (0o1777, 0o2775));
    // A setgid directory gives its group to new files: the archive says otherwise.
    assert_eq!(tree.metadata("shared/plain").gid(), 0);
    assert_eq!(mode("shared/plain"), 0o644);
}

#[test]
fn times_have_nanoseconds_and_those_of_directories_are_of_the_archive() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .pax("mtime", b"1500000000.25")
        .dir("d")
        .pax("mtime", b"-3.5")
        .file("d/old", "")
        .dir("d/sub")
        .file("d/sub/late", "")
        .pax("mtime", b"1400000000.000000001")
        .symlink("d/link", "x");
    tree.unpack(TRUSTED, archive).unwrap();
    let mtime = |name: &str| {
        let metadata = tree.metadata(name);
        (metadata.mtime(), metadata.mtime_nsec())
    };
    assert_eq!(mtime("d"), (1_500_000_000, 250_000_000));
    assert_eq!(mtime("d/old"), (-4, 500_000_000));
    assert_eq!(mtime("d/sub"), (1_600_000_000, 0));
    assert_eq!(mtime("d/link"), (1_400_000_000, 1));
}

#[test]
fn capabilities_and_attributes_of_users_are_kept_and_others_dropped() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .pax("SCHILY.xattr.security.capability", &NET_RAW)
        .pax("SCHILY.xattr.user.note", b"one\ntwo\0three")
        .pax("SCHILY.xattr.trusted.secret", b"x")
        .pax("SCHILY.xattr.trusted.overlay.opaque", b"y")
        .pax("SCHILY.xattr.user.overlay.redirect", b"/etc")
        .pax("SCHILY.xattr.security.selinux", b"x")
        .entry(EntryType::Regular, "ping", "", b"program", |header| {
            header.set_uid(5);
            header.set_mode(0o755);
        });
    let unpacked = tree.unpack(USER, archive).unwrap();
    assert_eq!(unpacked.skipped_xattrs, Skipped::default());
    let xattrs = tree.root.dir().xattrs(OsStr::new("ping")).unwrap();
    let keys: Vec<&str> = xattrs.keys().map(|key| key.to_str().unwrap()).collect();
    assert_eq!(keys, ["security.capability", "user.note"]);
    assert_eq!(xattrs[OsStr::new("security.capability")], NET_RAW);
    assert_eq!(xattrs[OsStr::new("user.note")], b"one\ntwo\0three");
}

#[test]
fn a_layer_cannot_bring_marks_of_overlayfs_on_a_directory() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .pax("SCHILY.xattr.user.overlay.opaque", b"y")
        .pax("SCHILY.xattr.trusted.overlay.opaque", b"y")
        .pax("SCHILY.xattr.user.fine", b"z")
        .dir("d");
    tree.unpack(USER, archive).unwrap();
    let xattrs = tree.root.dir().xattrs(OsStr::new("d")).unwrap();
    let keys: Vec<&OsStr> = xattrs.keys().map(|key| &**key).collect();
    assert_eq!(keys, [OsStr::new("user.fine")]);
}

#[test]
fn attributes_that_a_kind_of_file_cannot_have_are_counted_and_no_error() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .pax("SCHILY.xattr.user.note", b"x")
        .symlink("link", "x");
    let unpacked = tree.unpack(TRUSTED, archive).unwrap();
    assert_eq!(unpacked.skipped_xattrs.count, 1);
    assert_eq!(unpacked.skipped_xattrs.first, [Path::new("link")]);
    assert!(tree.exists("link"));
}

#[test]
fn a_capability_that_cannot_be_set_is_an_error() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .pax("SCHILY.xattr.security.capability", b"nonsense")
        .file("ping", "");
    let (entry, error) = entry_error(tree.unpack(TRUSTED, archive));
    assert_eq!(entry, "ping");
    assert!(matches!(error, EntryError::Capability(_)), "{error:?}");
}

#[test]
fn hard_links_share_a_file_and_may_be_to_symbolic_links() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .dir("d")
        .file("d/file", "text")
        .hard_link("other", "/d/file")
        .symlink("soft", "nowhere")
        .hard_link("d/soft2", "./soft");
    tree.unpack(Form::Archive, archive).unwrap();
    assert_eq!(tree.metadata("other").ino(), tree.metadata("d/file").ino());
    assert_eq!(tree.metadata("soft").ino(), tree.metadata("d/soft2").ino());
    assert!(tree.metadata("soft").is_symlink());
}

#[test]
fn the_target_of_a_hard_link_may_lie_behind_a_link_inside() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .dir("usr")
        .dir("usr/bin")
        .symlink("bin", "/usr/bin")
        .file("usr/bin/tool", "tool")
        .hard_link("alias", "bin/tool");
    tree.unpack(TRUSTED, archive).unwrap();
    assert_eq!(tree.text("alias"), "tool");
    assert_eq!(tree.metadata("alias").nlink(), 2);
}

#[test]
fn a_file_with_holes_takes_only_the_room_of_its_contents() {
    let tree = Tree::new();
    let source = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(source.path().join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", 64 * 1024 * 1024).unwrap();
    file.set_len(1024 * 1024 * 1024).unwrap();
    for (format, form) in [("--format=gnu", TRUSTED), ("--format=pax", Form::Tree)] {
        let output = Command::new("tar")
            .args([format, "-S", "-cf", "-", "sparse"])
            .current_dir(source.path())
            .output()
            .expect("this test needs GNU tar");
        let options = UnpackOptions { form, owner: None };
        let unpacked = unpack(&output.stdout[..], &tree.root, &options).unwrap();
        assert!(unpacked.bytes <= 64 * 1024, "{format}: {}", unpacked.bytes);
        let metadata = tree.metadata("sparse");
        assert_eq!(metadata.len(), 1024 * 1024 * 1024, "{format}");
        assert!(metadata.blocks() * 512 <= 1024 * 1024, "{format}");
        let mut end = [0; 4];
        let file = std::fs::File::open(tree.path("sparse")).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut end, 64 * 1024 * 1024).unwrap();
        assert_eq!(&end, b"end\0", "{format}");
    }
}

#[test]
fn archives_of_gnu_tar_come_out_as_they_went_in() {
    let source = Tree::new();
    let long = "long-name-".repeat(20);
    std::fs::create_dir_all(source.path(&format!("{long}/unicode-ü-名"))).unwrap();
    std::fs::write(source.path(&format!("{long}/unicode-ü-名/file")), "text").unwrap();
    std::fs::hard_link(
        source.path(&format!("{long}/unicode-ü-名/file")),
        source.path("hard"),
    )
    .unwrap();
    std::os::unix::fs::symlink(&long, source.path("soft")).unwrap();
    std::os::unix::fs::chown(source.path("hard"), Some(123), Some(456)).unwrap();
    std::fs::set_permissions(source.path("hard"), PermissionsExt::from_mode(0o4750)).unwrap();
    for format in ["--format=gnu", "--format=pax", "--format=oldgnu"] {
        let output = Command::new("tar")
            .args([format, "--numeric-owner", "--sort=name", "-cf", "-", "."])
            .current_dir(source.path(""))
            .output()
            .expect("this test needs GNU tar");
        assert!(output.status.success());
        let tree = Tree::new();
        let options = UnpackOptions {
            form: TRUSTED,
            owner: None,
        };
        let unpacked = unpack(&output.stdout[..], &tree.root, &options).unwrap();
        assert!(unpacked.implied_dirs.is_empty(), "{format}");
        assert_eq!(tree.listing(), source.listing(), "{format}");
        assert_eq!(tree.metadata("hard").nlink(), 2, "{format}");
    }
}

/// Set where this test program runs a second time, in a user namespace of one id.
const IN_NAMESPACE: &str = "SAWAGANI_TEST_IN_NAMESPACE";

#[test]
fn in_a_user_namespace_devices_are_left_out_and_owners_outside_of_it_refused() {
    if std::env::var_os(IN_NAMESPACE).is_some() {
        return unpack_in_namespace();
    }
    let name = "in_a_user_namespace_devices_are_left_out_and_owners_outside_of_it_refused";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--nocapture"])
        .env(IN_NAMESPACE, "1")
        .output()
        .expect("this test needs `unshare` of util-linux, and root");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

fn unpack_in_namespace() {
    let tree = Tree::new();
    let archive = TestArchive::new()
        .char_device("null", 1, 3)
        .pax("SCHILY.xattr.security.capability", &NET_RAW)
        .file("program", "text")
        .file(".wh.deleted", "")
        .dir("d")
        .file("d/.wh..wh..opq", "");
    let unpacked = tree.unpack(USER, archive).unwrap();
    assert_eq!(unpacked.skipped_devices.first, [Path::new("null")]);
    assert!(!tree.exists("null"));
    let capability = tree.xattr("program", "security.capability");
    assert_eq!(capability.as_deref(), Some(&NET_RAW[..]));
    assert!(tree.is_whiteout("deleted"));
    assert!(tree.is_opaque("d", OverlayXattrs::User));

    let archive = TestArchive::new().pax("gid", b"10").file("foreign", "");
    let (entry, error) = entry_error(tree.unpack(USER, archive));
    assert_eq!(entry, "foreign");
    let is_expected = matches!(error, EntryError::OwnerNotMapped { gid: 10, .. });
    assert!(is_expected, "{error:?}");
    assert!(error.to_string().contains("0:10"), "{error}");
}
