use super::*;
use crate::image::Digest;

fn draft() -> ImageDraft {
    ImageDraft::scratch(&Platform::new("linux", "amd64"))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn layer(text: &str, created: Option<i64>) -> FinishedLayer {
    FinishedLayer {
        diff_id: DiffId::new(Digest::of(text.as_bytes())),
        created: created.map(time),
    }
}

/// What each entry says, when it was made in seconds, and whether it has no layer.
fn history(config: &ImageConfig) -> Vec<(&str, i64, bool)> {
    let entries = config.history.iter().map(|entry| {
        let created = entry.created.as_ref().expect("a time");
        let created: Timestamp = created.parse().unwrap();
        (
            entry.created_by.as_str(),
            created.as_second(),
            entry.empty_layer,
        )
    });
    entries.collect()
}

#[test]
fn an_entrypoint_clears_a_cmd_that_is_not_its_stages_own() {
    let mut parent = draft();
    parent.set_cmd(words(&["parent"]));
    parent.set_entrypoint(words(&["a"]));
    assert_eq!(parent.config.config.cmd, ["parent"]);
    let mut child = ImageDraft::from_stage(&parent);
    child.set_entrypoint(words(&["b"]));
    assert!(child.config.config.cmd.is_empty());
    let mut child = ImageDraft::from_base(parent.config.clone());
    child.set_cmd(Vec::new());
    child.set_entrypoint(words(&["b"]));
    assert!(child.config.config.cmd.is_empty());
    assert_eq!(
        child.config.history.last().unwrap().created_by,
        "ENTRYPOINT [\"b\"]"
    );
}

#[test]
fn cmd_alone_says_that_its_arguments_are_escaped() {
    let mut draft = draft();
    draft.set_entrypoint(words(&["a"]));
    assert!(!draft.config.config.args_escaped);
    draft.set_cmd(words(&["b"]));
    assert!(draft.config.config.args_escaped);
}

#[test]
fn variables_keep_their_place_and_labels_and_ports_are_merged() {
    let mut draft = draft();
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    draft.set_env(&pairs(&[("A", "1"), ("B", "2")]));
    draft.set_env(&pairs(&[("C", "x y"), ("A", "")]));
    let env = &draft.config.config.env;
    assert_eq!(env[1..], ["A=", "B=2", "C=x y"]);
    draft.set_labels(&pairs(&[("l", "1"), ("l", "2")]));
    draft.expose(words(&["80/tcp"]));
    draft.expose(words(&["80/tcp", "53/udp"]));
    draft.add_volumes(words(&["/b", "/a"]));
    let config = &draft.config.config;
    assert_eq!(config.labels["l"], "2");
    assert_eq!(config.exposed_ports.len(), 2);
    let said: Vec<&str> = draft
        .config
        .history
        .iter()
        .map(|entry| entry.created_by.as_str())
        .collect();
    let expected = [
        "ENV A=1 B=2",
        "ENV C=x y A=",
        "LABEL l=1 l=2",
        "EXPOSE [80/tcp]",
        "EXPOSE [80/tcp 53/udp]",
        "VOLUME [/b /a]",
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_healthcheck_is_told_as_go_prints_it() {
    let check = Healthcheck {
        test: words(&["CMD-SHELL", "a b"]),
        interval: 90_000_000_000,
        start_interval: 5_000_000,
        retries: 3,
        ..Healthcheck::default()
    };
    let expected = "{Test:[CMD-SHELL a b] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:5ms Retries:3}";
    assert_eq!(show_healthcheck(&check), expected);
}

#[test]
fn what_has_no_layer_has_the_time_of_the_first_new_layer_or_the_last_before_it() {
    let mut draft = draft();
    draft.add_layer("old".to_owned());
    draft.config.history[0].created = Some(time(10).to_string());
    draft.config.rootfs.diff_ids = vec![layer("old", None).diff_id];
    let mut draft = ImageDraft::from_base(draft.config);
    draft.add_history("before".to_owned());
    draft.add_layer("new".to_owned());
    draft.add_history("after".to_owned());
    draft.add_layer("newer".to_owned());
    let layers = || {
        vec![
            layer("old", None),
            layer("new", Some(20)),
            layer("newer", Some(30)),
        ]
    };
    let done = draft.clone().finish(layers(), None, time(99));
    let expected = [
        ("old", 10, false),
        ("before", 20, true),
        ("new", 20, false),
        ("after", 20, true),
        ("newer", 30, false),
    ];
    assert_eq!(history(&done), expected);
    assert_eq!(done.created, Some(time(30).to_string()));
    let clamped = draft.finish(layers(), Some(time(15)), time(99));
    let times: Vec<i64> = history(&clamped).iter().map(|(_, time, _)| *time).collect();
    assert_eq!(times, [10, 15, 15, 15, 15]);
    assert_eq!(clamped.created, Some(time(15).to_string()));
}

#[test]
fn an_image_that_nobody_dates_was_made_now_and_not_after_the_epoch() {
    let done = draft().finish(Vec::new(), None, time(7));
    assert_eq!(done.created, Some(time(7).to_string()));
    let done = draft().finish(Vec::new(), Some(time(3)), time(7));
    assert_eq!(done.created, Some(time(3).to_string()));
}

#[test]
fn every_entry_has_buildkits_comment_and_triggers_and_authors_their_place() {
    let mut draft = draft();
    draft.set_user("u".to_owned());
    draft.set_author("a".to_owned());
    draft.set_stop_signal("TERM".to_owned());
    draft.set_shell(words(&["/bin/x", "-c"]));
    draft.add_trigger("RUN x".to_owned());
    assert!(draft.config.history.iter().all(|entry| {
        entry.comment == "buildkit.dockerfile.v0" && entry.author.is_empty() && entry.empty_layer
    }));
    let said: Vec<&str> = draft
        .config
        .history
        .iter()
        .map(|entry| entry.created_by.as_str())
        .collect();
    assert_eq!(
        said,
        [
            "USER u",
            "MAINTAINER a",
            "STOPSIGNAL TERM",
            "SHELL [/bin/x -c]"
        ]
    );
    assert_eq!(draft.config.author, "a");
    assert_eq!(draft.take_triggers(), ["RUN x"]);
    assert!(draft.take_triggers().is_empty());
    assert_eq!(draft.shell(), ["/bin/x", "-c"]);
}

#[test]
fn a_stage_of_one_layer_tells_of_it_where_its_last_one_was_made() {
    let mut base = draft();
    base.add_layer("base".to_owned());
    base.set_user("base".to_owned());
    let mut parent = ImageDraft::from_base(base.config);
    parent.add_layer("first".to_owned());
    parent.set_user("one".to_owned());
    parent.add_layer("second".to_owned());
    parent.set_user("two".to_owned());
    let without_layer = ImageDraft::from_stage(&parent);
    let mut child = ImageDraft::from_stage(&without_layer);
    child.add_layer("third".to_owned());
    let counts = child.keep_one_layer_per_stage();
    let (base, stages) = (1, vec![2, 0, 1]);
    assert_eq!(counts, LayerCounts { base, stages });
    let layers = vec![
        layer("base", None),
        layer("merged", Some(5)),
        layer("third", Some(7)),
    ];
    let config = child.finish(layers, None, time(9));
    let with_layer = config.history.iter().filter(|entry| !entry.empty_layer);
    let said: Vec<&str> = with_layer.map(|entry| entry.created_by.as_str()).collect();
    assert_eq!(said, ["base", "second", "third"]);
    assert_eq!(config.history.len(), 7, "nothing is left out");
}
