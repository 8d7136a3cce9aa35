//! Warnings of lint, by `executor lint` and during builds: what they know of base images, and when they stop a build.

use crate::support::crafted::{CraftedImage, Encoding, Family, LayerTar};
use crate::support::{Context, Executor, FileServer, GitRepository, Registry, Site, Who};
use std::fs;

/// The warnings of a build or of lint, without `warning: ` and the file's directory.
fn warnings(stderr: &str) -> Vec<String> {
    let lines = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("warning: "));
    let about_files = lines.filter(|line| line.contains("Dockerfile:"));
    let short = about_files.map(|line| {
        line.rsplit_once("/Dockerfile:")
            .map_or(line, |split| split.1)
    });
    short.map(str::to_owned).collect()
}

/// Starts the names of rules with their lines: `3: StageNameCasing`.
fn rules(stderr: &str) -> Vec<String> {
    let warnings = warnings(stderr).into_iter();
    let rules = warnings.filter_map(|line| {
        line.match_indices(": ")
            .nth(1)
            .map(|(end, _)| line[..end].to_owned())
    });
    rules.collect()
}

#[test]
fn a_build_warns_once_of_each_thing_and_goes_on() {
    let site = Site::busybox();
    let context =
        site.context("RUN true\nworkdir app\nMAINTAINER me\nCMD a\nCMD b\nLABEL a=$B b=$B");
    let build = site.executor(Who::User, &context).run();
    build.assert_success();
    let expected = [
        "3: ConsistentInstructionCasing",
        "3: WorkdirRelativePath",
        "4: MaintainerDeprecated",
        "5: JSONArgsRecommended",
        "5: MultipleInstructionsDisallowed",
        "6: JSONArgsRecommended",
        "7: UndefinedVar",
    ];
    assert_eq!(rules(build.stderr()), expected, "{}", build.report());
    let undefined = "7: UndefinedVar: the variable `$B` is not defined";
    assert_eq!(
        warnings(build.stderr()).last().map(String::as_str),
        Some(undefined)
    );
}

#[test]
fn stages_that_a_build_does_not_need_are_only_read() {
    let site = Site::busybox();
    let context = site
        .context("FROM scratch AS Other\nLABEL a=$B\nFROM scratch AS image\nCOPY file /")
        .file("file", "");
    let build = site
        .executor(Who::User, &context)
        .arg("--target=image")
        .run();
    build.assert_success();
    assert_eq!(
        rules(build.stderr()),
        ["2: StageNameCasing"],
        "{}",
        build.report()
    );
}

#[test]
fn error_in_the_directive_or_by_flag_stops_the_build_before_anything_runs() {
    let site = Site::busybox();
    let lines = "RUN echo it has run\nWORKDIR app\nMAINTAINER me";
    let directive = Context::new(format!("# check=error=true\nFROM {}\n{lines}\n", site.base));
    let by_directive = site.executor(Who::User, &directive).run();
    by_directive.assert_error(
        1,
        &["Dockerfile:4", "MaintainerDeprecated, WorkdirRelativePath"],
    );
    let by_flag = site
        .executor(Who::User, &site.context(lines))
        .arg("--check-error")
        .run();
    by_flag.assert_error(
        1,
        &["Dockerfile:3", "MaintainerDeprecated, WorkdirRelativePath"],
    );
    for (build, first) in [(by_directive, 4), (by_flag, 3)] {
        let expected = [
            format!("{first}: WorkdirRelativePath"),
            format!("{}: MaintainerDeprecated", first + 1),
        ];
        assert_eq!(rules(build.stderr()), expected, "{}", build.report());
        assert!(!build.stdout().contains("it has run"), "{}", build.report());
    }
    site.assert_nothing_pushed();
    let skipped = site
        .executor(Who::User, &directive)
        .arg("--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all");
    let skipped = skipped.run();
    skipped.assert_success();
    assert_eq!(rules(skipped.stderr()), [""; 0], "{}", skipped.report());
}

#[test]
fn what_a_base_image_defines_is_known_in_a_build() {
    let registry = Registry::start();
    let layer = LayerTar::new().shell();
    CraftedImage::new(Family::Oci)
        .layer(layer, Encoding::Gzip)
        .config("Env", serde_json::json!(["HOMES=/homes"]))
        .config("Shell", serde_json::json!(["/bin/sh", "-ec"]))
        .config("OnBuild", serde_json::json!(["ARG LATER=x", "WORKDIR sub"]))
        .push_to(&registry, "base:1");
    let context = Context::new(format!(
        "FROM {}\nLABEL a=$HOMES b=$LATER c=$PATH d=$HOMSE\nCMD in the shell\n",
        registry.reference("base:1")
    ));
    let build = Executor::new(Who::User)
        .context(&context)
        .arg("--no-push")
        .run();
    build.assert_success();
    let expected = "2: UndefinedVar: the variable `$HOMSE` is not defined (did you mean HOMES?)";
    assert_eq!(warnings(build.stderr()), [expected], "{}", build.report());
    // Without a registry, nobody knows.
    let lint = Executor::new(Who::User)
        .arg("lint")
        .context(&context)
        .run_as_given();
    lint.assert_success();
    assert!(
        lint.stdout()
            .contains("`$HOMES` is not defined in this file"),
        "{}",
        lint.report()
    );
    assert!(
        lint.stdout().contains("JSONArgsRecommended"),
        "{}",
        lint.report()
    );
}

#[test]
fn a_base_image_of_another_platform_is_a_warning_of_its_rule() {
    let registry = Registry::start();
    let layer = LayerTar::new().file("a", "a");
    CraftedImage::new(Family::Oci)
        .architecture("s390x")
        .layer(layer, Encoding::Gzip)
        .push_to(&registry, "other:1");
    let other = registry.reference("other:1");
    let build = |check: &str, from: &str| {
        let context = Context::new(format!("# check={check}\n{from}\n"));
        let build = Executor::new(Who::User)
            .context(&context)
            .arg("--no-push")
            .run();
        build.assert_success();
        build.stderr().to_owned()
    };
    let said = build("error=false", &format!("FROM {other}"));
    assert_eq!(rules(&said), ["2: InvalidBaseImagePlatform"], "{said}");
    assert_eq!(said.matches("is for linux/s390x").count(), 1, "{said}");
    let said = build("skip=InvalidBaseImagePlatform", &format!("FROM {other}"));
    assert!(!said.contains("s390x"), "{said}");
    // Copying from it has no rule, and is told as well.
    let said = build(
        "error=true",
        &format!("FROM scratch\nCOPY --from={other} a /a"),
    );
    assert!(said.contains("is for linux/s390x"), "{said}");
}

#[test]
fn ignored_sources_are_told_before_they_are_missing() {
    let site = Site::busybox();
    let context = site
        .context("COPY secret /")
        .file("secret", "")
        .file(".dockerignore", "secret\n");
    let build = site.executor(Who::User, &context).run();
    build.assert_error(1, &["Dockerfile:2", "is excluded by line 1"]);
    assert_eq!(
        rules(build.stderr()),
        ["2: CopyIgnoredFile"],
        "{}",
        build.report()
    );
}

#[test]
fn a_stage_that_something_stands_in_for_is_not_judged_by_what_it_does() {
    let site = Site::busybox();
    let context = Context::new(format!(
        "FROM {} AS tools\nWORKDIR relative\nFROM tools\nLABEL a=$PATH b=$B\n",
        site.base
    ));
    let stand_in = format!("--build-context=tools=docker-image://{}", site.base);
    let build = site.executor(Who::User, &context).arg(stand_in).run();
    build.assert_success();
    let expected = "4: UndefinedVar: the variable `$B` is not defined";
    assert_eq!(warnings(build.stderr()), [expected], "{}", build.report());
}

#[test]
fn lint_names_build_args_that_nothing_takes() {
    let context = Context::new("FROM scratch\nARG VERSION\n");
    let lint = Executor::new(Who::User).arg("lint").context(&context);
    let lint = lint
        .args(["--build-arg=VERSOIN=1", "--build-arg=TARGETARCH=x"])
        .run_as_given();
    lint.assert_success();
    let said: Vec<&str> = lint.stderr().lines().collect();
    assert_eq!(said.len(), 1, "{}", lint.report());
    assert!(
        said[0].contains("VERSOIN") && said[0].ends_with("did you mean `VERSION`?"),
        "{}",
        said[0]
    );
}

#[test]
fn a_syntax_that_is_not_ours_is_a_warning() {
    let site = Site::busybox();
    let build = |syntax: &str| {
        let context = Context::new(format!(
            "# syntax={syntax}\nFROM {}\nLABEL a=b\n",
            site.base
        ));
        let build = site.executor(Who::User, &context).run();
        build.assert_success();
        build.stderr().contains("is not docker/dockerfile")
    };
    assert!(build("example.org/my/frontend:1"));
    assert!(!build("docker/dockerfile:1.26"));
    assert!(!build("docker.io/docker/dockerfile-upstream:master"));
}

#[test]
fn lint_needs_neither_registry_nor_context() {
    let context = Context::new("FROM no.such.registry.example/base\nWORKDIR app\n");
    let dockerfile = context.path().join("Dockerfile");
    let lint = Executor::new(Who::User)
        .arg("lint")
        .arg("-f")
        .arg(&dockerfile)
        .run_as_given();
    lint.assert_success();
    let expected = format!(
        "{}:2: WorkdirRelativePath: `app` depends on the working directory of the base image\n  2 | WORKDIR app\n",
        dockerfile.display()
    );
    assert!(lint.stdout().starts_with(&expected), "{}", lint.report());
    assert!(
        lint.stdout().ends_with("\n1 warning\n"),
        "{}",
        lint.report()
    );
    fs::write(&dockerfile, "FROM a\nRUNN b\n").expect("write a Dockerfile");
    let lint = Executor::new(Who::User)
        .arg("lint")
        .arg("-f")
        .arg(&dockerfile)
        .run_as_given();
    lint.assert_error(1, &["Dockerfile:2", "RUNN", "did you mean RUN"]);
}

#[test]
fn names_that_are_almost_right_are_suggested() {
    let site = Site::busybox();
    let fails = |lines: &str, parts: &[&str]| {
        let context = site
            .context(lines)
            .file("requirements.txt", "")
            .file("src/main.rs", "")
            .file("secret", "")
            .file(".dockerignore", "secret");
        site.executor(Who::User, &context)
            .run()
            .assert_error(1, parts);
    };
    fails(
        "COPY requirement.txt /",
        &["Dockerfile:2", "did you mean `requirements.txt`?"],
    );
    fails("COPY src/mian.rs /", &["did you mean `src/main.rs`?"]);
    fails(
        "COPY --from=1 /bin/shh /x\nFROM scratch\nFROM scratch\nCOPY --from=0 /bin/bussybox /",
        &["before current stage"],
    );
    fails(
        "FROM scratch\nCOPY --from=0 /bin/bussybox /",
        &["Dockerfile:3", "did you mean `bin/busybox`?"],
    );
    let context = Context::new(format!("FROM {} AS builder\nFROM buidler\n", site.base));
    let no_registry = site
        .executor(Who::User, &context)
        .arg(format!("--registry-mirror={}", site.registry.host()));
    let build = no_registry.arg("--skip-default-registry-fallback").run();
    build.assert_error(
        1,
        &["Dockerfile:2", "hint: did you mean the stage `builder`?"],
    );
    for source in [
        "COPY --from=buidler a /",
        "RUN --mount=from=buidler,target=/a true",
    ] {
        let context = Context::new(format!(
            "FROM {} AS builder\nFROM builder\n{source}\n",
            site.base
        ));
        let no_registry = site
            .executor(Who::User, &context)
            .arg(format!("--registry-mirror={}", site.registry.host()));
        let build = no_registry.arg("--skip-default-registry-fallback").run();
        build.assert_error(
            1,
            &["Dockerfile:3", "hint: did you mean the stage `builder`?"],
        );
    }
}

#[test]
fn a_build_that_cannot_be_planned_is_warned_of_as_well() {
    let context = Context::new(
        "FROM scratch AS Tools\nMAINTAINER me\nLABEL a=$FROM_WHO_KNOWS\nCMD in a shell\nFROM --platform=a/b/c/d/e tools\n",
    );
    let build = Executor::new(Who::User).context(&context).arg("--no-push");
    let build = build.run();
    build.assert_error(1, &["Dockerfile:5", "cannot read the platform"]);
    // What only a base image could make right is not among them.
    let expected = [
        "1: StageNameCasing",
        "2: MaintainerDeprecated",
        "5: FromPlatformFlagConstDisallowed",
    ];
    assert_eq!(rules(build.stderr()), expected, "{}", build.report());
}

#[test]
fn files_in_the_network_are_looked_at() {
    let web = FileServer::start();
    let repository = GitRepository::new(&web.files(), "app");
    repository
        .file(
            "part/Dockerfile",
            "FROM scratch\nMAINTAINER me\nCOPY secret /\n",
        )
        .file(".dockerignore", "part/secret");
    repository.commit("first");
    web.file("Dockerfile", "FROM scratch AS B\n");
    for who in [Who::Root, Who::User] {
        let lint = |arguments: &[&str]| {
            let executor = Executor::new(who).arg("lint").args(arguments);
            let lint = executor.run_as_given();
            lint.assert_success();
            lint.stdout().to_owned()
        };
        let url = web.url("git/app.git");
        let said = lint(&["--context", &url, "--context-sub-path=part"]);
        assert!(
            said.contains("Dockerfile:2: MaintainerDeprecated"),
            "{said}"
        );
        assert!(said.ends_with("1 warning\n"), "{said}");
        let said = lint(&[
            "--format=json",
            "--dockerfile",
            &web.url("plain/Dockerfile"),
        ]);
        assert!(said.contains("StageNameCasing"), "{said}");
    }
    let missing = Executor::new(Who::User).arg("lint").arg("--dockerfile");
    let missing = missing.arg(web.url("plain/nothing")).run_as_given();
    missing.assert_error(1, &["cannot fetch the Dockerfile", "404"]);
}
