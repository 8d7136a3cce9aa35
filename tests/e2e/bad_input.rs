//! What a user gets wrong, and what the world does to them: one clear error each, exit 1, nothing half-written.

use crate::support::crafted::{CraftedImage, Encoding, Family, LayerTar};
use crate::support::executor::Build;
use crate::support::registry::free_port;
use crate::support::small_disk::SmallDisk;
use crate::support::{Context, Executor, Image, Registry, Site, Who};
use std::fs;
use std::time::Duration;

/// A build of the context that asks for every output, and must fail without having written one of them.
fn failing(site: &Site, context: &Context, flags: &[&str]) -> Build {
    let executor = site.executor(Who::Root, context).args(flags);
    let (tar, digest, layout) = (
        executor.out("image.tar"),
        executor.out("digest"),
        executor.out("layout"),
    );
    let executor = executor
        .arg("--tar-path")
        .arg(&tar)
        .arg("--digest-file")
        .arg(&digest)
        .arg("--oci-layout-path")
        .arg(&layout);
    let build = executor.run();
    for output in [tar, digest, layout.join("index.json")] {
        assert!(
            !output.exists(),
            "{} was written\n{}",
            output.display(),
            build.report()
        );
    }
    site.assert_nothing_pushed();
    build
}

#[test]
fn a_missing_dockerfile_is_named() {
    let site = Site::busybox();
    let build = failing(&site, &Context::without_dockerfile(), &[]);
    build.assert_error(1, &["no Dockerfile"]);
}

#[test]
fn a_missing_context_is_named() {
    let site = Site::busybox();
    let context = site.context("RUN true");
    let dockerfile = context.path().join("Dockerfile");
    let executor = Executor::new(Who::Root)
        .args(["--context", "/no/such/context", "--no-push", "--dockerfile"])
        .arg(dockerfile);
    executor.run().assert_error(1, &["/no/such/context"]);
}

#[test]
fn an_unknown_instruction_gets_a_suggestion() {
    let site = Site::busybox();
    failing(&site, &site.context("RUNN true"), &[]).assert_error(
        1,
        &[
            "Dockerfile:2",
            "unknown instruction",
            "RUNN",
            "did you mean",
            "RUN",
        ],
    );
    failing(&site, &Context::new("FORM busybox\n"), &[])
        .assert_error(1, &["Dockerfile:1", "FORM", "did you mean", "FROM"]);
}

#[test]
fn dockerfiles_without_instructions_or_stages_are_refused() {
    let site = Site::busybox();
    failing(&site, &Context::new(""), &[]).assert_error(1, &["no instructions"]);
    failing(&site, &Context::new("# only a comment\n"), &[]).assert_error(1, &["no instructions"]);
    failing(&site, &Context::new("ARG A=1\nRUN true\n"), &[]).assert_error(1, &["Dockerfile:2"]);
}

#[test]
fn an_unknown_target_is_named() {
    let site = Site::busybox();
    let base = &site.base;
    let context = Context::new(format!(
        "FROM {base} AS builder\nRUN true\nFROM {base} AS final\n"
    ));
    failing(&site, &context, &["--target", "bilder"]).assert_error(1, &["bilder", "builder"]);
}

#[test]
fn a_missing_copy_source_is_named_with_its_line() {
    let site = Site::busybox();
    let context = site
        .context("RUN true\nCOPY present missing.txt /dst/")
        .file("present", "");
    failing(&site, &context, &[]).assert_error(1, &["Dockerfile:3", "missing.txt", "not found"]);
    let context = site.context("FROM scratch\nCOPY --from=0 /no/such /x");
    failing(&site, &context, &[]).assert_error(1, &["Dockerfile:3", "/no/such", "not found"]);
}

#[test]
fn what_is_not_done_yet_is_refused_by_name_and_line() {
    let site = Site::busybox();
    let context = site.context("RUN --device=vendor/class=gpu true");
    failing(&site, &context, &[]).assert_error(1, &["Dockerfile:2", "device", "support"]);
}

#[test]
fn wrong_flags_are_refused() {
    let site = Site::busybox();
    let context = site.context("RUN true");
    let build = Executor::new(Who::Root).context(&context).run();
    build.assert_error(1, &["--destination", "--no-push"]);
    let build = site
        .executor(Who::Root, &context)
        .arg("--no-such-flag")
        .run();
    assert_eq!(build.code(), 1, "{}", build.report());
    assert!(
        build.stderr().contains("--no-such-flag"),
        "{}",
        build.report()
    );
    failing(&site, &context, &["--destination", "UPPER/Case:tag"])
        .assert_error(1, &["UPPER/Case:tag"]);
}

#[test]
fn an_unreachable_registry_is_named() {
    let site = Site::busybox();
    let nobody = format!("127.0.0.1:{}", free_port());
    let pull = Context::new(format!("FROM {nobody}/base:1\nRUN true\n"));
    failing(&site, &pull, &[]).assert_error(1, &[&nobody]);
    // Found out before anything is built, and so before anything is pushed to the one that answers.
    let push = site.context("RUN true");
    let elsewhere = format!("{nobody}/app:1");
    failing(&site, &push, &["--destination", &elsewhere]).assert_error(1, &[&nobody]);
}

#[test]
fn an_image_that_does_not_exist_is_named() {
    let site = Site::busybox();
    let missing = site.registry.reference("no/such:tag");
    failing(&site, &Context::new(format!("FROM {missing}\n")), &[])
        .assert_error(1, &["Dockerfile:1", &missing]);
}

#[test]
fn a_registry_that_wants_a_password_says_so() {
    let registry = Registry::start_with_password();
    let site = Site::busybox();
    let destination = registry.reference("app:1");
    let context = site.context("RUN true");
    let build = Executor::new(Who::Root)
        .context(&context)
        .destination(&destination)
        .run();
    build.assert_error(1, &[&registry.host(), "401"]);
    let wrong = r#"{"auths":{"HOST":{"auth":"ZTJlOndyb25nLXBhc3N3b3Jk"}}}"#
        .replace("HOST", &registry.host());
    let config = Context::without_dockerfile().file("config.json", wrong);
    let build = Executor::new(Who::Root)
        .context(&context)
        .destination(&destination)
        .env("DOCKER_CONFIG", config.path())
        .run();
    build.assert_error(1, &[&registry.host(), "401"]);
    assert!(
        !build.report().contains("wrong-password"),
        "{}",
        build.report()
    );
}

#[test]
fn a_base_whose_bytes_are_not_those_promised_is_refused() {
    let registry = Registry::start();
    let layer = LayerTar::new().shell();
    CraftedImage::new(Family::Oci)
        .layer(layer, Encoding::Plain)
        .push_to(&registry, "corrupt:1");
    let digest = Image::pull(&registry, "corrupt:1").layers[0].digest.clone();
    let blob = registry.blob_file(&digest);
    let sound = fs::read(&blob).expect("read a blob");
    let mut changed = sound.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0x40;
    let longer = [&sound[..], &[0; 512]].concat();
    for (what, bytes) in [
        ("a changed byte", changed),
        ("a longer blob", longer),
        ("a shorter blob", sound[..sound.len() - 512].to_vec()),
    ] {
        fs::write(&blob, bytes).expect("corrupt a blob");
        let context = Context::new(format!(
            "FROM {}\nRUN true\n",
            registry.reference("corrupt:1")
        ));
        let build = Executor::new(Who::Root)
            .context(&context)
            .arg("--no-push")
            .run();
        assert_eq!(build.code(), 1, "{what}: {}", build.report());
        build.assert_error(1, &[&digest]);
    }
}

#[test]
fn a_full_disk_is_an_error_wherever_it_strikes() {
    let site = Site::busybox();
    // busybox takes 2 MB unpacked. First it does not fit at all; then the RUN fits, but its layer does not.
    for (megabytes, command) in [(1, "true"), (12, "head -c 6000000 /dev/urandom > /noise")] {
        for who in Who::BOTH {
            let disk = SmallDisk::of_megabytes(megabytes);
            let context = site.context(&format!("RUN {command}"));
            let executor = site.executor(who, &context).state_dir(&disk.path());
            let build = executor
                .env("TMPDIR", disk.path())
                .timeout(Duration::from_secs(120))
                .run();
            build.assert_error(1, &["no space left"]);
            site.assert_nothing_pushed();
        }
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let site = Site::busybox();
    let context = site.context("RUN true").file("file", "");
    let digest_file = context.path().join("file/below-a-file");
    let build = Executor::new(Who::Root)
        .context(&context)
        .arg("--no-push")
        .arg("--digest-file")
        .arg(&digest_file)
        .run();
    build.assert_error(1, &[&context.path().join("file").display().to_string()]);
}

#[test]
fn a_user_without_a_range_of_ids_is_told_what_was_tried_and_what_helps() {
    let site = Site::busybox();
    let context = site.context("LABEL a=b");
    let build = Executor::new(Who::UserWithoutRange)
        .context(&context)
        .arg("--no-push")
        .run();
    build.assert_success();
    let said = build.stderr();
    for part in [
        "isolation: userns (namespaces, root is this user; other owners are recorded)",
        "/etc/subuid: no subordinate ids for `nobody`",
        "warning: only one user id is available",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[test]
fn what_cannot_be_isolated_as_asked_is_refused_with_what_helps() {
    let site = Site::busybox();
    let context = site.context("RUN true");
    let build = Executor::new(Who::User)
        .context(&context)
        .args(["--no-push", "--isolation=chroot"])
        .run();
    build.assert_error(
        1,
        &[
            "chroot: uid ",
            "not root",
            "hint: run the container as root",
        ],
    );
}
