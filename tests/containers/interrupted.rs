//! A build in place that is ended in the middle: the container's root directory is its own again, and the next build works.

use super::call::Call;
use super::docker;
use super::root_listing::LOOK;
use crate::support::process::Ended;
use crate::support::{Site, TestDir, check_image};

/// More shell functions of all scripts: `build DOCKERFILE …` in the background, and `same WHEN`, which fails unless the root
/// directory is what it was at first.
const FUNCTIONS: &str = r#"
build() {
  dockerfile=$1
  shift
  /kaniko/executor --isolation=inplace --context /builds/jobs --dockerfile "/builds/jobs/$dockerfile" "$@" >/builds/out/log 2>&1 & pid=$!
}
same() {
  look after
  diff /builds/out/before /builds/out/after || { echo "the root directory is another one: $1"; exit 9; }
}
until_it_runs() {
  # The command that the build shows has the sum spelled out.
  until grep -q 'in the 2nd' /builds/out/log; do
    kill -0 $pid || { cat /builds/out/log; exit 8; }
    sleep 0.1
  done
}
look before
"#;

/// Runs the script in a container of the debug image that has `jobs` and pushes to `site`.
fn run(site: &Site, script: &str) -> Ended {
    let (jobs, out) = (TestDir::new(), TestDir::new());
    for (name, lines) in [
        (
            "sleeping",
            "RUN touch /usr /new /dev/new; rm /dev/zero; echo 192.0.2.1 made-up >/etc/hosts; echo in the $((1+1))nd; sleep 1000\n",
        ),
        (
            "lending",
            "RUN --mount=type=secret,id=key,target=/etc/key echo in the $((1+1))nd; cat /etc/key; sleep 1000\n",
        ),
        (
            "switching",
            "RUN echo a >/a\nRUN echo b >/b\nRUN rm /a\nRUN mkdir /c\nRUN touch /c/d\n",
        ),
        (
            "whole",
            "COPY --chown=7:8 whole /copied\nRUN echo c >/c && test -e /bin/busybox\n",
        ),
    ] {
        let dockerfile = format!("FROM {}\n{lines}", site.base);
        std::fs::write(jobs.join(name), dockerfile).expect("write a Dockerfile");
    }
    let call = Call::script(&format!("{LOOK}{FUNCTIONS}{script}"))
        .env("APP", &site.app())
        .env("BASE", &site.base.reference)
        .read_only_volume(jobs.path(), "/builds/jobs")
        .volume(out.path(), "/builds/out");
    let ended = docker::run(&[], &call);
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    ended
}

/// The build that follows in the same container has pushed a sound image with nothing of the ended one in it.
fn assert_next_build_is_whole(site: &Site) {
    let tree = check_image(&site.registry, crate::support::site::APP, &site.base).tree();
    assert_eq!((tree.get("copied").uid, tree.get("copied").gid), (7, 8));
    assert!(tree.has("c") && !tree.has("new"));
}

#[test]
fn a_build_that_is_asked_to_end_puts_the_root_directory_back() {
    let site = Site::busybox();
    run(
        &site,
        r#"
build sleeping --no-push
until_it_runs
kill -TERM $pid
wait $pid && exit 7
same 'after SIGTERM'
build whole --destination "$APP"
wait $pid || { cat /builds/out/log; exit 6; }
same 'after the next build'
"#,
    );
    assert_next_build_is_whole(&site);
}

#[test]
fn what_a_killed_build_leaves_the_next_one_puts_back() {
    let site = Site::busybox();
    run(
        &site,
        r#"
build sleeping --no-push
until_it_runs
kill -KILL $pid
wait $pid && exit 7
build whole --destination "$APP"
wait $pid || { cat /builds/out/log; exit 6; }
same 'after the next build'
"#,
    );
    assert_next_build_is_whole(&site);
}

#[test]
fn a_secret_of_a_killed_build_goes_with_the_next_one() {
    let site = Site::busybox();
    run(
        &site,
        r#"
found() { find / /kaniko -xdev -type f -exec grep -ls very-secret {} +; }
printf very-secret >/dev/shm/given
build lending --no-push --secret id=key,src=/dev/shm/given
until_it_runs
kill -KILL $pid
wait $pid && exit 7
found | grep -q . || { echo 'the secret was nowhere: this proves nothing'; exit 4; }
build whole --destination "$APP"
wait $pid || { cat /builds/out/log; exit 6; }
found && { echo 'the secret is still there'; exit 3; }
same 'after the next build'
"#,
    );
    assert_next_build_is_whole(&site);
}

#[test]
fn a_build_can_be_killed_at_any_moment() {
    let site = Site::busybox();
    let ended = run(
        &site,
        r#"
killed=0
signal=KILL
for delay in 40 80 120 160 200 240 280 320 360 400 450 500 600 700 800 1000; do
  build switching --no-push
  usleep ${delay}000
  if kill -$signal $pid 2>/dev/null; then killed=$((killed + 1)); fi
  wait $pid || true
  case $signal in
    KILL) signal=TERM ;;
    # What is asked to end puts everything back itself.
    TERM) signal=KILL; same "terminated after $delay ms" ;;
  esac
  build whole --no-push
  wait $pid || { echo "after $delay ms"; cat /builds/out/log; exit 6; }
  same "killed after $delay ms"
done
echo "killed $killed"
build whole --destination "$APP"
wait $pid
"#,
    );
    assert!(!ended.stdout.contains("killed 0"), "no build was killed");
    assert_next_build_is_whole(&site);
}

#[test]
fn a_run_that_fails_leaves_the_root_directory_as_it_was() {
    let site = Site::busybox();
    run(
        &site,
        r#"
printf 'FROM %s\nRUN mkdir -p /new /etc/new; rm -rf /home /workspace /bin; exit 42\n' "$BASE" >/builds/out/failing
code=0
/kaniko/executor --isolation=inplace --context /builds/jobs --dockerfile /builds/out/failing --no-push || code=$?
test $code = 42 || exit 5
same 'after a failure'
build whole --destination "$APP"
wait $pid || { cat /builds/out/log; exit 6; }
same 'after the next build'
"#,
    );
    assert_next_build_is_whole(&site);
}
