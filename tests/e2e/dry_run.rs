//! `--dryrun`: the plan on standard output, and nothing done.

use crate::support::cache_dir::CacheDir;
use crate::support::executor::Build;
use crate::support::{Context, Executor, Proxy, Site, Who};

/// What a build says on standard output, with keys and digests taken out.
fn plan(build: &Build) -> Vec<String> {
    let hide = |word: &str| {
        let hex = word.trim_end_matches(':').trim_start_matches("sha256:");
        let is_hash = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash {
            "#".to_owned()
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| line.split(' ').map(hide).collect::<Vec<_>>().join(" ");
    build.stdout().lines().map(line).collect()
}

fn context(base: &str) -> Context {
    Context::new(format!(
        "FROM {base} AS tools\nRUN touch /tool\nFROM nowhere.invalid/x AS unused\nRUN false\n\
         FROM {base} AS app\nENV A=b\nCOPY --from=tools \\\n  /tool /\nRUN test -e /tool\nCMD [\"x\"]\n"
    ))
}

#[test]
fn the_plan_names_stages_steps_lines_and_what_is_pulled_and_does_nothing() {
    let site = Site::busybox();
    let proxy = Proxy::before(&site.registry);
    let base = proxy.reference("base/busybox:1");
    let context = context(&base);
    let run = || {
        let executor = Executor::new(Who::User).context(&context);
        let build = executor.args(["--dryrun", "--isolation=userns"]).run();
        build.assert_success().assert_clean_end();
        build
    };
    let build = run();
    let lines = plan(&build);
    assert!(lines[0].starts_with("isolation: userns"), "{lines:#?}");
    let platform = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let host = base.split('/').next().expect("a host");
    let layer = site.registry.manifest("base/busybox", "1")["layers"][0]["size"].as_u64();
    let megabytes = layer.expect("a size") as f64 / 1e6;
    let expected = [
        String::new(),
        "stage tools (line 1): needed".to_owned(),
        format!("  FROM {base} AS tools: # for linux/{platform}"),
        "  2/2 RUN touch /tool (line 2): executed".to_owned(),
        String::new(),
        "stage unused (line 3): not needed".to_owned(),
        "  FROM nowhere.invalid/x AS unused".to_owned(),
        String::new(),
        "stage app (line 5): target".to_owned(),
        format!("  FROM {base} AS app: # for linux/{platform}"),
        "  2/5 ENV A=b (line 6): config only".to_owned(),
        "  3/5 COPY --from=tools   /tool / (lines 7-8): executed".to_owned(),
        "  4/5 RUN test -e /tool (line 9): executed".to_owned(),
        "  5/5 CMD [\"x\"] (line 10): config only".to_owned(),
        String::new(),
        format!("pull 1 layer ({megabytes:.1} MB) of {host}/base/busybox"),
    ];
    assert_eq!(lines[1..], expected);
    let traffic = proxy.take();
    let layer_requests = traffic.requests.iter();
    let moved = layer_requests
        .filter(|request| request.contains("/blobs/"))
        .count();
    assert_eq!(moved, 1, "the config alone\n{traffic:#?}");
    assert_eq!(run().stdout(), build.stdout(), "the same plan each time");
    site.assert_nothing_pushed();
}

#[test]
fn with_a_cache_the_plan_says_what_it_has_and_under_which_keys() {
    let site = Site::busybox();
    let context = context(&site.base.to_string());
    let cache = CacheDir::new(Who::Root);
    let dry_run = |more: &str| {
        let executor = site.executor(Who::Root, &context).arg(cache.flag());
        let build = executor.args(["--dryrun", more]).run();
        build.assert_success().assert_clean_end();
        build
    };
    let before = dry_run("--build-arg=X=1");
    let lines = plan(&before);
    let line = |start: &str, lines: &[String]| -> String {
        let found = lines
            .iter()
            .find(|line| line.trim_start().starts_with(start));
        found
            .unwrap_or_else(|| panic!("no {start:?} in {lines:#?}"))
            .clone()
    };
    assert!(
        line("2/2 RUN", &lines).ends_with("miss # not found"),
        "{lines:#?}"
    );
    assert!(line("a miss may", &lines).contains("may still be found"));
    let single = plan(&dry_run("--single-snapshot"));
    let said = line("the layers of each stage", &single);
    assert!(said.ends_with("become one (--single-snapshot)"), "{said}");
    assert!(!lines.contains(&said));
    site.assert_nothing_pushed();

    site.executor(Who::Root, &context)
        .arg(cache.flag())
        .run()
        .assert_success();
    let after = dry_run("--build-arg=X=1");
    let lines = plan(&after);
    assert_eq!(
        line("stage tools", &lines),
        "stage tools (line 1): not needed: what is taken from it is in the cache"
    );
    assert!(line("3/5 COPY", &lines).ends_with(": hit #"), "{lines:#?}");
    assert!(line("4/5 RUN", &lines).ends_with(": hit #"), "{lines:#?}");
    line("the steps need nothing pulled", &lines);
    // The keys are those that the build went by.
    let key = |build: &Build| {
        let stdout = build.stdout().to_owned();
        let found = stdout.lines().find(|line| line.contains("RUN test"));
        let words = found
            .expect("the step")
            .split(' ')
            .map(|word| word.trim_end_matches(':'));
        words
            .filter(|word| word.len() == 64)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(key(&after).len(), 1, "{}", after.stdout());
    assert_eq!(key(&before), key(&after));
}

#[test]
fn what_stops_a_build_stops_its_plan_and_what_cannot_run_here_is_told() {
    let site = Site::busybox();
    let dry_run = |context: &Context, flags: &[&str]| {
        let executor = Executor::new(Who::User).context(context);
        executor.arg("--dryrun").args(flags).run()
    };
    let broken = site.context("COPY --from=nobody.invalid/x:1 a /");
    dry_run(&broken, &[]).assert_error(1, &["Dockerfile:2", "nobody.invalid"]);
    let missing = site.context("USER a\nWORKDIR ${A:?unset}");
    dry_run(&missing, &[]).assert_error(1, &["Dockerfile:3"]);
    let run = site.context("RUN true");
    let told = dry_run(&run, &["--isolation=none"]);
    told.assert_success();
    let warning = "warning: the build would fail here";
    assert!(told.stderr().contains(warning), "{}", told.report());
}

#[test]
fn a_linked_copy_would_have_nothing_pulled() {
    let site = Site::busybox();
    let plan_of = |lines: &str| {
        let context = site.context(lines).file("one", "");
        let build = site.executor(Who::Root, &context).arg("--dryrun").run();
        build.assert_success();
        plan(&build).join("\n")
    };
    let linked = "COPY --link one /to/";
    assert!(plan_of(linked).contains("the steps need nothing pulled"));
    let seen = plan_of(&format!("{linked}\nRUN ls /to"));
    assert!(seen.contains("pull 1 layer"), "{seen}");
}
