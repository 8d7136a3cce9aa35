//! What the images are, before anything is built in them: kaniko's conventions, which jobs rely on.

use super::call::Call;
use super::daemon::Daemon;
use super::docker;
use super::images::Variant;
use crate::support::{Base, Context, Registry, check_image};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn config(variant: Variant) -> Value {
    let inspect = ["inspect", "--format", "{{json .Config}}", variant.tag()];
    serde_json::from_str(&Daemon::shared().docker(inspect).run()).expect("docker writes JSON")
}

fn environment(config: &Value) -> BTreeMap<&str, &str> {
    let variables = config["Env"].as_array().expect("a list of variables");
    let variables = variables.iter().filter_map(Value::as_str);
    variables
        .filter_map(|variable| variable.split_once('='))
        .collect()
}

#[test]
fn both_images_keep_kanikos_conventions() {
    for (variant, path) in [
        (Variant::Executor, "/usr/local/bin:/kaniko"),
        (Variant::Debug, "/usr/local/bin:/kaniko:/busybox"),
    ] {
        let config = config(variant);
        assert_eq!(
            config["Entrypoint"],
            json!(["/kaniko/executor"]),
            "{variant:?}"
        );
        assert_eq!(config["WorkingDir"], json!("/workspace"), "{variant:?}");
        let expected = BTreeMap::from([
            ("DOCKER_CONFIG", "/kaniko/.docker/"),
            ("HOME", "/root"),
            ("PATH", path),
            ("SSL_CERT_DIR", "/kaniko/ssl/certs"),
            ("USER", "root"),
        ]);
        assert_eq!(environment(&config), expected, "{variant:?}");
    }
}

#[test]
fn the_executor_starts_in_an_image_with_nothing_else() {
    let ended = docker::run(&[], &Call::executor(["version"]));
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(
        ended.stdout.starts_with("Sawagani version"),
        "{}",
        ended.stdout
    );
}

#[test]
fn the_debug_image_has_a_shell_under_both_of_its_names_and_the_warmer() {
    let script = "sh -c 'which executor warmer wget cat'; /bin/sh -c 'echo found'; ls /";
    let ended = docker::run(&[], &Call::script(script));
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let places = "/kaniko/executor\n/kaniko/warmer\n/busybox/wget\n/busybox/cat\nfound\n";
    let rest = ended.stdout.strip_prefix(places);
    let names = rest.unwrap_or_else(|| panic!("not where kaniko has them\n{}", ended.stdout));
    // dev, etc, proc and sys are Docker's.
    let names: Vec<&str> = names.lines().collect();
    assert_eq!(
        names,
        [
            "bin",
            "busybox",
            "dev",
            "etc",
            "kaniko",
            "proc",
            "sys",
            "var",
            "workspace"
        ]
    );
}

/// Without libraries, what a name means is still found out.
#[test]
fn names_of_registries_are_resolved() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let named = |reference: &str| reference.replace("127.0.0.1", "registry.test");
    let host = named(&registry.host());
    let context = Context::new(format!("FROM {}\nCOPY file /\n", named(&base.reference)));
    let context = context.file("file", "contents");
    let destination = format!("{host}/app:1");
    let call = Call::executor(["--insecure-registry", &host, "--destination", &destination]);
    let call = call.read_only_volume(context.path(), "/workspace");
    let ended = docker::run(&["--add-host", "registry.test:127.0.0.1"], &call);
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(check_image(&registry, "app:1", &base).tree().has("file"));
}
