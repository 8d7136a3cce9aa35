//! The same jobs in every kind of container: which isolation is chosen, and that the image is the machine's own.

use super::call::Call;
use super::docker;
use super::images::images;
use super::job::Job;
use super::pod::{self, Pod};
use super::pod_config;
use super::reference::Site;
use crate::support::process::Ended;
use crate::support::{Image, Kind, TestDir, check_image};

/// Fails the test unless the executor has ended with 0 after saying that it has chosen `mode`.
fn assert_built_in(mode: &str, ended: &Ended) {
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(isolation(ended), mode, "{}", ended.stderr);
}

/// The first word of the line that tells the isolation.
fn isolation(ended: &Ended) -> &str {
    let line = ended
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("isolation: "));
    let line = line.unwrap_or_else(|| panic!("no isolation is told\n{}", ended.stderr));
    line.split([' ', ';', ',', ':']).next().unwrap_or_default()
}

/// Builds the job in a container with docker's options.
fn builds_in_docker(options: &[&str], mode: &str, job: Job, name: &str) {
    let site = Site::shared();
    let context = site.context(job);
    let ended = docker::run(options, &site.call(&context, name));
    assert_built_in(mode, &ended);
    site.assert_as_reference(job, name);
}

/// Builds the job in a pod.
fn builds_in_pod(pod: &Pod<'_>, mode: &str, job: Job, name: &str) {
    let site = Site::shared();
    let context = site.context(job);
    let ended = pod::run(pod, &site.call(&context, name));
    assert_built_in(mode, &ended);
    site.assert_as_reference(job, name);
}

#[test]
fn root_in_an_ordinary_container_builds_in_place() {
    builds_in_docker(&[], "inplace", Job::Full, "places/default:1");
}

#[test]
fn root_that_may_mount_builds_in_namespaces() {
    builds_in_docker(
        &["--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"],
        "ns",
        Job::Full,
        "places/admin:1",
    );
}

#[test]
fn a_privileged_container_builds_in_namespaces() {
    let pod = Pod {
        options: &[],
        alter: pod_config::privileged,
        root: 0,
    };
    builds_in_pod(&pod, "ns", Job::Full, "places/privileged:1");
}

#[test]
fn root_of_a_pod_with_its_own_users_builds_in_place() {
    let pod = Pod {
        options: &[],
        alter: pod_config::with_own_users,
        root: pod_config::FIRST_USER,
    };
    builds_in_pod(&pod, "inplace", Job::Full, "places/own-users:1");
}

#[test]
fn root_of_a_pod_with_its_own_users_that_may_mount_builds_in_namespaces() {
    let pod = Pod {
        options: &["--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"],
        alter: pod_config::with_own_users,
        root: pod_config::FIRST_USER,
    };
    builds_in_pod(&pod, "ns", Job::Full, "places/own-users-admin:1");
}

/// Docker masks parts of `/proc` in every container but privileged ones, and then no new one can be mounted in a user
/// namespace: steps have the container's own.
#[test]
fn root_without_a_seccomp_profile_builds_in_a_user_namespace_with_the_containers_proc() {
    let site = Site::shared();
    let context = site.context(Job::Full);
    let name = "places/unconfined:1";
    let masked = "grep ' /proc/[a-z_]* ' /proc/self/mountinfo; exec /kaniko/executor \"$@\"";
    let call = site.call(&context, name).within(masked);
    let ended = docker::run(
        &[
            "--security-opt=seccomp=unconfined",
            "--security-opt=apparmor=unconfined",
        ],
        &call,
    );
    assert!(
        ended.stdout.contains(" /proc/"),
        "nothing is masked\n{}",
        ended.stdout
    );
    assert_built_in("userns", &ended);
    site.assert_as_reference(Job::Full, name);
}

#[test]
fn a_read_only_container_with_a_volume_builds_without_proc() {
    let site = Site::shared();
    let context = site.context(Job::WithoutProc);
    let volume = TestDir::new();
    let name = "places/read-only:1";
    let call = site
        .call(&context, name)
        .arg("--state-dir=/builds")
        .volume(volume.path(), "/builds");
    let ended = docker::run(&["--read-only"], &call);
    assert_built_in("chroot", &ended);
    assert!(
        ended.stderr.contains("/proc"),
        "what will fail is told\n{}",
        ended.stderr
    );
    site.assert_as_reference(Job::WithoutProc, name);
}

#[test]
fn a_read_only_container_without_a_seccomp_profile_builds_on_a_volume() {
    let options = [
        "--read-only",
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
    ];
    builds_in_docker(
        &options,
        "userns",
        Job::Full,
        "places/read-only-unconfined:1",
    );
}

/// The profile that podman's packages install: it allows namespaces, and no host name in them.
const PODMANS: &str = "--security-opt=seccomp=/usr/share/containers/seccomp.json";
const NO_SECCOMP: &str = "--security-opt=seccomp=unconfined";
const NO_APPARMOR: &str = "--security-opt=apparmor=unconfined";

/// What a step needs of namespaces, without a package that takes long to install.
const STEPS: &str =
    "RUN chown 7:8 /etc/group && mkfifo /fifo && grep -qw \"$(hostname)\" /etc/hosts
RUN --mount=type=tmpfs,target=/t touch /t/lost
USER app
RUN id -un >/home/app/name && test ! -e /t/lost
";

#[test]
fn profiles_that_allow_namespaces_give_user_namespaces() {
    let whole = "userns (namespaces, all ids as outside)";
    let single = "userns (namespaces, root is this user; other owners are recorded)";
    let user = "--user=1000:1000";
    let unprivileged = ["--cap-drop=ALL", "--security-opt=no-new-privileges", user];
    let site = crate::support::Site::busybox();
    let context = site.context(STEPS);
    for (options, line) in [
        (vec![PODMANS, NO_APPARMOR], whole),
        (vec![PODMANS, NO_APPARMOR, user], single),
        (
            [&unprivileged[..], &[NO_SECCOMP, NO_APPARMOR]].concat(),
            single,
        ),
    ] {
        let call = Call::executor(["--destination", &site.app()]);
        let call = call.read_only_volume(context.path(), "/workspace");
        let ended = docker::run(&options, &call);
        assert_built_in("userns", &ended);
        let told = format!("isolation: {line}");
        assert!(
            ended.stderr.contains(&told),
            "{options:?}\n{}",
            ended.stderr
        );
        let tree = check_image(&site.registry, crate::support::site::APP, &site.base).tree();
        let owner = |path| (tree.get(path).uid, tree.get(path).gid);
        assert_eq!(owner("etc/group"), (7, 8), "{options:?}");
        assert_eq!(owner("home/app/name"), (1000, 1000), "{options:?}");
        assert_eq!(tree.get("home/app/name").kind, Kind::file("app\n"));
        assert_eq!(tree.get("fifo").kind, Kind::Fifo);
    }
}

/// What Kubernetes calls restricted.
const RESTRICTED: [&str; 6] = [
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--user",
    "1000:1000",
];

/// What OpenShift gives: some number, which no file knows.
const ARBITRARY: [&str; 6] = [
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--user",
    "1000680000:0",
];

#[test]
fn a_user_without_privileges_builds_what_needs_no_run() {
    builds_in_docker(&RESTRICTED, "none", Job::Copies, "places/restricted:1");
}

#[test]
fn an_arbitrary_user_builds_what_needs_no_run() {
    builds_in_docker(&ARBITRARY, "none", Job::Copies, "places/arbitrary:1");
}

#[test]
fn a_user_without_privileges_is_told_which_runs_cannot_be_before_anything_is_pulled() {
    let site = Site::alone();
    let context = site.context(Job::Full);
    let base = Image::pull(&site.registry, "base/debian:1");
    let pulls = || {
        // The config is asked for: it may have triggers.
        let requests = site.registry.requests();
        let is_layer = |request: &&String| {
            let digest = request.strip_prefix("GET /v2/base/debian/blobs/");
            digest.is_some_and(|digest| base.layers.iter().any(|layer| layer.digest == digest))
        };
        requests.iter().filter(is_layer).count()
    };
    let before = pulls();
    for options in [RESTRICTED, ARBITRARY] {
        let ended = docker::run(&options, &site.call(&context, "places/refused:1"));
        assert_eq!(ended.code(), 1, "{}", ended.stderr);
        // The lines of the RUNs, and what to do.
        for part in ["Dockerfile:3: RUN", " 5 | RUN apt-get update", "hint: "] {
            assert!(
                ended.stderr.contains(part),
                "the error lacks {part:?}\n{}",
                ended.stderr
            );
        }
    }
    assert!(before > 0, "pulls are seen");
    assert_eq!(pulls(), before, "the base was pulled");
}

/// In an image of somebody else `/` is not the executor's to move aside, so steps get another root directory.
#[test]
fn root_in_another_image_builds_without_proc() {
    let site = Site::shared();
    let context = site.context(Job::WithoutProc);
    let name = "places/another-image:1";
    let call = site.call(&context, name).arg("--context=/workspace");
    let call = call.in_image(&site.base.reference, "/opt/executor");
    let ended = docker::run(
        &[],
        &call.read_only_volume(&images().executor, "/opt/executor"),
    );
    assert_built_in("chroot", &ended);
    assert!(
        ended.stderr.contains("/proc"),
        "what will fail is told\n{}",
        ended.stderr
    );
    site.assert_as_reference(Job::WithoutProc, name);
}
