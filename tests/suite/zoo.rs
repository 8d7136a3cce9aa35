//! A base with a file of every kind to change, delete and link to: the argument `ZOO`.

use crate::support::{CraftedImage, Encoding, Family, LayerTar};

/// linux/capability.h, vfs_cap_data: revision 2 and the effective bit, then CAP_NET_RAW (bit 13) permitted.
const NET_RAW: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

const APPLETS: [&str; 30] = [
    "cat", "chgrp", "chmod", "chown", "cp", "dd", "echo", "grep", "head", "id", "ln", "ls",
    "mkdir", "mkfifo", "mknod", "mv", "readlink", "rm", "rmdir", "sleep", "sort", "stat", "tail",
    "test", "touch", "tr", "true", "truncate", "wc", "find",
];

/// Two layers, the second of which deletes and hides some of the first.
pub(crate) fn image() -> CraftedImage {
    CraftedImage::new(Family::Oci)
        .layer(below(), Encoding::Gzip)
        .layer(above(), Encoding::Zstd)
}

fn below() -> LayerTar {
    let applets = APPLETS.into_iter();
    let system = applets.fold(LayerTar::new().shell(), |tar, applet| {
        tar.symlink(&format!("bin/{applet}"), "busybox")
    });
    let system = system
        .dir("etc/", 0o755)
        .file(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n",
        )
        .file("etc/group", "root:x:0:\napp:x:1000:\nmedia:x:2000:app\n")
        .file("etc/hosts", "base's\n")
        .dir("root/", 0o700)
        .dir("tmp/", 0o1777)
        .dir("run/", 0o755)
        .dir("var/", 0o755)
        .symlink("var/run", "/run");
    let files = system
        .dir("base/", 0o755)
        .file("base/file", "base\n")
        .file("base/kept", "kept\n")
        .file_with("base/owned", "owned\n", 0o640, 7, &[])
        .file_with("base/setuid", "setuid\n", 0o4755, 0, &[])
        .file_with(
            "base/coloured",
            "coloured\n",
            0o644,
            0,
            &[("user.color", b"red")],
        )
        .file_with(
            "base/capable",
            "capable\n",
            0o755,
            0,
            &[("security.capability", &NET_RAW)],
        )
        .file("base/one", "twins\n")
        .hard_link("base/two", "base/one")
        .symlink("base/link", "file")
        .symlink("base/linkdir", "dir")
        .symlink("base/dangling", "nowhere")
        .fifo("base/pipe");
    files
        .dir("base/dir/", 0o755)
        .file("base/dir/a", "a\n")
        .file("base/dir/b", "b\n")
        .dir("base/dir/sub/", 0o755)
        .file("base/dir/sub/c", "c\n")
        .dir("base/other/", 0o755)
        .file("base/other/only", "only\n")
        .dir("base/pipes/", 0o755)
        .fifo("base/pipes/pipe")
        .dir("base/dev/", 0o755)
        .null_device("base/dev/null")
        .dir("base/gone/", 0o755)
        .file("base/gone/x", "x\n")
        .dir("base/opaque/", 0o755)
        .file("base/opaque/old", "old\n")
}

fn above() -> LayerTar {
    LayerTar::new()
        .dir("base/", 0o755)
        .whiteout("base/gone")
        .dir("base/opaque/", 0o755)
        .opaque("base/opaque")
        .file("base/opaque/new", "new\n")
}
