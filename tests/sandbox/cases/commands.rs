//! A command gets what it was given and nothing else, and its end is told as it was.

use std::ffi::OsString;

use sawagani::sandbox::{Exit, ResolvedUser, RunError, Stream};

use crate::fixture::{Fixture, shell, succeeded};
use crate::setup::Setup;

pub(crate) fn exit_codes_and_signals_are_told_apart() {
    let mut fixture = Fixture::new();
    for code in [0, 1, 42, 127, 255] {
        assert_eq!(fixture.run(&format!("exit {code}")).exit, Exit::Code(code));
    }
    assert_eq!(fixture.run("kill -KILL $$").exit, Exit::Signal(9));
    assert_eq!(fixture.run("kill -TERM $$").exit, Exit::Signal(15));
    // A signal that a child died of is the shell's business.
    assert_eq!(
        fixture.run("sh -c 'kill -9 $$'; exit 7").exit,
        Exit::Code(7)
    );
}

pub(crate) fn output_arrives_in_pieces_and_by_stream() {
    let mut fixture = Fixture::new();
    let stop = fixture.stop.clone();
    let mut step = fixture.step();
    let mut pieces: Vec<(Stream, String)> = Vec::new();
    // Each line waits for the step to see that the one before was read: it is, only if output is
    // passed on while the command runs.
    let script = "echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three";
    let exit = step.run(&shell(script), &stop, &mut |stream, bytes| {
        pieces.push((stream, String::from_utf8(bytes.to_vec()).unwrap()));
    });
    assert_eq!(exit.unwrap().exit, Exit::Code(0));
    let expected = [
        (Stream::Stdout, "one\n".to_owned()),
        (Stream::Stderr, "two\n".to_owned()),
        (Stream::Stdout, "three\n".to_owned()),
    ];
    assert_eq!(pieces, expected);
}

pub(crate) fn large_output_arrives_whole() {
    let mut fixture = Fixture::new();
    let stop = fixture.stop.clone();
    let mut step = fixture.step();
    let (mut length, mut largest) = (0, 0);
    let script = "yes | head -c 50000000";
    let exit = step.run(&shell(script), &stop, &mut |_, bytes| {
        length += bytes.len();
        largest = largest.max(bytes.len());
    });
    assert_eq!((exit.unwrap().exit, length), (Exit::Code(0), 50_000_000));
    assert!(largest <= 64 * 1024, "{largest}");
}

pub(crate) fn the_environment_is_exactly_what_was_given() {
    let mut fixture = Fixture::new();
    let mut command = shell("");
    command.argv = ["env"].map(OsString::from).to_vec();
    command.env = [("PATH", "/bin"), ("A", ""), ("B", "x = y\nz"), ("A", "2")]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
    let output = succeeded(fixture.try_run(&command).unwrap());
    assert_eq!(output, "PATH=/bin\nA=\nB=x = y\nz\nA=2\n");
}

pub(crate) fn the_program_is_searched_in_the_steps_path() {
    let mut fixture = Fixture::new();
    fixture.push(|root| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir(root.join("first")).unwrap();
        std::fs::write(root.join("first/echo"), "not executable").unwrap();
        std::fs::create_dir(root.join("second")).unwrap();
        std::fs::write(root.join("second/echo"), "#!/bin/sh\necho second: $1\n").unwrap();
        let mode = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(root.join("second/echo"), mode).unwrap();
    });
    let mut command = shell("");
    command.argv = ["echo", "a b"].map(OsString::from).to_vec();
    command.env = vec![("PATH".into(), "/none:/first:/second:/bin".into())];
    assert_eq!(
        succeeded(fixture.try_run(&command).unwrap()),
        "second: a b\n"
    );
    // Without a PATH, the usual directories.
    command.env.clear();
    assert_eq!(succeeded(fixture.try_run(&command).unwrap()), "a b\n");
}

pub(crate) fn what_cannot_be_run_says_why() {
    let mut fixture = Fixture::new();
    fixture.push(|root| {
        use std::os::unix::fs::PermissionsExt;
        for (name, contents, mode) in [
            ("script", "#!/no/such/shell\n", 0o755),
            ("data", "", 0o644),
            ("garbage", "\u{1}\u{2}\u{3}", 0o755),
        ] {
            std::fs::write(root.join(name), contents).unwrap();
            let mode = PermissionsExt::from_mode(mode);
            std::fs::set_permissions(root.join(name), mode).unwrap();
        }
    });
    let mut error_of = |program: &str| {
        let mut command = shell("");
        command.argv = vec![program.into()];
        fixture.try_run(&command).unwrap_err()
    };
    type Check = fn(&RunError) -> bool;
    let cases: [(&str, Check); 6] = [
        ("/bin/bash", |error| matches!(error, RunError::NotFound(_))),
        ("bash", |error| matches!(error, RunError::NotFound(_))),
        ("/bin/busybox/x", |error| {
            matches!(error, RunError::NotFound(_))
        }),
        ("/script", |error| {
            matches!(error, RunError::NoInterpreter(_))
        }),
        ("/data", |error| matches!(error, RunError::NotExecutable(_))),
        ("/garbage", |error| {
            matches!(error, RunError::WrongFormat(_))
        }),
    ];
    for (program, is_expected) in cases {
        let error = error_of(program);
        assert!(is_expected(&error), "{program}: {error:?}");
        assert!(
            error.to_string().contains(&format!("`{program}`")),
            "{error}"
        );
    }
    assert_eq!(
        error_of("/bin/bash").to_string(),
        "cannot run `/bin/bash`: not found in the image"
    );
}

pub(crate) fn umask_core_limit_and_descriptors_are_clean() {
    // What the builder has open and ignores must not get through.
    let (_read, write) = std::io::pipe().unwrap();
    rustix::io::fcntl_setfd(&write, rustix::io::FdFlags::empty()).unwrap();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let mut fixture = Fixture::new();
    assert_eq!(fixture.output("umask; ulimit -c"), "0022\n0\n");
    let descriptors = fixture.output("exec ls /proc/self/fd");
    assert_eq!(descriptors, "0\n1\n2\n3\n", "3 is what ls itself reads");
    assert_eq!(fixture.output("readlink /proc/self/fd/0"), "/dev/null\n");
    let signals = fixture.output("grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status | cut -f2");
    assert_eq!(signals, "0000000000000000\n".repeat(3));
    // A session of its own, and none of the builder's keys.
    let session = fixture.output("cut -d' ' -f6 /proc/self/stat; echo $$");
    let numbers: Vec<&str> = session.lines().collect();
    assert_eq!(numbers[0], numbers[1]);
    if Setup::of_this_process().has_pids {
        assert_eq!(numbers[0], "2");
    }
}

pub(crate) fn the_working_directory_is_entered_and_a_missing_one_is_named() {
    let mut fixture = Fixture::new();
    let mut command = shell("pwd");
    command.cwd = "/home".into();
    assert_eq!(succeeded(fixture.try_run(&command).unwrap()), "/home\n");
    command.cwd = "/no/such".into();
    let error = fixture.try_run(&command).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot enter the working directory `/no/such` in the sandbox"
    );
}

pub(crate) fn users_and_groups_are_switched() {
    let mut fixture = Fixture::new();
    assert_eq!(
        fixture.output("id"),
        "uid=0(root) gid=0(root) groups=0(root)\n"
    );
    let mut command = shell(
        "id -u; id -g; id -G | tr ' ' '\\n' | sort -n | xargs; touch /tmp/mine; stat -c '%u %g' /tmp/mine",
    );
    command.user = fixture.user("app");
    let output = succeeded(fixture.try_run(&command).unwrap());
    let expected = "1000\n1000\n44 1000\n1000 1000\n";
    assert_eq!(output, expected);
    if !Setup::of_this_process().has_ids {
        // Who may do what is up to the kernel, for which there is one user.
        return;
    }
    let mut command = shell("echo no > /etc/passwd");
    command.user = ResolvedUser {
        uid: 65_534,
        gid: 65_534,
        ..ResolvedUser::root()
    };
    assert_eq!(fixture.try_run(&command).unwrap().exit, Exit::Code(1));
}

pub(crate) fn a_setuid_program_works_for_an_ordinary_user() {
    let mut fixture = Fixture::new();
    let mut command = shell("id -u; /bin/su -c 'id -u' root");
    command.user = fixture.user("app");
    assert_eq!(succeeded(fixture.try_run(&command).unwrap()), "1000\n0\n");
}

pub(crate) fn capabilities_are_those_of_a_container() {
    let mut fixture = Fixture::new();
    let script = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status | cut -f2";
    let fourteen = "00000000a80425fb\n";
    let none = "0000000000000000\n";
    // Inheritable, permitted, effective, bounding, ambient; no_new_privs.
    let root = [none, fourteen, fourteen, fourteen, none, "0\n"].concat();
    assert_eq!(fixture.output(script), root);
    let mut command = shell(script);
    command.user.uid = 1000;
    let user = [none, none, none, fourteen, none, "0\n"].concat();
    assert_eq!(succeeded(fixture.try_run(&command).unwrap()), user);
}
