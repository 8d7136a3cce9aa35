//! The other builder: Debian's buildah with a storage of its own, in no need of mounts, a daemon or the network.

use crate::support::image::Image;
use crate::support::tool::Tool;
use crate::support::{Context, TestDir};
use std::fs;

/// A storage that has the base already.
pub(crate) struct Buildah {
    dir: TestDir,
}

impl Buildah {
    pub(crate) fn new(base: &str) -> Self {
        let dir = TestDir::in_memory();
        let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        fs::write(dir.join("policy.json"), policy).expect("write the policy");
        let buildah = Self { dir };
        let pull = buildah
            .command("pull")
            .args(["--tls-verify=false", "--quiet", base]);
        pull.run();
        buildah
    }

    /// Builds the context's Dockerfile; the error is what buildah printed.
    pub(crate) fn build(&self, context: &Context) -> Result<Image, String> {
        let out = TestDir::new();
        let build = self
            .command("build")
            .args([
                "--isolation=chroot",
                "--layers=false",
                "--format=docker",
                "--pull=false",
            ])
            // A label with its version, and a time of its own, say nothing about the Dockerfile.
            .args(["--identity-label=false", "--tag=built", "."])
            .in_dir(context.path());
        let output = build.output();
        if !output.status.success() {
            return Err(format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        let layout = format!("dir:{}", out.join("image").display());
        self.command("push")
            .args(["--quiet", "built", &layout])
            .run();
        let image = Image::copied_from(&layout);
        self.command("rmi").args(["--force", "built"]).run();
        Ok(image)
    }

    fn command(&self, name: &str) -> Tool {
        let shown = |path: &str| self.dir.join(path).display().to_string();
        Tool::new("buildah")
            .args([
                "--storage-driver=vfs",
                "--root",
                &shown("root"),
                "--runroot",
                &shown("run"),
            ])
            .arg(name)
            .args(
                ["--signature-policy", &shown("policy.json")]
                    .iter()
                    .filter(|_| name != "rmi"),
            )
    }
}
