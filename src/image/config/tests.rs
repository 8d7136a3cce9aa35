use super::*;
use crate::image::Digest;

/// A config with every field that Docker writes, some that nobody knows, and numbers and texts that a careless reader changes.
const EVERYTHING: &str = r#"{
  "architecture": "arm", "variant": "v7", "os": "linux", "author": "A <a@b>", "created": "2024-02-30-not-a-time",
  "os.version": "10.0", "os.features": ["win32k"], "x.top": {"z": [1, null, {"b": 1, "a": 18446744073709551615}]},
  "config": {
    "User": "1000:1000", "ExposedPorts": {"80/tcp": {}, "443/udp": {}}, "Env": ["B=2", "A=1 && 2"],
    "Entrypoint": ["/a"], "Cmd": ["b", "c"], "Volumes": {"/v": {}}, "WorkingDir": "/w", "Labels": {"z": "1", "a": "é"},
    "StopSignal": "SIGINT", "ArgsEscaped": true, "OnBuild": ["RUN x"], "Shell": ["/bin/bash", "-c"], "Hostname": "h",
    "Healthcheck": {"Test": ["CMD", "x"], "Interval": 30000000000, "Timeout": 1, "StartPeriod": 2, "StartInterval": 3,
                    "Retries": 4, "x.health": true}
  },
  "rootfs": {"type": "layers", "diff_ids": ["sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
             "x.rootfs": 1},
  "history": [{"created": "2020-01-01T00:00:00+02:00", "created_by": "RUN a", "author": "h", "comment": "c",
               "x.history": "y"}, {"created_by": "ENV", "empty_layer": true}]
}"#;

fn scratch() -> ImageConfig {
    ImageConfig::scratch(&Platform::parse("linux/amd64").unwrap())
}

fn text(image: &ImageConfig) -> String {
    String::from_utf8(image.to_json().unwrap()).unwrap()
}

#[test]
fn nothing_is_lost_in_a_round_trip() {
    let image = ImageConfig::parse(EVERYTHING.as_bytes()).unwrap();
    let before: Value = serde_json::from_str(EVERYTHING).unwrap();
    let after: Value = serde_json::from_slice(&image.to_json().unwrap()).unwrap();
    assert_eq!(before, after);
}

#[test]
fn every_known_field_of_docker_has_a_typed_place() {
    let image = ImageConfig::parse(EVERYTHING.as_bytes()).unwrap();
    assert_eq!(image.unknown.keys().collect::<Vec<_>>(), ["x.top"]);
    assert_eq!(
        image.config.unknown.keys().collect::<Vec<_>>(),
        ["Hostname"]
    );
    let health = image.config.healthcheck.unwrap();
    assert_eq!(health.unknown.keys().collect::<Vec<_>>(), ["x.health"]);
    assert_eq!(
        (health.interval, health.start_interval, health.retries),
        (30_000_000_000, 3, 4)
    );
    assert_eq!(image.config.on_build, ["RUN x"]);
    assert_eq!(
        image.history[0].unknown.keys().collect::<Vec<_>>(),
        ["x.history"]
    );
    assert!(image.history[1].empty_layer);
}

#[test]
fn keys_are_sorted_at_every_level_and_the_text_is_compact() {
    let written = text(&ImageConfig::parse(EVERYTHING.as_bytes()).unwrap());
    let order = [
        "\"architecture\"",
        "\"config\"",
        "\"ArgsEscaped\"",
        "\"Cmd\"",
        "\"history\"",
        "\"os\"",
        "\"variant\"",
    ];
    let positions: Vec<_> = order.iter().map(|key| written.find(key).unwrap()).collect();
    assert!(positions.is_sorted(), "{positions:?}");
    assert!(written.contains(r#"{"a":18446744073709551615,"b":1}"#));
    assert!(written.contains(r#""Env":["B=2","A=1 && 2"]"#));
    assert!(!written.contains('\n'));
}

#[test]
fn scratch_is_as_buildkit_starts_it() {
    assert_eq!(
        text(&scratch()),
        r#"{"architecture":"amd64","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"WorkingDir":"/"},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
    );
    let windows = ImageConfig::scratch(&Platform::new("windows", "amd64"));
    assert!(windows.config.env.is_empty());
}

#[test]
fn nulls_of_go_read_as_nothing() {
    let image = ImageConfig::parse(
        br#"{"architecture":"amd64","os":"linux","author":null,"history":null,"rootfs":{"type":"layers","diff_ids":null},
            "config":{"Env":null,"Cmd":null,"Labels":null,"Volumes":null,"ExposedPorts":null,"Healthcheck":null,"User":null}}"#,
    )
    .unwrap();
    assert_eq!(
        text(&image),
        r#"{"architecture":"amd64","config":{},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
    );
    assert_eq!(
        ImageConfig::parse(br#"{"config":null,"rootfs":null}"#)
            .unwrap()
            .rootfs
            .kind,
        "layers"
    );
}

#[test]
fn what_is_no_config_is_refused() {
    for bytes in [
        &b""[..],
        b"[]x",
        br#"{"config":{"Env":"A=1"}}"#,
        br#"{"rootfs":{"type":"layers","diff_ids":["sha256:nothex"]}}"#,
    ] {
        assert!(matches!(
            ImageConfig::parse(bytes),
            Err(ConfigError::Parse(_))
        ));
    }
    let huge = vec![b' '; MAX_CONFIG_BYTES + 1];
    assert!(matches!(
        ImageConfig::parse(&huge),
        Err(ConfigError::TooLarge)
    ));
    let deep = format!(r#"{{"x":{}"#, "[".repeat(100_000));
    assert!(matches!(
        ImageConfig::parse(deep.as_bytes()),
        Err(ConfigError::Parse(_))
    ));
}

#[test]
fn a_base_without_path_gets_one_and_a_base_with_one_keeps_it() {
    let mut image = ImageConfig::parse(br#"{"os":"linux","config":{"Env":["A=1"]}}"#).unwrap();
    image.add_default_path();
    assert_eq!(
        image.config.env,
        ["A=1".to_owned(), format!("PATH={DEFAULT_PATH}")]
    );
    let before = image.clone();
    image.add_default_path();
    assert_eq!(image, before);
}

#[test]
fn another_platform_drops_what_belonged_to_the_old_one() {
    let mut image =
        ImageConfig::parse(br#"{"os":"windows","architecture":"amd64","os.version":"10.0.1"}"#)
            .unwrap();
    image.set_platform(&Platform::new("windows", "amd64"));
    assert_eq!(image.os_version.as_deref(), Some("10.0.1"));
    image.set_platform(&Platform::parse("linux/arm64/v8").unwrap());
    assert_eq!(
        (image.os_version.as_deref(), image.variant.as_deref()),
        (None, None)
    );
    assert_eq!(image.platform().to_string(), "linux/arm64");
}

#[test]
fn times_are_written_in_utc_and_odd_ones_survive() {
    let mut image = scratch();
    image.set_created("2024-05-06T09:08:09.120+02:00".parse().unwrap());
    assert_eq!(image.created.as_deref(), Some("2024-05-06T07:08:09.12Z"));
    let go_zero = ImageConfig::parse(br#"{"created":"0001-01-01T00:00:00Z"}"#).unwrap();
    assert!(go_zero.created_at().is_some());
    assert_eq!(
        ImageConfig::parse(EVERYTHING.as_bytes())
            .unwrap()
            .created_at(),
        None
    );
}

#[test]
fn the_number_of_diff_ids_is_that_of_the_layers() {
    let image = ImageConfig::parse(EVERYTHING.as_bytes()).unwrap();
    assert!(image.check_layer_count(1).is_ok());
    let error = image.check_layer_count(2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "image config lists 1 diff IDs but the manifest has 2 layers"
    );
}

fn with_history(layers: usize, are_empty: &[bool]) -> Vec<(bool, String)> {
    let mut image = scratch();
    image.rootfs.diff_ids = (0..layers)
        .map(|n| DiffId::new(Digest::of(&[n as u8])))
        .collect();
    image.history = are_empty
        .iter()
        .map(|empty_layer| HistoryEntry {
            empty_layer: *empty_layer,
            ..HistoryEntry::default()
        })
        .collect();
    image.reconcile_history(Some(Timestamp::UNIX_EPOCH));
    let described = image.history.into_iter();
    described
        .map(|entry| (entry.empty_layer, entry.comment))
        .collect()
}

#[test]
fn layers_without_history_get_an_entry_each() {
    let made_up = (false, "buildkit.exporter.image.v0".to_owned());
    let own = |is_empty| (is_empty, String::new());
    assert_eq!(
        with_history(3, &[false, true]),
        [own(false), own(true), made_up.clone(), made_up]
    );
    assert_eq!(
        with_history(1, &[true, false, true]),
        [own(true), own(false), own(true)]
    );
}

#[test]
fn history_without_layers_is_declared_empty_from_the_end() {
    let flags: Vec<bool> = with_history(1, &[false, true, false, false])
        .into_iter()
        .map(|(empty, _)| empty)
        .collect();
    assert_eq!(flags, [false, true, true, true]);
}

#[test]
fn another_reader_of_the_specification_reads_what_we_write() {
    let mut image = scratch();
    image.config.labels.insert("k".into(), "v".into());
    image.set_created(Timestamp::UNIX_EPOCH);
    let theirs: oci_spec::image::ImageConfiguration =
        serde_json::from_slice(&image.to_json().unwrap()).unwrap();
    assert_eq!(theirs.created().as_deref(), Some("1970-01-01T00:00:00Z"));
    assert_eq!(
        theirs
            .labels_of_config()
            .unwrap()
            .get("k")
            .map(String::as_str),
        Some("v")
    );
}
