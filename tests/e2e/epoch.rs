//! `SOURCE_DATE_EPOCH` that is the time of something in the network.

use std::path::Path;

use crate::support::crafted::{MTIME, encode};
use crate::support::git_repository::COMMITTED;
use crate::support::{
    Context, Encoding, Executor, FileServer, GitRepository, Image, LayerTar, Who,
};

/// What `Last-Modified` of the server says.
const DATE: i64 = 784_111_777;

/// The image tells what its stage sees of the variable.
const IMAGE: &str =
    "FROM scratch AS image\nARG SOURCE_DATE_EPOCH\nLABEL epoch=$SOURCE_DATE_EPOCH\n";

fn build(executor: Executor, epoch: &str) -> Image {
    let layout = executor.out("layout");
    let executor = executor.env("SOURCE_DATE_EPOCH", epoch).arg("--no-push");
    let executor = executor.arg("--oci-layout-path").arg(&layout);
    delivered(executor, &layout)
}

fn delivered(executor: Executor, layout: &Path) -> Image {
    // The layout lies in a directory that goes with the build.
    let build = executor.run();
    build.assert_success();
    Image::taken_from_layout(layout)
}

#[track_caller]
fn assert_epoch(image: &Image, seconds: i64) {
    let time = jiff::Timestamp::from_second(seconds).expect("a time");
    assert_eq!(image.config["created"], time.to_string());
    let label = &image.config["config"]["Labels"]["epoch"];
    assert_eq!(*label, seconds.to_string());
}

fn crafted_time() -> i64 {
    i64::try_from(MTIME).expect("a time")
}

#[test]
fn the_time_may_be_that_of_a_context_that_is_fetched() {
    let web = FileServer::start();
    let dockerfile = format!("{IMAGE}COPY f /\n");
    let repository = GitRepository::new(&web.files(), "app");
    repository.file("f", "f").file("Dockerfile", &dockerfile);
    repository.commit("first");
    let tar = LayerTar::new().file("f", "f").dir("late", 0o755);
    let tar = tar.file("Dockerfile", &dockerfile).finish();
    web.file("c.tgz", encode(&tar, Encoding::Gzip));
    let of = |url: String, epoch: &str| {
        let executor = Executor::new(Who::User).arg("--context").arg(url);
        build(executor, epoch)
    };
    assert_epoch(&of(web.url("git/app.git"), "context"), COMMITTED);
    assert_epoch(&of(web.url("dated/c.tgz"), "context"), DATE);
    assert_epoch(&of(web.url("plain/c.tgz"), "context"), crafted_time());
    // Whoever gives a time gets the commit's for the files, unless the URL says another thing.
    let later = "4000000000";
    let image = of(web.url("git/app.git"), later);
    assert_eq!(image.tree().get("f").mtime, COMMITTED);
    let image = of(web.url("git/app.git?mtime=checkout"), later);
    assert!(image.tree().get("f").mtime > COMMITTED);
}

#[test]
fn the_time_may_be_that_of_a_named_context_that_is_fetched() {
    let web = FileServer::start();
    let repository = GitRepository::new(&web.files(), "app");
    repository.file("f", "f").commit("first");
    let tar = LayerTar::new().file("f", "f").finish();
    web.file("c.tar", tar);
    web.file("f", "f");
    let context = Context::new(IMAGE);
    let of = |path: &str| {
        let named = format!("--build-context=src={}", web.url(path));
        build(Executor::new(Who::User).context(&context).arg(named), "src")
    };
    assert_epoch(&of("git/app.git"), COMMITTED);
    assert_epoch(&of("dated/f"), DATE);
    assert_epoch(&of("plain/c.tar"), crafted_time());
    let image = of("plain/f");
    assert_eq!(image.config["config"]["Labels"]["epoch"], "");
    assert!(image.config["created"].as_str() > Some("2020"));
}

#[test]
fn the_time_may_be_that_of_the_one_source_of_a_stage() {
    let web = FileServer::start();
    let repository = GitRepository::new(&web.files(), "app");
    repository.file("f", "f").commit("first");
    web.file("f", "f");
    web.file("c.tar", LayerTar::new().file("f", "f").finish());
    let of = |path: &str| {
        let source = web.url(path);
        let context = Context::new(format!(
            "ARG SOURCE_DATE_EPOCH=Source\nARG WHERE={source}\nFROM scratch AS source\nARG URL=$WHERE\nADD $URL /\n\
             {IMAGE}COPY --from=source / /\n"
        ));
        let executor = Executor::new(Who::User).context(&context).arg("--no-push");
        let layout = executor.out("layout");
        delivered(executor.arg("--oci-layout-path").arg(&layout), &layout)
    };
    let requests = web.requests_of(|| assert_epoch(&of("git/app.git"), COMMITTED));
    let packs = requests.iter().filter(|it| it.starts_with("POST")).count();
    // One asks what the reference is, one fetches: for the time, and for the files.
    assert_eq!(packs, 2, "{requests:?}");
    assert_epoch(&of("dated/f"), DATE);
    let requests = web.requests_of(|| assert_epoch(&of("plain/c.tar"), crafted_time()));
    let downloads = requests.iter().filter(|it| it.starts_with("GET")).count();
    assert_eq!(downloads, 1, "{requests:?}");
}

#[test]
fn a_stage_with_anything_else_gives_no_time() {
    for stage in [
        "FROM other AS source\nADD https://127.0.0.1:9/f /",
        "FROM scratch AS source\nADD f /",
        "FROM scratch AS source\nADD https://127.0.0.1:9/f https://127.0.0.1:9/g /",
        "FROM scratch AS source\nADD https://127.0.0.1:9/f /\nADD https://127.0.0.1:9/g /",
        "FROM scratch AS source\nADD https://127.0.0.1:9/f /\nLABEL a=b",
        "FROM scratch AS source",
    ] {
        let context = Context::new(format!("{stage}\nFROM scratch\nCOPY --from=source / /\n"));
        let executor = Executor::new(Who::User).context(&context).arg("--no-push");
        let build = executor.env("SOURCE_DATE_EPOCH", "source").run();
        build.assert_error(1, &["Dockerfile:1", "must be FROM scratch"]);
    }
}
