//! ARG, ENV and `--build-arg`: scopes, automatic and predefined arguments, and those that steer the builder (reference 1.4 and
//! 1.5).

use crate::caching::log::{assert_all_cached, assert_none_cached, warnings};
use crate::support::cache_dir::CacheDir;
use crate::support::image::array;
use crate::support::{Context, Kind, Site, TestDir, Who, check_image, site};
use serde_json::json;

#[test]
fn an_instruction_sees_the_values_from_before_it_and_an_arg_those_before_itself() {
    let site = Site::busybox();
    let context = site.context(
        "ENV a=1\nENV a=2 b=$a\nLABEL l=$b m=${l:-unset}\nARG c=$b d=$c\nENV e=$d\n\
         RUN test $a$b$c$d = 2111\nEXPOSE $a${a} \"8$a\"",
    );
    let image = site.build(Who::User, &context);
    let env = array(image.setting("Env"));
    for variable in ["a=2", "b=1", "e=1"] {
        assert!(env.contains(&json!(variable)), "{env:?}");
    }
    assert_eq!(*image.setting("Labels"), json!({ "l": "1", "m": "unset" }));
    let ports = json!({ "22/tcp": {}, "82/tcp": {} });
    assert_eq!(*image.setting("ExposedPorts"), ports);
}

#[test]
fn commands_are_stored_as_written_and_flags_are_expanded_where_the_reference_says_so() {
    let site = Site::busybox();
    let context = site
        .context(
            "ENV A=x OWNER=3 MODE=600 D=sub\nSHELL [\"/bin/sh\", \"-c\"]\nMAINTAINER $A\n\
             COPY --chown=$OWNER --chmod=$MODE --exclude=$A $A* /$D/\n\
             COPY <<EOF <<'RAW' /\n$A\nEOF\n$A\nRAW\n\
             RUN --mount=type=tmpfs,target=/$D-t touch /$D-t/x && test $A = x\n\
             HEALTHCHECK CMD $A\nONBUILD RUN $A\nENTRYPOINT $A\nCMD [\"$A\"]\nSTOPSIGNAL ${S:-TERM}\nVOLUME /$A\nUSER $A$A\nWORKDIR $D",
        )
        .file("x", "")
        .file("x1", "");
    let image = site.build(Who::Root, &context);
    let tree = image.tree();
    let copied = tree.get("sub/x");
    assert_eq!((copied.uid, copied.gid, copied.mode), (3, 3, 0o600));
    assert!(tree.has("sub/x1"), "--exclude=$A is no `x`");
    assert_eq!(tree.get("EOF").kind, Kind::file("x\n"));
    assert_eq!(tree.get("RAW").kind, Kind::file("$A\n"));
    assert_eq!(image.config["author"], "$A");
    let shell = json!(["/bin/sh", "-c", "$A"]);
    assert_eq!(*image.setting("Entrypoint"), shell);
    assert_eq!(*image.setting("Cmd"), json!(["$A"]));
    let test = json!(["CMD-SHELL", "$A"]);
    assert_eq!(image.setting("Healthcheck")["Test"], test);
    assert_eq!(*image.setting("OnBuild"), json!(["RUN $A"]));
    assert_eq!(*image.setting("StopSignal"), "TERM");
    assert_eq!(*image.setting("Volumes"), json!({ "/x": {} }));
    assert_eq!(*image.setting("User"), "xx");
    assert_eq!(*image.setting("WorkingDir"), "/sub");
}

#[test]
fn the_default_of_an_argument_that_is_given_is_not_read() {
    let site = Site::busybox();
    let context = Context::new(format!(
        "ARG ONE=\"${{NOBODY:?one is needed}}\"\nFROM {}\nARG TWO=\"${{NOBODY:?two is needed}}\"\nARG ONE\nRUN test $ONE$TWO = 12\n",
        site.base
    ));
    let build = |flags: &[&str]| site.executor(Who::User, &context).args(flags).run();
    build(&["--build-arg=ONE=1", "--build-arg=TWO=2"]).assert_success();
    build(&["--build-arg=TWO=2"]).assert_error(1, &["Dockerfile:1", "one is needed"]);
    build(&["--build-arg=ONE=1"]).assert_error(1, &["Dockerfile:3", "two is needed"]);
}

#[test]
fn from_sees_global_arguments_only_and_a_copied_stage_gives_nothing() {
    let site = Site::busybox();
    let base = &site.base;
    let context = Context::new(format!(
        "ARG WANTED=last\nFROM {base} AS first\nARG WANTED=own\nENV OTHER=first NAME=first\nRUN touch /first\n\
         FROM {base} AS last\nARG IN_PARENT=parent\nRUN touch /last\n\
         FROM ${{WANTED}}${{OTHER}}\nCOPY --from=first /first /\n\
         RUN test -z \"$NAME$OTHER$WANTED\" && test $IN_PARENT = parent\n\
         ARG WANTED\nENV IN_PARENT=env\nRUN test $WANTED = last && test $IN_PARENT = env\n\
         ARG IN_PARENT=arg\nRUN test $IN_PARENT = arg\n"
    ));
    let image = site.build(Who::User, &context);
    let env = array(image.setting("Env"));
    assert!(env.contains(&json!("IN_PARENT=env")), "{env:?}");
    let last = *image.history().last().expect("a history");
    assert_eq!(
        last,
        "RUN |2 IN_PARENT=arg WANTED=last /bin/sh -c test $IN_PARENT = arg # buildkit"
    );
}

#[test]
fn automatic_arguments_are_global_declared_in_a_stage_and_can_be_given() {
    let site = Site::busybox();
    let base = &site.base;
    let names = "TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT TARGETOSVERSION BUILDPLATFORM BUILDOS BUILDARCH BUILDVARIANT BUILDOSVERSION";
    let shown = |names: &str| -> String {
        let names = names.split(' ');
        names.map(|name| format!("${name},")).collect()
    };
    let context = Context::new(format!(
        "FROM --platform=$BUILDPLATFORM {base} AS cross\n\
         RUN test -z \"$TARGETPLATFORM$TARGETOS$TARGETARCH$BUILDPLATFORM$TARGETSTAGE\"\n\
         ARG {names}\nRUN echo \"{}\" > /seen\n\
         FROM scratch AS final\nCOPY --from=cross /seen /\nARG TARGETSTAGE\nLABEL stage=$TARGETSTAGE\n",
        shown(names)
    ));
    let host = match cfg!(target_arch = "aarch64") {
        true => "linux/arm64,linux,arm64,,,",
        false => "linux/amd64,linux,amd64,,,",
    };
    let build = |flags: &[&str]| {
        let executor = site.executor(Who::User, &context).args(flags);
        executor.run().assert_success();
        let image = check_image(
            &site.registry,
            site::APP,
            &crate::support::BaseImage::scratch(),
        );
        let seen = image.tree().get("seen").kind.clone();
        (seen, image.setting("Labels")["stage"].clone())
    };
    let line = |target: &str| Kind::file(&format!("{target}{host}\n"));
    // The cross-compiling idiom: a RUN for another platform, executed on this one.
    let (seen, stage) = build(&["--platform=linux/arm/v7"]);
    assert_eq!(seen, line("linux/arm/v7,linux,arm,v7,,"));
    assert_eq!(stage, "final");
    assert_eq!(build(&["--target=FINAL"]).1, "final");
    let (seen, stage) = build(&[
        "--platform=linux/s390x",
        "--build-arg=TARGETARCH=given",
        "--build-arg=TARGETOSVERSION=1.2",
        "--build-arg=TARGETSTAGE=given",
    ]);
    assert_eq!(seen, line("linux/s390x,linux,given,,1.2,"));
    assert_eq!(stage, "given");
    // Without any name, the stage is the default one.
    let nameless = site.context("ARG TARGETSTAGE\nRUN test $TARGETSTAGE = default");
    site.build(Who::User, &nameless);
}

#[test]
fn proxies_reach_run_in_both_cases_and_neither_key_nor_history_unless_declared() {
    let site = Site::busybox();
    let cache = CacheDir::new(Who::Root);
    let build = |lines: &str, proxy: &str| {
        let context = site.context(lines);
        let build = site
            .executor(Who::Root, &context)
            .arg(cache.flag())
            .arg(format!("--build-arg=Http_Proxy={proxy}"))
            .args(["--build-arg=NO_PROXY=here", "--build-arg=ftp_proxy="])
            .run();
        build.assert_success();
        assert_eq!(warnings(&build), Vec::<&str>::new());
        build
    };
    let undeclared = "RUN test $http_proxy,$HTTP_PROXY,$no_proxy,$NO_PROXY,${FTP_PROXY-unset} = $http_proxy,$http_proxy,here,here,unset && test -n \"$http_proxy\"";
    assert_none_cached(&build(undeclared, "http://one:1"));
    assert_all_cached(&build(undeclared, "http://two:2"));
    let image = check_image(&site.registry, site::APP, &site.base);
    let config = image.config.to_string();
    assert!(
        !config.contains("one:1") && !config.contains("|1"),
        "{config}"
    );
    let declared = "ARG Http_Proxy\nRUN test $Http_Proxy = $http_proxy";
    assert_none_cached(&build(declared, "http://one:1"));
    assert_none_cached(&build(declared, "http://two:2"));
    let image = check_image(&site.registry, site::APP, &site.base);
    let last = *image.history().last().expect("a history");
    assert!(
        last.starts_with("RUN |1 Http_Proxy=http://two:2 "),
        "{last}"
    );
}

#[test]
fn the_host_name_of_a_run_can_be_given_and_counts() {
    let site = Site::busybox();
    let cache = CacheDir::new(Who::Root);
    let context = site.context("RUN hostname > /name && grep -q \"$(hostname)\" /etc/hosts");
    let build = |flags: &[&str]| {
        let executor = site.executor(Who::Root, &context).arg(cache.flag());
        let build = executor.args(flags).run();
        build.assert_success();
        build
    };
    let name = || {
        check_image(&site.registry, site::APP, &site.base)
            .tree()
            .get("name")
            .kind
            .clone()
    };
    build(&["--isolation=ns"]);
    assert_eq!(name(), Kind::file("buildkitsandbox\n"));
    let flag = "--build-arg=BUILDKIT_SANDBOX_HOSTNAME=chosen";
    assert_none_cached(&build(&["--isolation=ns", flag]));
    assert_eq!(name(), Kind::file("chosen\n"));
    let told = build(&["--isolation=chroot", flag]);
    let note = "BUILDKIT_SANDBOX_HOSTNAME has no effect: here RUN sees the machine's own name";
    assert!(told.stderr().contains(note), "{}", told.report());
}

#[test]
fn cache_mounts_of_a_namespace_are_its_own() {
    let site = Site::busybox();
    let cache = CacheDir::new(Who::Root);
    let context = Context::new(format!(
        "FROM {}\nARG EXPECTED MARK\nRUN --mount=type=cache,target=/c test \"$(ls /c)\" = \"$EXPECTED\" && touch /c/$MARK\n",
        site.base
    ));
    let build = |namespace: &str, expected: &str, mark: &str| {
        site.executor(Who::Root, &context)
            .arg(cache.flag())
            .arg(format!("--build-arg=BUILDKIT_CACHE_MOUNT_NS={namespace}"))
            .arg(format!("--build-arg=EXPECTED={expected}"))
            .arg(format!("--build-arg=MARK={mark}"))
            .run()
            .assert_success();
    };
    build("one", "", "of-one");
    build("two", "", "of-two");
    build("one", "of-one", "again");
    build("", "", "of-none");
}

#[test]
fn control_arguments_that_do_nothing_here_are_told_and_those_that_cannot_be_are_refused() {
    let site = Site::busybox();
    let context = site.context("ENV A=b");
    let build = |arguments: &[&str]| {
        let arguments = arguments
            .iter()
            .map(|argument| format!("--build-arg={argument}"));
        let executor = site.executor(Who::User, &context).args(arguments);
        executor.run()
    };
    let told = build(&[
        "BUILDKIT_INLINE_CACHE=1",
        "BUILDKIT_BUILD_NAME=x",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1",
        "BUILDKIT_SBOM_SCAN_STAGE=true",
        "BUILDKIT_MULTI_PLATFORM=false",
        "BUILDKIT_SYNTAX=docker/dockerfile:1.4",
    ]);
    told.assert_success();
    assert_eq!(warnings(&told), Vec::<&str>::new());
    for name in [
        "BUILDKIT_INLINE_CACHE",
        "BUILDKIT_BUILD_NAME",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
        "BUILDKIT_SBOM_SCAN_STAGE",
    ] {
        let note = format!("--build-arg {name} has no effect: ");
        assert!(told.stderr().contains(&note), "{}", told.report());
    }
    let other = build(&["BUILDKIT_SYNTAX=example/frontend:1 more words"]);
    let warning = "warning: `--build-arg BUILDKIT_SYNTAX=example/frontend:1` is not docker/dockerfile and has no effect";
    assert_eq!(warnings(&other), [warning]);
    assert_eq!(
        warnings(&build(&["BUILDKIT_SYNTAX=dockerfile.v0"])),
        Vec::<&str>::new()
    );
    let refused = build(&["BUILDKIT_MULTI_PLATFORM=maybe"]);
    refused.assert_error(1, &["BUILDKIT_MULTI_PLATFORM is `maybe`"]);
}

#[test]
fn an_argument_that_nothing_declares_is_told_with_what_was_meant() {
    let site = Site::busybox();
    let base = &site.base;
    let context = Context::new(format!(
        "ARG GLOBAL=1\nFROM {base} AS unused\nARG IN_UNUSED\nFROM {base}\nARG VERSION\nONBUILD ARG LATER\n"
    ));
    let build = site
        .executor(Who::User, &context)
        .args([
            "--build-arg=GLOBAL=2",
            "--build-arg=IN_UNUSED=1",
            "--build-arg=VERSION=1",
        ])
        .args(["--build-arg=VERSOIN=2", "--build-arg=NOTHING_LIKE_IT=3"])
        .args(["--build-arg=https_proxy=x", "--build-arg=TARGETARCH=y"])
        .run();
    build.assert_success();
    let expected = [
        "warning: --build-arg NOTHING_LIKE_IT: no ARG of the Dockerfile declares it",
        "warning: --build-arg VERSOIN: no ARG of the Dockerfile declares it, did you mean `VERSION`?",
    ];
    assert_eq!(warnings(&build), expected);
}

#[test]
fn the_time_of_an_image_may_be_that_of_its_context_which_has_none() {
    let site = Site::busybox();
    let dir = TestDir::new();
    let context = site.context("COPY . /");
    let build = |value: &str| {
        site.executor(Who::User, &context)
            .arg(format!("--build-context=named={}", dir.path().display()))
            .arg("--build-context=an-image=docker-image://scratch")
            .env("SOURCE_DATE_EPOCH", value)
            .run()
    };
    let created = || {
        let image = check_image(&site.registry, site::APP, &site.base);
        image.config["created"].as_str().expect("a time").to_owned()
    };
    for value in ["context", "named", "an-image", ""] {
        build(value).assert_success();
        assert!(created().as_str() > "2020", "{value}");
    }
    build("86400").assert_success();
    assert_eq!(created(), "1970-01-02T00:00:00Z");
    for (value, part) in [
        ("yesterday", "expected seconds"),
        ("-1", "expected seconds"),
    ] {
        build(value).assert_error(1, &["SOURCE_DATE_EPOCH", part]);
    }
}
