//! Who processes are.

use crate::fixture::{Fixture, succeeded};

pub(crate) fn a_step_begins_as_its_user(fixture: &Fixture) {
    let script = "id -u; id -g; id -G; touch mine; stat -c %u:%g mine";
    let said = succeeded(fixture.run_as(1000, 1000, &[44, 7], &["/bin/sh", "-c", script]));
    assert_eq!(said, "1000\n1000\n1000 7 44\n1000:1000\n");
    assert_eq!(fixture.owner("tmp/mine"), (1000, 1000));
}

pub(crate) fn su_makes_another_user_and_there_is_no_way_back(fixture: &Fixture) {
    let said = fixture.output(
        "su app -c 'id -un; id -G; setuidgid root true 2>&1 || echo refused'; id -un; su app -c 'sh -c \"sh -c whoami\"'",
    );
    assert!(said.starts_with("app\n1000 44\n"), "{said}");
    assert!(said.ends_with("refused\nroot\napp\n"), "{said}");
}

pub(crate) fn a_set_id_program_gives_the_rights_of_its_owner(fixture: &Fixture) {
    let as_app =
        |script: &str| succeeded(fixture.run_as(1000, 1000, &[], &["/bin/sh", "-c", script]));
    // By its path: busybox's shell carries its own commands out by itself.
    let said = as_app("/bin/su -c 'id -u; touch /tmp/roots'; id -u");
    assert_eq!(said, "0\n1000\n");
    assert_eq!(fixture.owner("tmp/roots"), (0, 0));
    // Its bit went with the change of owner, although that is the same.
    fixture.output("chown 0 /bin/su");
    let outcome = fixture.run_as(1000, 1000, &[], &["/bin/sh", "-c", "/bin/su -c id"]);
    assert_ne!(
        outcome.report,
        Some(sawagani::sys::Report::Exited(0)),
        "{outcome:?}"
    );
}

pub(crate) fn who_a_process_is_outlives_its_parent(fixture: &Fixture) {
    fixture.output(
        "mkfifo go; chmod 666 go; su app -c '(cat go; touch late; echo > done) >/dev/null 2>&1 & exit 0'; \
         mkfifo done; chmod 666 done; echo > go; cat done; stat -c %u late",
    );
    assert_eq!(fixture.owner("tmp/late"), (1000, 1000));
}
