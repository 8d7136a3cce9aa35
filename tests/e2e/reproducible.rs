//! The same input gives the same bytes: for root and for a user, today and tomorrow.

use crate::support::{Context, Executor, Image, Site, Who, check_image};

/// Every step writes files, and none of them a time of its own choosing.
fn context(site: &Site) -> Context {
    let base = &site.base;
    Context::new(format!(
        "FROM {base} AS made\nRUN mkdir -p /out/deep && echo made > /out/deep/file && ln /out/deep/file /out/twin && mkfifo /out/pipe\n\
         FROM {base}\nRUN echo other:x:2:2::/:/bin/sh >> /etc/passwd && rm /bin/vi && mv /home/app /home/moved\nCOPY tree /srv/\nCOPY --from=made /out /out\n\
         WORKDIR /work/dir\nADD archive.tar /archive/\nRUN i=0; while [ $i -lt 500 ]; do echo $i > /work/$i; i=$((i+1)); done\n"
    ))
    .file("tree/a/b", "b")
    .file("tree/c", "c")
    .symlink("tree/d", "c")
    .file("archive.tar", crate::support::LayerTar::new().dir("x/", 0o755).file("x/y", "y").finish())
}

fn build(site: &Site, who: Who, flags: &[&str], epoch: Option<&str>) -> Image {
    let executor = site.executor(who, &context(site)).args(flags);
    let executor = match epoch {
        Some(epoch) => executor.env("SOURCE_DATE_EPOCH", epoch),
        None => executor,
    };
    site.build_with(executor)
}

#[test]
fn reproducible_builds_of_root_and_user_have_one_digest() {
    let site = Site::busybox();
    let digests = [Who::Root, Who::User, Who::Root]
        .map(|who| build(&site, who, &["--reproducible"], None).digest());
    assert_eq!(digests[0], digests[1], "root and user");
    assert_eq!(digests[0], digests[2], "root again");
}

#[test]
fn source_date_epoch_sets_every_time_and_gives_one_digest() {
    let site = Site::busybox();
    let images = [Who::Root, Who::User].map(|who| build(&site, who, &[], Some("1577836800")));
    assert_eq!(images[0].digest(), images[1].digest());
    assert_eq!(images[0].config["created"], "2020-01-01T00:00:00Z");
    let tree = images[0].tree();
    assert!(
        tree.get("work/0").mtime <= 1_577_836_800,
        "{}",
        tree.get("work/0").mtime
    );
    assert_eq!(
        build(&site, Who::Root, &[], Some("1577836800")).digest(),
        images[0].digest(),
        "root again"
    );
    assert_ne!(
        build(&site, Who::Root, &[], Some("1577836801")).digest(),
        images[0].digest(),
        "another epoch"
    );
}

#[test]
fn without_any_flag_steps_that_set_their_times_have_the_same_layers_for_root_and_user() {
    let site = Site::busybox();
    let context = site
        .context(
            "RUN mkdir -p /zoo/d && cd /zoo && echo a > a && ln a b && ln -s a l && mkfifo p && chown 7:8 l d && chmod 2770 d \
               && touch -h -d @1500000000 a l p d . \n\
             RUN rm /zoo/b && rmdir /zoo/d && touch -d @1500000000 /zoo\n\
             COPY file /zoo/\nRUN touch -d @1500000000 /zoo",
        )
        .file("file", "");
    let [root, user] = Who::BOTH.map(|who| site.build(who, &context));
    // The COPY changes the time of its directory, to when it happened.
    let own = site.base.diff_ids.len();
    assert_eq!(root.diff_ids()[own..own + 2], user.diff_ids()[own..own + 2]);
    let digests = |image: &Image| {
        image.layers[own..own + 2]
            .iter()
            .map(|layer| layer.digest.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(digests(&root), digests(&user), "compressed as well");
}

#[test]
fn deterministic_steps_over_debian_have_one_digest_for_root_and_user() {
    let site = Site::debian();
    let base = &site.base;
    let context = Context::new(format!(
        "FROM {base} AS tools\nRUN apt-get update && apt-get install -y --no-install-recommends hello\n\
         FROM {base}\nCOPY --from=tools /usr/bin/hello /usr/local/bin/hello\nRUN dpkg --version > /version && rm -r /usr/share/doc/apt\n\
         COPY greet /usr/local/bin/\nWORKDIR /srv/app\n"
    ))
    .file("greet", "#!/bin/sh\nhello\n");
    let [root, user] =
        Who::BOTH.map(|who| site.build_with(site.executor(who, &context).arg("--reproducible")));
    assert_eq!(root.diff_ids(), user.diff_ids());
    assert_eq!(root.digest(), user.digest());
}

#[test]
fn the_number_of_threads_does_not_show_in_the_bytes() {
    let site = Site::busybox();
    let context = site.context(
        "COPY noise /\nRUN i=0; while [ $i -lt 200000 ]; do echo line $i; i=$((i+1)); done > /text",
    );
    let noise: Vec<u8> = (0..5_000_000_u64)
        .map(|n| (n.wrapping_mul(6_364_136_223_846_793_005) >> 33) as u8 & 0x3f)
        .collect();
    let context = context.file("noise", noise);
    for compression in ["gzip", "zstd"] {
        let digest = |one_core: bool| {
            let executor = Executor::new(Who::Root)
                .context(&context)
                .destination(&site.app())
                .arg("--reproducible");
            let executor = executor.args(["--compression", compression]);
            let executor = if one_core {
                executor.on_one_core()
            } else {
                executor
            };
            executor.run().assert_success();
            check_image(&site.registry, "app:1", &site.base).digest()
        };
        assert_eq!(digest(true), digest(false), "{compression}");
    }
}
