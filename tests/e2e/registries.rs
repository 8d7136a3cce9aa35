//! Registries as they are set up: behind a password, a token server, client certificates, a proxy, as mirrors. From each,
//! the warmer pulls, and the executor builds and pushes; and each refusal has its words.

use crate::support::cache_dir::CacheDir;
use crate::support::forward_proxy::{PROXY_PASSWORD, PROXY_USER};
use crate::support::registry::{PASSWORD, USER};
use crate::support::token_server::Lifetime;
use crate::support::{
    Base, Context, CraftedImage, Encoding, Executor, Family, ForwardProxy, Image, LayerTar, Nginx,
    Registry, TokenServer, Who,
};
use rustix::process::Signal;

/// The base of these tests: small, and nothing runs in it unless a test says so.
fn push_base(registry: &Registry, name: &str) -> Image {
    let base = CraftedImage::new(Family::Oci);
    base.layer(
        LayerTar::new().file("base", "of these tests"),
        Encoding::Gzip,
    )
    .push_to(registry, name);
    Image::pull(registry, name)
}

/// What is built: one layer over `base`.
fn context(base: &str) -> Context {
    Context::new(format!("FROM {base}\nCOPY f /\n")).file("f", "f")
}

fn build(base: &str, destination: &str) -> Executor {
    Executor::new(Who::User)
        .context(&context(base))
        .destination(destination)
}

/// Docker's configuration with a password for each host.
fn login(host: &str, password: &str) -> (&'static str, String) {
    let text =
        format!(r#"{{"auths":{{"{host}":{{"username":"{USER}","password":"{password}"}}}}}}"#);
    ("DOCKER_AUTH_CONFIG", text)
}

/// Warms the image with and without the variables; the first must work, and the second tells why not.
fn warm(reference: &str, env: &[(&str, String)], args: &[&str], refusal: &str) {
    let cache = CacheDir::new(Who::Root);
    let args = [&["--image", reference], args].concat();
    for (env, code, expected) in [(env, 0, "pulled sha256:"), (&[][..], 1, refusal)] {
        let output = cache.warmer_with(env, &[&args[..], &["--force"]].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(expected), "lacks {expected:?}: {text}");
        assert!(!text.contains(PASSWORD), "{text}");
    }
}

#[test]
fn a_password_is_shown_and_a_wrong_one_is_told() {
    let registry = Registry::start_with_password();
    push_base(&registry, "base:1");
    let (base, app) = (registry.reference("base:1"), registry.reference("app:1"));
    let with = |login: (&str, String)| build(&base, &app).env(login.0, login.1);
    with(login(&registry.host(), PASSWORD))
        .run()
        .assert_success();
    assert_eq!(Image::pull(&registry, "app:1").layers.len(), 2);
    let wrong = with(login(&registry.host(), "guessed")).run();
    wrong.assert_error(1, &["401", &registry.host()]);
    assert!(!wrong.report().contains("guessed"), "{}", wrong.report());
    build(&base, &app).run().assert_error(1, &["401"]);
    warm(&base, &[login(&registry.host(), PASSWORD)], &[], "401");
}

#[test]
fn a_token_is_got_for_what_is_done_and_a_wrong_password_is_told() {
    let lifetime = Lifetime {
        real: 300,
        told: 300,
    };
    let tokens = TokenServer::start(lifetime);
    let registry = Registry::start_with_tokens(&tokens);
    push_base(&registry, "team/base:1");
    let (base, app) = (
        registry.reference("team/base:1"),
        registry.reference("app:1"),
    );
    tokens.take_granted();
    let with = |login: (&str, String)| build(&base, &app).env(login.0, login.1);
    with(login(&registry.host(), PASSWORD))
        .run()
        .assert_success();
    assert_eq!(Image::pull(&registry, "app:1").layers.len(), 2);
    let granted = tokens.take_granted();
    let to_mount = "repository:app:pull,push repository:team/base:pull";
    for scopes in [
        "repository:team/base:pull",
        "repository:app:pull,push",
        to_mount,
    ] {
        let count = granted.iter().filter(|granted| *granted == scopes).count();
        assert_eq!(count, 1, "{scopes}: {granted:#?}");
    }
    let wrong = with(login(&registry.host(), "guessed")).run();
    wrong.assert_error(1, &["no token", "401", "incorrect username or password"]);
    assert!(!wrong.report().contains("guessed"), "{}", wrong.report());
    build(&base, &app)
        .run()
        .assert_error(1, &["401", "UNAUTHORIZED"]);
    warm(&base, &[login(&registry.host(), PASSWORD)], &[], "401");
}

#[test]
fn a_token_that_ends_before_its_time_is_replaced_in_mid_build() {
    // What the server says of its tokens is wrong, as where clocks differ: only the registry's 401 tells.
    let tokens = TokenServer::start(Lifetime { real: 2, told: 300 });
    let registry = Registry::start_with_tokens(&tokens);
    Base::Busybox.push_to(&registry);
    tokens.take_granted();
    let base = registry.reference("base/busybox:1");
    let context = Context::new(format!("FROM {base}\nRUN sleep 3\nCOPY f /\n")).file("f", "f");
    let (name, value) = login(&registry.host(), PASSWORD);
    Executor::new(Who::User)
        .context(&context)
        .destination(&registry.reference("app:1"))
        .env(name, value)
        .run()
        .assert_success();
    let granted = tokens.take_granted();
    let for_writing = granted.iter().filter(|scopes| scopes.contains("push"));
    assert!(for_writing.count() >= 2, "{granted:#?}");
}

#[test]
fn a_client_certificate_is_shown_and_a_missing_one_is_told() {
    let registry = Registry::start();
    push_base(&registry, "base:1");
    let nginx = Nginx::asking_for_certificates(&registry);
    let host = nginx.host();
    let (base, app) = (format!("{host}/base:1"), format!("{host}/app:1"));
    let [certificate, key] = nginx.client_files();
    let trust = format!(
        "--registry-certificate={host}={}",
        nginx.ca_file().display()
    );
    let shown = format!(
        "--registry-client-cert={host}={},{}",
        certificate.display(),
        key.display()
    );
    // Only root may read a key.
    let build = |args: &[&str]| {
        Executor::new(Who::Root)
            .context(&context(&base))
            .destination(&app)
            .args(args)
            .run()
    };
    build(&[&trust, &shown]).assert_success();
    assert_eq!(Image::pull(&registry, "app:1").layers.len(), 2);
    build(&[&trust]).assert_error(
        1,
        &[
            "400 No required SSL certificate was sent",
            &format!("hint: a registry that asks who we are needs --registry-client-cert {host}="),
        ],
    );
    let swapped = format!(
        "--registry-client-cert={host}={},{}",
        key.display(),
        certificate.display()
    );
    build(&[&trust, &swapped]).assert_error(1, &["client-key.pem", "holds no certificate"]);
    let cache = CacheDir::new(Who::Root);
    let output = cache.warmer(&["--image", &base, &trust, &shown]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn mirrors_are_asked_in_their_order_and_pull_through() {
    let (original, empty) = (Registry::start(), Registry::start());
    let image = push_base(&original, "library/thing:1");
    push_base(&original, "team/thing:1");
    let (mirror, apps) = (Registry::start_mirror_of(&original), Registry::start());
    let flags = [
        format!("--registry-mirror={}", empty.host()),
        format!("--registry-mirror={}", mirror.host()),
        "--skip-default-registry-fallback".to_owned(),
    ];
    let build = |base: &str| build(base, &apps.reference("app:1"));
    build("thing:1").args(&flags).run().assert_success();
    assert_eq!(
        Image::pull(&apps, "app:1").layers[0].digest,
        image.layers[0].digest
    );
    assert!(
        empty
            .requests()
            .iter()
            .any(|line| line.contains("library/thing"))
    );
    let asked = original.requests();
    assert!(
        asked
            .iter()
            .any(|line| line.contains("library/thing/blobs")),
        "{asked:#?}"
    );
    let missing = build("missing:1").args(&flags).run();
    missing.assert_error(
        1,
        &["Dockerfile:1", "404", &mirror.host(), "MANIFEST_UNKNOWN"],
    );
    // What cannot be had from the mirror is had from the registry itself, unless that is unwanted.
    let host = original.host();
    let gone = format!("--registry-map={host}={}/no/such/prefix", empty.host());
    let name = original.reference("team/thing:1");
    build(&name).arg(&gone).run().assert_success();
    let alone = build(&name).args([&*gone, "--skip-default-registry-fallback"]);
    alone
        .run()
        .assert_error(1, &["404", "no/such/prefix/team/thing"]);
    // A prefix goes before the name, and the variable is as good as the flag.
    let prefixed = format!("gone.test={}/team", mirror.host());
    build("gone.test/thing:1")
        .env("KANIKO_REGISTRY_MAP", prefixed)
        .run()
        .assert_success();
    // A mirror takes nothing.
    let context = context("scratch");
    let refused = Executor::new(Who::User)
        .context(&context)
        .destination(&mirror.reference("app:1"))
        .run();
    refused.assert_error(1, &["405", "UNSUPPORTED"]);
    let cache = CacheDir::new(Who::Root);
    let args: Vec<&str> = flags.iter().map(String::as_str).collect();
    let output = cache.warmer(&[&["--image=thing:1"], &args[..]].concat());
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_proxy_is_gone_through_with_its_password_but_for_exceptions() {
    let registry = Registry::start();
    push_base(&registry, "base:1");
    let proxy = ForwardProxy::to(&registry);
    let host = "registry.test:5000";
    let insecure = format!("--insecure-registry={host}");
    let build = || {
        build(&format!("{host}/base:1"), &format!("{host}/app:1"))
            .arg(&insecure)
            .arg("--verbosity=trace")
    };
    let built = build()
        .env("http_proxy", proxy.url())
        .env("HTTPS_PROXY", proxy.url())
        .run();
    built.assert_success();
    assert_eq!(Image::pull(&registry, "app:1").layers.len(), 2);
    let seen = proxy.take();
    for expected in [
        "CONNECT registry.test:5000",
        "GET http://registry.test:5000/v2/base/manifests/1",
        "PUT http://registry.test:5000/v2/app/manifests/1",
    ] {
        assert!(seen.iter().any(|line| line == expected), "{seen:#?}");
    }
    let wrong = proxy.url().replace(PROXY_PASSWORD, "guessed-it");
    let refused = build()
        .env("HTTP_PROXY", &wrong)
        .env("https_proxy", &wrong)
        .run();
    refused.assert_error(1, &["407", host]);
    for (build, secret) in [(&built, PROXY_PASSWORD), (&refused, "guessed-it")] {
        let report = build.report();
        assert!(!report.contains(secret), "{report}");
        assert!(!report.contains(&format!("{PROXY_USER}:")), "{report}");
    }
    // There is no such name: what is not asked of the proxy is not found.
    for (variable, exceptions) in [
        ("NO_PROXY", "a.lan,registry.test:5000"),
        ("no_proxy", ".test"),
    ] {
        let mut direct = build()
            .arg("--skip-push-permission-check")
            .env("http_proxy", proxy.url())
            .env("https_proxy", proxy.url())
            .env(variable, exceptions)
            .start();
        direct.wait_for_output("will try again: cannot reach the registry");
        direct.signal(Signal::TERM);
        assert_ne!(direct.wait().assert_clean_end().code(), 0);
    }
    assert!(proxy.take().is_empty());
}
