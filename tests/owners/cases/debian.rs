//! What needs more than busybox: threads, odd calls, packages.

use crate::fixture::{Fixture, succeeded};

/// The C library has each of them change by itself.
fn threads_are_who_their_process_is(fixture: &Fixture) {
    let said = fixture.output(
        r#"perl -Mthreads -e '
            my @before = map { threads->create(sub { sleep 1; "$> $)" }) } 1..4;
            $) = "44 44 7"; $> = 33;
            my @after = map { threads->create(sub { open(my $f, ">", "t$_[0]"); "$> " . (split " ", $))[0] }, $_) } 1..4;
            print join(",", map { $_->join } @after), "\n";
            $> = 0; print "$>\n"; print "$<\n"; $_->join for @before;'"#,
    );
    assert_eq!(said, "33 44,33 44,33 44,33 44\n0\n0\n");
    for number in 1..=4 {
        assert_eq!(fixture.owner(&format!("tmp/t{number}")), (33, 44));
    }
}

pub(crate) fn nameless_files_keep_their_owner_when_they_get_a_name(fixture: &Fixture) {
    // openat(AT_FDCWD, ".", O_TMPFILE | O_RDWR, 0640); linkat(AT_FDCWD, "/proc/self/fd/N", ..., AT_SYMLINK_FOLLOW)
    fixture.output(
        r#"perl -e '
            require "syscall.ph" if 0; my ($openat, $linkat) = `uname -m` =~ /x86_64/ ? (257, 265) : (56, 37);
            my $directory = `uname -m` =~ /x86_64/ ? 0200000 : 040000;
            $) = "1000 1000"; $> = 1000; my ($dot, $name) = (".", "named");
            my $fd = syscall($openat, -100, $dot, 020000000 | $directory | 2, 0640); $fd >= 0 or die "open: $!";
            my $from = "/proc/self/fd/$fd"; syscall($linkat, -100, $from, -100, $name, 0x400) == 0 or die "link: $!";'"#,
    );
    assert_eq!(fixture.owner("tmp/named"), (1000, 1000));
    assert_eq!(fixture.mode("tmp/named"), 0o640);
}

pub(crate) fn packages_with_users_of_their_own_are_installed(fixture: &Fixture) {
    let start = std::time::Instant::now();
    let outcome = fixture.run(
        "apt-get update && apt-get install -y --no-install-recommends openssh-client man-db sudo iputils-ping perl",
    );
    let calls = outcome.summary.calls;
    let said = succeeded(outcome);
    assert!(said.contains("Setting up sudo"), "{said}");
    println!(
        "{calls} calls answered in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    let group = |name: &str| -> u32 {
        let text = std::fs::read_to_string(fixture.path("etc/group")).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")));
        line.unwrap().split(':').nth(2).unwrap().parse().unwrap()
    };
    assert_eq!(fixture.owner("usr/bin/ssh-agent"), (0, group("_ssh")));
    assert_eq!(fixture.mode("usr/bin/ssh-agent"), 0o2755);
    assert_eq!(fixture.owner("var/cache/man"), (6, 12));
    assert_eq!(fixture.owner("etc/shadow"), (0, 42));
    assert_eq!(fixture.mode("usr/bin/sudo"), 0o4755);
    assert_eq!(
        fixture.output("stat -c %U:%G /usr/bin/ssh-agent /var/cache/man"),
        "root:_ssh\nman:man\n"
    );
    let said = fixture.output(
        "useradd -m bob; echo 'bob ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/bob; chmod 440 /etc/sudoers.d/bob; \
         su bob -c 'cd; id -un; touch bobs; sudo id -un; sudo touch roots; sudo -u man id -un; mkdir -p a/b'; dpkg --verify sudo",
    );
    assert_eq!(said, "bob\nroot\nman\n");
    let bob = 1000;
    assert_eq!(fixture.owner("home/bob"), (bob, bob));
    assert_eq!(fixture.owner("home/bob/bobs"), (bob, bob));
    assert_eq!(fixture.owner("home/bob/.profile"), (bob, bob));
    assert_eq!(fixture.owner("home/bob/a/b"), (bob, bob));
    assert_eq!(fixture.owner("home/bob/roots"), (0, 0));
    let said = fixture.output(
        "cp /bin/ping p; setcap cap_net_raw=ep p; getcap p; chown 7 p; getcap p; getcap /bin/ping",
    );
    assert_eq!(said, "p cap_net_raw=ep\n/bin/ping cap_net_raw=ep\n");
    threads_are_who_their_process_is(fixture);
}

pub(crate) fn set_id_bits_of_programs_count_and_those_of_scripts_do_not(fixture: &Fixture) {
    fixture.output(
        "cp /usr/bin/id ids; chown 7:8 ids; chmod 6755 ids; cp ids group; chown 0:8 group; chmod 2755 group; \
         printf '#!/bin/sh\\nid -u\\n' > script; chown 7 script; chmod 4755 script; cp ids plain; chown 7 plain",
    );
    let script = "./ids -u; ./ids -g; ./ids -ru; ./group -u; ./group -g; ./script; ./plain -u; setpriv --no-new-privs ./ids -u";
    let said = succeeded(fixture.run_as(1000, 1000, &[], &["/bin/sh", "-c", script]));
    assert_eq!(said, "7\n8\n1000\n1000\n8\n1000\n1000\n1000\n");
}
