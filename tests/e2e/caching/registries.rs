//! Registries that fail, lose something, or mix what several builds have stored: the build goes on, and is right.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use super::log::{steps, warnings};
use super::project::Project;
use crate::support::{Context, Executor, Image, Site, Who};

fn context(site: &Site) -> Context {
    let lines = "COPY file /srv/
RUN cat /srv/file > /made";
    site.context(lines).file("file", "file")
}

/// A registry that has one answer. It ends with the test's process.
fn server_that_says(status: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let host = format!(
        "localhost:{}",
        listener.local_addr().expect("an address").port()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, status));
        }
    });
    host
}

fn answer(stream: TcpStream, status: u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        // A request that has a body is not read to its end: the connection is closed.
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        write!(
            writer,
            "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n"
        )?;
    }
}

#[test]
fn a_registry_that_does_not_serve_its_cache_is_a_warning() {
    let site = Site::busybox();
    let project = Project::new(&site.registry, "app", context(&site));
    for status in [401, 403, 404, 429, 500] {
        let repository = format!("--cache-repo={}/cache", server_that_says(status));
        let built = project.build(&["--cache", &repository]);
        assert_ne!(warnings(&built.build), Vec::<&str>::new(), "{status}");
        project.assert_same_as_uncached(&built, &[], &site.base);
    }
}

#[test]
fn an_entry_that_has_lost_its_layer_is_made_again() {
    let site = Site::busybox();
    let repository = format!("--cache-repo={}", site.registry.reference("kept"));
    let flags = ["--cache", "--cache-copy-layers", &repository];
    let first = Project::new(&site.registry, "one", context(&site));
    let image = first.pull(&first.build(&flags).digest);
    let layer = image.layers.last().expect("a layer");
    std::fs::remove_file(site.registry.blob_file(&layer.digest)).expect("lose a blob");
    let second = Project::new(&site.registry, "two", context(&site)).build(&flags);
    let executed = steps(&second.build).into_iter().filter(|step| !step.is_hit);
    let executed: Vec<String> = executed.map(|step| step.text).collect();
    assert_eq!(executed, ["RUN cat /srv/file > /made"]);
    let warnings = warnings(&second.build);
    assert!(
        warnings.iter().any(|warning| warning.contains("not whole")),
        "{warnings:?}"
    );
    assert_eq!(second.digest, image.digest());
}

/// Two builds have executed the same steps with different results, and of each the cache has kept one half.
#[test]
fn results_of_different_builds_are_never_mixed() {
    let site = Site::busybox();
    let base = &site.base;
    let dockerfile = format!(
        "FROM {base} AS build\nRUN head -c 16 /dev/urandom | od -t x1 > /a\nRUN cp /a /b\n\
         FROM {base}\nCOPY --from=build /b /from-b\nRUN true > /x\nCOPY --from=build /a /from-a\n"
    );
    let context = Context::new(dockerfile);
    let build = |name: &str| {
        let repository = format!(
            "--cache-repo={}",
            site.registry.reference(&format!("{name}/cache"))
        );
        let executor = Executor::new(Who::Root).context(&context);
        let build = executor
            .destination(&site.registry.reference(&format!("{name}:1")))
            .args(["--cache", "--cache-copy-layers", &repository])
            .run();
        build.assert_success();
        let tree = Image::pull(&site.registry, &format!("{name}:1")).tree();
        let same = tree.get("from-a").kind == tree.get("from-b").kind;
        assert!(same, "{name}: {}", build.stderr());
    };
    build("one");
    build("two");
    let tags = |name: &str| site.registry.tags(&format!("{name}/cache"));
    let (one, two) = (tags("one"), tags("two"));
    // Under its key by definition each step is kept by both.
    let common: Vec<&String> = one.iter().filter(|tag| two.contains(tag)).collect();
    assert_eq!(common.len(), 5);
    for choice in (1..31).step_by(3) {
        let name = format!("mixed{choice}");
        let copy = |from: &str, tag: &str| {
            let to = format!("{name}/cache:{tag}");
            site.registry.copy(&format!("{from}/cache:{tag}"), &to);
        };
        for (from, tags) in [("one", &one), ("two", &two)] {
            let own = tags.iter().filter(|tag| !common.contains(tag));
            own.for_each(|tag| copy(from, tag));
        }
        for (at, tag) in common.iter().enumerate() {
            copy(if choice >> at & 1 == 0 { "one" } else { "two" }, tag);
        }
        build(&name);
    }
}
