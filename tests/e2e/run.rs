//! What a RUN sees, how it may end, and what it may not leave behind.

use crate::support::{Executor, Site, Who};

#[test]
fn a_run_sees_a_working_system_and_none_of_it_reaches_the_image() {
    let site = Site::busybox();
    let context = site.context(
        r#"RUN set -eux; \
  test "$(umask)" = 0022; test "$(id -u):$(id -g)" = 0:0; test "$HOME" = /root; test "$PWD" = /; \
  test "$PATH" = /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; \
  grep -q State: /proc/self/status; test -d /proc/$$; test -d /sys/kernel; \
  echo discarded > /dev/null; test "$(head -c 4 /dev/zero | wc -c)" = 4; head -c 1 /dev/urandom > /dev/null; \
  echo x > /dev/shm/x; test -d /dev/pts; ls -l /dev/ptmx /dev/stdin /dev/stdout /dev/stderr /dev/fd; \
  test -r /etc/resolv.conf; grep -q localhost /etc/hosts; \
  touch /seen"#,
    );
    for who in Who::BOTH {
        let tree = site.build(who, &context).tree();
        assert!(tree.has("seen"));
        for absent in [
            "proc",
            "sys",
            "dev",
            "etc/resolv.conf",
            "etc/hosts",
            "etc/hostname",
        ] {
            assert!(
                !tree.has(absent),
                "{who:?}: `{absent}` is in the image, and the base has none"
            );
        }
    }
}

#[test]
fn a_run_has_a_pid_namespace_of_its_own() {
    let site = Site::busybox();
    let context = site.context("RUN test \"$(ls -d /proc/[0-9]* | wc -l)\" -lt 10");
    for who in Who::BOTH {
        site.build(who, &context);
    }
}

#[test]
fn a_run_has_the_network_of_the_executor_unless_it_asks_for_none() {
    let site = Site::busybox();
    let url = format!("http://{}/v2/", site.registry.host());
    let context = site.context(&format!(
        "RUN wget -q -O /dev/null {url}
RUN --network=host wget -q -O /dev/null {url}
RUN --network=none ! wget -q -O /dev/null {url} && test \"$(grep -c : /proc/net/dev)\" = 1 && ifconfig lo | grep -q UP"
    ));
    site.build_as_both(&context);
}

#[test]
fn the_environment_of_the_executor_is_not_that_of_a_run() {
    let site = Site::busybox();
    let context = site.context(
        "ARG GIVEN\nENV OWN=1\nRUN env && ! env | grep -iE 'token|kaniko|aws|azure|google|identity' && test \"$GIVEN$OWN\" = yes1",
    );
    let mut executor = site
        .executor(Who::Root, &context)
        .arg("--build-arg=GIVEN=yes");
    for name in [
        "CI_JOB_TOKEN",
        "KANIKO_REG_EXAMPLE_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AZURE_CLIENT_SECRET",
        "IDENTITY_HEADER",
    ] {
        executor = executor.env(name, "very-secret");
    }
    let build = executor.run();
    build.assert_success();
    assert!(
        !build.report().contains("very-secret"),
        "{}",
        build.report()
    );
}

#[test]
fn users_groups_and_homes_come_from_the_image() {
    let site = Site::busybox();
    let context = site.context(
        r#"WORKDIR /made/as-root
USER app
RUN test "$(id -u):$(id -g)" = 1000:1000 && id -G | grep -qw 2000 && test "$HOME" = /home/app && touch ~/mine
WORKDIR /home/app/made/as-app
RUN test "$PWD" = /home/app/made/as-app && touch here && ! touch /made/as-root/x
USER app:media
RUN test "$(id -u):$(id -g)" = 1000:2000
USER 1234
RUN test "$(id -u):$(id -g)" = 1234:0
USER 1234:5678
RUN test "$(id -u):$(id -g):$(id -G)" = 1234:5678:5678"#,
    );
    for who in Who::BOTH {
        let tree = site.build(who, &context).tree();
        let owner = |path: &str| (tree.get(path).uid, tree.get(path).gid);
        assert_eq!(owner("home/app/mine"), (1000, 1000), "{who:?}");
        assert_eq!(owner("made/as-root"), (0, 0), "{who:?}");
        assert_eq!(
            owner("home/app/made"),
            (1000, 1000),
            "{who:?}: made by WORKDIR as the current USER"
        );
        assert_eq!(owner("home/app/made/as-app"), (1000, 1000), "{who:?}");
    }
}

#[test]
fn shell_exec_and_heredoc_forms_run() {
    let site = Site::busybox();
    let context = site.context(
        r#"RUN ["/bin/busybox", "touch", "/exec $HOME"]
RUN <<EOF
echo one > /script
echo two >> /script
EOF
RUN <<'PROGRAM' cat > /body
literal $HOME
PROGRAM
RUN <<EOF
#!/bin/awk -f
BEGIN { print "from awk" > "/awk" }
EOF
SHELL ["/bin/busybox", "sh", "-e", "-c"]
RUN false | true; touch /other-shell"#,
    );
    let image = site.build(Who::Root, &context);
    let tree = image.tree();
    for path in ["exec $HOME", "other-shell", "awk"] {
        assert!(tree.has(path), "{path}");
    }
    let bundle = crate::support::container::Bundle::unpack(&image);
    assert_eq!(
        bundle.run(&["cat", "/script", "/body"]).stdout,
        "one\ntwo\nliteral $HOME\n"
    );
}

#[test]
fn output_of_a_run_is_shown_as_it_comes() {
    let site = Site::busybox();
    let context = site.context("RUN echo shown-$((40+2)) && sleep 600");
    let mut running = site.executor(Who::Root, &context).start();
    running.wait_for_output("shown-42");
}

#[test]
fn each_stream_of_a_run_reaches_the_same_stream_of_the_executor() {
    let site = Site::busybox();
    let context = site.context("RUN echo to-stdout-$((40+2)); echo to-stderr-$((40+3)) >&2");
    let build = site.executor(Who::User, &context).run();
    build.assert_success();
    assert!(
        build.stdout().contains("to-stdout-42"),
        "{}",
        build.report()
    );
    assert!(
        build.stderr().contains("to-stderr-43"),
        "{}",
        build.report()
    );
}

#[test]
fn a_daemon_left_behind_dies_with_its_step() {
    let site = Site::busybox();
    for who in Who::BOTH {
        let executor = Executor::new(who);
        let context = site.context(&format!(
            "RUN setsid sh -c 'sleep 600; : {0}' > /dev/null 2>&1 & (sh -c 'trap \"\" TERM HUP; sleep 600; : {0}' &) && echo started\n\
             RUN ! ps | grep -v grep | grep {0}",
            executor.token()
        ));
        // `assert_success`, in `build_with`, finds the daemons by the token in their arguments.
        site.build_with(executor.context(&context).destination(&site.app()));
    }
}

#[test]
fn the_exit_code_of_a_failing_run_is_the_executors_own() {
    let site = Site::busybox();
    let context = site.context("ENV A=1\nRUN echo before && exit 42\nRUN touch /never");
    for who in Who::BOTH {
        let build = site.executor(who, &context).run();
        build.assert_error(42, &["Dockerfile:3", "42", "RUN echo before && exit 42"]);
        site.assert_nothing_pushed();
    }
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let site = Site::busybox();
    let build = site
        .executor(
            Who::Root,
            &site.context("RUN [\"/no/such/program\", \"x\"]"),
        )
        .run();
    assert_ne!(build.code(), 0);
    build.assert_error(build.code(), &["Dockerfile:2", "/no/such/program"]);
    site.assert_nothing_pushed();
}

#[test]
fn a_run_killed_by_a_signal_fails_and_says_so() {
    let site = Site::busybox();
    let context =
        site.context("RUN [\"/bin/busybox\", \"sh\", \"-c\", \"sh -c 'kill -9 $PPID'; sleep 5\"]");
    for who in Who::BOTH {
        let build = site.executor(who, &context).run();
        // 128 + 9 as shells and Docker say it, or 255 as kaniko does.
        assert!([137, 255].contains(&build.code()), "{}", build.report());
        build.assert_error(build.code(), &["Dockerfile:2", "signal"]);
        site.assert_nothing_pushed();
    }
}

#[test]
fn what_workdir_creates_belongs_to_the_user_as_files_do() {
    let site = Site::busybox();
    let context = site.context("USER 1234\nWORKDIR /wd\nUSER app:media\nWORKDIR /wd2");
    let tree = site.build_as_both(&context);
    let owner = |path: &str| (tree.get(path).uid, tree.get(path).gid);
    assert_eq!(
        owner("wd"),
        (1234, 1234),
        "a number alone is the group's too"
    );
    assert_eq!(owner("wd2"), (1000, 2000));
}
