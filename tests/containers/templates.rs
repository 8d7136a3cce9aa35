//! The templates in `deploy/`, each done as the system does it that it is for: what they mount, set and run, in a real
//! container with what they ask for, against real registries.

mod gitlab;
mod jenkins;
mod kaniko_jobs;
mod kubernetes;
mod tekton;

use crate::support::tool::Tool;
use crate::support::{Base, BaseImage, Registry, TestDir, registry};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The registry that the templates name.
const NAMED_REGISTRY: &str = "registry.example.com";

/// A registry that wants a password, with a base in it, and a checkout to build on it.
struct Project {
    registry: Registry,
    base: BaseImage,
    checkout: TestDir,
}

impl Project {
    /// `lines` is the Dockerfile, in which `BASE` is the base's reference without its own name, `busybox:1`.
    fn new(lines: &str) -> Self {
        Self::on(Registry::start_with_password(), lines)
    }

    /// As `new`, on a registry of another kind.
    fn on(registry: Registry, lines: &str) -> Self {
        let base = Base::Busybox.push_to(&registry);
        let checkout = TestDir::new();
        let bases = format!("{}/base", registry.host());
        fs::write(checkout.join("Dockerfile"), lines.replace("BASE", &bases))
            .expect("write the Dockerfile");
        fs::write(checkout.join("greeting"), "hello\n").expect("write a file of the context");
        Self {
            registry,
            base,
            checkout,
        }
    }

    /// A template, as its user has it: with another registry in it.
    fn template(&self, path: &str) -> Value {
        let text = fs::read_to_string(file(path)).expect("read a template");
        let adapted = TestDir::new();
        let copy = adapted.join("template");
        fs::write(&copy, text.replace(NAMED_REGISTRY, &self.registry.host())).expect("write");
        yaml(&copy)
    }

    /// The directory that the kubelet makes of a secret with credentials: links into a directory that it exchanges.
    fn secret(&self) -> TestDir {
        let secret = TestDir::new();
        fs::create_dir(secret.join("..2026_11_21")).expect("make a directory");
        fs::write(
            secret.join("..2026_11_21/config.json"),
            self.credentials().to_string(),
        )
        .expect("write the credentials");
        symlink("..2026_11_21", secret.join("..data")).expect("link");
        symlink("..data/config.json", secret.join("config.json")).expect("link");
        secret
    }

    fn credentials(&self) -> Value {
        let login = json!({"username": registry::USER, "password": registry::PASSWORD});
        let mut auths = json!({"auths": {}});
        auths["auths"][self.registry.host()] = login;
        auths
    }
}

/// A directory that all may write to, as an emptyDir.
fn empty_dir() -> TestDir {
    let dir = TestDir::new();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("open it to all");
    dir
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}

/// Reads a file as other programs read YAML.
fn yaml(path: &Path) -> Value {
    let convert =
        "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let output = Tool::new("python3")
        .args(["-c", convert])
        .arg(path)
        .output();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        !complaint.contains("No module named 'yaml'"),
        "python's `yaml` is missing: install the Debian package `python3-yaml`, or run `.ci/run`"
    );
    assert!(output.status.success(), "{}: {complaint}", path.display());
    serde_json::from_slice(&output.stdout).expect("python writes JSON")
}

/// The strings of a list; none where there is no list.
fn strings(value: &Value) -> Vec<String> {
    let values = value.as_array().map_or(&[][..], Vec::as_slice);
    let strings = values.iter().map(|value| value.as_str().expect("a string"));
    strings.map(str::to_owned).collect()
}
