//! `RUN --mount` with what the command line gives: secrets and agents, where they go, and where they never do.

use crate::support::{Executor, Site, TestDir, Who};
use std::fs;
use std::os::unix::net::UnixListener;

const VALUE: &str = "correct-horse-battery-staple";

/// The modes of this machine that keep files in different ways.
pub(crate) const WAYS: [(Who, &[&str]); 5] = [
    (Who::Root, &["--isolation=ns"]),
    (Who::Root, &["--isolation=ns", "--storage=tree"]),
    (Who::Root, &["--isolation=chroot"]),
    (Who::User, &["--isolation=userns"]),
    (Who::UserWithoutRange, &["--isolation=userns"]),
];

#[test]
fn a_secret_is_nowhere_but_in_its_run() {
    let site = Site::busybox();
    let context = site
        .context(
            "RUN --mount=type=secret,id=file --mount=type=secret,id=env,env=TOKEN \\
  test \"$(cat /run/secrets/file)\" = \"$TOKEN\" && test ${#TOKEN} = 28 && ls -l /run/secrets > /listed
RUN --mount=type=secret,id=TOKEN test \"$(wc -c < /run/secrets/TOKEN)\" -eq 28",
        )
        .file("s", VALUE);
    for (who, flags) in WAYS {
        let cache = TestDir::new();
        let build =
            site.executor(who, &context)
                .args(flags)
                .args(["--secret=id=file,src=".to_owned()
                    + &context.path().join("s").to_string_lossy()])
                .args(["--secret=id=env,env=TOKEN", "--secret=id=TOKEN"])
                .arg("--verbosity=trace")
                .env("TOKEN", VALUE)
                .run();
        build.assert_success().assert_clean_end();
        drop(cache);
        assert!(!build.report().contains(VALUE), "{}", build.report());
        let image = crate::support::check_image(&site.registry, "app:1", &site.base);
        let config = serde_json::to_string(&image.config).expect("JSON");
        assert!(!config.contains(VALUE), "{config}");
        let tree = image.tree();
        assert!(tree.has("listed") && !tree.has("run/secrets"), "{who:?}");
    }
}

/// The files below `dir` that have `text` in them.
fn files_with(text: &str, dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let files = walkdir::WalkDir::new(dir)
        .into_iter()
        .filter_map(Result::ok);
    let files = files.filter(|entry| entry.file_type().is_file());
    // By a package that is optimised, as these tests are not: there may be a gigabyte of other tests' registries.
    let pattern = regex::bytes::Regex::new(&regex::escape(text)).expect("a text is a pattern");
    let holds = |entry: &walkdir::DirEntry| {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        pattern.is_match(&bytes)
    };
    files
        .filter(holds)
        .map(walkdir::DirEntry::into_path)
        .collect()
}

#[test]
fn a_killed_build_takes_its_secret_with_it_or_the_next_one_does() {
    let site = Site::busybox();
    for (who, flags) in WAYS {
        let state = TestDir::new();
        let state_dir = state.join("state");
        fs::create_dir(&state_dir).expect("make a state directory");
        let value = format!("secret-of-{}", state.token());
        let context = site.context(
            "RUN --mount=type=secret,id=s test -s /run/secrets/s && echo working-$((40+2)) && sleep 600",
        );
        let mut running = site
            .executor(who, &context)
            .args(flags)
            .args(["--secret=id=s,env=S"])
            .env("S", &value)
            .state_dir(&state_dir)
            .start();
        running.wait_for_output("working-42");
        running.signal(rustix::process::Signal::KILL);
        running.wait();
        // With mounts it was in memory that nobody else can see. Without, nobody could take it away.
        let has_mounts = flags != ["--isolation=chroot"];
        let left = files_with(&value, &state_dir);
        assert!(left.is_empty() == has_mounts, "{who:?} {flags:?}: {left:?}");
        let next = site.context("RUN true");
        let next = site.executor(who, &next).args(flags).state_dir(&state_dir);
        next.run().assert_success();
        for dir in [&*state_dir, std::path::Path::new("/dev/shm")] {
            assert_eq!(
                files_with(&value, dir),
                [""; 0].map(std::path::PathBuf::from),
                "{who:?} {flags:?}"
            );
        }
    }
}

#[test]
fn a_secret_that_is_missing_is_told_with_its_line_and_the_flag_to_give() {
    let site = Site::busybox();
    let context = site.context("RUN true\nRUN --mount=type=secret,id=npm,required=true true");
    // A variable that is not set is as good as none.
    let build = site
        .executor(Who::Root, &context)
        .arg("--secret=id=npm,env=NOT_SET_AT_ALL")
        .run();
    build.assert_error(
        1,
        &[
            "Dockerfile:3",
            "`npm`",
            "hint: ",
            "--secret id=npm,src=FILE",
        ],
    );
    let context = site.context("RUN --mount=type=ssh,required true");
    let build = site.executor(Who::Root, &context).run();
    build.assert_error(1, &["Dockerfile:2", "`default`", "hint: ", "--ssh default"]);
}

#[test]
fn flags_that_make_no_sense_are_refused_before_the_build() {
    let site = Site::busybox();
    let context = site.context("RUN true").file("key", "x");
    let key = context.path().join("key");
    let key_flag = format!("--ssh=default={}", key.display());
    let refused: [(&[&str], &str); 5] = [
        (&["--secret=src=key"], "no id"),
        (&["--secret=id=a,src=/nowhere"], "/nowhere"),
        (&["--secret=id=a,env=A", "--secret=id=a,env=B"], "twice"),
        (&["--ssh=default"], "SSH_AUTH_SOCK"),
        (&[&key_flag], "no private key"),
    ];
    for (flags, part) in refused {
        let build = site.executor(Who::Root, &context).args(flags).run();
        build.assert_error(1, &[part]);
    }
    site.assert_nothing_pushed();
}

#[test]
fn an_agent_is_a_socket_of_the_users_that_asked_for_it() {
    let site = Site::busybox();
    let context = site.context(
        "RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && test $SSH_AUTH_SOCK = /run/buildkit/ssh_agent.0 && \\
  test \"$(stat -c %u:%g:%a $SSH_AUTH_SOCK)\" = 0:0:600
RUN --mount=type=ssh,id=none --mount=type=ssh,id=other,target=/tmp/agent,uid=1000,gid=1000,mode=0640 \\
  test \"$SSH_AUTH_SOCK\" = /tmp/agent && test \"$(stat -c %u:%g:%a /tmp/agent)\" = 1000:1000:640
RUN test ! -e /tmp/agent && test ! -e /run/buildkit && test -z \"$SSH_AUTH_SOCK\"",
    );
    let dir = TestDir::new();
    let path = dir.join("agent.sock");
    let _agent = UnixListener::bind(&path).expect("listen");
    for (who, flags) in WAYS {
        let build = site
            .executor(who, &context)
            .args(flags)
            .arg("--ssh=default")
            .arg(format!("--ssh=other={}", path.display()))
            .env("SSH_AUTH_SOCK", &path)
            .run();
        build.assert_success().assert_clean_end();
    }
}

#[test]
fn a_run_with_mounts_is_executed_again_and_a_locked_cache_serves_parallel_stages() {
    let site = Site::busybox();
    let step = |stage: &str| {
        format!(
            "FROM {} AS {stage}
RUN --mount=type=cache,id=c,target=/c,sharing=locked \\
  mkdir /c/held && sleep 0.3 && echo {stage} >> /c/log && rmdir /c/held
",
            site.base
        )
    };
    let dockerfile = format!(
        "{}{}{}FROM {}
COPY --from=a /etc /a
COPY --from=b /etc /b
COPY --from=c /etc /c
RUN --mount=type=cache,id=c,target=/c test \"$(sort /c/log | tr '\\n' ' ')\" = 'a b c '\n",
        step("a"),
        step("b"),
        step("c"),
        site.base
    );
    let context = crate::support::Context::new(dockerfile);
    for (who, flags) in WAYS {
        let executor: Executor = site.executor(who, &context);
        executor.args(flags).run().assert_success();
    }
    // The stages' files lie in the context of nobody.
    assert!(fs::read_dir(context.path()).expect("list").count() == 1);
}
