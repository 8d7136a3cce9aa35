//! One thing is changed between two builds: which steps must be executed, and which must not.

use super::job::{Entry, Input, Job, Steps};
use crate::support::{CraftedImage, Encoding, Family, LayerTar, Site};

/// A change, and the instructions that are executed after it, by their beginnings. All others are found.
struct Change {
    what: &'static str,
    change: fn(&mut Input),
    executed: &'static [&'static str],
    /// The cached image has older times than one that is built anew: times of copied files are no input.
    differs_in_times: bool,
}

impl Change {
    const fn new(
        what: &'static str,
        change: fn(&mut Input),
        executed: &'static [&'static str],
    ) -> Self {
        Self {
            what,
            change,
            executed,
            differs_in_times: false,
        }
    }
}

/// What all changes begin with: every input of a step is there once.
fn input(site: &Site) -> Input {
    let base = &site.base;
    Input {
        dockerfile: format!(
            "FROM {base} AS build\n\
             ARG VERSION=1\n\
             WORKDIR /src\n\
             COPY lib ./lib/\n\
             RUN cat lib/* > /made; echo built; echo $VERSION >/version\n\
             FROM {base} AS app\n\
             ENV MODE=fast\n\
             RUN echo first $MODE > /first\n\
             ARG LATE=1\n\
             COPY main.txt link /srv/\n\
             COPY --from=build /made /srv/made\n\
             RUN echo second $LATE > /second\n\
             LABEL stage=app\n\
             COPY <<EOF /etc/app.conf\nmode=fast\nEOF\n"
        ),
        files: vec![
            ("lib/a", Entry::File("a")),
            ("lib/b", Entry::File("b")),
            ("lib/ignored", Entry::File("1")),
            ("main.txt", Entry::File("main")),
            ("link", Entry::Link("main.txt")),
            (".dockerignore", Entry::File("**/ignored\n")),
        ],
        args: Vec::new(),
    }
}

const BUILD_LIB: [&str; 2] = ["COPY lib", "RUN cat"];
/// What depends on the library's bytes in the final stage.
const AFTER_LIB: [&str; 5] = [
    "COPY lib",
    "RUN cat",
    "COPY --from",
    "RUN echo second",
    "COPY <<EOF",
];

fn of_the_context() -> Vec<Change> {
    vec![
        Change::new("nothing", |_| {}, &[]),
        Change::new(
            "a file's content",
            |input| input.put("lib/a", Entry::File("A")),
            &AFTER_LIB,
        ),
        // It is copied with another mode, and read alike: what the builder makes of it is the same.
        Change::new(
            "a file's mode",
            |input| input.put("lib/a", Entry::Mode("a", 0o600)),
            &BUILD_LIB,
        ),
        Change {
            differs_in_times: true,
            ..Change::new(
                "a file's time",
                |input| input.put("main.txt", Entry::Time("main", 1_500_000_000)),
                &[],
            )
        },
        Change::new(
            "an ignored file",
            |input| input.put("lib/ignored", Entry::File("2")),
            &[],
        ),
        Change::new(
            "a file that nobody copies",
            |input| input.put("other", Entry::File("x")),
            &[],
        ),
        Change::new(
            "a new file",
            |input| input.put("lib/c", Entry::File("c")),
            &AFTER_LIB,
        ),
        Change::new(
            "a file that is gone",
            |input| input.remove("lib/b"),
            &AFTER_LIB,
        ),
        // cat reads them in the order of their names: the builder makes the same of them.
        Change::new(
            "a renamed file",
            |input| {
                input.remove("lib/b");
                input.put("lib/bb", Entry::File("b"));
            },
            &BUILD_LIB,
        ),
        Change::new(
            "bytes that move from one file to the next",
            |input| {
                input.put("lib/a", Entry::File("ab"));
                input.put("lib/b", Entry::File(""));
            },
            &BUILD_LIB,
        ),
        Change::new(
            "where a link leads",
            |input| {
                input.put("elsewhere", Entry::File("elsewhere"));
                input.put("link", Entry::Link("elsewhere"));
            },
            &[
                "COPY main.txt",
                "COPY --from",
                "RUN echo second",
                "COPY <<EOF",
            ],
        ),
        Change::new(
            "the ignore file",
            |input| input.put(".dockerignore", Entry::File("**/ignored\nlib/b\n")),
            &AFTER_LIB,
        ),
    ]
}

/// All that follows the first step of the final stage, and that step.
const FINAL: [&str; 5] = [
    "RUN echo first",
    "COPY main.txt",
    "COPY --from",
    "RUN echo second",
    "COPY <<EOF",
];

fn of_the_dockerfile() -> Vec<Change> {
    vec![
        Change::new(
            "a comment",
            |input| input.replace("WORKDIR", "# why\nWORKDIR"),
            &[],
        ),
        Change::new(
            "a continued line",
            |input| input.replace("RUN echo first", "RUN \\\n  echo first"),
            &[],
        ),
        Change::new(
            "the case of a keyword",
            |input| input.replace("RUN echo first", "run echo first"),
            &[],
        ),
        Change::new(
            "the name of a stage",
            |input| {
                input.replace("AS build", "AS made");
                input.replace("--from=build", "--from=made");
            },
            &[],
        ),
        Change::new(
            "a stage by its number",
            |input| input.replace("--from=build", "--from=0"),
            &[],
        ),
        Change::new(
            "a command",
            |input| input.replace("echo first", "echo First"),
            &[
                "RUN echo First",
                "COPY main.txt",
                "COPY --from",
                "RUN echo second",
                "COPY <<EOF",
            ],
        ),
        Change::new(
            "what a builder prints",
            |input| input.replace("echo built", "echo Built"),
            &["RUN cat"],
        ),
        Change::new(
            "a variable",
            |input| input.replace("MODE=fast", "MODE=slow"),
            &FINAL,
        ),
        Change::new(
            "a variable that ends as it was",
            |input| input.replace("ENV MODE=fast", "ENV MODE=slow\nENV MODE=fast"),
            &[],
        ),
        Change::new(
            "the default of an argument",
            |input| input.replace("LATE=1", "LATE=2"),
            &["RUN echo second", "COPY <<EOF"],
        ),
        Change::new(
            "a label in the middle",
            |input| input.replace("LABEL stage=app", "LABEL stage=other"),
            &[],
        ),
        Change::new(
            "a port in the middle",
            |input| input.replace("ARG LATE", "EXPOSE 80\nARG LATE"),
            &[],
        ),
        Change::new(
            "a here document",
            |input| input.replace("\nmode=fast\n", "\nmode=slow\n"),
            &["COPY <<EOF"],
        ),
        // What is made of the library is the same wherever it is made.
        Change::new(
            "the working directory",
            |input| input.replace("WORKDIR /src", "WORKDIR /source"),
            &["WORKDIR", "COPY lib", "RUN cat"],
        ),
        Change::new(
            "the user",
            |input| input.replace("COPY <<EOF", "USER app\nRUN id -u\nCOPY <<EOF"),
            &["RUN id", "COPY <<EOF"],
        ),
        // With times that do not change, the commands make the same layers as before.
        Change::new(
            "the shell",
            |input| {
                input.replace(
                    "ENV MODE=fast",
                    "ENV MODE=fast\nSHELL [\"/bin/sh\", \"-ec\"]",
                )
            },
            &["RUN echo first", "RUN echo second"],
        ),
        Change::new(
            "the network",
            |input| input.replace("RUN echo second", "RUN --network=none echo second"),
            &["RUN --network"],
        ),
        Change::new(
            "an owner",
            |input| input.replace("COPY main.txt", "COPY --chown=app main.txt"),
            &[
                "COPY --chown",
                "COPY --from",
                "RUN echo second",
                "COPY <<EOF",
            ],
        ),
        Change::new(
            "a mode",
            |input| input.replace("--from=build", "--from=build --chmod=600"),
            &["COPY --from", "RUN echo second", "COPY <<EOF"],
        ),
        Change::new(
            "a destination",
            |input| input.replace("/srv/made", "/srv/MADE"),
            &["COPY --from", "RUN echo second", "COPY <<EOF"],
        ),
        Change::new(
            "an exclusion",
            |input| input.replace("COPY lib", "COPY --exclude=b lib"),
            &[
                "COPY --exclude",
                "RUN cat",
                "COPY --from",
                "RUN echo second",
                "COPY <<EOF",
            ],
        ),
        Change::new(
            "a step that is gone",
            |input| input.replace("RUN echo first $MODE > /first\n", ""),
            &FINAL[1..],
        ),
        Change::new(
            "a step that is new",
            |input| input.replace("LABEL stage=app", "RUN echo new > /new"),
            &["RUN echo new", "COPY <<EOF"],
        ),
        Change::new(
            "the order of two steps",
            |input| {
                input.replace("COPY main.txt link /srv/\n", "");
                input.replace(
                    "ENV MODE=fast\n",
                    "ENV MODE=fast\nCOPY main.txt link /srv/\n",
                );
            },
            &FINAL,
        ),
        Change::new(
            "a stage that nobody needs",
            |input| {
                input.dockerfile = format!(
                    "FROM scratch AS unused\nCOPY nothing /\n{}",
                    input.dockerfile
                );
                input.replace("--from=build", "--from=build");
            },
            &[],
        ),
    ]
}

fn of_the_command_line() -> Vec<Change> {
    const ALL: &[&str] = &[
        "WORKDIR",
        "COPY lib",
        "RUN cat",
        "RUN echo first",
        "COPY main.txt",
        "COPY --from",
        "RUN echo second",
        "COPY <<EOF",
    ];
    vec![
        Change::new(
            "an argument that nobody declares",
            |input| input.arg("--build-arg=OTHER=1"),
            &[],
        ),
        Change::new(
            "an argument that a stage declares",
            |input| input.arg("--build-arg=VERSION=2"),
            &["RUN cat"],
        ),
        Change::new(
            "an argument that is what its default is",
            |input| input.arg("--build-arg=VERSION=1"),
            &[],
        ),
        Change::new(
            "a proxy",
            |input| input.arg("--build-arg=http_proxy=http://127.0.0.1:1"),
            &[],
        ),
        Change::new("a label", |input| input.arg("--label=a=b"), &[]),
        Change::new("the target", |input| input.arg("--target=build"), &[]),
        Change::new(
            "the compression",
            |input| input.arg("--compression=zstd"),
            ALL,
        ),
        Change::new(
            "the compression level",
            |input| input.arg("--compression-level=9"),
            ALL,
        ),
        Change::new(
            "the family of the documents",
            |input| input.arg("--image-format=docker"),
            &[],
        ),
        Change::new(
            "a path that is left out",
            |input| input.arg("--ignore-path=/first"),
            ALL,
        ),
        Change::new(
            "the kind of the storage",
            |input| input.arg("--storage=tree"),
            &[],
        ),
        Change::new(
            "the isolation",
            |input| input.arg("--isolation=chroot"),
            &[],
        ),
    ]
}

/// Builds, and then after each change again from what was kept then.
fn check(changes: Vec<Change>) {
    let site = Site::busybox();
    let input = input(&site);
    let flags = ["--cache", "--cache-copy-layers"];
    let (first, _) = Job::new(&site, "app", &flags).build(&input);
    assert_eq!(Steps::of(&first).cached, Vec::<String>::new());
    let job = Job::new(&site, "app", &[&flags[..], &["--no-push-cache"]].concat());
    for change in changes {
        let what = change.what;
        let mut input = input.clone();
        (change.change)(&mut input);
        let (build, cached) = job.build(&input);
        let mut executed = Steps::of(&build).executed;
        executed.retain(|step| !change.executed.iter().any(|begin| step.starts_with(begin)));
        assert_eq!(executed, Vec::<String>::new(), "{what}: {}", build.stderr());
        for begin in change.executed {
            let is_executed = |step: &String| step.starts_with(begin);
            let steps = Steps::of(&build);
            assert!(
                steps.executed.iter().any(is_executed),
                "{what}: {begin}: {}",
                build.stderr()
            );
        }
        let uncached = job.build_uncached(&input);
        if change.differs_in_times {
            let (cached, uncached) = (cached.tree(), uncached.tree());
            let differences = cached
                .without_times()
                .differences(&uncached.without_times());
            assert_eq!(differences, Vec::<String>::new(), "{what}");
        } else {
            assert_eq!(cached.digest(), uncached.digest(), "{what}");
        }
    }
}

#[test]
fn a_change_of_the_context_executes_what_depends_on_it() {
    check(of_the_context());
}

#[test]
fn a_change_of_the_dockerfile_executes_what_depends_on_it() {
    check(of_the_dockerfile());
}

#[test]
fn a_change_of_the_command_line_executes_what_depends_on_it() {
    check(of_the_command_line());
}

#[test]
fn the_base_counts_by_its_files() {
    let site = Site::busybox();
    let push = |content: &str, label: &str| {
        let image = CraftedImage::new(Family::Oci);
        let image = image.config("Labels", serde_json::json!({ "label": label }));
        let layer = LayerTar::new().shell().file("content", content);
        image
            .layer(layer, Encoding::Gzip)
            .push_to(&site.registry, "moving:1");
    };
    let base = site.registry.reference("moving:1");
    let build = || {
        let dockerfile = format!("FROM {base}\nRUN busybox true > /made\n");
        let context = crate::support::Context::new(dockerfile);
        let executor = site.executor(crate::support::Who::Root, &context);
        let build = executor.arg("--cache").run();
        build.assert_success();
        Steps::of(&build).executed.len()
    };
    push("content", "a");
    assert_eq!(build(), 1);
    assert_eq!(build(), 0);
    push("content", "b");
    assert_eq!(build(), 0, "another label");
    push("other content", "b");
    assert_eq!(build(), 1, "another file");
}
