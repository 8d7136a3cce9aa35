mod copying;
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
        ("ONBUILD RUN a  ", "RUN a  "),
        ("ONBUILD RUN a \\\n", "RUN a "),
        ("ONBUILD COPY <<E /b \na\nE", "COPY <<E /b \na\nE"),
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
fn a_source_keeps_how_an_instruction_was_written() {
    let file = parse("FROM x\n# why\nrUn a \\\n\n b\n").unwrap();
    let source = &file.stages[0].statements[0].source;
    assert_eq!(source.span, Span::new(3, 5));
    assert_eq!(source.text, "rUn a  b");
    assert_eq!(source.keyword, "rUn");
    assert_eq!(source.comments, ["why"]);
    assert_eq!(source.empty_continuations, [4]);
}
