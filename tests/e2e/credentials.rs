//! Who may get in: every place where a login is looked for, in its order, and `executor login`. The registry is the real
//! one, with a password.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::registry::{PASSWORD, USER};
use crate::support::{Context, Executor, Registry, Who};

/// base64 of `USER:PASSWORD`.
const AUTH: &str = "ZTJlOnNlc2FtZS1lMmU=";

fn app() -> Context {
    Context::new("FROM scratch\nCOPY file /\n").file("file", "x")
}

fn config(registry: &Registry) -> String {
    format!(
        r#"{{"auths":{{"{}":{{"auth":"{AUTH}"}}}}}}"#,
        registry.host()
    )
}

/// A directory of programs: the usual ones, and one helper.
fn with_helper(executor: Executor, helpers: &Context) -> Executor {
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", helpers.path().display());
    executor.env("PATH", path)
}

fn helper(name: &str, script: &str) -> Context {
    let program = format!("docker-credential-{name}");
    Context::without_dockerfile()
        .file(&program, format!("#!/bin/sh\n{script}\n"))
        .mode(&program, 0o755)
}

#[test]
fn every_source_of_credentials_opens_a_registry() {
    assert_eq!((USER, PASSWORD), ("e2e", "sesame-e2e"));
    let registry = Registry::start_with_password();
    let host = registry.host();
    let config = config(&registry);
    let context = app();
    let files = Context::without_dockerfile()
        .file("config.json", &config)
        .file("containers/auth.json", &config)
        .file(".docker/config.json", &config)
        .file(".config/containers/auth.json", &config)
        // A file that lacks the host is not the last that is asked.
        .file(
            "other/config.json",
            r#"{"auths":{"other.example":{"auth":"YTpi"}}}"#,
        );
    let dir = files.path().to_str().expect("a path of ASCII");
    let in_dir = |path: &str| format!("{dir}/{path}");
    let scoped =
        format!(r#"{{"auths":{{"{host}":{{"auth":"YTpi"}},"{host}/group":{{"auth":"{AUTH}"}}}}}}"#);
    let (other, auth_file) = (in_dir("other"), in_dir("config.json"));
    let port = host.rsplit_once(':').expect("a port").1;
    let with_port = format!("KANIKO_127_0_0_1_{port}");
    let [own_user, own_password] = ["USER", "PASSWORD"].map(|end| format!("{with_port}_{end}"));
    let cases: [(&str, Vec<(&str, &str)>); 11] = [
        ("DOCKER_CONFIG", vec![("DOCKER_CONFIG", dir)]),
        ("DOCKER_AUTH_CONFIG", vec![("DOCKER_AUTH_CONFIG", &config)]),
        ("path", vec![("DOCKER_AUTH_CONFIG", &scoped)]),
        ("HOME", vec![("HOME", dir), ("XDG_CONFIG_HOME", "/nowhere")]),
        (
            "auth file",
            vec![
                ("DOCKER_CONFIG", &other),
                ("REGISTRY_AUTH_FILE", &auth_file),
            ],
        ),
        ("runtime", vec![("XDG_RUNTIME_DIR", dir)]),
        ("config home", vec![("XDG_CONFIG_HOME", dir)]),
        (
            "GitLab",
            vec![
                ("CI_REGISTRY", &host),
                ("CI_REGISTRY_USER", USER),
                ("CI_REGISTRY_PASSWORD", PASSWORD),
            ],
        ),
        (
            "dependency proxy",
            vec![
                ("CI_DEPENDENCY_PROXY_SERVER", &host),
                ("CI_DEPENDENCY_PROXY_USER", USER),
                ("CI_DEPENDENCY_PROXY_PASSWORD", PASSWORD),
            ],
        ),
        (
            "kaniko's variables",
            vec![
                ("KANIKO_127_0_0_1_USER", USER),
                ("KANIKO_127_0_0_1_PASSWORD", PASSWORD),
            ],
        ),
        (
            "variables with the port",
            vec![(&own_user, USER), (&own_password, PASSWORD)],
        ),
    ];
    for (name, variables) in cases {
        let mut executor = Executor::new(Who::Root)
            .context(&context)
            .destination(&registry.reference("group/app:1"))
            .arg("--verbosity=debug");
        for (variable, value) in variables {
            executor = executor.env(variable, value);
        }
        let build = executor.run();
        assert_eq!(build.code(), 0, "{name}: {}", build.report());
        for secret in [PASSWORD, AUTH] {
            assert!(
                !build.report().contains(secret),
                "{name}: {}",
                build.report()
            );
        }
    }
    registry.inspect("group/app:1", &["--raw"]);
}

#[test]
fn a_refusal_lists_what_was_tried_and_no_secret() {
    let registry = Registry::start_with_password();
    let context = app();
    let wrong = format!(
        r#"{{"auths":{{"other.example":{{"auth":"YTpi"}}}},"credHelpers":{{"{}":"e2e"}}}}"#,
        registry.host()
    );
    let files = Context::without_dockerfile().file("config.json", wrong);
    let executor = |destination: &str| {
        Executor::new(Who::Root)
            .context(&context)
            .destination(&registry.reference(destination))
            .env("REGISTRY_AUTH_FILE", "/nowhere/auth.json")
            // Of no concern to another registry than Google's, and said all the same.
            .env("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    };
    let listed = [
        "401 unauthorized",
        "credentials that were looked for:",
        "docker_auth_config: not set",
        "/nowhere/auth.json: no such file",
        "env: kaniko_127_0_0_1_",
        "google: cannot read `/nowhere/key.json`",
        "ecr: not an ecr host",
        "acr: not an acr host",
        "gitlab: not a job of gitlab's",
    ];
    // The check before the build, and the push itself.
    executor("app:1").run().assert_error(1, &listed);
    let push = executor("app:1").arg("--skip-push-permission-check").run();
    push.assert_error(1, &listed);
    // A pull.
    let private = Context::new(format!("FROM {}\nUSER 1\n", registry.reference("base:1")));
    let pull = Executor::new(Who::Root)
        .context(&private)
        .arg("--no-push")
        .arg("--credential-helpers=")
        .run();
    pull.assert_error(1, &["401 unauthorized", "docker_auth_config: not set"]);
    assert!(!pull.report().contains("ecr:"), "{}", pull.report());
    // A password that is wrong is not replaced by another source's, as in kaniko, and is not shown.
    let build = executor("app:1")
        .env("CI_REGISTRY", registry.host())
        .env("CI_REGISTRY_USER", "somebody")
        .env("CI_REGISTRY_PASSWORD", "wr0ng")
        .run();
    build.assert_error(1, &["401 unauthorized", "gitlab: user `somebody`"]);
    assert!(!build.report().contains("wr0ng"), "{}", build.report());
    // A helper that fails is named with its words.
    let helpers = helper("e2e", "echo no keyring here; exit 1");
    let build = with_helper(executor("app:1"), &helpers)
        .env("DOCKER_CONFIG", files.path())
        .run();
    build.assert_error(
        1,
        &[
            "docker-credential-e2e",
            "no keyring here",
            "ecr: not an ecr host",
        ],
    );
    let build = executor("app:1").arg("--credential-helpers=gcp").run();
    build.assert_error(1, &["--credential-helpers is `gcp`, expected env, google"]);
}

#[test]
fn a_helper_gives_the_login_that_it_was_given() {
    let registry = Registry::start_with_password();
    let host = registry.host();
    let files = Context::without_dockerfile().file(
        "config.json",
        format!(r#"{{"credHelpers":{{"{host}":"e2e"}}}}"#),
    );
    let kept = Context::without_dockerfile();
    let helpers = helper(
        "e2e",
        &format!(
            "kept={}/kept\ncase $1 in store) cat >$kept ;; erase) rm $kept ;; *) cat $kept ;; esac",
            kept.path().display()
        ),
    );
    let executor =
        || with_helper(Executor::new(Who::Root), &helpers).env("DOCKER_CONFIG", files.path());
    let login = executor()
        .args(["login", "-u", USER, "--password-stdin", &host])
        .input(format!("{PASSWORD}\n"))
        .run_as_given();
    login.assert_success();
    assert!(
        login.stdout().contains("docker-credential-e2e"),
        "{}",
        login.report()
    );
    let unchanged = fs::read_to_string(files.path().join("config.json")).expect("the config");
    assert!(!unchanged.contains("auths"), "{unchanged}");
    let build = executor()
        .context(&app())
        .destination(&registry.reference("app:1"))
        .run();
    build.assert_success();
    let logout = executor().args(["logout", &host]).run_as_given();
    logout.assert_success();
    assert!(!kept.path().join("kept").exists());
}

#[test]
fn a_login_is_verified_kept_and_used() {
    let registry = Registry::start_with_password();
    let host = registry.host();
    let place = Context::without_dockerfile();
    let directory = place.path().join("docker");
    let config = directory.join("config.json");
    let login = |password: &str, more: &[&str]| {
        Executor::new(Who::Root)
            .env("DOCKER_CONFIG", &directory)
            .args(["login", &host, "--username", USER])
            .args(more)
            .input(password)
            .run_as_given()
    };
    let wrong = login("wr0ng", &["--password-stdin"]);
    wrong.assert_error(
        1,
        &["cannot log in to", "401 unauthorized", "login: user `e2e`"],
    );
    assert!(!wrong.report().contains("wr0ng"), "{}", wrong.report());
    assert!(!config.exists(), "a wrong login was kept");
    login("", &[]).assert_error(1, &["give --password-stdin"]);

    login(PASSWORD, &["--password-stdin"]).assert_success();
    let mode = |path: &Path| fs::metadata(path).expect("stat it").permissions().mode() & 0o7777;
    assert_eq!((mode(&config), mode(&directory)), (0o600, 0o700));
    let build = Executor::new(Who::Root)
        .context(&app())
        .destination(&registry.reference("app:1"))
        .env("DOCKER_CONFIG", &directory)
        .run();
    build.assert_success();

    // What others have put there stays; a link stays a link.
    let real = place.path().join("real.json");
    fs::write(
        &real,
        r#"{"psFormat":"x","auths":{"docker.io":{"auth":"YTpi"}}}"#,
    )
    .expect("write it");
    fs::remove_file(&config).expect("remove the config");
    std::os::unix::fs::symlink(&real, &config).expect("make a link");
    let shown = login("", &["--skip-verify", "-p", "any"]);
    shown.assert_success();
    assert!(
        shown.stderr().contains("lists of processes"),
        "{}",
        shown.report()
    );
    let hub = Executor::new(Who::Root)
        .env("DOCKER_CONFIG", &directory)
        .args(["login", "docker.io", "-u", "u", "-p", "p", "--skip-verify"])
        .run_as_given();
    hub.assert_success();
    assert!(fs::symlink_metadata(&config).expect("stat it").is_symlink());
    let text = fs::read_to_string(&real).expect("the config");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["psFormat"], "x");
    assert_eq!(value["auths"][&host]["auth"], "ZTJlOmFueQ==");
    assert_eq!(
        value["auths"]["https://index.docker.io/v1/"]["auth"],
        "dTpw"
    );
    assert_eq!(
        value["auths"].as_object().map(serde_json::Map::len),
        Some(2)
    );

    let logout = Executor::new(Who::Root)
        .env("DOCKER_CONFIG", &directory)
        .args(["logout", "index.docker.io"])
        .run_as_given();
    logout.assert_success();
    let text = fs::read_to_string(&real).expect("the config");
    assert!(
        !text.contains("docker.io") && text.contains(&host),
        "{text}"
    );
}
