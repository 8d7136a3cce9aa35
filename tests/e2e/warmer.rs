//! The warmer: what it pulls, what it leaves, and what it says.

use crate::support::cache_dir::{CacheDir, layer_requests, names, text_of};
use crate::support::crafted::push_index;
use crate::support::file_server::FileServer;
use crate::support::image::hex_of;
use crate::support::process::Running;
use crate::support::tool::Tool;
use crate::support::{
    Context, CraftedImage, Encoding, Executor, Family, Image, LayerTar, Registry, Who,
};
use rustix::process::Signal;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

fn push(registry: &Registry, name: &str, text: &str) -> Image {
    crafted(text).push_to(registry, name);
    Image::pull(registry, name)
}

fn crafted(text: &str) -> CraftedImage {
    let layer = LayerTar::new().shell().file("text", text);
    CraftedImage::new(Family::Oci).layer(layer, Encoding::Gzip)
}

/// Runs the warmer, which must end with `code`, and returns what it printed.
fn warm(cache: &CacheDir, code: i32, args: &[&str]) -> String {
    let output = cache.warmer(args);
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn an_image_that_cannot_be_had_is_an_error_and_the_others_are_there() {
    let registry = Registry::start();
    let good = push(&registry, "good:1", "a");
    let (good_name, bad_name) = (registry.reference("good:1"), registry.reference("bad:1"));
    let cache = CacheDir::new(Who::Root);
    let text = warm(
        &cache,
        1,
        &["-i", &bad_name, "-i", "NO NAME", "-i", &good_name],
    );
    assert!(text.contains(&format!("{good_name} (linux/")), "{text}");
    assert!(
        text.contains(&format!("pulled {}", good.digest())),
        "{text}"
    );
    assert!(
        text.contains("failed: ") && text.contains("2 of 3 images"),
        "{text}"
    );
    assert_eq!(cache.images(), [hex_of(&good.digest())]);
    cache.assert_whole();
}

#[test]
fn only_what_changed_or_expired_or_is_forced_is_pulled() {
    let registry = Registry::start();
    let first = push(&registry, "image:1", "a");
    let name = registry.reference("image:1");
    let cache = CacheDir::new(Who::Root);
    let warm = |args: &[&str]| {
        let before = registry.requests().len();
        let args: Vec<&str> = ["--image", &name].iter().chain(args).copied().collect();
        let text = warm(&cache, 0, &args);
        (text, registry.requests()[before..].to_vec())
    };
    let layers = |requests: &[String], image: &Image| {
        let hex = hex_of(&image.layers[0].digest).to_owned();
        requests
            .iter()
            .filter(|request| request.contains(&hex))
            .count()
    };
    let (text, _) = warm(&[]);
    assert!(text.contains("pulled"), "{text}");
    let (text, requests) = warm(&[]);
    assert!(text.contains("already there"), "{text}");
    assert!(
        requests
            .iter()
            .all(|request| !request.starts_with("GET /v2/image")),
        "{requests:?}"
    );
    // What is expired gets a new date, and no bytes: these are the same.
    let (text, requests) = warm(&["--cache-ttl=1ns"]);
    assert!(text.contains("refreshed"), "{text}");
    assert_eq!(layers(&requests, &first), 0, "{requests:?}");
    let (text, requests) = warm(&["--force"]);
    assert!(text.contains("refreshed"), "{text}");
    assert_eq!(layers(&requests, &first), 1, "{requests:?}");
    let second = push(&registry, "image:1", "b");
    let (text, requests) = warm(&[]);
    assert!(
        text.contains(&format!("pulled {}", second.digest())),
        "{text}"
    );
    assert_eq!(layers(&requests, &second), 1);
    cache.assert_whole();
}

#[test]
fn a_refreshed_image_is_new_to_the_executor() {
    let registry = Registry::start();
    let image = push(&registry, "image:1", "a");
    let name = registry.reference("image:1");
    let cache = CacheDir::new(Who::Root);
    let build = |ttl: &str| {
        let before = registry.requests().len();
        let context = Context::new(format!(
            "FROM {name}\nRUN [\"/bin/sh\", \"-c\", \": > /new\"]\n"
        ));
        Executor::new(Who::Root)
            .context(&context)
            .args(["--no-push", "--cache=true", ttl, &cache.flag()])
            .run()
            .assert_success();
        layer_requests(&registry, before, &image).len()
    };
    warm(&cache, 0, &["--image", &name]);
    assert_eq!(build("--cache-ttl=1h"), 0);
    let names = cache.path().join("images").join(hex_of(&image.digest()));
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let file = fs::File::options()
        .write(true)
        .open(names)
        .expect("open a name");
    file.set_modified(old).expect("set a time");
    let text = warm(&cache, 0, &["--image", &name, "--cache-ttl=1h"]);
    assert!(text.contains("refreshed"), "{text}");
    assert_eq!(build("--cache-ttl=1h"), 0);
}

#[test]
fn a_dockerfile_gives_all_its_images_with_arguments_and_platforms() {
    let registry = Registry::start();
    let (one, two, copied, mounted) = (
        push(&registry, "one:1", "1"),
        push(&registry, "two:2", "2"),
        push(&registry, "copied:1", "3"),
        push(&registry, "mounted:1", "4"),
    );
    push_index(
        &registry,
        &[
            crafted("5").architecture("amd64"),
            crafted("6").architecture("arm64"),
        ],
        "many:1",
    );
    let host = registry.host();
    let context = Context::new(format!(
        "ARG TAG=1\nARG IMAGE=two\nFROM {host}/one:1 AS build\nFROM {host}/$IMAGE:$TAG AS two\n\
         COPY --from=build text /\nCOPY --from={host}/copied:1 text /\n\
         RUN --mount=from={host}/mounted:1,target=/m true\nFROM scratch\nFROM build\n\
         FROM --platform=linux/arm64 {host}/many:1\n"
    ));
    let cache = CacheDir::new(Who::Root);
    let dockerfile = context.path().join("Dockerfile");
    let dockerfile = dockerfile.to_str().expect("an ASCII path");
    let text = warm(&cache, 0, &["-d", dockerfile, "--build-arg=TAG=2"]);
    assert!(text.contains("many:1 (linux/arm64"), "{text}");
    for image in [one, two, copied, mounted] {
        assert!(
            cache.images().contains(&hex_of(&image.digest()).to_owned()),
            "{text}"
        );
    }
    // The index and one image of it.
    assert_eq!(cache.images().len(), 6, "{text}");
    let text = warm(&cache, 1, &["-d", dockerfile]);
    assert!(
        text.contains("two:1 (linux/") && text.contains("1 of 5 images"),
        "{text}"
    );
}

#[test]
fn what_triggers_of_a_base_name_is_pulled_and_a_dockerfile_may_be_on_a_server() {
    let registry = Registry::start();
    let host = registry.host().to_owned();
    let tool = push(&registry, "tool:1", "t");
    let trigger = |text: &str| crafted("b").config("OnBuild", serde_json::json!([text]));
    trigger(&format!("COPY --from={host}/tool:1 text /")).push_to(&registry, "base:1");
    trigger("COPY --from=later x /").push_to(&registry, "wrong:1");
    let server = FileServer::start();
    server.file(
        "Dockerfile",
        format!("FROM {host}/base:1\nFROM scratch AS later\n"),
    );
    let url = server.url("plain/Dockerfile");
    let cache = CacheDir::new(Who::Root);
    let kept = |image: &Image| cache.images().contains(&hex_of(&image.digest()).to_owned());
    let text = warm(&cache, 0, &["-d", &url]);
    assert!(text.contains("tool:1 (linux/") && kept(&tool), "{text}");
    // Also of a base that was there before.
    let moved = push(&registry, "tool:1", "moved");
    let text = warm(&cache, 0, &["-d", &url]);
    assert!(text.contains("already there") && kept(&moved), "{text}");
    let context = Context::new(format!("FROM {host}/wrong:1\nFROM scratch AS later\n"));
    let dockerfile = context.path().join("Dockerfile");
    let dockerfile = dockerfile.to_str().expect("an ASCII path");
    let text = warm(&cache, 1, &["-d", dockerfile]);
    assert!(
        text.contains("wrong:1 (linux/") && text.contains("1 of 1 images"),
        "{text}"
    );
    let text = warm(&cache, 1, &["-d", &server.url("plain/none")]);
    assert!(text.contains("cannot fetch the Dockerfile"), "{text}");
}

#[test]
fn without_anything_to_pull_or_a_place_it_fails() {
    let cache = CacheDir::new(Who::Root);
    assert!(warm(&cache, 1, &[]).contains("--image"));
    assert!(warm(&cache, 1, &["--no-such-flag"]).contains("--no-such-flag"));
    let text = warm(&cache, 1, &["--dockerfile=ftp://example.com/Dockerfile"]);
    assert!(
        text.contains("not supported: a Dockerfile from ftp://"),
        "{text}"
    );
    assert!(warm(&cache, 1, &["--dockerfile=/nonexistent"]).contains("/nonexistent"));
    let output = Tool::new(env!("CARGO_BIN_EXE_warmer"))
        .args(["--image=a", "--cache-dir=/proc/cache"])
        .output();
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("cannot use the cache directory `/proc/cache`"),
        "{text}"
    );
}

#[test]
fn mirrors_and_maps_are_asked_first() {
    let (mirror, gone) = (Registry::start(), "127.0.0.1:1");
    let image = push(&mirror, "proxy/team/base:1", "a");
    let cache = CacheDir::new(Who::Root);
    let map = format!("--registry-map={gone}={}/proxy", mirror.host());
    let name = format!("{gone}/team/base:1");
    let text = warm(&cache, 0, &[&map, "--image", &name]);
    assert!(text.contains(&image.digest()), "{text}");
    let nothing = Registry::start();
    let map = format!("--registry-map={gone}={}", nothing.host());
    let text = warm(
        &cache,
        1,
        &[&map, "--skip-default-registry-fallback", "--image", &name],
    );
    assert!(text.contains("failed"), "{text}");
}

#[test]
fn warmers_and_executors_share_a_directory() {
    let registry = Registry::start();
    let images: Vec<Image> = (0..3)
        .map(|number| {
            push(
                &registry,
                &format!("image:{number}"),
                &"x".repeat(number * 1000),
            )
        })
        .collect();
    let cache = CacheDir::new(Who::Root);
    let reference = |number: usize| registry.reference(&format!("image:{number}"));
    let build = |number: usize| {
        let context = Context::new(format!(
            "FROM {}\nRUN [\"/bin/sh\", \"-c\", \"test -e /text && : > /new\"]\n",
            reference(number)
        ));
        Executor::new(Who::Root)
            .context(&context)
            .args(["--no-push", &cache.flag()])
            .run()
            .assert_success();
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let names: Vec<String> = (0..3).map(reference).collect();
                let args: Vec<&str> = names
                    .iter()
                    .flat_map(|name| ["-i", name.as_str()])
                    .collect();
                warm(&cache, 0, &args);
                warm(&cache, 0, &[&args[..], &["--force"]].concat());
            });
        }
        for number in 0..3 {
            scope.spawn(move || build(number));
        }
        scope.spawn(|| cache.upkeep_says(&["prune", "--keep-size=1k"]));
    });
    cache.assert_whole();
    warm(
        &cache,
        0,
        &[
            "-i",
            &reference(0),
            "-i",
            &reference(1),
            "-i",
            &reference(2),
        ],
    );
    let kept = cache.images();
    assert!(
        images
            .iter()
            .all(|image| kept.contains(&hex_of(&image.digest()).to_owned()))
    );
}

#[test]
fn a_directory_is_listed_measured_pruned_and_verified() {
    let registry = Registry::start();
    let image = push(&registry, "image:1", "a");
    let cache = CacheDir::new(Who::Root);
    let name = registry.reference("image:1");
    warm(&cache, 0, &["-i", &name]);
    let list = cache.upkeep_says(&["ls"]);
    assert!(
        list.starts_with("KIND") && list.contains(&hex_of(&image.digest())[..12]),
        "{list}"
    );
    assert!(cache.upkeep_says(&["du"]).contains("images"));
    let pruned = cache.upkeep_says(&["prune", "--older-than", "1h"]);
    assert_eq!(pruned, "removed 0 entries, freed 0 B\n");
    let layer = cache.blob(&image.layers[0].digest);
    fs::write(&layer, "damaged").expect("damage a layer");
    let output = cache.upkeep(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let text = text_of(&output);
    assert!(
        text.contains(layer.to_str().expect("an ASCII path")),
        "{text}"
    );
    assert_eq!(cache.upkeep(&["verify", "--repair"]).status.code(), Some(1));
    cache.assert_whole();
    assert!(!layer.exists() && cache.images().is_empty());
    warm(&cache, 0, &["-i", &name]);
    assert!(
        cache
            .upkeep_says(&["prune", "--keep-size", "0"])
            .contains("removed 1 entries")
    );
    assert!(cache.images().is_empty() && !layer.exists());
    let executor = Tool::new(env!("CARGO_BIN_EXE_executor"));
    let output = executor
        .args(["cache", "ls", "--cache-dir=/nonexistent"])
        .output();
    assert_eq!(output.status.code(), Some(1));
}

/// Rounds in which programs that share a directory are killed.
const ROUNDS: u64 = 20;

#[test]
fn programs_that_are_killed_leave_a_directory_that_is_whole() {
    let registry = Registry::start();
    // Long enough to be killed in.
    let text: String = (0..300_000).map(|number| format!("{number}\n")).collect();
    push(&registry, "image:1", &text);
    let name = registry.reference("image:1");
    let cache = CacheDir::new(Who::Root);
    let context = Context::new(format!(
        "FROM {name}\nRUN [\"/bin/sh\", \"-c\", \"test $(busybox tail -n 1 /text) = 299999 && : > /new\"]\n"
    ));
    let build = || {
        let executor = Executor::new(Who::Root);
        let flag = cache.flag();
        executor.context(&context).args(["--no-push", &flag])
    };
    let executing = || build().arg("--cache-run-layers=false");
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    for round in 0..ROUNDS {
        // One that executes its step, and one that may find it.
        let builds = [executing().start(), build().start()];
        let mut command = Command::new(env!("CARGO_BIN_EXE_warmer"));
        command.arg(cache.flag()).args(["--force", "-i", &name]);
        let warmer = Running::start("warmer", command, Duration::from_secs(60));
        thread::sleep(Duration::from_millis(random(900)));
        for build in &builds {
            if random(3) > 0 {
                build.signal(Signal::KILL);
            }
        }
        if random(2) == 0 {
            warmer.signal(Signal::KILL);
        }
        for build in builds {
            let build = build.wait();
            let killed = 128 + Signal::KILL.as_raw();
            assert!([0, killed].contains(&build.code()), "{}", build.report());
        }
        warmer.wait();
        let verified = cache.upkeep(&["verify"]);
        assert!(
            verified.status.success(),
            "round {round}: {}",
            text_of(&verified)
        );
    }
    executing().run().assert_success();
    let build = executing().run();
    build.assert_success();
    assert!(
        build.stderr().contains("is unpacked in the cache"),
        "{}",
        build.report()
    );
    let pruned = cache.upkeep_says(&["prune", "--keep-size=0"]);
    let left = ["trees", "tmp", "images", "blobs/sha256"].map(|dir| names(&cache.path().join(dir)));
    assert!(left.iter().all(Vec::is_empty), "{pruned}{left:?}");
}
