//! Real base images, made once per machine by other tools: busybox, and Debian as `debootstrap` makes it.

use super::cache;
use super::image::Image;
use super::registry::Registry;
use super::tool::Tool;
use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The release that the Debian image is made of, whatever the machine itself runs.
const DEBIAN_RELEASE: &str = "bookworm";

const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

#[derive(Clone, Copy, Debug)]
pub(crate) enum Base {
    /// A static busybox with a name for each applet, root's account and an ordinary one (`app`, 1000:1000).
    Busybox,
    /// Debian's minimal system, with the machine's own mirror: `apt-get update` works in it.
    Debian,
}

/// A base in a test's registry, and what it is made of; shown, it is the reference for a `FROM`.
pub(crate) struct BaseImage {
    pub(crate) reference: String,
    /// The layers that must come first, and unchanged, in whatever is built on it. Empty for `scratch`.
    pub(crate) diff_ids: Vec<String>,
}

impl Base {
    /// Pushes the base into `registry`, making it first where this machine has not got it yet.
    pub(crate) fn push_to(self, registry: &Registry) -> BaseImage {
        let name = match self {
            Self::Busybox => "base/busybox:1",
            Self::Debian => "base/debian:1",
        };
        registry.push(&format!("oci:{}:latest", self.layout().display()), name);
        BaseImage::in_registry(registry, name)
    }

    /// Returns the base as an OCI layout, making it first where this machine has not got it yet.
    pub(crate) fn layout(self) -> PathBuf {
        let entry = match self {
            Self::Busybox => cache::entry("busybox-2", make_busybox),
            Self::Debian => cache::entry("debian-1", make_debian),
        };
        entry.join("layout")
    }
}

impl BaseImage {
    /// An image that is in the registry already.
    pub(crate) fn in_registry(registry: &Registry, name: &str) -> Self {
        Self {
            reference: registry.reference(name),
            diff_ids: Image::pull(registry, name).diff_ids(),
        }
    }

    pub(crate) fn scratch() -> Self {
        Self {
            reference: "scratch".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

impl fmt::Display for BaseImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference)
    }
}

fn make_busybox(dir: &Path) {
    let root = dir.join("rootfs");
    for (path, mode) in [
        ("bin", 0o755),
        ("etc", 0o755),
        ("home/app", 0o755),
        ("root", 0o700),
        ("tmp", 0o1777),
        ("var", 0o755),
    ] {
        fs::create_dir_all(root.join(path)).expect("make a directory of the base");
        fs::set_permissions(root.join(path), Permissions::from_mode(mode)).expect("set a mode");
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find(|path| Path::new(path).exists());
    let busybox = busybox.expect(
        "`busybox` is missing: install the Debian package `busybox-static`, or run `.ci/run`",
    );
    fs::copy(busybox, root.join("bin/busybox")).expect("copy busybox");
    fs::set_permissions(root.join("bin/busybox"), Permissions::from_mode(0o755))
        .expect("set a mode");
    for applet in Tool::new("busybox")
        .arg("--list")
        .run()
        .lines()
        .filter(|applet| *applet != "busybox")
    {
        let path = root.join("bin").join(applet);
        // A name of one file, and no file of its own: ext4 takes long to make so many where as many were just removed.
        match applet {
            "sh" => symlink("busybox", path).expect("link the shell"),
            _ => fs::hard_link(root.join("bin/busybox"), path).expect("link an applet"),
        }
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n",
    )
    .expect("write");
    fs::write(
        root.join("etc/group"),
        "root:x:0:\napp:x:1000:\nmedia:x:2000:app\n",
    )
    .expect("write");
    Tool::new("chown")
        .arg("1000:1000")
        .arg(root.join("home/app"))
        .run();
    into_layout(dir, &root, &["--config.cmd=/bin/sh"]);
}

/// The machine's busybox, which must be the static one.
pub(crate) fn busybox() -> &'static Path {
    let places = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = places.into_iter().find(|path| path.exists());
    busybox.expect(
        "`busybox` is missing: install the Debian package `busybox-static`, or run `.ci/run`",
    )
}

fn make_debian(dir: &Path) {
    let root = dir.join("rootfs");
    let mirror = mirror();
    Tool::new("debootstrap")
        .arg("--variant=minbase")
        .arg(DEBIAN_RELEASE)
        .arg(&root)
        .arg(&mirror)
        .run();
    fs::write(
        root.join("etc/apt/sources.list"),
        format!("deb {mirror} {DEBIAN_RELEASE} main\n"),
    )
    .expect("write the mirror");
    fs::write(
        root.join("etc/apt/apt.conf.d/90machine"),
        machine_settings(),
    )
    .expect("write apt's settings");
    // What an image of Debian leaves out: downloads, package lists, and the name of the machine that made it.
    for emptied in ["var/cache/apt", "var/lib/apt/lists", "var/log"] {
        fs::remove_dir_all(root.join(emptied)).expect("empty a directory");
        fs::create_dir(root.join(emptied)).expect("make it again");
    }
    for name in ["etc/hostname", "etc/resolv.conf"] {
        // Not every version of debootstrap writes both.
        let _ = fs::remove_file(root.join(name));
    }
    into_layout(dir, &root, &["--config.cmd=bash"]);
}

/// Makes `<dir>/layout`, an OCI layout with one image of one layer, and removes the tree that it was made of.
fn into_layout(dir: &Path, root: &Path, config: &[&str]) {
    let path = "--config.env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Tool::new("tar")
        .in_dir(dir)
        .args([
            "--create",
            "--file=layer.tar",
            "--format=pax",
            "--sort=name",
            "--numeric-owner",
            "--xattrs",
        ])
        .args([
            "--pax-option=delete=atime,delete=ctime",
            "--mtime=@1500000000",
            "--clamp-mtime",
        ])
        .arg("--directory")
        .arg(root)
        .arg(".")
        .run();
    let umoci = |args: &[&str]| Tool::new("umoci").in_dir(dir).args(args).run();
    umoci(&["init", "--layout", "layout"]);
    umoci(&["new", "--image", "layout:latest"]);
    umoci(&["raw", "add-layer", "--image", "layout:latest", "layer.tar"]);
    umoci(&[&["config", "--image", "layout:latest", path], config].concat());
    umoci(&["gc", "--layout", "layout"]);
    fs::remove_file(dir.join("layer.tar")).expect("remove the layer's tar");
    fs::remove_dir_all(root).expect("remove the tree");
}

/// The mirror that this machine's apt uses for the release; Debian's own where it names none.
fn mirror() -> String {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.map(|entry| entry.expect("read apt's sources").path()));
    }
    files.sort();
    let texts = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    texts
        .flat_map(|text| mirrors_in(&text))
        .next()
        .unwrap_or_else(|| DEFAULT_MIRROR.to_owned())
}

/// Mirrors of the release in one file, in the one-line form (`deb URI SUITE main`) or in stanzas (`URIs:`, `Suites:`).
fn mirrors_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name));
        if let (Some(uris), Some(suites)) = (field("URIs:"), field("Suites:")) {
            if suites
                .split_whitespace()
                .any(|suite| suite == DEBIAN_RELEASE)
            {
                found.extend(uris.split_whitespace().map(str::to_owned));
            }
            continue;
        }
        for line in stanza.lines().filter(|line| line.starts_with("deb ")) {
            let words: Vec<&str> = line
                .split_whitespace()
                .filter(|word| !word.contains(['[', ']', '=']))
                .collect();
            if words.get(2) == Some(&DEBIAN_RELEASE) {
                found.push(words[1].to_owned());
            }
        }
    }
    found
}

/// The machine's proxy and clock settings of apt: without them its mirror may not be reached, or not be believed.
fn machine_settings() -> String {
    let dump = Tool::new("apt-config").arg("dump").run();
    let wanted = [
        "Acquire::http::Proxy",
        "Acquire::https::Proxy",
        "Acquire::Check-",
    ];
    dump.lines()
        .filter(|line| wanted.iter().any(|start| line.starts_with(start)))
        .map(|line| format!("{line}\n"))
        .collect()
}
