//! Changing owners.

use crate::fixture::Fixture;

pub(crate) fn a_change_of_owner_is_recorded_and_shown(fixture: &Fixture) {
    let said = fixture.output(
        "touch a; chown 7:8 a; stat -c %u:%g a; chown 9 a; chgrp 70000 a; stat -c %u:%g a; ls -ln a; stat -c %u:%g /etc",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[1], lines[3]), ("7:8", "9:70000", "0:0"));
    let listed: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(listed[2..4], ["9", "70000"]);
    assert_eq!(fixture.owner("tmp/a"), (9, 70_000));
    // Another step of the same stage.
    assert_eq!(fixture.output("stat -c %u:%g a; chown 0:0 a"), "9:70000\n");
    assert_eq!(fixture.owner("tmp/a"), (0, 0));
    assert!(fixture.ledger.is_empty());
}

pub(crate) fn a_link_itself_can_be_given_away(fixture: &Fixture) {
    fixture.output("touch a; ln -s a l; chown -h 7:7 l; chown 8:8 l; mkdir d; ln -s nowhere d/l; chown -R -h 9:9 d");
    assert_eq!(fixture.owner("tmp/l"), (7, 7));
    assert_eq!(fixture.owner("tmp/a"), (8, 8));
    assert_eq!(fixture.owner("tmp/d"), (9, 9));
    assert_eq!(fixture.owner("tmp/d/l"), (9, 9));
    assert_eq!(fixture.output("stat -c %u l; stat -L -c %u l"), "7\n8\n");
}

pub(crate) fn all_names_of_a_file_have_one_owner_and_a_new_file_has_none(fixture: &Fixture) {
    let said = fixture.output(
        "touch a; ln a b; chown 7:7 b; stat -c %u a; mv b c; stat -c %u c; rm a c; touch a; stat -c %u a",
    );
    assert_eq!(said, "7\n7\n0\n");
}

pub(crate) fn set_id_bits_go_with_the_owner(fixture: &Fixture) {
    fixture.output("touch f n; chmod 6755 f; chmod 2745 n; mkdir d; chmod 2755 d; chown 7 f n d");
    assert_eq!(fixture.mode("tmp/f"), 0o755);
    // Without the right to execute, the bit means something else.
    assert_eq!(fixture.mode("tmp/n"), 0o2745);
    assert_eq!(fixture.mode("tmp/d"), 0o2755);
    fixture.output("chmod 4755 f");
    assert_eq!(
        (fixture.mode("tmp/f"), fixture.owner("tmp/f")),
        (0o4755, (7, 0))
    );
}

pub(crate) fn a_copy_keeps_owners(fixture: &Fixture) {
    fixture.output("mkdir -p d/e; touch d/e/f; ln -s f d/e/l; chown 7:8 d d/e/f; chown -h 9:9 d/e/l; cp -a d copy; tar cf - d | (mkdir t; cd t; tar xf -)");
    for copy in ["copy", "t/d"] {
        let owner = |name: &str| fixture.owner(&format!("tmp/{copy}{name}"));
        assert_eq!(owner(""), (7, 8), "{copy}");
        assert_eq!(owner("/e"), (0, 0), "{copy}");
        assert_eq!(owner("/e/f"), (7, 8), "{copy}");
    }
    assert_eq!(fixture.owner("tmp/copy/e/l"), (9, 9));
}

pub(crate) fn paths_are_found_as_the_process_finds_them(fixture: &Fixture) {
    fixture.output(
        "mkdir -p /home/sub/bin /home/sub/etc; cp /bin/busybox /home/sub/bin/; touch /home/sub/etc/x /etc/x; \
         chroot /home/sub /bin/busybox chown 7:7 /etc/x; chroot /home/sub /bin/busybox chown 8 ../../../bin; \
         cd /home/sub/etc; chown 9 ../../.././etc/x; ln -s /etc/passwd abs; chown 5 abs; \
         exec 3</etc/group; chown 6 /dev/fd/3; chown 4 /proc/self/fd/../fd/3/../../cwd 2>/dev/null; chown 3 /proc/self/cwd/abs",
    );
    assert_eq!(fixture.owner("home/sub/etc/x"), (7, 7));
    assert_eq!(fixture.owner("home/sub/bin"), (8, 0));
    assert_eq!(fixture.owner("etc/x"), (9, 0));
    assert_eq!(fixture.owner("etc/passwd"), (3, 0));
    assert_eq!(fixture.owner("etc/group"), (6, 0));
    assert_eq!(fixture.owner("bin"), (0, 0));
}

pub(crate) fn only_root_gives_files_away(fixture: &Fixture) {
    let said = fixture.output(
        "touch a; su app -c 'touch b; chown 0 b; chgrp 44 b && echo group; chgrp 45 b; chown 1000 a; mknod n c 1 3' 2>&1; true",
    );
    assert_eq!(said.matches("not permitted").count(), 4, "{said}");
    assert!(said.contains("group\n"), "{said}");
    assert_eq!(fixture.owner("tmp/a"), (0, 0));
    assert_eq!(fixture.owner("tmp/b"), (1000, 44));
}
