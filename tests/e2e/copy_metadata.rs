//! What copies look like: owners, modes, times, attributes, links and special files.

use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};
use std::os::unix::net::UnixListener;

use crate::support::context::MTIME;
use crate::support::tool::Tool;
use crate::support::{Context, CraftedImage, Encoding, Family, Kind, LayerTar, Site, Tree, Who};

fn looks(tree: &Tree, path: &str) -> (u32, u64, u64) {
    let entry = tree.get(path);
    (entry.mode, entry.uid, entry.gid)
}

#[test]
fn an_octal_mode_is_that_of_created_parents_and_a_symbolic_one_is_not() {
    let site = Site::busybox();
    let context = site
        .context(
            "RUN mkdir -m 711 /there\n\
             COPY --chmod=770 foo /parent/sub/foo\nCOPY --chmod=u=rwX,go=r foo /symbolic/sub/foo\nCOPY --chmod=770 foo /there/foo\n\
             COPY --chmod=u+x,g=u,o= tree /letters\nCOPY --chmod=+x,a-w foo /plus\nCOPY --chmod=07755 foo /special\nCOPY --chmod=a=rX tree /x\n\
             COPY --chmod=0 foo /none",
        )
        .file("foo", "")
        .mode("foo", 0o640)
        .file("tree/dir/file", "")
        .mode("tree/dir", 0o700)
        .file("tree/script", "")
        .mode("tree/script", 0o611);
    let tree = site.build_as_both(&context);
    let mode = |path: &str| tree.get(path).mode;
    assert_eq!((mode("parent"), mode("parent/sub")), (0o770, 0o770));
    assert_eq!(mode("parent/sub/foo"), 0o770);
    assert_eq!((mode("symbolic"), mode("symbolic/sub")), (0o755, 0o755));
    assert_eq!(mode("symbolic/sub/foo"), 0o644);
    assert_eq!((mode("there"), mode("there/foo")), (0o711, 0o770));
    assert_eq!(
        (mode("letters/dir"), mode("letters/dir/file")),
        (0o770, 0o770)
    );
    assert_eq!(mode("plus"), 0o551);
    assert_eq!(mode("special"), 0o7755);
    assert_eq!(
        (mode("x/dir"), mode("x/dir/file"), mode("x/script")),
        (0o555, 0o444, 0o555),
        "X is for directories and what can be executed already"
    );
    assert_eq!(mode("none"), 0);
}

#[test]
fn owners_are_numbers_or_names_of_the_destination() {
    let site = Site::busybox();
    let base = &site.base;
    let context = Context::new(format!(
        "FROM {base} AS other\nRUN echo app:x:77:88::/:/bin/sh > /etc/passwd && mkdir /out && touch /out/f && chown -R 9:10 /out\n\
         FROM {base}\nCOPY f /context\nCOPY --from=other /out /stage\nCOPY --from=other --chown=app /out /named\n\
         COPY --chown=app: f /colon\nCOPY --chown=:media f /group\nCOPY --chown=root:5 f /of-root\nCOPY --chown=5:root f /of-roots\n\
         COPY --chown=12 f /made/by/number\nUSER app\nCOPY f /user\nCOPY --chown=nobody-here:nothing f /unknown\n"
    ))
    .file("f", "");
    let build = site.executor(Who::Root, &context).run();
    build.assert_success();
    for name in ["nobody-here", "nothing"] {
        let warned = build.stderr().lines().any(|line| {
            line.starts_with("warning: ") && line.contains("Dockerfile:14") && line.contains(name)
        });
        assert!(warned, "{name}: {}", build.report());
    }
    let tree = site.build_as_both(&context);
    let owner = |path: &str| (tree.get(path).uid, tree.get(path).gid);
    for (path, expected) in [
        ("context", (0, 0)),
        ("stage", (0, 0)),
        ("stage/f", (9, 10)),
        ("named", (1000, 1000)),
        ("named/f", (1000, 1000)),
        ("colon", (1000, 0)),
        ("group", (0, 2000)),
        ("of-root", (0, 5)),
        ("of-roots", (5, 0)),
        ("made", (12, 12)),
        ("made/by", (12, 12)),
        ("user", (0, 0)),
        ("unknown", (0, 0)),
    ] {
        assert_eq!(owner(path), expected, "{path}");
    }
}

#[test]
fn the_top_directory_is_the_destinations_own_and_those_below_are_the_sources() {
    let site = Site::busybox();
    let context = site
        .context(
            "RUN mkdir -p /there/sub /there/other && chown -R 5:6 /there && chmod 700 /there /there/sub\n\
             COPY tree /there\nCOPY tree /new\nCOPY --chown=7:8 tree /owned",
        )
        .file("tree/sub/f", "")
        .mode("tree/sub", 0o711)
        .mode("tree", 0o750)
        .mtime("tree/sub", 1_111_111_111)
        .mtime("tree", 1_222_222_222);
    let tree = site.build_as_both(&context);
    assert_eq!(looks(&tree, "there"), (0o700, 5, 6));
    assert_eq!(looks(&tree, "there/sub"), (0o711, 0, 0));
    assert_eq!(looks(&tree, "there/other"), (0o755, 5, 6));
    assert_eq!(looks(&tree, "new"), (0o755, 0, 0));
    assert_eq!(looks(&tree, "owned"), (0o755, 7, 8));
    assert_eq!(looks(&tree, "owned/sub"), (0o711, 7, 8));
    for top in ["there", "new", "owned"] {
        assert_eq!(tree.get(top).mtime, 1_222_222_222, "{top}");
        let sub = format!("{top}/sub");
        assert_eq!(tree.get(&sub).mtime, 1_111_111_111, "{sub}");
        let file = format!("{top}/sub/f");
        assert_eq!(tree.get(&file).mtime, MTIME, "{file}");
    }
}

#[test]
fn special_files_are_made_anew_and_sockets_become_empty_files() {
    let site = Site::busybox();
    let context = site
        .context("COPY special /special/\nCOPY special/fifo /alone")
        .file("special/f", "")
        .hard_link("special/twin", "special/f")
        .symlink("special/link", "/absolute");
    let at = |name: &str| context.path().join("special").join(name);
    Tool::new("mkfifo")
        .arg("-m")
        .arg("640")
        .arg(at("fifo"))
        .run();
    let _listener = UnixListener::bind(at("socket")).expect("make a socket");
    let tree = site.build_as_both(&context);
    assert_eq!(
        (
            &tree.get("special/fifo").kind,
            tree.get("special/fifo").mode
        ),
        (&Kind::Fifo, 0o640)
    );
    assert_eq!(tree.get("alone").kind, Kind::Fifo);
    assert_eq!(tree.get("special/socket").kind, Kind::file(""));
    assert!(tree.are_hard_links("special/f", "special/twin"));

    let devices = LayerTar::new().dir("d/", 0o755).null_device("d/null");
    CraftedImage::new(Family::Oci)
        .layer(devices, Encoding::Gzip)
        .push_to(&site.registry, "devices:1");
    let from = site.registry.reference("devices:1");
    let context = site.context(&format!("COPY --from={from} /d /dev-copy"));
    let tree = site.build(Who::Root, &context).tree();
    assert!(matches!(
        tree.get("dev-copy/null").kind,
        Kind::Device {
            is_block: false,
            ..
        }
    ));
}

#[test]
fn attributes_are_kept_from_images_stages_and_archives_and_not_from_the_context() {
    let site = Site::busybox();
    let note: &[(&str, &[u8])] = &[("user.note", b"kept")];
    let tar = || LayerTar::new().file_with("noted", "n", 0o644, 3, note);
    CraftedImage::new(Family::Oci)
        .layer(tar(), Encoding::Gzip)
        .push_to(&site.registry, "noted:1");
    let noted = site.registry.reference("noted:1");
    let base = &site.base;
    let context = Context::new(format!(
        "FROM {noted} AS stage\n\
         FROM {base}\nCOPY --from={noted} /noted /image\nCOPY --from=stage /noted /stage\nADD a.tar /archive\nCOPY able /able\n"
    ))
    .file("a.tar", tar().finish())
    .file("able", "");
    let able = context.path().join("able");
    // Whoever gives a file away takes its capabilities.
    let executor = site.executor(Who::Root, &context);
    Tool::new("setcap").arg("cap_net_raw+ep").arg(&able).run();
    setxattr(&able, "user.note", b"lost", XattrFlags::empty()).expect("set an attribute");
    let tree = site.build_with(executor).tree();
    for path in ["image", "stage", "archive/noted"] {
        let xattrs = &tree.get(path).xattrs;
        assert_eq!(
            xattrs.get("user.note").map(Vec::as_slice),
            Some(&b"kept"[..]),
            "{path}"
        );
    }
    let able: Vec<&String> = tree.get("able").xattrs.keys().collect();
    assert_eq!(able, ["security.capability"]);
}

/// In an overlay it would be a deletion, and no layer has it.
#[test]
fn a_device_that_means_a_deletion_is_refused_wherever_files_are_kept() {
    let site = Site::busybox();
    for flags in ["", "--link "] {
        let context = site.context(&format!("COPY {flags}mark /etc/passwd"));
        let mark = context.path().join("mark");
        mknodat(CWD, &mark, FileType::CharacterDevice, Mode::RUSR, 0).expect("make a device");
        for storage in ["--storage=overlay", "--storage=tree"] {
            let build = site.executor(Who::Root, &context).arg(storage).run();
            build.assert_error(1, &["Dockerfile:2", "create device", "not permitted"]);
        }
    }
}
