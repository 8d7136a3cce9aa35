//! A build that is stopped from outside leaves no mount and no process; what lies on the disk goes with the next start.

use crate::support::leaks::Leaks;
use crate::support::{Context, Executor, FileServer, Site, TestDir, Who};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Starts a build over `state`, waits until its RUN is at work with a daemon of its own, sends the signal, and
/// returns the exit code. No process and no mount may be left.
fn stop_in_mid_run(site: &Site, who: Who, state: &TestDir, signal: Signal) -> i32 {
    let context = site.context(&format!(
        "RUN echo done > /first\n\
         RUN setsid sh -c 'sleep 600; : {0}' & echo working-$((40+2)); sh -c 'trap \"\" TERM; sleep 600; : {0}'",
        state.token()
    ));
    let state_dir = state.join("state");
    let executor = Executor::new(who)
        .context(&context)
        .destination(&site.app())
        .state_dir(&state_dir);
    let mut running = executor.timeout(Duration::from_secs(120)).start();
    running.wait_for_output("working-42");
    assert!(
        !Leaks::now(state.token(), &state_dir).is_empty(),
        "nothing of the running build can be seen"
    );
    running.signal(signal);
    let build = running.wait();
    let leaks = Leaks::settled(state.token(), &state_dir);
    assert!(
        leaks.processes.is_empty() && leaks.mounts.is_empty(),
        "{leaks}{}",
        build.report()
    );
    let own = build.leaks();
    assert!(
        own.processes.is_empty() && own.mounts.is_empty(),
        "{own}{}",
        build.report()
    );
    site.assert_nothing_pushed();
    build.code()
}

fn state_directory() -> TestDir {
    let state = TestDir::new();
    std::fs::create_dir(state.join("state")).expect("make a state directory");
    state
}

#[test]
fn sigkill_leaves_nothing_alive_and_the_next_build_clears_the_disk() {
    let site = Site::busybox();
    for who in Who::BOTH {
        let state = state_directory();
        assert_eq!(stop_in_mid_run(&site, who, &state, Signal::KILL), 128 + 9);

        let context = site.context("RUN touch /second");
        let next = Executor::new(who)
            .context(&context)
            .arg("--no-push")
            .state_dir(&state.join("state"));
        next.run().assert_success();
        let leaks = Leaks::settled(state.token(), &state.join("state"));
        assert!(
            leaks.is_empty(),
            "{who:?}: the next build did not clear what the killed one left\n{leaks}"
        );
    }
}

#[test]
fn sigterm_and_sigint_end_the_build_and_leave_nothing_at_all() {
    let site = Site::busybox();
    for (who, signal) in [
        (Who::Root, Signal::TERM),
        (Who::User, Signal::TERM),
        (Who::Root, Signal::INT),
    ] {
        let state = state_directory();
        let code = stop_in_mid_run(&site, who, &state, signal);
        assert_ne!(code, 0, "{who:?} {signal:?}");
        let leaks = Leaks::settled(state.token(), &state.join("state"));
        assert!(leaks.is_empty(), "{who:?} {signal:?}: {leaks}");
    }
}

#[test]
fn a_running_build_does_not_lose_its_directory_to_another_that_starts() {
    let site = Site::busybox();
    let state = state_directory();
    let state_dir = state.join("state");
    let go = site.context("RUN echo working-$((40+2)); sleep 5; touch /finished");
    let mut first = site.executor(Who::Root, &go).state_dir(&state_dir).start();
    first.wait_for_output("working-42");
    let other = site.context("RUN touch /other");
    Executor::new(Who::Root)
        .context(&other)
        .arg("--no-push")
        .state_dir(&state_dir)
        .run();
    first.wait().assert_success();
    let leaks = Leaks::settled(state.token(), &state_dir);
    assert!(leaks.is_empty(), "{leaks}");
}

#[test]
fn sigterm_ends_a_build_that_waits_for_a_server() {
    let (site, server) = (Site::busybox(), FileServer::start());
    server.file("f", "some bytes");
    for (path, asked) in [
        ("stalled/f", "GET /stalled/f"),
        ("silent/f", "GET /silent/f"),
        ("silent/r.git", "GET /silent/r.git"),
    ] {
        let context = site.context(&format!("ADD {} /f", server.url(path)));
        let executor = site.executor(Who::Root, &context);
        let running = executor.timeout(Duration::from_secs(60)).start();
        server.wait_for_request(asked);
        running.signal(Signal::TERM);
        let build = running.wait();
        assert_eq!(build.code(), 128 + 15, "{path}\n{}", build.report());
        build.assert_clean_end();
    }
}

/// So many archives that the last is not yet begun when the first is seen.
const ARCHIVES: usize = 40;

#[test]
fn sigterm_during_an_export_leaves_what_was_there_and_nothing_else() {
    let mut contents = vec![0; 24 << 20];
    let mut random = std::fs::File::open("/dev/urandom").expect("open it");
    std::io::Read::read_exact(&mut random, &mut contents).expect("read it");
    let context = Context::new("FROM scratch\nCOPY file /\n").file("file", contents);
    let executor = Executor::new(Who::User).context(&context);
    let archive = |number| format!("{number}.tar");
    let place = |number| executor.out(&archive(number)).display().to_string();
    let flags = (0..ARCHIVES).map(|number| format!("--output=type=oci,dest={}", place(number)));
    let flags: Vec<String> = flags.collect();
    let (out, last) = (executor.out(""), executor.out(&archive(ARCHIVES - 1)));
    std::fs::write(&last, "what was there").expect("write");
    let names = move || {
        let entries = std::fs::read_dir(&out).expect("read the directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.collect::<Vec<String>>()
    };
    let is_unfinished = |name: &String| name.starts_with(".sawagani-");
    let executor = executor.args(flags).arg("--compression-level=1");
    let running = executor.timeout(Duration::from_secs(60)).start();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !names().iter().any(is_unfinished) {
        assert!(Instant::now() < deadline, "nothing was exported");
        std::thread::sleep(Duration::from_millis(1));
    }
    running.signal(Signal::TERM);
    let build = running.wait();
    assert_eq!(build.code(), 128 + 15, "{}", build.report());
    build.assert_clean_end();
    let left = names();
    assert!(!left.iter().any(is_unfinished), "{left:?}");
    assert!(left.len() < ARCHIVES, "all was exported: {left:?}");
    assert_eq!(build.read(&archive(ARCHIVES - 1)), "what was there");
}
