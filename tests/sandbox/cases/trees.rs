//! Stages that are plain directories: a command changes them, and leaves nothing of ours in them.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sawagani::sandbox::{Exit, Isolation, Network, RunError, Step, Stop, Tree};

use super::endings::{marker, processes_with};
use crate::fixture::{Fixture, KEPT, fill_with_busybox, isolation, run_in, shell, succeeded};
use crate::setup::Setup;
use crate::tree::{assert_same, differences, listing};

pub(crate) fn a_tree_has_exactly_what_the_command_did() {
    let mut fixture = Fixture::new();
    let root = fixture.tree().root().path().to_path_buf();
    let before = listing(&root);
    fixture.output("cat /etc/hosts /etc/resolv.conf; ls /dev /tmp; true");
    assert_same(&before, &listing(&root));
    fixture.output("echo x > /etc/foo; rm /etc/group; mkdir -p /opt/sub; chmod 700 /home");
    let after = listing(&root);
    let (gone, new, changed) = differences(&before, &after);
    assert_eq!(gone, ["etc/group"]);
    assert_eq!(new, ["etc/foo", "opt", "opt/sub"]);
    assert_eq!(changed, ["etc", "home"]);
    // What one command did, the next one sees.
    assert_eq!(fixture.output("cat /etc/foo; ls /opt"), "x\nsub\n");
    assert_same(&after, &listing(&root));
}

pub(crate) fn a_failed_start_leaves_the_tree_as_it_was() {
    let mut fixture = Fixture::new();
    let root = fixture.tree().root().path().to_path_buf();
    let before = listing(&root);
    let mut command = shell("true");
    command.cwd = "/no/such".into();
    let error = fixture.try_run(&command).unwrap_err();
    assert!(matches!(error, RunError::Prepare { .. }), "{error:?}");
    let mut command = shell("true");
    command.argv = vec!["/no/such".into()];
    let error = fixture.try_run(&command).unwrap_err();
    assert!(matches!(error, RunError::NotFound(_)), "{error:?}");
    command.argv = vec!["nul\0".into()];
    let error = fixture.try_run(&command).unwrap_err();
    assert!(matches!(error, RunError::Nul { .. }), "{error:?}");
    assert_same(&before, &listing(&root));
    assert_eq!(fixture.output("echo still works"), "still works\n");
}

pub(crate) fn an_empty_tree_gets_a_root_directory_like_any_other() {
    let fixture = Fixture::new();
    let mut tree = Tree::new(&fixture.sandbox).unwrap();
    let metadata = tree.root().dir().metadata().unwrap();
    assert_eq!((metadata.mode, metadata.uid, metadata.gid), (0o755, 0, 0));
    fill_with_busybox(tree.root().path());
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let dir = std::fs::File::open(tree.root().path()).unwrap();
    dir.set_modified(time).unwrap();
    let before = tree.root().dir().metadata().unwrap();
    let command = shell("stat -c '%a %u:%g %Y' /");
    let output = succeeded(run_in(&mut Step::Tree(&mut tree), &command, &fixture.stop).unwrap());
    let seen: Vec<&str> = output.split(' ').collect();
    assert_eq!(seen[..2], ["755", "0:0"]);
    let after = tree.root().dir().metadata().unwrap();
    assert_eq!((after.mode, after.mtime), (before.mode, before.mtime));
    let command = shell("chmod 750 /; chown 7:8 /");
    succeeded(run_in(&mut Step::Tree(&mut tree), &command, &fixture.stop).unwrap());
    let after = tree.root().dir().metadata().unwrap();
    assert_eq!((after.mode, after.uid, after.gid), (0o750, 7, 8));
}

pub(crate) fn a_command_may_wreck_its_tree() {
    let mut fixture = Fixture::new();
    let root = fixture.tree().root().path().to_path_buf();
    let outside = root.parent().unwrap().to_path_buf();
    fixture.run("rm -rf /etc /home /tmp/*; ln -s /tmp /etc; mkdir /tmp/pipes; rm -rf /bin");
    let after = listing(&root);
    let ours: Vec<&String> = after
        .iter()
        .filter(|line| line.contains("hosts") || line.contains("resolv"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
    assert!(!root.join("bin").exists() && !root.join("home").exists());
    let around: Vec<_> = std::fs::read_dir(outside).unwrap().collect();
    assert_eq!(around.len(), 1, "{around:?}");
}

pub(crate) fn trees_run_side_by_side() {
    let fixture = Fixture::new();
    // Filled before the first command: in mode `inplace` the machine's busybox is away while one runs.
    let trees: Vec<_> = (0..4)
        .map(|_| {
            let tree = Tree::new(&fixture.sandbox).unwrap();
            fill_with_busybox(tree.root().path());
            tree
        })
        .collect();
    let threads: Vec<_> = trees
        .into_iter()
        .enumerate()
        .map(|(number, mut tree)| {
            let stop = fixture.stop.clone();
            std::thread::spawn(move || {
                for round in 0..8 {
                    let script = format!("echo {number} {round} >> /log; cat /log | wc -l");
                    let mut step = Step::Tree(&mut tree);
                    let outcome = run_in(&mut step, &shell(&script), &stop).unwrap();
                    assert_eq!(outcome.stdout, format!("{}\n", round + 1), "{outcome:?}");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

pub(crate) fn a_killed_first_process_leaves_nothing_running() {
    let mut fixture = Fixture::new();
    let marker = marker();
    let script = format!(
        "setsid sleep {marker} & (sh -c 'sleep {marker}; true' &); \
         sleep 0.1; kill -KILL $PPID; sleep {marker}"
    );
    let error = fixture.try_run(&shell(&script)).unwrap_err();
    assert!(matches!(error, RunError::Killed), "{error:?}");
    assert_eq!(processes_with(&marker), [""; 0]);
    assert_eq!(fixture.output("echo still works"), "still works\n");
}

pub(crate) fn a_stopped_first_process_is_killed_in_the_end() {
    let mut fixture = Fixture::new();
    fixture.stop = Stop::with_grace(Duration::from_millis(100)).unwrap();
    let stop = fixture.stop.clone();
    let marker = marker();
    let script = format!(
        "trap '' TERM; echo ready; setsid sleep {marker} & while :; do kill -STOP $PPID; done"
    );
    let mut step = fixture.step();
    let error = step.run(&shell(&script), &stop.clone(), &mut |_, _| stop.request());
    assert!(matches!(error, Err(RunError::Stopped)), "{error:?}");
    assert_eq!(processes_with(&marker), [""; 0]);
}

pub(crate) fn the_builders_secrets_cannot_be_read() {
    let mut fixture = Fixture::new();
    let own = std::process::id();
    if Setup::of_this_process().has_proc {
        // It is seen, where there is a /proc.
        fixture.output(&format!("test -d /proc/{own}"));
        assert_eq!(fixture.output("cat /proc/$PPID/comm"), "sawagani-init\n");
        let length = fixture.output("cat /proc/$PPID/cmdline | tr -d '\\0' | wc -c");
        assert_eq!(length, "0\n");
    }
    for process in [own.to_string().as_str(), "$PPID"] {
        for file in ["mem", "environ", "maps", "fd/0", "root/etc/passwd", "cwd/."] {
            let outcome = fixture.run(&format!("head -c 1 /proc/{process}/{file}"));
            assert_ne!(outcome.exit, Exit::Code(0), "{process} {file} {outcome:?}");
        }
    }
}

pub(crate) fn a_builders_own_children_are_left_alone() {
    let mut fixture = Fixture::new();
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let error = fixture.try_run(&shell("kill -KILL $PPID; sleep 60"));
    assert!(matches!(error, Err(RunError::Killed)), "{error:?}");
    fixture.output("(setsid sleep 60 &); true");
    assert!(child.try_wait().unwrap().is_none(), "a helper was killed");
    child.kill().unwrap();
    child.wait().unwrap();
}

pub(crate) fn nothing_written_to_a_device_stays() {
    let mut fixture = Fixture::new();
    // Where no device can be made, the shell would make a file.
    let command = shell("echo x > /dev/null; ls /no/such 2> /dev/null; ls -d /dev/null");
    let outcome = fixture.run_without_a_trace(&command);
    assert_eq!(succeeded(outcome), "/dev/null\n");
}

pub(crate) fn the_machines_name_is_in_hosts_and_a_network_cannot_be_had() {
    let mut fixture = Fixture::new();
    if isolation() == Isolation::Chroot {
        let mut command = shell("grep -c \" $(hostname)$\" /etc/hosts; cat /etc/resolv.conf");
        command.hostname = "ignored".to_owned();
        let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let outcome = fixture.run_without_a_trace(&command);
        assert_eq!(succeeded(outcome), format!("1\n{resolv_conf}"));
    } else {
        // The container's own files are in place.
        let hosts = std::fs::read_to_string(Path::new("/etc/hosts")).unwrap();
        let outcome = fixture.run_without_a_trace(&shell("cat /etc/hosts"));
        assert_eq!(succeeded(outcome), hosts);
    }
    assert!(!fixture.sandbox.can_isolate_network());
    let mut command = shell("true");
    command.network = Network::None;
    let error = fixture.try_run(&command).unwrap_err();
    let expected = format!(
        "isolation `{}` cannot give a command a network of its own: that takes namespaces",
        isolation()
    );
    assert_eq!(error.to_string(), expected);
}

pub(crate) fn what_the_builder_keeps_is_reached_by_its_path_and_in_no_tree() {
    let mut fixture = Fixture::new();
    let stop = fixture.stop.clone();
    let (kept, moved) = (Path::new(KEPT).join("two"), Path::new("/own/files/one"));
    let mut seen = None;
    let command = shell("echo ready; sleep 1; echo changed > /etc/own");
    let exit = fixture.step().run(&command, &stop, &mut |_, _| {
        let writable = std::fs::File::options().append(true).open(&kept);
        seen = Some((writable.is_ok(), moved.exists()));
    });
    assert_eq!(exit.unwrap().exit, Exit::Code(0));
    assert_eq!(seen, Some((true, false)));
    assert!(kept.exists() && moved.exists());
    let tree = listing(fixture.tree().root().path());
    assert!(tree.iter().any(|line| line.starts_with("etc/own ")));
    assert!(!tree.iter().any(|line| line.starts_with("own")));
}

pub(crate) fn closing_waits_for_the_command_and_leaves_the_container_as_it_was() {
    let mut fixture = Fixture::new();
    let sandbox = fixture.sandbox.clone();
    let started = std::sync::Barrier::new(2);
    let mut is_first = true;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let stop = fixture.stop.clone();
            let command = shell("echo started; sleep 0.5; echo changed > /made-late");
            let mut output = |_, _: &[u8]| {
                if std::mem::take(&mut is_first) {
                    started.wait();
                }
            };
            fixture.step().run(&command, &stop, &mut output).unwrap();
        });
        started.wait();
        // Nobody waits for the command: as a program that is asked twice to end.
        sandbox.close().unwrap();
    });
    assert!(!Path::new("/made-late").exists());
}
