//! Whatever ends a step, nothing of it is left: no process, no mount, no directory.

use std::io::{BufRead, BufReader};
use std::panic::AssertUnwindSafe;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sawagani::sandbox::{EnterError, EnterOptions, Exit, Isolation, RunError, Step, Stop, enter};

use crate::fixture::{Fixture, enter_here, isolation, run_in, shell, state_dir};
use crate::runner::{CASE_VARIABLE, names_in};

/// Longer than any test may take, in seconds, and a number that nobody else sleeps for.
pub(super) fn marker() -> String {
    format!("86{}", std::process::id())
}

/// Returns the processes of the machine that have `text` among their arguments, but for ours.
pub(super) fn processes_with(text: &str) -> Vec<String> {
    let pids = names_in("/proc".as_ref()).into_iter();
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| *pid != std::process::id().to_string())
        .filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok())
        .map(|arguments| String::from_utf8_lossy(&arguments).replace('\0', " "))
        .filter(|arguments| arguments.contains(text))
        .collect()
}

/// Waits until nothing has `text` among its arguments any more.
fn wait_until_gone(text: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !processes_with(text).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", processes_with(text));
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn what_a_command_leaves_running_is_killed() {
    let mut fixture = Fixture::new();
    let marker = marker();
    // In the background, in a session of its own, and deaf to signals; each holds the output open.
    let script = format!(
        "sleep {marker} & setsid sleep {marker} & \
         setsid sh -c \"trap '' TERM HUP; sleep {marker}; sleep {marker}\" & \
         sleep 0.1; echo started; exit 42"
    );
    let outcome = fixture.run(&script);
    assert_eq!(
        (outcome.exit, outcome.stdout.as_str()),
        (Exit::Code(42), "started\n")
    );
    assert_eq!(processes_with(&marker), [""; 0]);
}

pub(crate) fn what_other_users_leave_running_is_killed() {
    let mut fixture = Fixture::new();
    let marker = marker();
    let mut command = shell(&format!(
        "setsid sleep {marker} & (setsid sleep {marker} &); sleep 0.1; exit 3"
    ));
    command.user = fixture.user("app");
    assert_eq!(fixture.try_run(&command).unwrap().exit, Exit::Code(3));
    assert_eq!(processes_with(&marker), [""; 0]);
    // A stop reaches them as well.
    let stop = fixture.stop.clone();
    command.argv[2] = format!("echo ready; sleep {marker}").into();
    let mut step = fixture.step();
    let error = step.run(&command, &stop.clone(), &mut |_, _| stop.request());
    assert!(matches!(error, Err(RunError::Stopped)), "{error:?}");
    assert_eq!(processes_with(&marker), [""; 0]);
}

pub(crate) fn a_killed_builder_takes_the_step_with_it() {
    let marker = marker();
    let mut builder = start_helper(&marker);
    assert_eq!(names_in(&state_dir()).len(), 1);
    assert!(!processes_with(&marker).is_empty());
    builder.kill().unwrap();
    builder.wait().unwrap();
    wait_until_gone(&marker);

    // The directory stays, and goes at the next start; a living builder's stays.
    let stale = names_in(&state_dir());
    assert_eq!(stale.len(), 1);
    let mut builder = start_helper(&marker);
    let live = names_in(&state_dir());
    assert_eq!(live.len(), 1);
    assert_ne!(live, stale);
    enter_and_leave();
    assert_eq!(names_in(&state_dir()), live);
    builder.kill().unwrap();
    builder.wait().unwrap();
    wait_until_gone(&marker);
    enter_and_leave();
    assert_eq!(names_in(&state_dir()), [""; 0]);
}

/// A builder that starts and ends. It is a process of its own: this one would enter for good.
fn enter_and_leave() {
    let status = helper("helper_that_enters_and_leaves").status().unwrap();
    assert!(status.success());
}

/// Another builder.
fn helper(case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(CASE_VARIABLE, case);
    command
}

pub(crate) fn helper_that_enters_and_leaves() {
    enter_here().unwrap().close().unwrap();
}

/// Starts a builder that sleeps in a step, and waits until it does.
fn start_helper(marker: &str) -> Child {
    let mut builder = helper("helper_that_sleeps_in_a_step")
        .arg(marker)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = builder.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "sleeping\n");
    builder
}

pub(crate) fn helper_that_sleeps_in_a_step() {
    let marker = std::env::args().nth(1).unwrap();
    let mut fixture = Fixture::new();
    let stop = fixture.stop.clone();
    let mut step = fixture.step();
    let script = format!("setsid sleep {marker} & echo sleeping; sleep {marker}");
    let exit = step.run(&shell(&script), &stop, &mut |_, bytes| {
        print!("{}", String::from_utf8_lossy(bytes));
    });
    panic!("the step ended: {exit:?}");
}

pub(crate) fn a_stop_ends_a_step_that_obeys() {
    let mut fixture = Fixture::new();
    let stop = fixture.stop.clone();
    let marker = marker();
    let given = fixture.stop.clone();
    let mut step = fixture.step();
    // Everybody is asked, not only the command.
    let script = format!(
        "trap 'echo asked; exit 3' TERM; (trap 'echo child asked' TERM; sleep {marker}; true) & \
         echo ready; wait; exit 4"
    );
    let mut said = String::new();
    let error = step.run(&shell(&script), &given, &mut |_, bytes| {
        said.push_str(&String::from_utf8_lossy(bytes));
        if said.contains("ready") {
            stop.request();
        }
    });
    assert!(matches!(error, Err(RunError::Stopped)), "{error:?}");
    assert!(said.contains("\nasked\n"), "{said}");
    assert_eq!(processes_with(&marker), [""; 0]);
    // A request is for good: nothing more is started.
    let error = run_in(&mut step, &shell("true"), &given);
    assert!(matches!(error, Err(RunError::Stopped)), "{error:?}");
}

pub(crate) fn a_stop_kills_a_step_that_does_not_obey() {
    let mut fixture = Fixture::new();
    let grace = Duration::from_millis(300);
    fixture.stop = Stop::with_grace(grace).unwrap();
    let stop = fixture.stop.clone();
    let marker = marker();
    let given = fixture.stop.clone();
    let mut step = fixture.step();
    let script = format!("trap '' TERM; echo ready; sleep {marker}; sleep {marker}");
    let mut asked = None;
    let error = step.run(&shell(&script), &given, &mut |_, _| {
        asked = Some(Instant::now());
        stop.request();
    });
    assert!(matches!(error, Err(RunError::Stopped)), "{error:?}");
    assert!(
        asked.unwrap().elapsed() >= grace,
        "killed before the grace was over"
    );
    assert_eq!(processes_with(&marker), [""; 0]);
}

pub(crate) fn a_step_cannot_ask_for_its_own_stop() {
    let mut fixture = Fixture::new();
    // The first process forwards the builder's requests to everybody; one of the step's own does
    // nothing.
    let script = "sh -c 'sleep 0.3; echo untouched' & kill -TERM $PPID; kill -HUP $PPID; wait";
    let outcome = fixture.run(script);
    assert_eq!(
        (outcome.exit, outcome.stdout.as_str()),
        (Exit::Code(0), "untouched\n")
    );
}

pub(crate) fn a_panic_while_a_step_runs_leaves_nothing() {
    let mut fixture = Fixture::new();
    let marker = marker();
    let script = format!("echo go; sleep {marker}");
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let stop = fixture.stop.clone();
        let mut step = fixture.step();
        let _ = step.run(&shell(&script), &stop, &mut |_, _| panic!("on purpose"));
    }));
    assert!(panicked.is_err());
    assert_eq!(processes_with(&marker), [""; 0]);
    assert_eq!(fixture.output("echo still works"), "still works\n");
}

pub(crate) fn steps_run_side_by_side() {
    let fixture = Fixture::new();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let (mut rootfs, stop) = (fixture.rootfs.clone(), fixture.stop.clone());
            std::thread::spawn(move || {
                for round in 0..10 {
                    let mut step = Step::Overlay(rootfs.begin_step().unwrap());
                    let script = format!("echo {number} {round} >> /log; cat /log | wc -l");
                    let outcome = run_in(&mut step, &shell(&script), &stop).unwrap();
                    assert_eq!(outcome.stdout, format!("{}\n", round + 1), "{outcome:?}");
                    let Step::Overlay(step) = step else {
                        unreachable!("it was begun as one")
                    };
                    step.freeze().unwrap();
                }
                rootfs.layer_count()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 11);
    }
}

pub(crate) fn the_sandbox_cannot_be_entered_late_or_by_what_is_not_there() {
    let options = |isolation| EnterOptions {
        isolation,
        state_dir: Some(state_dir()),
        state_dir_candidates: Vec::new(),
    };
    for name in [Isolation::Inplace, Isolation::None] {
        let error = enter(&options(name)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("not yet supported: --isolation={name}")
        );
    }
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv().is_err());
    let error = enter(&options(isolation())).unwrap_err();
    assert!(matches!(error, EnterError::OtherThreads), "{error}");
    drop(release);
    thread.join().unwrap();
    // A directory that cannot be one.
    std::fs::write(state_dir().join("file"), "").unwrap();
    let mut bad = options(isolation());
    bad.state_dir = Some(state_dir().join("file"));
    // A thread that was joined may be there for another moment.
    std::thread::sleep(Duration::from_millis(50));
    let error = enter(&bad).unwrap_err();
    assert!(matches!(error, EnterError::StateDir { .. }), "{error}");
    assert!(!error.hints().is_empty());
    std::fs::remove_file(state_dir().join("file")).unwrap();
}
