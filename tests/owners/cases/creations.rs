//! Making files.

use sawagani::fs::FileKind;

use crate::fixture::{Fixture, succeeded};

fn as_app(fixture: &Fixture, script: &str) -> String {
    succeeded(fixture.run_as(1000, 1000, &[], &["/bin/sh", "-c", script]))
}

pub(crate) fn what_a_user_makes_is_theirs(fixture: &Fixture) {
    as_app(
        fixture,
        "echo one > file; mkdir dir; ln -s nowhere link; mkfifo pipe; mknod pipe2 p; cp file dir/copy; \
         ln -s far target; echo two > target; echo three >> file; : > file; echo four > ./dir/../file",
    );
    for name in [
        "file", "dir", "link", "pipe", "pipe2", "dir/copy", "target", "far",
    ] {
        assert_eq!(
            fixture.owner(&format!("tmp/{name}")),
            (1000, 1000),
            "{name}"
        );
    }
    assert_eq!(
        std::fs::read_to_string(fixture.path("tmp/file")).unwrap(),
        "four\n"
    );
    assert_eq!(
        std::fs::read_to_string(fixture.path("tmp/far")).unwrap(),
        "two\n"
    );
    // A file of somebody else that is only written to stays theirs.
    fixture.output("echo root > roots; chmod 666 roots");
    as_app(fixture, "echo app > roots");
    assert_eq!(fixture.owner("tmp/roots"), (0, 0));
}

pub(crate) fn the_umask_and_the_mode_of_new_files_are_those_asked_for(fixture: &Fixture) {
    as_app(
        fixture,
        "umask 027; touch a; mkdir b; mkfifo c; umask 0; touch d; mkdir -m 1750 e; umask 777; touch f",
    );
    let modes = ["a", "b", "c", "d", "e", "f"].map(|name| fixture.mode(&format!("tmp/{name}")));
    assert_eq!(modes, [0o640, 0o750, 0o640, 0o666, 0o1750, 0]);
}

pub(crate) fn what_is_made_in_a_set_group_id_directory_has_its_group(fixture: &Fixture) {
    fixture.output(
        "mkdir s; chown 0:44 s; chmod 2777 s; cd s; touch f; mkdir d; touch d/g; ln -s x l; mknod n c 1 3; \
         su app -c 'touch s/a; mkdir s/b; touch s/b/c' 2>/dev/null || su app -c 'cd /tmp/s; touch a; mkdir b; touch b/c'",
    );
    for name in ["f", "d", "d/g", "l", "n"] {
        assert_eq!(fixture.owner(&format!("tmp/s/{name}")), (0, 44), "{name}");
    }
    for name in ["a", "b", "b/c"] {
        assert_eq!(
            fixture.owner(&format!("tmp/s/{name}")),
            (1000, 44),
            "{name}"
        );
    }
    assert_eq!(fixture.mode("tmp/s/d"), 0o2755);
}

pub(crate) fn descriptors_are_opened_again_by_name(fixture: &Fixture) {
    let said = as_app(
        fixture,
        "echo out > /dev/stdout; echo err > /dev/stderr; echo gone > /dev/null; echo more >> /proc/self/fd/1; \
         exec 4> four; echo x > /dev/fd/4; cat four; test -c /dev/null && echo device",
    );
    assert_eq!(said, "out\nmore\nx\ndevice\n");
    assert_eq!(fixture.owner("tmp/four"), (1000, 1000));
}

pub(crate) fn devices_are_recorded_and_shown(fixture: &Fixture) {
    let said = fixture.output(
        "mknod -m 600 null c 1 3; mknod disk b 259 70000; mknod white c 0 0; chown 0:6 disk; mkfifo p; mknod null c 1 3 2>/dev/null || echo there; \
         stat -c '%F %t:%T %a' null disk white; test -b disk && echo block; cp -a null copy; mv disk moved",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "there");
    assert_eq!(lines[1], "character special file 1:3 600");
    assert!(
        lines[2].starts_with("block special file 103:11170 "),
        "{said}"
    );
    assert!(
        lines[3].starts_with("character special file 0:0 "),
        "{said}"
    );
    assert_eq!(lines[4], "block");
    let device = |major, minor| sawagani::fs::device_number(major, minor);
    assert_eq!(
        fixture.device("tmp/null"),
        Some(FileKind::CharDevice(device(1, 3)))
    );
    assert_eq!(
        fixture.device("tmp/copy"),
        Some(FileKind::CharDevice(device(1, 3)))
    );
    assert_eq!(
        fixture.device("tmp/moved"),
        Some(FileKind::BlockDevice(device(259, 70_000)))
    );
    assert_eq!(fixture.owner("tmp/moved"), (0, 6));
    assert_eq!(fixture.device("tmp/p"), None);
}

pub(crate) fn errors_are_those_of_the_kernel(fixture: &Fixture) {
    let said = as_app(
        fixture,
        "for c in 'touch no/file' 'mkdir no/dir' 'mkdir /tmp' 'ln -s x /bin/sh' 'mkfifo /bin/sh/x' 'touch /bin/sh/x' 'mkdir /proc/new'; \
         do $c 2>&1 && echo made; done; set -C; echo x > /etc/passwd; true",
    );
    assert!(!said.contains("made"), "{said}");
    let count = |text: &str| said.matches(text).count();
    assert_eq!(count("No such file or directory"), 3, "{said}");
    assert_eq!(count("Not a directory"), 2, "{said}");
    assert_eq!(count("File exists"), 2, "{said}");
}
