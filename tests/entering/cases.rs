//! What each kind of process gets, what it is told, and what it is refused.

use std::path::{Path, PathBuf};

use sawagani::sandbox::{
    EnterError, EnterOptions, Ids, Isolation, Mode, Sandbox, StorageChoice, StorageKind, Tree,
    enter,
};

use crate::runner::{Rights, STATE_VARIABLE, names_in};

/// One case: a function that panics if it fails, run in a process with these rights.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) rights: Rights,
    pub(crate) run: fn(),
}

macro_rules! cases {
    ($($rights:ident: $($name:ident)+;)+) => {
        &[$($(Case { name: stringify!($name), rights: Rights::$rights, run: $name },)+)+]
    };
}

pub(crate) const CASES: &[Case] = cases! {
    Root:
        root_gets_namespaces_and_overlays
        root_may_ask_for_a_user_namespace_with_all_ids
        trees_are_kept_where_they_are_asked_for
        overlays_are_not_promised_where_a_mode_has_none
        chroot_changes_nothing_before_a_command_runs
        inplace_takes_our_image_or_a_word
        inplace_needs_the_mount_of_the_root_directory
        inplace_leaves_the_root_directory_as_it_was
        one_build_at_a_time_is_inplace;
    ContainerRoot:
        a_containers_root_gets_all_ids_where_namespaces_are_allowed;
    ContainerRootWithMasks:
        without_a_proc_of_its_own_there_is_no_pid_namespace;
    RootWithoutSetfcap:
        without_the_right_to_map_root_it_is_chroot;
    RootWithoutAny:
        root_without_capabilities_is_nobody;
    RootWithoutNamespaces:
        a_limit_of_no_namespaces_is_named;
    User:
        a_user_gets_the_subordinate_ids
        a_user_is_refused_what_root_may;
    UserForGood:
        without_new_privileges_there_is_one_id;
    UserAlone:
        a_user_without_a_range_has_one_id
        a_user_may_ask_for_no_isolation
        what_a_user_cannot_write_to_is_named;
};

fn state_dir() -> PathBuf {
    PathBuf::from(std::env::var(STATE_VARIABLE).unwrap())
}

fn options(isolation: Isolation) -> EnterOptions {
    EnterOptions {
        isolation,
        state_dir: Some(state_dir()),
        // No directory of this machine: it may have one of that name.
        tool_dir: state_dir().join("no-such-tool"),
        ..EnterOptions::default()
    }
}

fn entered(isolation: Isolation) -> Sandbox {
    enter(&options(isolation)).unwrap_or_else(|error| panic!("{error} {:?}", error.hints()))
}

fn refused(options: &EnterOptions) -> EnterError {
    match enter(options) {
        Ok(sandbox) => panic!("entered {}", sandbox.description()),
        Err(error) => error,
    }
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

/// Says that the work directory is private, and that it goes with the sandbox.
fn assert_private_until_closed(sandbox: Sandbox) {
    use std::os::unix::fs::PermissionsExt;
    let path = sandbox.work_dir();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    sandbox.close().unwrap();
    assert!(!path.exists());
}

fn map_of(file: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn namespace(kind: &str) -> PathBuf {
    std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap()
}

fn root_gets_namespaces_and_overlays() {
    let mounts = namespace("mnt");
    let sandbox = entered(Isolation::Auto);
    assert_eq!(sandbox.mode(), Mode::Ns);
    assert_eq!(sandbox.description(), "ns (namespaces, as root)");
    assert!(sandbox.attempts().is_empty() && sandbox.warnings().is_empty());
    assert!(matches!(sandbox.storage(), StorageKind::Layers(_)));
    assert_ne!(namespace("mnt"), mounts);
    assert_private_until_closed(sandbox);
}

fn root_may_ask_for_a_user_namespace_with_all_ids() {
    let (users, before) = (map_of("uid_map"), namespace("user"));
    let sandbox = entered(Isolation::Userns);
    assert_eq!(sandbox.mode(), Mode::Userns(Ids::Whole));
    assert_ne!(namespace("user"), before);
    assert_eq!(map_of("uid_map"), users);
    assert!(matches!(sandbox.storage(), StorageKind::Layers(_)));
    // Any user's file can be made, as outside.
    let file = state_dir().join("file");
    std::fs::write(&file, "").unwrap();
    std::os::unix::fs::chown(&file, Some(70_000), Some(70_000)).unwrap();
    std::fs::remove_file(file).unwrap();
    assert_private_until_closed(sandbox);
}

fn trees_are_kept_where_they_are_asked_for() {
    let mut options = options(Isolation::Ns);
    options.storage = StorageChoice::Tree;
    let sandbox = enter(&options).unwrap();
    assert_eq!(sandbox.mode(), Mode::Ns);
    assert_eq!(sandbox.storage(), StorageKind::Trees);
    let tree = Tree::new(&sandbox).unwrap();
    assert!(tree.root().path().starts_with(sandbox.work_dir()));
    drop(tree);
    sandbox.close().unwrap();
}

fn overlays_are_not_promised_where_a_mode_has_none() {
    let mut options = options(Isolation::Chroot);
    options.storage = StorageChoice::Overlay;
    let error = refused(&options);
    let expected = "--storage=overlay cannot be used in isolation `chroot`";
    assert_eq!(error.to_string(), expected);
}

fn chroot_changes_nothing_before_a_command_runs() {
    let before = ["mnt", "user", "pid"].map(namespace);
    let sandbox = entered(Isolation::Chroot);
    assert_eq!(sandbox.mode(), Mode::Chroot);
    assert_eq!(sandbox.storage(), StorageKind::Trees);
    assert_eq!(["mnt", "user", "pid"].map(namespace), before);
    assert_has(&sandbox.warnings().join("\n"), &["/proc", "Java", "<()"]);
    assert_private_until_closed(sandbox);
}

fn inplace_takes_our_image_or_a_word() {
    let wanted = options(Isolation::Inplace);
    let error = refused(&wanted);
    assert_has(
        &error.to_string(),
        &["inplace: find ", ".sawagani-image: ENOENT"],
    );
    assert_has(&error.hints().join("\n"), &["--in-place"]);
    // The mark alone is copied easily: this machine's root directory is not that of our image.
    let tool = state_dir().join("tool");
    std::fs::create_dir(&tool).unwrap();
    std::fs::write(tool.join(".sawagani-image"), "").unwrap();
    let error = refused(&EnterOptions {
        tool_dir: tool.clone(),
        ..wanted
    });
    assert_has(&error.to_string(), &["not of the executor's own image"]);
    std::fs::remove_dir_all(tool).unwrap();
}

fn inplace_needs_the_mount_of_the_root_directory() {
    let elsewhere = PathBuf::from(format!("/dev/shm/entering-{}", std::process::id()));
    let error = refused(&EnterOptions {
        state_dir: Some(elsewhere.clone()),
        allows_in_place: true,
        ..options(Isolation::Inplace)
    });
    let left = names_in(&elsewhere);
    std::fs::remove_dir(&elsewhere).unwrap();
    assert_has(&error.to_string(), &["inplace: rename to /: EXDEV"]);
    assert_eq!(left, [""; 0]);
}

fn inplace_leaves_the_root_directory_as_it_was() {
    let names = names_in(Path::new("/"));
    let sandbox = enter(&EnterOptions {
        allows_in_place: true,
        ..options(Isolation::Inplace)
    });
    let sandbox = sandbox.unwrap();
    assert_eq!(sandbox.mode(), Mode::Inplace);
    assert_eq!(sandbox.storage(), StorageKind::Trees);
    assert!(!sandbox.mode().runs_in_parallel());
    assert_eq!(names_in(Path::new("/")), names);
    assert_private_until_closed(sandbox);
}

/// A second process of this case: says when it is in, and leaves.
const SECOND: &str = "SAWAGANI_TEST_SECOND";

fn one_build_at_a_time_is_inplace() {
    let enter_it = || {
        enter(&EnterOptions {
            allows_in_place: true,
            ..options(Isolation::Inplace)
        })
    };
    let sign = state_dir().join("second-is-in");
    if std::env::var_os(SECOND).is_some() {
        let sandbox = enter_it().unwrap();
        std::fs::write(sign, "").unwrap();
        sandbox.close().unwrap();
        return;
    }
    let first = enter_it().unwrap();
    let mut second = std::process::Command::new(std::env::current_exe().unwrap())
        .env(SECOND, "1")
        .spawn()
        .unwrap();
    // Long enough for it to come in, if nothing held it.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(!sign.exists());
    first.close().unwrap();
    assert!(second.wait().unwrap().success());
    std::fs::remove_file(sign).unwrap();
}

fn a_containers_root_gets_all_ids_where_namespaces_are_allowed() {
    let sandbox = entered(Isolation::Auto);
    assert_eq!(sandbox.mode(), Mode::Userns(Ids::Whole));
    let expected = "userns (namespaces, all ids as outside); \
                    not possible: ns: CAP_SYS_ADMIN: not effective";
    assert_eq!(sandbox.description(), expected);
    assert_private_until_closed(sandbox);
}

fn without_a_proc_of_its_own_there_is_no_pid_namespace() {
    let sandbox = entered(Isolation::Auto);
    assert_eq!(sandbox.mode(), Mode::Userns(Ids::Whole));
    assert_has(
        &sandbox.description(),
        &["no pid namespace: no proc can be mounted"],
    );
    assert_private_until_closed(sandbox);
}

fn without_the_right_to_map_root_it_is_chroot() {
    let sandbox = entered(Isolation::Auto);
    assert_eq!(sandbox.mode(), Mode::Chroot);
    let description = sandbox.description();
    let userns = "userns: write uid_map: EPERM";
    assert_has(&description, &[userns, "; inplace: find ", "SETFCAP"]);
    assert_eq!(
        description.matches("write uid_map").count(),
        1,
        "{description}"
    );
    assert_private_until_closed(sandbox);
}

fn root_without_capabilities_is_nobody() {
    let sandbox = entered(Isolation::Auto);
    assert_eq!(sandbox.mode(), Mode::None);
    let expected = "chroot: CAP_CHOWN: not effective";
    assert_has(
        &sandbox.description(),
        &[expected, "for a better one: ", "SYS_CHROOT"],
    );
    assert!(!sandbox.mode().can_run());
    assert_private_until_closed(sandbox);
}

fn a_limit_of_no_namespaces_is_named() {
    let error = refused(&options(Isolation::Userns));
    assert_has(
        &error.to_string(),
        &["userns: unshare(CLONE_NEWUSER|CLONE_NEWNS): ENOSPC"],
    );
    assert_has(&error.hints().join("\n"), &["user.max_user_namespaces"]);
    // There is a user namespace already, in which this process may do all it needs.
    let sandbox = entered(Isolation::Auto);
    assert_eq!(sandbox.mode(), Mode::Ns);
    assert_private_until_closed(sandbox);
}

fn a_user_gets_the_subordinate_ids() {
    let sandbox = entered(Isolation::Auto);
    assert_eq!(sandbox.mode(), Mode::Userns(Ids::Range));
    assert!(matches!(sandbox.storage(), StorageKind::Layers(_)));
    let expected = "not possible: ns: CAP_SYS_ADMIN: not effective";
    assert!(
        sandbox.description().ends_with(expected),
        "{}",
        sandbox.description()
    );
    assert_private_until_closed(sandbox);
}

fn a_user_is_refused_what_root_may() {
    for (isolation, reason) in [
        (Isolation::Ns, "ns: CAP_SYS_ADMIN: not effective"),
        (Isolation::Inplace, "not root"),
        (Isolation::Chroot, "not root"),
    ] {
        let error = refused(&options(isolation));
        assert!(matches!(error, EnterError::Unavailable(_)), "{error}");
        assert_has(&error.to_string(), &[isolation.name(), reason]);
    }
}

fn without_new_privileges_there_is_one_id() {
    let sandbox = entered(Isolation::Auto);
    assert_eq!(sandbox.mode(), Mode::Userns(Ids::Single));
    let expected = ["newuidmap: no_new_privs", "allowPrivilegeEscalation"];
    assert_has(&sandbox.description(), &expected);
    assert_private_until_closed(sandbox);
}

fn a_user_without_a_range_has_one_id() {
    let sandbox = entered(Isolation::Auto);
    assert_eq!(sandbox.mode(), Mode::Userns(Ids::Single));
    assert_eq!(sandbox.storage(), StorageKind::Trees);
    // As root of its namespace, it can still tell who it was.
    let map = map_of("uid_map");
    let uid = map.split(' ').nth(1).unwrap();
    assert_eq!(map, format!("0 {uid} 1"));
    let line = format!("`{uid}:100000:65536` to `/etc/subuid`");
    assert_has(
        &sandbox.description(),
        &["no subordinate ids for `nobody`", &line],
    );
    assert_eq!(sandbox.warnings().len(), 1);
    drop(Tree::new(&sandbox).unwrap());
    assert_private_until_closed(sandbox);
}

fn a_user_may_ask_for_no_isolation() {
    let before = ["mnt", "user"].map(namespace);
    let sandbox = entered(Isolation::None);
    assert_eq!(sandbox.mode(), Mode::None);
    assert_eq!(["mnt", "user"].map(namespace), before);
    assert_eq!(
        sandbox.description(),
        "none (no privileges: everything but RUN)"
    );
    drop(Tree::new(&sandbox).unwrap());
    assert_private_until_closed(sandbox);
}

fn what_a_user_cannot_write_to_is_named() {
    let error = refused(&EnterOptions {
        state_dir: None,
        state_dir_candidates: ["/usr", "/no/such/place", "/etc"]
            .map(PathBuf::from)
            .to_vec(),
        ..options(Isolation::None)
    });
    assert!(matches!(error, EnterError::NoStateDir(_)), "{error}");
    assert_has(
        &error.to_string(),
        &["`/usr`: write: EACCES", "`/etc`: write: EACCES"],
    );
    assert_has(&error.hints().join("\n"), &["--state-dir"]);
}
