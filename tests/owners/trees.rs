//! Root directories for cases: everything in them belongs to the one id, and a list says whose it should be.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use crate::runner::ID;
use crate::support::base_image::busybox;
use crate::support::tool::Tool;
use crate::support::{Base, TestDir};

/// Beside a tree: a line `uid gid path` for each file that is not root's.
pub(crate) const OWNERS: &str = "owners";
/// The tree itself.
pub(crate) const ROOT: &str = "root";

pub(crate) struct Trees<'a> {
    dir: &'a TestDir,
}

impl<'a> Trees<'a> {
    pub(crate) fn new(dir: &'a TestDir) -> Self {
        Self { dir }
    }

    /// Makes the directory of the case `name`, with a tree in it.
    pub(crate) fn make(&self, base: Base, name: &str) -> PathBuf {
        let dir = self.dir.join(name);
        let root = dir.join(ROOT);
        fs::create_dir_all(&root).unwrap();
        match base {
            Base::Busybox => fill_with_busybox(&root),
            Base::Debian => self.fill_with_debian(&root),
        }
        fs::write(dir.join(OWNERS), give_away(&root)).unwrap();
        dir
    }

    fn fill_with_debian(&self, root: &Path) {
        let layout = Base::Debian.layout();
        let index = fs::read_to_string(layout.join("index.json")).unwrap();
        let blob = |text: &str, after: &str| {
            let at = text.find(after).unwrap();
            let digest = text[at..].split("sha256:").nth(1).unwrap();
            layout.join("blobs/sha256").join(&digest[..64])
        };
        let manifest = fs::read_to_string(blob(&index, "manifests")).unwrap();
        let layer = blob(&manifest, "layers");
        let tar = Tool::new("tar").args(["--extract", "--same-owner", "--xattrs", "--file"]);
        tar.arg(layer).arg("--directory").arg(root).run();
        for name in ["etc/resolv.conf", "etc/hosts"] {
            fs::copy(Path::new("/").join(name), root.join(name)).unwrap();
        }
    }
}

/// Gives all files to the one id, and returns whose they were.
fn give_away(root: &Path) -> String {
    let mut list = String::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let metadata = entry.path().symlink_metadata().unwrap();
        let (uid, gid) = (metadata.uid(), metadata.gid());
        if (uid, gid) != (0, 0) {
            let path = entry.path().strip_prefix(root).unwrap();
            list += &format!("{uid} {gid} {}\n", path.display());
        }
        lchown(entry.path(), Some(ID), Some(ID)).unwrap();
        if !metadata.is_symlink() {
            fs::set_permissions(entry.path(), metadata.permissions()).unwrap();
        }
    }
    list
}

fn fill_with_busybox(root: &Path) {
    let path = |name: &str| root.join(name);
    for name in ["bin", "dev", "etc", "home", "proc", "tmp"] {
        fs::create_dir(path(name)).unwrap();
        fs::set_permissions(path(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(path("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    for (name, mode) in [("bin/busybox", 0o755), ("bin/su", 0o4755)] {
        fs::copy(busybox(), path(name)).unwrap();
        fs::set_permissions(path(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let list = Tool::new("busybox").arg("--list").run();
    for applet in list
        .lines()
        .filter(|name| !["busybox", "su"].contains(name))
    {
        symlink("busybox", path("bin").join(applet)).unwrap();
    }
    let files = [
        (
            "shadow",
            "root::19000:0:99999:7:::\napp::19000:0:99999:7:::\n",
        ),
        (
            "passwd",
            "root:x:0:0:root:/tmp:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\n",
        ),
        ("group", "root:x:0:\napp:x:1000:\nvideo:x:44:app\n"),
    ];
    for (name, text) in files {
        fs::write(path("etc").join(name), text).unwrap();
    }
}
