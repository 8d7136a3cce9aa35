//! The harness held against itself: a leak check that sees nothing, or a server that outlives its test, misleads.

use crate::support::base_image::BaseImage;
use crate::support::container::{self, Bundle};
use crate::support::crafted::{encode, push_index};
use crate::support::leaks::Leaks;
use crate::support::process::Running;
use crate::support::tool::Tool;
use crate::support::{
    Base, CraftedImage, Encoding, Family, Image, LayerTar, Registry, TestDir, Who,
};
use std::process::Command;
use std::time::Duration;

fn some_layer() -> LayerTar {
    LayerTar::new().dir("a/", 0o755).file("a/b", "b")
}

#[test]
fn an_index_serves_each_platform_its_own_image() {
    let registry = Registry::start();
    let image = |architecture: &str| {
        let layer = LayerTar::new().file("architecture", architecture);
        CraftedImage::new(Family::Oci)
            .architecture(architecture)
            .layer(layer, Encoding::Gzip)
    };
    push_index(&registry, &[image("amd64"), image("arm64")], "index:1");
    let index: serde_json::Value =
        serde_json::from_str(&registry.inspect("index:1", &["--raw"])).expect("JSON");
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(2));
    let own = Image::pull(&registry, "index:1");
    let expected = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    assert_eq!(own.config["architecture"], expected);
}

#[test]
fn busybox_can_be_run_and_its_exit_code_seen() {
    let registry = Registry::start();
    Base::Busybox.push_to(&registry);
    let image = Image::pull(&registry, "base/busybox:1");
    let bundle = Bundle::unpack(&image);
    let ended = bundle.run(&["sh", "-c", "id -un; echo to stderr >&2; exit 5"]);
    assert_eq!(
        (ended.code(), ended.stdout.as_str(), ended.stderr.as_str()),
        (5, "root\n", "to stderr\n")
    );
    assert_eq!(
        container::output_of(&image),
        "",
        "its own command, a shell, ends at once without input"
    );
}

#[test]
fn debian_is_a_debian_with_an_apt_that_knows_its_mirror() {
    let registry = Registry::start();
    let base = Base::Debian.push_to(&registry);
    assert_eq!(base.diff_ids.len(), 1);
    let tree = Image::pull(&registry, "base/debian:1").tree();
    assert!(tree.has("usr/bin/apt-get") && tree.has("etc/apt/sources.list"));
    assert!(
        tree.count_below("usr") > 3000,
        "only {} files",
        tree.count_below("usr")
    );
    assert_eq!(tree.names_in("var/lib/apt/lists"), Vec::<&str>::new());
}

#[test]
fn a_registry_asks_for_its_password_and_shows_its_certificate() {
    for registry in [Registry::start_with_password(), Registry::start_with_tls()] {
        CraftedImage::new(Family::Oci)
            .layer(some_layer(), Encoding::Gzip)
            .push_to(&registry, "crafted:1");
        assert_eq!(Image::pull(&registry, "crafted:1").layers.len(), 1);
        let open = Tool::new("skopeo");
        let refused = open
            .args(["inspect", "--tls-verify=true"])
            .arg(format!("docker://{}", registry.reference("crafted:1")));
        assert!(!refused.output().status.success(), "an outsider was served");
    }
}

#[test]
fn a_registry_is_gone_when_its_test_ends() {
    let registry = Registry::start();
    let host = registry.host();
    assert_eq!(registry.tags("nothing/here"), Vec::<String>::new());
    drop(registry);
    assert!(
        std::net::TcpStream::connect(host).is_err(),
        "the registry outlived its test"
    );
}

#[test]
fn a_process_a_mount_and_a_working_directory_left_behind_are_seen() {
    let dir = TestDir::new();
    let state = dir.join("state");
    std::fs::create_dir_all(state.join("sawagani-1")).expect("make a working directory");
    let mut command = Command::new("unshare");
    let script = format!(
        "mount -t tmpfs none {} && echo mounted && sleep 60",
        state.display()
    );
    command.args(["--mount", "sh", "-c", &script]);
    let mut running = Running::start("unshare", command, Duration::from_secs(30));
    running.wait_for_output("mounted");
    let leaks = Leaks::now(dir.token(), &state);
    assert!(
        !leaks.processes.is_empty() && leaks.mounts.len() == 1,
        "{leaks}"
    );
    assert_eq!(leaks.directories, ["sawagani-1"]);
    assert!(
        leaks
            .to_string()
            .contains("working directory left behind: sawagani-1")
    );
    drop(running);
    std::fs::remove_dir_all(state.join("sawagani-1")).expect("remove it");
    let leaks = Leaks::settled(dir.token(), &state);
    assert!(leaks.is_empty(), "{leaks}");
}

#[test]
fn a_program_that_does_not_end_is_killed_and_its_output_kept() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo begun; sleep 60 & sleep 60"]);
    let ended = Running::start("sh", command, Duration::from_millis(300)).wait();
    assert!(ended.timed_out && !ended.output_held_open);
    assert_eq!((ended.code(), ended.stdout.as_str()), (128 + 9, "begun\n"));
}

#[test]
fn the_ordinary_user_has_a_range_of_ids_and_no_privilege() {
    let account = Who::User.account();
    assert!(account.uid != 0 && account.gid != 0);
    for file in ["/etc/subuid", "/etc/subgid"] {
        let ranges = std::fs::read_to_string(file).expect("a range file");
        assert!(
            ranges
                .lines()
                .any(|line| line.starts_with(&format!("{}:", account.name))),
            "{file}: {ranges}"
        );
    }
}

#[test]
fn scratch_has_no_layers_and_a_gzip_layer_is_not_its_tar() {
    assert!(BaseImage::scratch().diff_ids.is_empty());
    let tar = some_layer().finish();
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        assert_ne!(encode(&tar, encoding), tar);
    }
}
