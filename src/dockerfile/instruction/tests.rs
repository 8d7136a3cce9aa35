mod misuse;

use super::*;
use crate::dockerfile::{Expander, Mount, parse};

/// The first instruction of a stage.
fn one(line: &str) -> Instruction {
    let file = parse(&format!("FROM x\n{line}")).unwrap_or_else(|error| panic!("{line}: {error}"));
    file.stages[0].statements[0].instruction.clone()
}

fn run(line: &str) -> RunInstruction {
    match one(line) {
        Instruction::Run(run) => run,
        other => panic!("{line} is {other:?}"),
    }
}

fn copy(line: &str) -> CopyInstruction {
    match one(line) {
        Instruction::Copy(copy) => copy,
        other => panic!("{line} is {other:?}"),
    }
}

fn shell(text: &str) -> CommandLine {
    CommandLine::Shell(text.to_owned())
}

fn exec(words: &[&str]) -> CommandLine {
    CommandLine::Exec(words.iter().map(|&word| word.to_owned()).collect())
}

#[test]
fn command_lines_have_two_forms() {
    assert_eq!(one("CMD a b"), Instruction::Cmd(shell("a b")));
    assert_eq!(
        one("CMD [\"a\",\"b\"]"),
        Instruction::Cmd(exec(&["a", "b"]))
    );
    assert_eq!(one("CMD []"), Instruction::Cmd(exec(&[])));
    assert_eq!(one("CMD"), Instruction::Cmd(shell("")));
    assert_eq!(one("ENTRYPOINT []"), Instruction::Entrypoint(exec(&[])));
    assert_eq!(run("RUN []").command, exec(&[]));
}

#[test]
fn metadata_instructions_keep_their_words() {
    let pairs = |pairs: &[(&str, &str)], legacy| NameValues {
        pairs: pairs
            .iter()
            .map(|&(a, b)| (a.to_owned(), b.to_owned()))
            .collect(),
        legacy,
    };
    assert_eq!(
        one("ENV a=\"$b\" c="),
        Instruction::Env(pairs(&[("a", "\"$b\""), ("c", "")], false))
    );
    assert_eq!(
        one("LABEL a b c"),
        Instruction::Label(pairs(&[("a", "b c")], true))
    );
    assert_eq!(
        one("EXPOSE 90 80/udp 443"),
        Instruction::Expose(vec!["443".into(), "80/udp".into(), "90".into()])
    );
    assert_eq!(
        one("VOLUME [\" /a \"]"),
        Instruction::Volume(vec!["/a".into()])
    );
    assert_eq!(one("USER a b"), Instruction::User("a b".into()));
    assert_eq!(one("WORKDIR /a b"), Instruction::Workdir("/a b".into()));
    assert_eq!(
        one("STOPSIGNAL --x=y SIGTERM"),
        Instruction::Stopsignal("SIGTERM".into())
    );
    assert_eq!(one("MAINTAINER me"), Instruction::Maintainer("me".into()));
    assert_eq!(
        one("SHELL [\"/bin/bash\"]"),
        Instruction::Shell(vec!["/bin/bash".into()])
    );
}

#[test]
fn arg_tells_no_default_from_an_empty_one() {
    let arg = |name: &str, default: Option<&str>| ArgDeclaration {
        name: name.to_owned(),
        default: default.map(str::to_owned),
    };
    assert_eq!(
        one("ARG --ignored a b= c=d=e"),
        Instruction::Arg(vec![
            arg("a", None),
            arg("b", Some("")),
            arg("c", Some("d=e"))
        ])
    );
}

#[test]
fn copy_and_add_have_all_their_flags() {
    let found = copy(
        "COPY --from=s --chown=1:2 --chmod=755 --link --parents --exclude=a --exclude=b c d /e",
    );
    assert_eq!(found.from.as_deref(), Some("s"));
    assert_eq!(found.chown.as_deref(), Some("1:2"));
    assert_eq!(found.chmod.as_deref(), Some("755"));
    assert!(found.link && found.parents);
    assert_eq!(found.exclude, ["a", "b"]);
    assert_eq!(found.sources.paths, ["c", "d"]);
    assert_eq!(found.sources.destination, "/e");
    let Instruction::Add(add) =
        one("ADD --checksum=x --keep-git-dir --unpack=false --link=false a b")
    else {
        panic!("no ADD");
    };
    assert_eq!(add.checksum.as_deref(), Some("x"));
    assert_eq!(
        (add.keep_git_dir, add.unpack, add.link),
        (Some(true), Some(false), false)
    );
}

#[test]
fn inline_files_are_told_from_paths() {
    let found = copy("COPY a <<-'one' <<two /d/\n\t\tx $y\n\tone\nz\ntwo\n");
    assert_eq!(found.sources.paths, ["a"]);
    let file = |name: &str, content: &str, expand| InlineFile {
        name: name.to_owned(),
        content: content.to_owned(),
        expand,
    };
    assert_eq!(
        found.sources.files,
        [file("one", "x $y\n", false), file("two", "z\n", true)]
    );
}

#[test]
fn a_file_named_twice_has_the_last_content_and_is_one_file() {
    let found = copy("COPY <<a <<b <<'a' /d/\n1\na\n2\nb\n3\na\n")
        .sources
        .files;
    let found: Vec<_> = found
        .iter()
        .map(|file| (file.name.as_str(), file.content.as_str(), file.expand))
        .collect();
    assert_eq!(found, [("a", "3\n", false), ("b", "2\n", true)]);
}

#[test]
fn in_the_json_form_a_heredoc_sign_makes_an_empty_file() {
    let found = copy("COPY [\"<<a\", \"/d\"]").sources;
    assert_eq!(
        (found.paths.len(), found.files[0].content.as_str()),
        (0, "")
    );
}

#[test]
fn very_many_here_documents_are_read() {
    let names: Vec<String> = (0..50_000).map(|number| format!("f{number}")).collect();
    let signs: Vec<String> = names.iter().map(|name| format!("<<{name} \\\n")).collect();
    let bodies: Vec<String> = names.iter().map(|name| format!("x\n{name}\n")).collect();
    let found = copy(&format!("COPY {}/d/\n{}", signs.concat(), bodies.concat()));
    assert_eq!(found.sources.files.len(), 50_000);
}

#[test]
fn a_run_knows_what_it_executes() {
    let text = |text: &str| Invocation::Shell(text.to_owned());
    for (line, expected) in [
        ("RUN a b", text("a b")),
        ("RUN <<E\na\nb\nE", text("a\nb\n")),
        ("RUN <<-E\n\ta\n\tE", text("a\n")),
        ("RUN << E\na\nE", text("a\n")),
        ("RUN <<E cat\na\nE", text("<<E cat\na\nE")),
        (
            "RUN cat <<-A 3<<B\n\ta\nA\nb\nB",
            text("cat <<-A 3<<B\n\ta\nA\nb\nB"),
        ),
        (
            "RUN <<E\n#!/bin/x\na\nE",
            Invocation::Script {
                name: "E".into(),
                content: "#!/bin/x\na\n".into(),
            },
        ),
    ] {
        assert_eq!(run(line).invocation(), expected, "{line}");
    }
    assert_eq!(
        run("RUN [\"a\"]").invocation(),
        Invocation::Exec(vec!["a".into()])
    );
}

#[test]
fn a_run_has_all_its_flags() {
    let found = run(
        "RUN --mount=target=/a --mount=type=ssh --network=none --security=insecure --device=v/c=gpu,required a",
    );
    assert_eq!(found.mounts.len(), 2);
    assert_eq!(
        (found.network, found.security),
        (NetworkMode::None, SecurityMode::Insecure)
    );
    let device = DeviceRequest {
        name: "v/c=gpu".into(),
        required: true,
    };
    assert_eq!(found.devices, [device]);
    assert_eq!(run("RUN a").network, NetworkMode::Default);
    let named = run("RUN --device=name=x,required=false a").devices;
    assert_eq!(
        named,
        [DeviceRequest {
            name: "x".into(),
            required: false
        }]
    );
    let mut expander = Expander::new('\\', &|_| None);
    assert!(matches!(
        found.mounts[1].resolve(&mut expander),
        Ok(Mount::Ssh { .. })
    ));
}

#[test]
fn a_healthcheck_has_times_in_nanoseconds() {
    assert_eq!(
        one("HEALTHCHECK --nonsense none"),
        Instruction::Healthcheck(Healthcheck::None)
    );
    let line = "HEALTHCHECK --interval=1m --timeout=0 --start-period=1ms --start-interval=2s --retries=3 CMD a b";
    let probe = HealthProbe {
        command: shell("a b"),
        interval: 60_000_000_000,
        timeout: 0,
        start_period: 1_000_000,
        start_interval: 2_000_000_000,
        retries: 3,
    };
    assert_eq!(
        one(line),
        Instruction::Healthcheck(Healthcheck::Probe(probe))
    );
}

#[test]
fn a_trigger_is_kept_as_text_with_its_documents() {
    for (line, expected) in [
        ("onbuild   RUN a \\\n  b", "RUN a   b"),
        (
            "ONBUILD COPY <<-A <<B /d/\n\ta\n\tA\nb\nB",
            "COPY <<-A <<B /d/\n\ta\nA\nb\nB",
        ),
        ("ONBUILD NONSENSE x", "NONSENSE x"),
    ] {
        let Instruction::Onbuild(onbuild) = one(line) else {
            panic!("{line}");
        };
        assert_eq!(onbuild.trigger, expected);
    }
}

#[test]
fn a_trigger_is_read_like_any_instruction() {
    let statement = parse_trigger("COPY <<-A /d/\n\ta\nA").unwrap();
    let Instruction::Copy(copy) = statement.instruction else {
        panic!("no COPY");
    };
    assert_eq!(copy.sources.files[0].content, "a\n");
    for (trigger, expected) in [
        (
            "RUN a\nRUN b",
            "onbuild trigger should be a single expression",
        ),
        (
            "ONBUILD RUN a",
            "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        ("FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        (
            "MAINTAINER a",
            "MAINTAINER isn't allowed as an ONBUILD trigger",
        ),
        ("RNU a", "unknown instruction: RNU (did you mean RUN?)"),
        ("", "file with no instructions"),
    ] {
        let error = parse_trigger(trigger).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn words_of_metadata_are_expanded() {
    let text = |text: &str| text.to_owned();
    let pairs = |pairs, legacy| NameValues { pairs, legacy };
    for (line, expected) in [
        (
            "ENV $V=$V a='$V'",
            Instruction::Env(pairs(
                vec![(text("1 2"), text("1 2")), (text("a"), text("$V"))],
                false,
            )),
        ),
        (
            "LABEL a $V",
            Instruction::Label(pairs(vec![(text("a"), text("1 2"))], true)),
        ),
        (
            "EXPOSE 3 $V",
            Instruction::Expose(vec![text("1"), text("2"), text("3")]),
        ),
        ("USER $V", Instruction::User(text("1 2"))),
        ("WORKDIR /$V", Instruction::Workdir(text("/1 2"))),
        ("STOPSIGNAL $V", Instruction::Stopsignal(text("1 2"))),
        ("VOLUME /$V", Instruction::Volume(vec![text("/1 2")])),
    ] {
        assert_eq!(expand(line), expected, "{line}");
    }
}

#[test]
fn commands_and_texts_are_not_expanded() {
    for line in [
        "MAINTAINER $V",
        "RUN $V",
        "CMD $V",
        "ENTRYPOINT [\"$V\"]",
        "SHELL [\"$V\"]",
        "ONBUILD RUN $V",
        "HEALTHCHECK CMD $V",
    ] {
        assert_eq!(expand(line), one(line), "{line}");
    }
}

fn expand(line: &str) -> Instruction {
    let lookup = |name: &str| (name == "V").then(|| "1 2".to_owned());
    let mut expander = Expander::new('\\', &lookup);
    one(line).expand(&mut expander).unwrap()
}

#[test]
fn of_copy_all_but_from_and_exclude_is_expanded() {
    let lookup = |name: &str| (name == "V").then(|| "1".to_owned());
    let line =
        "COPY --chown=$V --chmod=$V --exclude=$V \"a$V\" <<A <<'B' /$V/\nit's $V\nA\n$V\nB\n";
    let mut expander = Expander::new('\\', &lookup);
    let Instruction::Copy(found) = one(line).expand(&mut expander).unwrap() else {
        panic!("no COPY");
    };
    assert_eq!(
        (found.chown.as_deref(), found.chmod.as_deref()),
        (Some("1"), Some("1"))
    );
    assert_eq!(found.exclude, ["$V"]);
    assert_eq!(found.sources.paths, ["a1"]);
    assert_eq!(found.sources.destination, "/1/");
    assert_eq!(found.sources.files[0].content, "it's 1\n");
    assert_eq!(found.sources.files[1].content, "$V\n");
}

#[test]
fn a_source_keeps_how_an_instruction_was_written() {
    let file = parse("FROM x\n# why\nrUn a \\\n\n b\n").unwrap();
    let source = &file.stages[0].statements[0].source;
    assert_eq!(source.span, Span::new(3, 5));
    assert_eq!(source.text, "rUn a  b");
    assert_eq!(source.keyword, "rUn");
    assert_eq!(source.comments, ["why"]);
    assert_eq!(source.empty_continuations, [4]);
}
