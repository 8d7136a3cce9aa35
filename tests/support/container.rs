//! An image in other hands: unpacked by `umoci`, run by `runc`.

use super::image::Image;
use super::process::{Ended, Running};
use super::test_dir::TestDir;
use super::tool::Tool;
use super::tree::Tree;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);

/// An image unpacked into a bundle that a container runtime takes.
pub(crate) struct Bundle {
    dir: TestDir,
}

impl Bundle {
    /// Unpacks with `umoci`, which reads gzip and plain layers.
    pub(crate) fn unpack(image: &Image) -> Self {
        let dir = TestDir::new();
        let layout = dir.join("layout");
        let source = format!("dir:{}", image.path().display());
        Tool::new("skopeo")
            .args(["copy", "--quiet"])
            .args([source, format!("oci:{}:latest", layout.display())])
            .run();
        let reference = format!("{}:latest", layout.display());
        Tool::new("umoci")
            .args(["unpack", "--image", &reference])
            .arg(dir.join("bundle"))
            .run();
        Self { dir }
    }

    /// Where the files lie on the disk.
    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// The files as they lie on the disk.
    pub(crate) fn tree(&self) -> Tree {
        Tree::of_directory(&self.root())
    }

    /// Runs the image's own command, or `args` where there are any, and returns how it ended.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.configure(args);
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.dir.join("runc"));
        command
            .args(["run", "--bundle"])
            .arg(self.path())
            .arg(self.dir.token());
        Running::start("runc", command, TIMEOUT).wait()
    }

    /// Takes from umoci's configuration what a test machine may not have: a terminal, cgroups that can be written,
    /// the right to raise limits, a network of its own.
    fn configure(&self, args: &[&str]) {
        let file = self.path().join("config.json");
        let mut config: Value =
            serde_json::from_slice(&fs::read(&file).expect("read the bundle's config"))
                .expect("JSON");
        config["process"]["terminal"] = json!(false);
        if !args.is_empty() {
            config["process"]["args"] = json!(args);
        }
        let remove = |value: &mut Value, field: &str| {
            value.as_object_mut().expect("an object").remove(field)
        };
        remove(&mut config["process"], "rlimits");
        remove(&mut config["linux"], "resources");
        config["mounts"]
            .as_array_mut()
            .expect("mounts")
            .retain(|mount| mount["type"] != "cgroup");
        config["linux"]["namespaces"]
            .as_array_mut()
            .expect("namespaces")
            .retain(|namespace| namespace["type"] != "network");
        fs::write(&file, config.to_string()).expect("write the bundle's config");
    }

    fn path(&self) -> PathBuf {
        self.dir.join("bundle")
    }
}

/// Unpacks the image and runs its own command; fails the test unless that ends with 0. Returns what it printed.
pub(crate) fn output_of(image: &Image) -> String {
    let ended = Bundle::unpack(image).run(&[]);
    assert_eq!(
        ended.code(),
        0,
        "the image's command failed\n{}{}",
        ended.stdout,
        ended.stderr
    );
    ended.stdout
}
