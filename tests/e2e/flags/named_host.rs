//! A registry that speaks plain HTTP under a name: on loopback, no flag would be needed.

use crate::support::cache_dir::{CacheDir, text_of};
use crate::support::tool::Tool;
use crate::support::{Base, Context, Registry, TestDir, Who, check_image};
use std::fs;
use std::path::Path;
use std::process::Output;

/// A name that only the programs started here know.
const NAME: &str = "registry.test";

/// Runs a program where the name leads to this machine.
fn with_name(dir: &TestDir, program: &str, args: &[&str]) -> Output {
    let hosts = dir.join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost {NAME}\n")).expect("write names");
    let script = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
    Tool::new("unshare")
        .args(["--mount", "--propagation=private", "sh", "-c", script, "sh"])
        .arg(&hosts)
        .arg(program)
        .args(args)
        .output()
}

#[test]
fn plain_http_is_spoken_to_whom_the_flags_name() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let host = registry.host().replace("127.0.0.1", NAME);
    let context = Context::new(format!("FROM {host}/base/busybox:1\nCOPY f /\n")).file("f", "f");
    let state = TestDir::new();
    let path = |path: &Path| path.display().to_string();
    let (destination, dir) = (format!("{host}/app:1"), path(context.path()));
    let build = |flags: &[&str]| {
        let state_dir = path(state.path());
        let usual = [
            "--context",
            &dir,
            "--isolation=none",
            "--state-dir",
            &state_dir,
            "-d",
            &destination,
        ];
        let args = [&usual, flags].concat();
        let output = with_name(&state, env!("CARGO_BIN_EXE_executor"), &args);
        (output.status.code(), text_of(&output))
    };
    let refused = |flags: &[&str]| {
        let (code, text) = build(flags);
        assert!(code == Some(1) && text.contains(&host), "{flags:?}: {text}");
    };
    // kaniko's `--insecure` is for pushes alone.
    for flags in [
        &[][..],
        &["--insecure"],
        &["--insecure-pull"],
        &["--insecure-registry=other.test"],
    ] {
        refused(flags);
        assert_eq!(registry.tags("app"), Vec::<String>::new(), "{flags:?}");
    }
    for flags in [
        &["--insecure", "--insecure-pull"][..],
        &["--insecure-registry", &host],
    ] {
        let (code, text) = build(flags);
        assert_eq!(code, Some(0), "{flags:?}: {text}");
        assert!(check_image(&registry, "app:1", &base).tree().has("f"));
    }
}

#[test]
fn the_warmer_speaks_plain_http_to_whom_the_flags_name() {
    let registry = Registry::start();
    Base::Busybox.push_to(&registry);
    let host = registry.host().replace("127.0.0.1", NAME);
    let image = format!("{host}/base/busybox:1");
    let warm = |flags: &[&str]| {
        let (cache, dir) = (CacheDir::new(Who::Root), TestDir::new());
        let cache = cache.flag();
        let args = [&[cache.as_str(), "--image", &image], flags].concat();
        let output = with_name(&dir, env!("CARGO_BIN_EXE_warmer"), &args);
        (output.status.code(), text_of(&output))
    };
    for (flags, code) in [
        (&[][..], 1),
        (&["--insecure-registry=other.test"], 1),
        (&["--insecure-pull"], 0),
        (&["--insecure-registry", &host], 0),
    ] {
        let (ended, text) = warm(flags);
        assert_eq!(ended, Some(code), "{flags:?}: {text}");
    }
}
