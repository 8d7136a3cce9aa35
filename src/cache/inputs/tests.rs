//! Every input counts, nothing else does, and no two sets of inputs share a key.

use proptest::prelude::*;

use super::*;
use crate::cache::Fingerprint;

/// Few short texts of few letters, so that pieces meet that could be taken for one another. Among them what the
/// names of parts are made of.
fn text() -> impl Strategy<Value = String> {
    "[ab=\u{0} ]{0,3}"
}

fn key() -> impl Strategy<Value = CacheKey> {
    (0..3_u8).prop_map(|number| key_of(&number.to_string()))
}

fn key_of(text: &str) -> CacheKey {
    CacheKey::of_digest(&Digest::of(text.as_bytes()))
}

fn map() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(text(), text(), 0..3)
}

fn digest() -> impl Strategy<Value = Digest> {
    (0..3_u8).prop_map(|number| Digest::of(&[number]))
}

fn url() -> impl Strategy<Value = url::Url> {
    "[ab]{1,2}".prop_map(|path| format!("https://host/{path}").parse().unwrap())
}

fn source() -> impl Strategy<Value = SourceInputs> {
    let identity = prop_oneof![
        digest().prop_map(NetworkIdentity::Checksum),
        (url(), text(), text()).prop_map(|(url, etag, last_modified)| {
            NetworkIdentity::Validator {
                url,
                etag,
                last_modified,
            }
        }),
        (
            url(),
            text(),
            text(),
            prop::option::of(text()),
            any::<[bool; 2]>()
        )
            .prop_map(
                |(url, commit, subdirectory, git_dir, [submodules, has_commit_times])| {
                    NetworkIdentity::Commit {
                        url,
                        commit,
                        subdirectory,
                        git_dir,
                        submodules,
                        has_commit_times,
                    }
                }
            ),
    ];
    prop_oneof![
        (text(), digest()).prop_map(|(name, digest)| SourceInputs::Content {
            name: name.into(),
            digest
        }),
        (key(), text(), prop::collection::vec(text(), 0..3)).prop_map(|(origin, path, exclude)| {
            SourceInputs::Definition {
                origin,
                path,
                exclude,
            }
        }),
        (text(), text()).prop_map(|(name, text)| SourceInputs::Inline { name, text }),
        (text(), identity).prop_map(|(name, identity)| SourceInputs::Network {
            name: name.into(),
            identity
        }),
    ]
}

fn mount() -> impl Strategy<Value = MountInputs> {
    (text(), map(), prop::option::of(source())).prop_map(|(kind, options, files)| MountInputs {
        kind,
        options,
        files,
    })
}

prop_compose! {
    fn run()(
        parent in key(),
        argv in prop::collection::vec(text(), 0..3),
        script in text(),
        environment in map(),
        working_dir in text(),
        user in text(),
        options in map(),
        mounts in prop::collection::vec(mount(), 0..3),
    ) -> RunInputs {
        RunInputs { parent, argv, script, environment, working_dir, user, options, mounts }
    }
}

prop_compose! {
    fn copy()(
        parent in key(),
        sources in prop::collection::vec(source(), 0..3),
        destination in text(),
        chown in prop::option::of(text()),
        chmod in prop::option::of(text()),
        options in map(),
    ) -> CopyInputs {
        CopyInputs { parent, sources, destination, chown, chmod, options }
    }
}

/// The inputs of any step.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Run(RunInputs),
    Copy(CopyInputs),
    Add(AddInputs),
    Workdir(WorkdirInputs),
}

impl Step {
    fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Run(run) => run.fingerprint(),
            Self::Copy(copy) => copy.fingerprint(),
            Self::Add(add) => add.fingerprint(),
            Self::Workdir(workdir) => workdir.fingerprint(),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        run().prop_map(Step::Run),
        copy().prop_map(Step::Copy),
        (copy(), any::<bool>()).prop_map(|(copy, unpacks)| Step::Add(AddInputs { copy, unpacks })),
        (key(), text(), text()).prop_map(|(parent, path, user)| Step::Workdir(WorkdirInputs {
            parent,
            path,
            user
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn steps_share_a_key_only_if_they_are_the_same(a in step(), b in step()) {
        prop_assert_eq!(a == b, a.fingerprint().key() == b.fingerprint().key());
    }

    #[test]
    fn commands_share_a_key_only_if_they_are_the_same(a in run(), b in run(), field in 0..8_u8) {
        // Equal but for one field: otherwise two that were drawn would hardly ever be close.
        let mut near = a.clone();
        match field {
            0 => near.parent = b.parent,
            1 => near.argv = b.argv,
            2 => near.script = b.script,
            3 => near.environment = b.environment,
            4 => near.working_dir = b.working_dir,
            5 => near.user = b.user,
            6 => near.options = b.options,
            _ => near.mounts = b.mounts,
        }
        prop_assert_eq!(a == near, a.fingerprint().key() == near.fingerprint().key());
    }

    #[test]
    fn copies_share_a_key_only_if_they_are_the_same(a in copy(), b in copy(), field in 0..6_u8) {
        let mut near = a.clone();
        match field {
            0 => near.parent = b.parent,
            1 => near.sources = b.sources,
            2 => near.destination = b.destination,
            3 => near.chown = b.chown,
            4 => near.chmod = b.chmod,
            _ => near.options = b.options,
        }
        prop_assert_eq!(a == near, a.fingerprint().key() == near.fingerprint().key());
    }

    #[test]
    fn differences_are_told_exactly_where_keys_differ(a in step(), b in step()) {
        let (a, b) = (a.fingerprint(), b.fingerprint());
        prop_assert_eq!(a.key() == b.key(), a.differences_from(&b).is_empty());
    }
}

fn simple_run() -> RunInputs {
    RunInputs {
        parent: key_of("parent"),
        argv: ["/bin/sh", "-c", "make"].map(str::to_owned).to_vec(),
        script: String::new(),
        environment: [("PATH", "/bin"), ("VERSION", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        working_dir: "/src".to_owned(),
        user: String::new(),
        options: BTreeMap::new(),
        mounts: Vec::new(),
    }
}

fn base() -> BaseInputs {
    BaseInputs {
        platform: Platform::new("linux", "amd64"),
        layers: vec![DiffId::new(Digest::of(b"1")), DiffId::new(Digest::of(b"2"))],
        form: LayerForm {
            compression: Compression::Gzip { level: 3 },
            clamp_mtime: None,
        },
        left_out: BTreeSet::new(),
    }
}

#[test]
fn every_input_of_a_base_counts() {
    type Change = fn(&mut BaseInputs);
    let changes: [Change; 11] = [
        |_| {},
        |base| base.platform = Platform::new("linux", "arm64"),
        |base| base.platform = Platform::parse("linux/amd64/v3").unwrap(),
        |base| base.layers.clear(),
        |base| base.layers.reverse(),
        |base| base.layers.truncate(1),
        |base| base.form.compression = Compression::Gzip { level: 4 },
        |base| base.form.compression = Compression::Zstd { level: 3 },
        |base| base.form.clamp_mtime = Some(0),
        |base| base.left_out = ["a".into(), "b".into()].into(),
        |base| base.left_out = ["a/b".into()].into(),
    ];
    let keys: Vec<CacheKey> = changes
        .iter()
        .map(|change| {
            let mut base = base();
            change(&mut base);
            base.fingerprint().key()
        })
        .collect();
    for (at, key) in keys.iter().enumerate() {
        assert!(!keys[..at].contains(key), "change {at}");
    }
}

#[test]
fn every_input_of_a_result_counts() {
    let result = |before: &str, layer: &[u8]| {
        let result = ResultInputs {
            before: key_of(before),
            layer: DiffId::new(Digest::of(layer)),
        };
        result.fingerprint().key()
    };
    assert_ne!(result("a", b"1"), result("b", b"1"));
    assert_ne!(result("a", b"1"), result("a", b"2"));
}

#[test]
fn both_inputs_of_a_link_count() {
    let link = |before: &str, linked: &str| {
        let (before, linked) = (key_of(before), key_of(linked));
        LinkInputs { before, linked }.fingerprint().key()
    };
    assert_ne!(link("a", "1"), link("b", "1"));
    assert_ne!(link("a", "1"), link("a", "2"));
    assert_ne!(link("a", "b"), link("b", "a"));
}

#[test]
fn a_step_on_other_files_has_another_key_and_is_else_the_same() {
    let step = StepInputs::Run(simple_run());
    let moved = step.clone().on(key_of("elsewhere"));
    assert_eq!(moved.parent(), &key_of("elsewhere"));
    assert_ne!(moved.fingerprint().key(), step.fingerprint().key());
    assert_eq!(moved.on(step.parent().clone()), step);
}

#[test]
fn another_spelling_of_the_platform_does_not_count() {
    let mut spelled = base();
    spelled.platform.architecture = "x86_64".to_owned();
    assert_eq!(spelled.fingerprint().key(), base().fingerprint().key());
}

#[test]
fn credentials_in_a_url_do_not_count_and_are_not_shown() {
    let add = |url: &str| CopyInputs {
        parent: key_of("parent"),
        sources: vec![SourceInputs::Network {
            name: OsString::new(),
            identity: NetworkIdentity::Commit {
                url: url.parse().unwrap(),
                commit: "c".repeat(40),
                subdirectory: String::new(),
                git_dir: None,
                submodules: true,
                has_commit_times: false,
            },
        }],
        destination: "/".to_owned(),
        chown: None,
        chmod: None,
        options: BTreeMap::new(),
    };
    let plain = add("https://host/r.git").fingerprint();
    let with_token = add("https://ci:token@host/r.git").fingerprint();
    assert_eq!(with_token, plain);
    let shown = serde_json::to_string(&with_token).unwrap();
    assert!(!shown.contains("token"), "{shown}");
    assert_ne!(add("https://host/s.git").fingerprint().key(), plain.key());
}

#[test]
fn what_changed_is_told_in_a_users_words() {
    let before = simple_run();
    let mut now = before.clone();
    now.environment.insert("VERSION".to_owned(), "2".to_owned());
    now.environment.remove("PATH");
    now.argv[2] = "make all".to_owned();
    let differences = now.fingerprint().differences_from(&before.fingerprint());
    use crate::cache::Difference::{Changed, Removed};
    let expected = [
        Changed("command".to_owned()),
        Changed("variable VERSION".to_owned()),
        Removed("variable PATH".to_owned()),
    ];
    assert_eq!(differences, expected);
}

/// If this fails, keys have changed: nothing that was kept is found any more, and `KEY_VERSION` should say so.
#[test]
fn keys_stay_what_they_are() {
    let keys = [base().fingerprint().key(), simple_run().fingerprint().key()];
    let expected = [
        "8b354a1f53bfe87c182dda0ce6bd410f96e98f6b08dd79cc0e086dde22b40ed5",
        "d2c6b8b0ea5e495c543c79f5063e0bc5a51ff1bd2196ed41960f2bef2bef7fe9",
    ];
    assert_eq!(keys.each_ref().map(CacheKey::as_str), expected);
}
