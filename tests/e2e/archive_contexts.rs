//! Build contexts that are archives: files, standard input, what a connection brings; and hostile ones.

use crate::support::crafted::encode;
use crate::support::executor::Build;
use crate::support::small_disk::SmallDisk;
use crate::support::tool::Tool;
use crate::support::{Encoding, Executor, FileServer, Image, Kind, LayerTar, TestDir, Tree, Who};
use std::io::Write;
use std::os::unix::net::UnixStream;

const DOCKERFILE: &str = "FROM scratch\nCOPY . /app/\n";

fn archive() -> LayerTar {
    LayerTar::new()
        .file("Dockerfile", DOCKERFILE)
        .file(".dockerignore", "f")
        .file("f", "of the archive")
        .file_with("owned", "x", 0o640, 77, &[])
        .dir("part/", 0o700)
        .file("part/Dockerfile", "FROM scratch\nCOPY p /part/\n")
        .file("part/p", "p")
}

/// An executor that leaves its image in a layout.
fn executor(who: Who, context: &str) -> Executor {
    let executor = Executor::new(who).arg("--no-push").arg("--context");
    executor.arg(context)
}

fn tree(executor: Executor) -> Tree {
    let layout = executor.out("layout");
    let executor = executor.arg("--oci-layout-path").arg(&layout);
    let build = executor.run();
    build.assert_success();
    // The layout goes with the build.
    Image::taken_from_layout(&layout).tree()
}

fn failed(executor: Executor, parts: &[&str]) -> Build {
    let build = executor.run();
    build.assert_error(1, parts);
    build
}

fn compressed(tar: &[u8]) -> [Vec<u8>; 5] {
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    bzip2.write_all(tar).expect("write to memory");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(tar).expect("write to memory");
    [
        encode(tar, Encoding::Plain),
        encode(tar, Encoding::Gzip),
        encode(tar, Encoding::Zstd),
        bzip2.finish().expect("write to memory"),
        xz.finish().expect("write to memory"),
    ]
}

#[test]
fn an_archive_of_this_machine_is_told_by_its_content() {
    let dir = TestDir::new();
    let path = dir.join("context.zip");
    let context = format!("tar://{}", path.display());
    for (number, bytes) in compressed(&archive().finish()).iter().enumerate() {
        std::fs::write(&path, bytes).expect("write the archive");
        let who = Who::BOTH[number % 2];
        let tree = tree(executor(who, &context));
        assert_eq!(tree.get("app/f").kind, Kind::file("of the archive"));
        let owned = tree.get("app/owned");
        assert_eq!((owned.uid, owned.gid, owned.mode), (0, 0, 0o640));
        assert_eq!(tree.get("app/part").mode, 0o700);
    }
    let part = executor(Who::User, &context).arg("--context-sub-path=part");
    assert_eq!(tree(part).names_in("part"), ["p"]);
    std::fs::write(&path, "FROM scratch\n").expect("write what is no archive");
    failed(executor(Who::User, &context), &[&context, "no tar archive"]);
    let missing = format!("tar://{}/none", dir.path().display());
    failed(executor(Who::User, &missing), &[&missing, "no such file"]);
    failed(
        executor(Who::User, "ftp://me:hunter2@h/x"),
        &["ftp://", "s3://"],
    );
}

#[test]
fn standard_input_is_an_archive_or_an_error_says_what_to_do() {
    let [_, gzip, ..] = compressed(&archive().finish());
    let from_stdin = |who| executor(who, "tar://stdin");
    let tree_of_file = tree(from_stdin(Who::User).input(&gzip));
    assert!(tree_of_file.has("app/f"));
    // A socket has no name to open it by, and brings it in pieces.
    let (mut writer, reader) = UnixStream::pair().expect("make sockets");
    let sent = gzip.clone();
    let sender = std::thread::spawn(move || {
        for piece in sent.chunks(100) {
            writer.write_all(piece).expect("send a piece");
        }
    });
    assert!(tree(from_stdin(Who::Root).input_from(reader)).has("app/f"));
    sender.join().expect("all was read");
    failed(
        from_stdin(Who::User),
        &["standard input is empty", "--interactive"],
    );
    let terminal = std::fs::File::open("/dev/ptmx").expect("make a terminal");
    let on_terminal = from_stdin(Who::User).input_from(terminal);
    failed(on_terminal, &["standard input is a terminal", "tar -cz"]);
    let twice = from_stdin(Who::User).arg("--dockerfile=-").input(&gzip);
    failed(twice, &["context or the Dockerfile, not both"]);
    // Nobody writes anything, and somebody ends the job.
    let (_writer, reader) = UnixStream::pair().expect("make sockets");
    let mut waiting = from_stdin(Who::User).input_from(reader).start();
    waiting.wait_for_output("fetching tar://stdin");
    waiting.signal(rustix::process::Signal::TERM);
    waiting
        .wait()
        .assert_error(143, &["interrupted by SIGTERM"]);
    let half = from_stdin(Who::User).input(&gzip[..gzip.len() / 2]);
    failed(half, &["tar://stdin", "cannot unpack the archive (gzip)"]);
}

#[test]
fn a_download_that_breaks_off_is_begun_again() {
    let web = FileServer::start();
    // Larger than what is looked at first, and not to be compressed.
    let noise: Vec<u8> = (0..4_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    web.file("c.tar", archive().file("noise", &noise).finish());
    let build = executor(Who::User, &web.url("cut/c.tar"));
    let layout = build.out("layout");
    let build = build.arg("--oci-layout-path").arg(&layout).run();
    build.assert_success();
    assert!(
        build.stderr().contains("will try again"),
        "{}",
        build.report()
    );
    assert!(Image::taken_from_layout(&layout).tree().has("app/noise"));
    let missing = executor(Who::User, &web.url("plain/none.tar.gz?sig=hunter2"));
    let build = failed(missing, &["cannot fetch the build context", "404"]);
    assert!(!build.report().contains("hunter2"), "{}", build.report());
}

#[test]
fn a_hostile_archive_stays_inside() {
    let outside = TestDir::new();
    std::fs::write(outside.join("secret"), "hunter2").expect("write it");
    let outside_path = outside.path().to_str().expect("UTF-8");
    let secret = format!("{outside_path}/secret");
    let tar = archive()
        .symlink("way", outside_path)
        .file("way/through-a-link", "x")
        .file(&format!("{outside_path}/absolute"), "x")
        .symlink("link", &secret)
        .null_device("device")
        .fifo("fifo")
        .finish();
    for who in Who::BOTH {
        let build = executor(who, "tar://stdin").input(&tar);
        let tree = tree(build.arg("--context-sub-path=/"));
        let target = secret.clone();
        assert_eq!(tree.get("app/link").kind, Kind::Symlink { target });
        assert!(tree.has("app/fifo"), "{who:?}");
        assert!(!outside.join("absolute").exists() && !outside.join("through-a-link").exists());
        let through = executor(who, "tar://stdin").input(&tar);
        let through = through.arg("--dockerfile=link");
        failed(through, &["there is no Dockerfile"]);
    }
    for tar in [
        archive().file("../up", "x"),
        archive().hard_link("taken", "../../../../../../../../etc/passwd"),
        archive().hard_link("taken", &secret),
    ] {
        let build = executor(Who::Root, "tar://stdin").input(tar.finish());
        failed(build, &["cannot unpack the archive (plain), after"]);
    }
}

#[test]
fn claims_of_size_cost_nothing_and_a_full_disk_is_told() {
    let dir = TestDir::new();
    std::fs::write(dir.join("Dockerfile"), "FROM scratch\nCOPY f /\n").expect("write it");
    std::fs::write(dir.join("f"), "x").expect("write it");
    let huge = std::fs::File::create(dir.join("huge")).expect("make it");
    huge.set_len(1 << 40).expect("a file of holes");
    let tar = dir.join("c.tar");
    let packed = Tool::new("tar").args(["--sparse", "--create", "--file"]);
    packed
        .arg(&tar)
        .args(["Dockerfile", "f", "huge"])
        .in_dir(dir.path())
        .run();
    let context = format!("tar://{}", tar.display());
    assert!(tree(executor(Who::User, &context)).has("f"));
    let bomb = archive().file("zeros", vec![0; 64 << 20]).finish();
    let bomb = encode(&bomb, Encoding::Gzip);
    assert!(bomb.len() < 1 << 20);
    let disk = SmallDisk::of_megabytes(16);
    let build = executor(Who::Root, "tar://stdin").input(&bomb);
    let build = build.state_dir(&disk.path());
    failed(build, &["bytes of tar", "zeros", "no space left"]);
}
