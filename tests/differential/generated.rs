//! A Dockerfile and its context, made of a seed.

use crate::commands::{DIRS, LINKS, command, mode};
use crate::random::Random;
use crate::support::crafted::encode;
use crate::support::{Context, Encoding, LayerTar};

/// Sources that copy one file each.
const FILES: [&str; 5] = ["f0", "f1", "d0/x", "lf", "d1/deep/er/y"];

/// Sources that are directories.
const DIRECTORIES: [&str; 4] = ["d0", "d1", "d0/.", "ld"];

/// What ADD unpacks.
const ARCHIVES: [&str; 3] = ["archive.tar", "archive.gz", "archive.zst"];

/// A file, files of one kind, and those of a directory but for one.
const IGNORED: &str = "# ignored\nd1/y\nd0/sub/*\n!d0/sub/z\n**/*.none\n";

pub(crate) struct Generated {
    pub(crate) dockerfile: String,
    seed: u64,
}

impl Generated {
    pub(crate) fn of_seed(seed: u64, base: &str) -> Self {
        let mut random = Random::of_seed(seed);
        let mut lines = Vec::new();
        let stages = [1, 1, 2, 2, 2, 3][random.below(6)];
        for stage in 0..stages {
            let from = match stage {
                0 => base.to_owned(),
                _ if random.once_in(3) => base.to_owned(),
                _ => format!("s{}", stage - 1),
            };
            lines.push(format!("FROM {from} AS s{stage}"));
            lines.push("USER 0".to_owned());
            lines.push(format!(
                "RUN mkdir -p {} {LINKS} && chown 1000:1000 {} /home/app && ln -sfn /w/c /w/to-c && ln -sfn ../b /w/c/to-b",
                DIRS.join(" "),
                DIRS[0]
            ));
            for _ in 0..3 + random.below(6) {
                lines.push(instruction(&mut random, stage));
            }
        }
        lines.extend(last_lines(seed));
        Self {
            dockerfile: lines.join("\n") + "\n",
            seed,
        }
    }

    /// The files that the Dockerfile copies: always the same names, with other modes, times and contents.
    pub(crate) fn context(&self) -> Context {
        let mut random = Random::of_seed(!self.seed);
        let mut context = Context::new(&self.dockerfile)
            .symlink("lf", "f1")
            .symlink("ld", "d0")
            .symlink("d0/to-f0", "../f0")
            .symlink("d0/dangling", "/nowhere")
            .dir("d0/empty")
            .file("hl/one", "linked")
            .hard_link("hl/two", "hl/one")
            .hard_link("hl/sub/three", "hl/one")
            .file("archive.tar", archive())
            .file("archive.gz", encode(&archive(), Encoding::Gzip))
            .file("archive.zst", encode(&archive(), Encoding::Zstd))
            .file(".dockerignore", IGNORED)
            .file("d0/sub/ignored", "")
            .file("d1/deep/er/ignored.none", "");
        for path in ["f0", "f1", "d0/x", "d0/sub/z", "d1/deep/er/y", "d1/y"] {
            context = context
                .file(path, format!("{path} {}\n", random.below(1000)))
                .mode(
                    path,
                    u32::from_str_radix(mode(&mut random), 8).expect("octal"),
                )
                .mtime(
                    path,
                    1_100_000_000 + i64::try_from(random.below(300_000_000)).expect("small"),
                );
        }
        for path in ["d0/sub", "d0/empty", "d1/deep"] {
            context = context
                .mode(path, [0o755, 0o700, 0o1777][random.below(3)])
                .mtime(
                    path,
                    1_100_000_000 + i64::try_from(random.below(300_000_000)).expect("small"),
                );
        }
        context
    }
}

fn instruction(random: &mut Random, stage: usize) -> String {
    match random.below(20) {
        0..=6 => run(random),
        7..=9 => format!(
            "COPY {}{} {}",
            flags(random),
            file_sources(random),
            destination(random)
        ),
        10 | 11 => format!(
            "COPY {}{} {}",
            flags(random),
            random.pick(&DIRECTORIES),
            destination(random)
        ),
        12 => format!(
            "ADD {}{} {}",
            flags(random),
            file_sources(random),
            destination(random)
        ),
        13 => format!("ADD archive.tar {}", destination(random)),
        14 if stage > 0 => {
            let from = random.below(stage);
            format!(
                "COPY --from=s{from} {} {}",
                DIRS[random.below(DIRS.len())],
                destination(random)
            )
        }
        15 => match random.below(5) {
            0 => format!("COPY d* {}", destination(random)),
            1 => format!("COPY hl {LINKS}x"),
            3 => format!(
                "COPY {} /whole{}",
                random.pick(&DIRECTORIES),
                random.below(3)
            ),
            2 if stage > 0 => format!("COPY --from=s{} {LINKS} {LINKS}y", random.below(stage)),
            _ => format!(
                "COPY {}{} {}/name{}",
                flags(random),
                random.pick(&FILES),
                random.pick(&DIRS),
                random.below(3)
            ),
        },
        16 => format!(
            "WORKDIR {}",
            random.pick(&["/w/b", "sub", "/work/x/y", "..", "/", "/w/to-c/deep"])
        ),
        17 => format!(
            "USER {}",
            random.pick(&["root", "app", "1000:2000", "0", "app:media"])
        ),
        18 => format!("ENV V=\"{} $V\" W=${{V:-none}}", random.below(100)),
        _ => setting(random),
    }
}

/// What every Dockerfile ends with. Chosen apart from the rest, which a seed gives as it always did.
fn last_lines(seed: u64) -> [String; 3] {
    let mut random = Random::of_seed(seed.rotate_left(32));
    let volume = random.pick(&["/root", "[\"/root\", \"/tmp\"]"]);
    [
        format!("ADD {} /unpacked/", random.pick(&ARCHIVES)),
        format!("VOLUME {volume}"),
        format!("COPY {} /partly/", random.pick(&["d1", "d0", "."])),
    ]
}

fn run(random: &mut Random) -> String {
    let count = 1 + random.below(4);
    let commands: Vec<String> = (0..count).map(|_| command(random)).collect();
    format!("RUN {}", commands.join(" && \\\n    "))
}

fn setting(random: &mut Random) -> String {
    let number = random.below(100);
    match random.below(8) {
        0 => format!("LABEL a.b=\"{number}\" c='d e'"),
        1 => format!("CMD echo {number}"),
        2 => format!("CMD [\"echo\", \"{number}\"]"),
        3 => format!("ENTRYPOINT [\"/bin/sh\", \"-c\", \"{number}\"]"),
        4 => format!("EXPOSE {} {}/udp", number + 1, number + 2),
        5 => "STOPSIGNAL SIGINT".to_owned(),
        6 => format!("ARG V={number}"),
        _ => format!("HEALTHCHECK --interval=5s --retries={number} CMD true"),
    }
}

fn flags(random: &mut Random) -> String {
    match random.below(6) {
        0 => format!(
            "--chown={} ",
            random.pick(&["1000:1000", "app:media", "0:7", "12", "app"])
        ),
        1 => format!("--chmod={} ", mode(random)),
        _ => String::new(),
    }
}

fn file_sources(random: &mut Random) -> String {
    match random.below(5) {
        0 => "f0 f1".to_owned(),
        1 => "f*".to_owned(),
        2 => "d?/x".to_owned(),
        _ => random.pick(&FILES).to_owned(),
    }
}

/// Mostly a directory, there already or not, or a link to one.
fn destination(random: &mut Random) -> String {
    let number = random.below(4);
    match random.below(8) {
        0 => format!("/new{number}/deep/"),
        1 => format!("relative{number}/"),
        2 => "./".to_owned(),
        3 => random
            .pick(&["/w/to-c/", "/w/c/to-b/", "/w/to-c/to-b/z/"])
            .to_owned(),
        _ => format!("{}/", DIRS[random.below(DIRS.len())]),
    }
}

/// The destination that a link in it leads to.
pub(crate) fn without_links(destination: &str) -> String {
    destination.replace("to-c", "c").replace("c/to-b", "b")
}

fn archive() -> Vec<u8> {
    LayerTar::new()
        .dir("t/", 0o750)
        .file("t/one", "one")
        .file("t/two", "two")
        .symlink("t/to-one", "one")
        .file("three", "three")
        .hard_link("t/three", "three")
        .finish()
}
