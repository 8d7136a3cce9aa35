//! What a step sees of the machine, and what it does not.

use std::os::unix::fs::symlink;

use sawagani::sandbox::{Exit, Isolation, Network, ShownFile};

use crate::fixture::{Fixture, isolation, shell, succeeded};
use crate::setup::Setup;

pub(crate) fn proc_sys_and_dev_are_those_of_a_container() {
    let mut fixture = Fixture::new();
    // Its own processes only: init, the shell and ls.
    let processes = fixture.output("ls /proc | grep -E '^[0-9]+$' | sort -n | head -n 2 | xargs");
    assert_eq!(processes, "1 2\n");
    let dev = fixture.output("ls /dev | xargs; readlink /dev/fd; readlink /dev/ptmx");
    assert_eq!(
        dev,
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n\
         /proc/self/fd\npts/ptmx\n"
    );
    let script = "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c
        echo x > /dev/full || echo full
        echo out > /dev/stdout; stat -c %a /dev /dev/shm /dev/pts/ptmx; echo s > /dev/shm/f
        ls -d /sys/class/net/lo; test -c /dev/tty && echo tty";
    let output = fixture.output(script);
    let expected = "3\n5\nfull\nout\n755\n1777\n666\n/sys/class/net/lo\ntty\n";
    assert_eq!(output, expected);
    // A terminal can be made, and it is the step's own first one.
    let terminals = fixture.output("exec 3<>/dev/ptmx; ls /dev/pts | xargs");
    assert_eq!(terminals, "0 ptmx\n");
}

pub(crate) fn masked_and_read_only_paths_hold() {
    let mut fixture = Fixture::new();
    for path in [
        "/proc/sys/kernel/hostname",
        "/proc/sys/vm/drop_caches",
        "/proc/sysrq-trigger",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        let outcome = fixture.run(&format!("test -e {path} && echo 0 > {path}"));
        assert_ne!(outcome.exit, Exit::Code(0), "{path} {outcome:?}");
    }
    assert_eq!(fixture.output("cat /proc/kcore /proc/keys | wc -c"), "0\n");
    assert_eq!(
        fixture
            .output("ls /sys/firmware /proc/scsi 2>/dev/null | grep -v :; true")
            .trim(),
        ""
    );
    let writable = "grep -E ' /(proc|sys)(/[^ ]*)? ' /proc/self/mounts | grep -v ' ro,' | cut -d' ' -f2 | sort | xargs";
    let masked_files =
        "/proc /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/timer_list";
    for path in fixture.output(writable).split_ascii_whitespace() {
        assert!(
            masked_files.split(' ').any(|masked| masked == path),
            "{path} is writable"
        );
    }
    // No way to take the masks off again.
    for script in [
        "umount /proc/kcore",
        "mount -o remount,rw /proc/sys",
        "mount -t tmpfs x /tmp",
    ] {
        assert_ne!(fixture.run(script).exit, Exit::Code(0), "{script}");
    }
}

pub(crate) fn a_device_made_by_a_step_cannot_be_opened() {
    let mut fixture = Fixture::new();
    let outcome = fixture.run("mknod /tmp/zero c 1 5 && head -c 1 /tmp/zero");
    assert_ne!(outcome.exit, Exit::Code(0));
    let disk = fixture.run("mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk");
    assert_ne!(disk.exit, Exit::Code(0));
    let made = fixture.run("mknod /tmp/zero c 1 5");
    match isolation() {
        Isolation::Ns => {
            assert_eq!(made.exit, Exit::Code(0), "{made:?}");
            assert!(disk.stderr.contains("Permission denied"), "{disk:?}");
        }
        _ => assert_ne!(made.exit, Exit::Code(0)),
    }
    // Nor through the step's own file systems.
    let outcome = fixture.run("mknod /dev/shm/z c 1 5 && head -c 1 /dev/shm/z");
    assert_ne!(outcome.exit, Exit::Code(0));
    let outcome = fixture.run("mknod /dev/z c 1 5 && head -c 1 /dev/z");
    assert_ne!(outcome.exit, Exit::Code(0));
}

pub(crate) fn the_builder_is_not_seen_by_the_step() {
    let mut fixture = Fixture::new();
    // Process 1 is a fork of the builder: its memory, arguments and environment are not readable.
    assert_eq!(
        fixture.output("cat /proc/1/cmdline | tr -d '\\0' | wc -c"),
        "0\n"
    );
    assert_eq!(fixture.output("cat /proc/1/comm"), "sawagani-init\n");
    for file in ["mem", "environ", "maps", "fd/0", "root/etc/passwd", "cwd/."] {
        let outcome = fixture.run(&format!("head -c 1 /proc/1/{file}"));
        assert_ne!(outcome.exit, Exit::Code(0), "{file} {outcome:?}");
    }
    // Nothing of the machine's tree is mounted anywhere.
    let mounts =
        fixture.output("cut -d' ' -f2 /proc/self/mounts | grep -vE '^/(proc|sys|dev)(/|$)'; true");
    assert_eq!(mounts, "/\n/etc/resolv.conf\n/etc/hosts\n");
    // Killing process 1 has no effect from inside.
    assert_eq!(
        fixture.output("kill -9 1; kill -TERM 1; kill -HUP 1; echo alive"),
        "alive\n"
    );
}

pub(crate) fn hostname_and_network_files_are_in_place() {
    let mut fixture = Fixture::new();
    let mut command = shell("hostname; grep -c box /etc/hosts; cat /etc/resolv.conf");
    command.hostname = "box".to_owned();
    let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let output = succeeded(fixture.try_run(&command).unwrap());
    assert_eq!(output, format!("box\n1\n{resolv_conf}"));
    assert_eq!(fixture.output("hostname"), "buildkitsandbox\n");
    for script in [
        "echo x >> /etc/hosts",
        "rm /etc/resolv.conf",
        "mv /etc/hosts /tmp",
    ] {
        assert_ne!(fixture.run(script).exit, Exit::Code(0), "{script}");
    }
}

pub(crate) fn linked_network_files_are_followed_inside() {
    let mut fixture = Fixture::new();
    fixture.push(|root| {
        std::fs::create_dir_all(root.join("etc")).unwrap();
        symlink("../run/resolve/stub.conf", root.join("etc/resolv.conf")).unwrap();
        symlink("/../../var/hosts", root.join("etc/hosts")).unwrap();
    });
    let names = fixture.output("ls /run/resolve /var; grep -c localhost /var/hosts");
    assert_eq!(names, "/run/resolve:\nstub.conf\n\n/var:\nhosts\n1\n");
    let outcome =
        fixture.run_without_a_trace(&shell("cat /etc/resolv.conf /etc/hosts > /dev/null"));
    succeeded(outcome);
    // A link into the kernel's directories is left alone.
    fixture.push(|root| {
        std::fs::create_dir_all(root.join("etc")).unwrap();
        let _ = std::fs::remove_file(root.join("etc/resolv.conf"));
        symlink("/dev/null", root.join("etc/resolv.conf")).unwrap();
    });
    assert_eq!(
        fixture.output("cat /etc/resolv.conf; echo x > /dev/null"),
        ""
    );
}

pub(crate) fn shown_files_can_be_read_and_executed_and_leave_nothing() {
    let mut fixture = Fixture::new();
    let mut command = shell(
        "/dev/pipes/EOF; cat /opt/a/secret; stat -c %a /dev/pipes/EOF; echo x > /dev/pipes/EOF",
    );
    command.files = vec![
        ShownFile {
            target: "/dev/pipes/EOF".into(),
            contents: b"#!/bin/sh\necho ran $0\n".to_vec(),
            mode: 0o755,
        },
        ShownFile {
            target: "/opt/a/secret".into(),
            contents: b"s3cret\n".to_vec(),
            mode: 0o400,
        },
    ];
    let outcome = fixture.run_without_a_trace(&command);
    assert_eq!(outcome.stdout, "ran /dev/pipes/EOF\ns3cret\n755\n");
    // Where there are mounts, they are read-only; elsewhere, what is written is lost.
    let expected = match Setup::of_this_process().has_mounts {
        true => Exit::Code(1),
        false => Exit::Code(0),
    };
    assert_eq!(outcome.exit, expected, "{outcome:?}");
}

pub(crate) fn a_step_without_network_has_loopback_only() {
    let mut fixture = Fixture::new();
    let mut command = shell("ip -o link | cut -d: -f2; ip -o addr show dev lo | grep -c 127.0.0.1");
    command.network = Network::None;
    assert_eq!(succeeded(fixture.try_run(&command).unwrap()), " lo\n1\n");
}
