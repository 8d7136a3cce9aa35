//! Where a finished image goes: registries, archives, layouts, and the files that name it.

use crate::support::registry::{PASSWORD, USER};
use crate::support::{Context, Executor, Image, Registry, Site, Who, check_image};

#[test]
fn one_build_goes_to_several_destinations() {
    let site = Site::busybox();
    let second = Registry::start();
    let context = site.context("RUN touch /new");
    let executor = site
        .executor(Who::Root, &context)
        .destination(&site.registry.reference("app:2"));
    let names = executor.out("names");
    let tagged = executor.out("tagged");
    let executor = executor
        .destination(&second.reference("deep/er/app"))
        .arg("--image-name-with-digest-file")
        .arg(names)
        .arg("--image-name-tag-with-digest-file")
        .arg(tagged);
    let build = executor.run();
    build.assert_success();
    let digest = check_image(&site.registry, "app:1", &site.base).digest();
    assert_eq!(
        check_image(&site.registry, "app:2", &site.base).digest(),
        digest
    );
    assert_eq!(
        check_image(&second, "deep/er/app:latest", &site.base).digest(),
        digest
    );

    let (one, two) = (site.registry.host(), second.host());
    assert_eq!(
        build.read("names"),
        format!("{one}/app@{digest}\n{one}/app@{digest}\n{two}/deep/er/app@{digest}\n")
    );
    assert_eq!(
        build.read("tagged"),
        format!("{one}/app:1@{digest}\n{one}/app:2@{digest}\n{two}/deep/er/app:latest@{digest}\n")
    );
}

#[test]
fn the_digest_file_has_the_digest_and_nothing_else() {
    let site = Site::busybox();
    let executor = site.executor(Who::User, &site.context("RUN touch /new"));
    let file = executor.out("made/for/it/digest");
    let build = executor.arg("--digest-file").arg(file).run();
    build.assert_success();
    assert_eq!(
        build.read("made/for/it/digest"),
        check_image(&site.registry, "app:1", &site.base).digest()
    );
}

#[test]
fn the_tarball_and_the_layout_hold_the_image_that_was_pushed() {
    let site = Site::busybox();
    for who in Who::BOTH {
        let context = site
            .context("RUN echo one > /one\nRUN echo two > /two\nCMD [\"cat\", \"/one\", \"/two\"]");
        let executor = site.executor(who, &context);
        let (tar, layout) = (executor.out("image.tar"), executor.out("layout"));
        let build = executor
            .arg("--tar-path")
            .arg(&tar)
            .arg("--oci-layout-path")
            .arg(&layout)
            .run();
        build.assert_success();
        let pushed = check_image(&site.registry, "app:1", &site.base);
        let from_tar = Image::copied_from(&format!("docker-archive:{}", tar.display()));
        assert_eq!(from_tar.diff_ids(), pushed.diff_ids(), "{who:?}");
        assert_eq!(
            from_tar.config["config"]["Cmd"], pushed.config["config"]["Cmd"],
            "{who:?}"
        );
        assert_eq!(
            from_tar.tree().differences(&pushed.tree()),
            Vec::<String>::new(),
            "{who:?}"
        );
        let from_layout = Image::copied_from(&format!("oci:{}", layout.display()));
        assert_eq!(from_layout.diff_ids(), pushed.diff_ids(), "{who:?}");
        assert_eq!(from_layout.digest(), pushed.digest(), "{who:?}");
        // A docker archive names its image, so that `docker load` can tag it.
        let named = Image::copied_from(&format!("docker-archive:{}:{}", tar.display(), site.app()));
        assert_eq!(named.diff_ids(), pushed.diff_ids(), "{who:?}");
    }
}

#[test]
fn without_a_push_nothing_is_pushed_and_a_tarball_can_be_had() {
    let site = Site::busybox();
    let executor = site
        .executor(Who::User, &site.context("RUN touch /new"))
        .arg("--no-push");
    let tar = executor.out("image.tar");
    let build = executor.arg("--tar-path").arg(&tar).run();
    build.assert_success();
    site.assert_nothing_pushed();
    assert!(
        Image::copied_from(&format!("docker-archive:{}", tar.display()))
            .tree()
            .has("new")
    );
}

#[test]
fn a_base_in_the_same_registry_is_mounted_and_not_uploaded() {
    let site = Site::busybox();
    let before = site.registry.requests().len();
    let image = site.build(Who::Root, &site.context("RUN touch /new"));
    let requests = site.registry.requests();
    let base_layer = &image.layers[0].digest;
    let about_base = |request: &&String| {
        request.contains(&base_layer.replace(':', "%3A")) || request.contains(base_layer.as_str())
    };
    let of_base: Vec<_> = requests[before..]
        .iter()
        .filter(about_base)
        .filter(|request| request.contains("/v2/app/"))
        .collect();
    assert!(
        !of_base.iter().any(|request| request.starts_with("PUT ")),
        "{of_base:?}"
    );
    assert!(
        of_base
            .iter()
            .any(|request| request.starts_with("POST ") && request.contains("mount=")),
        "{of_base:?}"
    );
}

#[test]
fn an_image_that_is_there_already_is_not_uploaded_again() {
    let site = Site::busybox();
    let context = site.context("COPY file /").file("file", "same");
    let push = || {
        site.build_with(site.executor(Who::Root, &context).arg("--reproducible"))
            .digest()
    };
    let first = push();
    let before = site.registry.requests().len();
    assert_eq!(push(), first);
    let requests = site.registry.requests();
    // An upload may be begun and dropped, to learn whether a push is permitted; no bytes may be sent.
    let sends = |request: &&String| request.starts_with("PATCH ") || request.contains("digest=");
    let uploads: Vec<_> = requests[before..].iter().filter(sends).collect();
    assert!(uploads.is_empty(), "{uploads:?}");
}

#[test]
fn credentials_come_from_a_docker_config() {
    let registry = Registry::start_with_password();
    let open = Site::busybox();
    let base = crate::support::Base::Busybox.push_to(&registry);
    // base64 of `e2e:sesame-e2e`.
    assert_eq!((USER, PASSWORD), ("e2e", "sesame-e2e"));
    let auths = format!(
        r#"{{"auths":{{"{}":{{"auth":"ZTJlOnNlc2FtZS1lMmU="}}}}}}"#,
        registry.host()
    );
    let config = Context::without_dockerfile().file("config.json", auths);
    let context = Context::new(format!(
        "FROM {base}\nRUN ! env | grep -i docker && touch /new\n"
    ));
    for who in Who::BOTH {
        let executor = Executor::new(who)
            .context(&context)
            .destination(&registry.reference("app:1"));
        let build = executor
            .destination(&open.app())
            .env("DOCKER_CONFIG", config.path())
            .arg("--verbosity=debug")
            .run();
        build.assert_success();
        check_image(&registry, "app:1", &base);
        for secret in [PASSWORD, "ZTJlOnNlc2FtZS1lMmU="] {
            assert!(
                !build.report().contains(secret),
                "a credential was printed\n{}",
                build.report()
            );
        }
    }
}

#[test]
fn tls_is_verified_against_the_authorities_that_are_given() {
    let registry = Registry::start_with_tls();
    let stranger = Registry::start_with_tls();
    let base = crate::support::Base::Busybox.push_to(&registry);
    let context = Context::new(format!("FROM {base}\nRUN touch /new\n"));
    let executor = || {
        let destination = registry.reference("app:1");
        Executor::new(Who::Root)
            .context(&context)
            .destination(&destination)
    };
    let authority = |of: &Registry| format!("{}={}", registry.host(), of.ca_file().display());
    let build = executor()
        .arg("--registry-certificate")
        .arg(authority(&registry))
        .run();
    build.assert_success();
    check_image(&registry, "app:1", &base);
    executor().arg("--skip-tls-verify").run().assert_success();
    let build = executor()
        .arg("--registry-certificate")
        .arg(authority(&stranger))
        .run();
    build.assert_error(1, &[&registry.host(), "certificate"]);
}
