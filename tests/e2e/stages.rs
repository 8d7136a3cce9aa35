//! Stages: which are built, when, for which platform, and what triggers do in them (reference 1.5, 1.6 and 1.11).

use crate::support::crafted::push_index;
use crate::support::{
    BaseImage, Context, CraftedImage, Encoding, Executor, Family, Image, Kind, LayerTar, Proxy,
    Site, Who, check_image, site,
};
use serde_json::json;

#[test]
fn independent_stages_run_at_the_same_time() {
    let site = Site::busybox();
    let base = &site.base;
    // Each waits for the others: one after the other, none would ever end.
    let meeting = "RUN --mount=type=cache,id=meeting,target=/m \\\n  touch /m/$NAME; i=0; while ! test -e /m/a -a -e /m/b -a -e /m/c; do \
                   sleep 0.1; i=$((i+1)); test $i -lt 600 || exit 1; done";
    let stage = |name: &str| format!("FROM {base} AS {name}\nENV NAME={name}\n{meeting}\n");
    let context = Context::new(format!(
        "{}{}{}FROM scratch\nCOPY --from=a /bin /a\nCOPY --from=b /bin /b\nCOPY --from=c /bin /c\n",
        stage("a"),
        stage("b"),
        stage("c"),
    ));
    for (who, isolation) in [
        (Who::Root, "--isolation=ns"),
        (Who::User, "--isolation=userns"),
    ] {
        let executor = Executor::new(who).context(&context).arg(isolation);
        executor.arg("--no-push").run().assert_success();
    }
}

#[test]
fn a_stage_that_nobody_needs_is_neither_resolved_nor_pulled() {
    let site = Site::busybox();
    let proxy = Proxy::before(&site.registry);
    for name in ["used", "only-copied", "unused", "after-the-target"] {
        CraftedImage::new(Family::Oci)
            .layer(LayerTar::new().shell().file("f", name), Encoding::Gzip)
            .push_to(&site.registry, &format!("{name}:1"));
    }
    let image = |name: &str| proxy.reference(&format!("{name}:1"));
    let context = Context::new(format!(
        "FROM {} AS unused\nRUN false\nFROM unused AS child-of-unused\nCOPY --from={} /f /\n\
         FROM {} AS used\nFROM used AS wanted\nCOPY --from={} /f /g\nFROM {} AS last\nCOPY --from=wanted /g /\n",
        image("unused"),
        image("unused"),
        image("used"),
        image("only-copied"),
        image("after-the-target"),
    ));
    site.executor(Who::User, &context)
        .arg("--target=wanted")
        .run()
        .assert_success();
    let requests = proxy.take().requests;
    let asked = |name: &str| {
        requests
            .iter()
            .any(|request| request.contains(&format!("/{name}/")))
    };
    assert!(asked("used") && asked("only-copied"), "{requests:#?}");
    assert!(
        !asked("unused") && !asked("after-the-target"),
        "{requests:#?}"
    );
}

#[test]
fn several_targets_are_built_and_the_first_is_the_image() {
    let site = Site::busybox();
    let base = &site.base;
    let context = Context::new(format!(
        "FROM {base} AS one\nRUN touch /one\nFROM {base} AS two\nRUN echo made two\n\
         FROM {base} AS three\nRUN echo made three\nFROM {base} AS four\nRUN false\n"
    ));
    for flags in [
        &["--target=one,two,three"][..],
        &["--target=ONE", "--target=two", "--target=Three"],
    ] {
        let build = site.executor(Who::User, &context).args(flags).run();
        build.assert_success();
        for line in ["made two", "made three"] {
            assert!(build.stdout().contains(line), "{}", build.report());
        }
        let image = check_image(&site.registry, site::APP, &site.base);
        assert!(image.tree().has("one"));
    }
    for (name, part) in [
        ("thre", "did you mean three"),
        ("0", "target stage"),
        ("five", "five"),
    ] {
        let build = site
            .executor(Who::User, &context)
            .arg(format!("--target=one,{name}"))
            .run();
        build.assert_error(1, &["target", part]);
    }
}

#[test]
fn triggers_of_a_stage_run_right_after_from_in_its_children_and_no_further() {
    let site = Site::busybox();
    CraftedImage::new(Family::Oci)
        .layer(LayerTar::new().file("from-image", "i"), Encoding::Gzip)
        .push_to(&site.registry, "files:1");
    let (base, files) = (&site.base, site.registry.reference("files:1"));
    let context = Context::new(format!(
        "FROM {base} AS made\nRUN echo m > /made\n\
         FROM {base} AS parent\nARG WHO=parent\n\
         ONBUILD ARG OWN=trigger\nONBUILD COPY --from=made /made /got\nONBUILD COPY --from=0 /made /got-by-number\n\
         ONBUILD COPY --from={files} /from-image /\n\
         ONBUILD RUN --mount=from=made,target=/m echo \"$(cat /m/made) $OWN $WHO\" > /order\n\
         ONBUILD COPY <<EOF /doc\n$OWN\nEOF\n\
         RUN test ! -e /order\n\
         FROM parent AS child\nRUN echo child >> /order\n\
         FROM child\nRUN echo grandchild >> /order\n"
    ));
    for who in Who::BOTH {
        let image = site.build(who, &context);
        let tree = image.tree();
        assert_eq!(
            tree.get("order").kind,
            Kind::file("m trigger parent\nchild\ngrandchild\n")
        );
        assert_eq!(tree.get("got").kind, Kind::file("m\n"));
        assert_eq!(tree.get("got-by-number").kind, Kind::file("m\n"));
        assert_eq!(tree.get("from-image").kind, Kind::file("i"));
        assert_eq!(tree.get("doc").kind, Kind::file("trigger\n"));
        assert!(image.setting("OnBuild").is_null());
        let history = image.history();
        let own: Vec<&str> = history
            .into_iter()
            .skip_while(|text| !text.starts_with("ARG WHO"))
            .map(|text| text.split(' ').next().unwrap_or_default())
            .collect();
        let expected = [
            "ARG", "RUN", "ARG", "COPY", "COPY", "COPY", "RUN", "COPY", "RUN", "RUN",
        ];
        assert_eq!(own, expected);
    }
}

#[test]
fn triggers_of_an_image_may_copy_from_stages_of_the_dockerfile_that_uses_it() {
    let site = Site::busybox();
    let onbuild = |triggers: serde_json::Value, name: &str| {
        CraftedImage::new(Family::Oci)
            .layer(LayerTar::new().shell(), Encoding::Gzip)
            .config("OnBuild", triggers)
            .push_to(&site.registry, name);
        BaseImage::in_registry(&site.registry, name)
    };
    let base = onbuild(
        json!([
            "COPY --from=assets /asset /in/",
            "RUN --mount=type=bind,from=assets,target=/a echo $(ls /a) > /seen"
        ]),
        "triggers:1",
    );
    let context = Context::new(format!(
        "FROM scratch AS assets\nCOPY asset /\nFROM {base}\nRUN test -e /in/asset\n"
    ))
    .file("asset", "");
    for who in Who::BOTH {
        let executor = site.executor(who, &context);
        executor.run().assert_success();
        let image = check_image(&site.registry, site::APP, &base);
        assert_eq!(image.tree().get("seen").kind, Kind::file("asset\n"));
    }
    // What a trigger asks for is refused like anything else, with the line of the FROM.
    let nonsense = onbuild(json!(["RUNN x"]), "nonsense:1");
    let failing = onbuild(json!(["RUN exit 7"]), "failing:1");
    let build = |base: &BaseImage| {
        let context = Context::new(format!("ARG X\nFROM {base}\n"));
        site.executor(Who::User, &context).run()
    };
    build(&nonsense).assert_error(
        1,
        &["Dockerfile:2", "ONBUILD RUNN x", "unknown instruction"],
    );
    build(&failing).assert_error(7, &["Dockerfile:2", "exit code 7"]);
}

#[test]
fn a_stage_is_for_the_platform_of_its_from_and_the_image_says_so() {
    let site = Site::busybox();
    let native = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let image = |architecture: &str| {
        let layer = LayerTar::new().shell().file("architecture", architecture);
        CraftedImage::new(Family::Oci)
            .architecture(architecture)
            .layer(layer, Encoding::Gzip)
    };
    push_index(
        &site.registry,
        &[image(native), image("s390x"), image("riscv64")],
        "index:1",
    );
    let index = site.registry.reference("index:1");
    // Programs run on this machine, files are for another.
    let context = Context::new(format!(
        "ARG OTHER=riscv64\nFROM --platform=$BUILDPLATFORM {index} AS build\nARG TARGETARCH\n\
         RUN read a < /architecture; echo \"$a for $TARGETARCH\" > /made\n\
         FROM --platform=linux/$OTHER {index} AS other\n\
         FROM {index}\nCOPY --from=build /made /\nCOPY --from=other /architecture /other\n"
    ));
    site.executor(Who::User, &context)
        .arg("--custom-platform=linux/s390x")
        .run()
        .assert_success();
    let built = Image::pull(&site.registry, site::APP);
    let tree = built.tree();
    assert_eq!(
        tree.get("made").kind,
        Kind::file(&format!("{native} for s390x\n"))
    );
    assert_eq!(tree.get("architecture").kind, Kind::file("s390x"));
    assert_eq!(tree.get("other").kind, Kind::file("riscv64"));
    assert_eq!(built.config["architecture"], "s390x");

    let context = Context::new(format!("FROM --platform=linux/riscv64 {index}\nENV A=b\n"));
    site.executor(Who::User, &context).run().assert_success();
    let built = Image::pull(&site.registry, site::APP);
    assert_eq!(built.config["architecture"], "riscv64");

    // Among images it chooses, and nothing else.
    let context = Context::new("FROM --platform=linux/riscv64 scratch\nENV A=b\n");
    site.executor(Who::User, &context).run().assert_success();
    let built = Image::pull(&site.registry, site::APP);
    assert_eq!(built.config["architecture"], native);

    for (platform, part) in [("linux/nothing/x/y", "platform"), ("$NOBODY", "platform")] {
        let context = Context::new(format!("FROM --platform={platform} {index}\n"));
        let build = site.executor(Who::User, &context).run();
        build.assert_error(1, &["Dockerfile:1", part]);
    }
    let context = Context::new(format!("FROM --platform=linux/mips {index}\n"));
    let build = site.executor(Who::User, &context).run();
    build.assert_error(1, &["Dockerfile:1", "linux/mips"]);
}
