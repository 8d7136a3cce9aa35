//! Where the Dockerfile comes from: standard input, a link, a lower-case name (reference 1.12, "Dockerfile lookup").

use crate::support::{Context, Executor, Site, Who};

#[test]
fn a_dockerfile_on_standard_input_copies_from_the_context() {
    let site = Site::busybox();
    let text = format!("FROM {}\nCOPY a /\n", site.base);
    // What lies in the context under the usual name is not looked at.
    let context = Context::new("FROM nowhere.invalid/x\n")
        .file("a", "a")
        .file("b", "b")
        .file(".dockerignore", "b\n");
    for flag in ["--dockerfile=-", "-f-"] {
        let executor = Executor::new(Who::User).context_alone(&context);
        let executor = executor.arg(flag).input(&text).destination(&site.app());
        assert!(site.build_with(executor).tree().has("a"));
    }
    let refuse = |text: &str, parts: &[&str]| {
        let executor = Executor::new(Who::User).context_alone(&context);
        let executor = executor.args(["--dockerfile", "-"]).input(text);
        executor.arg("--no-push").run().assert_error(1, parts);
    };
    refuse(
        &format!("FROM {}\nCOPY b /\n", site.base),
        &["<stdin>:2", "line 1 of"],
    );
    refuse("FROM x\nRUNN\n", &["<stdin>:2", "unknown instruction"]);
    refuse("", &["no instructions"]);
}

#[test]
fn a_linked_dockerfile_and_a_lower_case_one_are_found() {
    let site = Site::busybox();
    let text = format!("FROM {}\nRUN touch /made\n", site.base);
    let linked = Context::without_dockerfile()
        .file("real/one", &text)
        .symlink("Dockerfile", "real/one");
    let lower = Context::without_dockerfile().file("dockerfile", &text);
    for context in [&linked, &lower] {
        let executor = Executor::new(Who::User).context_alone(context);
        let image = site.build_with(executor.destination(&site.app()));
        assert!(image.tree().has("made"));
    }
    // Under another name, only that is looked for.
    let executor = Executor::new(Who::User).context_alone(&lower);
    let build = executor.args(["--no-push", "-f", "Other"]).run();
    build.assert_error(1, &["there is no Dockerfile", "Other"]);
}

#[test]
fn a_file_without_instructions_is_refused_whatever_it_has_instead() {
    for text in [
        "",
        "\n\n",
        "# only a comment\n",
        "# syntax=docker/dockerfile:1\n",
    ] {
        let build = Executor::new(Who::User)
            .context(&Context::new(text))
            .arg("--no-push")
            .run();
        build.assert_error(1, &["file with no instructions"]);
    }
}
