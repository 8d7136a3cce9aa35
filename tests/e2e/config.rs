//! What the image config says after each instruction, and what the history tells (config rules of BuildKit).

use crate::support::image::array;
use crate::support::{BaseImage, Context, Site, Who, check_image, site};
use serde_json::json;

#[test]
fn every_metadata_instruction_reaches_the_config_and_the_history() {
    let site = Site::busybox();
    let lines = r#"ARG VERSION=3
ENV GREETING="hello world" PLACE=here
ENV LEGACY one two
LABEL org.example.version=$VERSION "with space"="a b"
EXPOSE 8080 53/UDP 9000-9002/tcp
VOLUME /data ["/not", "json"
VOLUME ["/logs"]
USER app:media
WORKDIR /work
WORKDIR sub
STOPSIGNAL SIGINT
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=1m30s --timeout=2s --retries=4 CMD test -e /healthy
ONBUILD RUN echo later
MAINTAINER Someone <someone@example.org>
ENTRYPOINT ["/bin/app", "--flag"]
CMD run $GREETING"#;
    let lines = lines.replace(
        "VOLUME /data [\"/not\", \"json\"\n",
        "VOLUME /data /cache\n",
    );
    let image = site.build_with(
        site.executor(Who::User, &site.context(&lines))
            .arg("--label=added=by flag"),
    );
    let env = array(image.setting("Env"));
    for expected in ["GREETING=hello world", "PLACE=here", "LEGACY=one two"] {
        assert!(env.contains(&json!(expected)), "{env:?}");
    }
    assert!(
        !env.iter().any(|variable| variable
            .as_str()
            .is_some_and(|text| text.starts_with("VERSION"))),
        "{env:?}"
    );
    let labels = json!({ "org.example.version": "3", "with space": "a b", "added": "by flag" });
    assert_eq!(*image.setting("Labels"), labels);
    let ports =
        json!({ "8080/tcp": {}, "53/udp": {}, "9000/tcp": {}, "9001/tcp": {}, "9002/tcp": {} });
    assert_eq!(*image.setting("ExposedPorts"), ports);
    assert_eq!(
        *image.setting("Volumes"),
        json!({ "/data": {}, "/cache": {}, "/logs": {} })
    );
    assert_eq!(*image.setting("User"), json!("app:media"));
    assert_eq!(*image.setting("WorkingDir"), json!("/work/sub"));
    assert_eq!(*image.setting("StopSignal"), json!("SIGINT"));
    assert_eq!(*image.setting("Shell"), json!(["/bin/sh", "-ec"]));
    assert_eq!(*image.setting("OnBuild"), json!(["RUN echo later"]));
    assert_eq!(*image.setting("Entrypoint"), json!(["/bin/app", "--flag"]));
    assert_eq!(
        *image.setting("Cmd"),
        json!(["/bin/sh", "-ec", "run $GREETING"])
    );
    let healthcheck = image.setting("Healthcheck");
    assert_eq!(
        healthcheck["Test"],
        json!(["CMD-SHELL", "test -e /healthy"])
    );
    assert_eq!(
        (&healthcheck["Interval"], &healthcheck["Timeout"]),
        (&json!(90_000_000_000_u64), &json!(2_000_000_000_u64))
    );
    assert_eq!(healthcheck["Retries"], 4);
    assert_eq!(image.config["author"], "Someone <someone@example.org>");

    let own: Vec<&str> = image
        .history()
        .into_iter()
        .skip_while(|text| !text.starts_with("ARG"))
        .collect();
    assert_eq!(own[0], "ARG VERSION=3");
    assert_eq!(own[1], "ENV GREETING=hello world PLACE=here");
    for expected in [
        "USER app:media",
        "WORKDIR /work",
        "WORKDIR /work/sub",
        "STOPSIGNAL SIGINT",
        "SHELL [/bin/sh -ec]",
        "VOLUME [/data /cache]",
        "ENTRYPOINT [\"/bin/app\" \"--flag\"]",
        "CMD [\"/bin/sh\" \"-ec\" \"run $GREETING\"]",
    ] {
        assert!(own.contains(&expected), "{expected:?} is not in {own:?}");
    }
    assert!(
        !own.iter().any(|text| text.starts_with("ONBUILD")),
        "{own:?}"
    );
}

#[test]
fn the_history_is_buildkits_field_for_field() {
    let site = Site::busybox();
    let context = Context::new(
        "FROM scratch\nARG A=1 B\nENV C=\"$A x\"\nLABEL l=\"q\\\"\" m=n\nEXPOSE 90 53/UDP 70-71\n\
         COPY --chown=1:2 --chmod=640 a* b /d/\nADD --unpack=false b /b\nCOPY <<END /$A/\nx\nEND\n\
         WORKDIR w\nWORKDIR /\nUSER 1\nVOLUME /v\nSTOPSIGNAL 9\nSHELL [\"/s\", \"-c\"]\n\
         HEALTHCHECK --interval=1m30s --start-period=100ms CMD x y\nMAINTAINER m\nONBUILD RUN x\nCMD a \"b\"\nENTRYPOINT [\"e\"]\n",
    )
    .file("a1", "")
    .file("b", "");
    site.executor(Who::User, &context)
        .env("SOURCE_DATE_EPOCH", "86400")
        .run()
        .assert_success();
    let image = check_image(&site.registry, site::APP, &BaseImage::scratch());
    let entry = |text: &str, has_layer: bool| {
        let mut entry = json!({
            "created": "1970-01-02T00:00:00Z",
            "created_by": text,
            "comment": "buildkit.dockerfile.v0",
        });
        if !has_layer {
            entry["empty_layer"] = json!(true);
        }
        entry
    };
    let expected = [
        entry("ARG A=1 B", false),
        entry("ENV C=1 x", false),
        entry("LABEL l=q\" m=n", false),
        entry("EXPOSE [53/udp 70/tcp 71/tcp 90/tcp]", false),
        entry("COPY --chown=1:2 --chmod=640 a* b /d/ # buildkit", true),
        entry("ADD b /b # buildkit", true),
        entry("COPY <<END /1/ # buildkit", true),
        entry("WORKDIR /w", true),
        entry("WORKDIR /", false),
        entry("USER 1", false),
        entry("VOLUME [/v]", false),
        entry("STOPSIGNAL 9", false),
        entry("SHELL [/s -c]", false),
        entry(
            "HEALTHCHECK {Test:[CMD-SHELL x y] Interval:1m30s Timeout:0s StartPeriod:100ms StartInterval:0s Retries:0}",
            false,
        ),
        entry("MAINTAINER m", false),
        entry("CMD [\"/s\" \"-c\" \"a \\\"b\\\"\"]", false),
        entry("ENTRYPOINT [\"e\"]", false),
    ];
    assert_eq!(image.config["history"], json!(expected));
    let config = json!({
        "ArgsEscaped": true,
        "Cmd": ["/s", "-c", "a \"b\""],
        "Entrypoint": ["e"],
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "C=1 x"],
        "ExposedPorts": { "53/udp": {}, "70/tcp": {}, "71/tcp": {}, "90/tcp": {} },
        "Healthcheck": { "Test": ["CMD-SHELL", "x y"], "Interval": 90_000_000_000_u64, "StartPeriod": 100_000_000 },
        "Labels": { "l": "q\"", "m": "n" },
        "OnBuild": ["RUN x"],
        "Shell": ["/s", "-c"],
        "StopSignal": "9",
        "User": "1",
        "Volumes": { "/v": {} },
        "WorkingDir": "/",
    });
    assert_eq!(image.config["config"], config);
    assert_eq!(image.config["author"], "m");
    assert_eq!(image.config["created"], "1970-01-02T00:00:00Z");
    let fields: Vec<&String> = image
        .config
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    let expected = [
        "architecture",
        "author",
        "config",
        "created",
        "history",
        "os",
        "rootfs",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn annotations_of_the_base_are_its_own() {
    let site = Site::busybox();
    let mut manifest = site.registry.manifest("base/busybox", "1");
    manifest["mediaType"] = json!("application/vnd.oci.image.manifest.v1+json");
    manifest["annotations"] = json!({ "org.example.of": "the base" });
    site.registry
        .put_manifest("base/busybox", "annotated", &manifest);
    let base = BaseImage::in_registry(&site.registry, "base/busybox:annotated");
    let context = Context::new(format!("FROM {base}\nENV A=b\n"));
    site.executor(Who::User, &context).run().assert_success();
    let image = check_image(&site.registry, site::APP, &base);
    assert!(
        image.manifest["annotations"].is_null(),
        "{}",
        image.manifest
    );
}

#[test]
fn steps_with_files_make_a_layer_each_and_metadata_makes_none() {
    let site = Site::busybox();
    let context = site
        .context("ARG A=1\nENV B=2\nRUN touch /made\nCOPY --chown=1:2 file /copied\nRUN true\nWORKDIR /work\nWORKDIR /\nCMD [\"x\"]")
        .file("file", "");
    let image = site.build(Who::Root, &context);
    let entries: Vec<(&str, bool)> = array(&image.config["history"])
        .iter()
        .map(|entry| {
            (
                entry["created_by"].as_str().unwrap_or_default(),
                entry["empty_layer"] == true,
            )
        })
        .skip_while(|(text, _)| !text.starts_with("ARG"))
        .collect();
    let expected = [
        ("ARG A=1", true),
        ("ENV B=2", true),
        ("RUN |1 A=1 /bin/sh -c touch /made # buildkit", false),
        ("COPY --chown=1:2 file /copied # buildkit", false),
        ("RUN |1 A=1 /bin/sh -c true # buildkit", false),
        ("WORKDIR /work", false),
        ("WORKDIR /", true),
        ("CMD [\"x\"]", true),
    ];
    assert_eq!(entries, expected);
    assert_eq!(image.layers.len(), site.base.diff_ids.len() + 4);
}

#[test]
fn a_new_entrypoint_clears_the_bases_command_unless_the_stage_has_its_own() {
    let site = Site::busybox();
    let image = site.build(Who::Root, &site.context("ENTRYPOINT [\"/a\"]"));
    assert!(image.setting("Cmd").is_null(), "{}", image.setting("Cmd"));
    let image = site.build(Who::Root, &site.context("CMD [\"b\"]\nENTRYPOINT [\"/a\"]"));
    assert_eq!(*image.setting("Cmd"), json!(["b"]));
}

#[test]
fn arguments_and_variables_have_their_scopes() {
    let site = Site::busybox();
    let base = &site.base;
    let registry = site.registry.host();
    let context = Context::new(format!(
        r#"ARG NAME=base/busybox
ARG TAG=1
FROM {registry}/${{NAME}}:$TAG AS first
RUN test -z "$NAME"
ARG NAME
RUN test "$NAME" = base/busybox
ARG A=1 B=${{A:-unset}}
ENV C=$A$B A=from-env
RUN test "$A$C" = from-env11
FROM first
RUN test "$C" = 11
ARG TARGETARCH
RUN test -n "$TARGETARCH" && touch /done
"#
    ));
    let image = site.build_with(
        site.executor(Who::User, &context)
            .arg("--build-arg=UNUSED=1"),
    );
    assert!(image.tree().has("done"));
    assert!(base.diff_ids.len() < image.layers.len());
}

#[test]
fn from_scratch_the_config_has_what_every_image_needs() {
    let site = Site::busybox();
    let context = Context::new("FROM scratch\nCOPY file /\n").file("file", "");
    site.executor(Who::User, &context).run().assert_success();
    let image = check_image(&site.registry, site::APP, &BaseImage::scratch());
    assert_eq!(image.config["os"], "linux");
    assert_eq!(*image.setting("WorkingDir"), json!("/"));
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(*image.setting("Env"), json!([path]));
}

#[test]
fn a_target_stops_at_its_stage_and_skips_what_it_does_not_need() {
    let site = Site::busybox();
    let base = &site.base;
    let context = Context::new(format!(
        "FROM {base} AS never\nRUN false\nFROM {base} AS wanted\nRUN touch /wanted\nFROM wanted AS last\nRUN touch /last\n"
    ));
    let tree = site
        .build_with(site.executor(Who::Root, &context).arg("--target=WANTED"))
        .tree();
    assert!(tree.has("wanted") && !tree.has("last"));
}
