use crate::dockerfile::parse;

fn error(line: &str) -> String {
    match parse(&format!("FROM x\n{line}")) {
        Err(error) => {
            assert_eq!(error.span.start, 2, "{line}");
            error.to_string()
        }
        Ok(file) => panic!("{line}: {file:?}"),
    }
}

#[test]
fn each_misuse_is_named() {
    for (line, expected) in [
        ("FORM x", "unknown instruction: FORM (did you mean FROM?)"),
        ("copi a b", "unknown instruction: copi (did you mean copy?)"),
        ("NOTHING", "unknown instruction: NOTHING"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a IS b", "FROM requires either one or three arguments"),
        (
            "FROM a AS 1b",
            "invalid name for build stage: \"1b\", name can't start with a number or contain symbols",
        ),
        (
            "FROM a AS b/c",
            "invalid name for build stage: \"b/c\", name can't start with a number or contain symbols",
        ),
        (
            "FROM --platfrom=x a",
            "unknown flag: --platfrom (did you mean --platform?)",
        ),
        (
            "RUN --mont=x a",
            "unknown flag: --mont (did you mean --mount?)",
        ),
        ("RUN --mount a", "missing a value on flag: --mount"),
        (
            "RUN --mount=from=$x,target=/a b",
            "'from' doesn't support variable expansion, define alias stage instead",
        ),
        (
            "RUN --mount=a\\\"b c",
            "failed to parse csv mounts: bare \" in a field that is not quoted",
        ),
        (
            "RUN --network=hots a",
            "unsupported network mode \"hots\" (did you mean host?)",
        ),
        ("RUN --security=x a", "security \"x\" is not valid"),
        ("RUN --device=a,b c", "invalid field 'b' in --device"),
        (
            "RUN --device=a,requird=true c",
            "invalid field 'requird=true' in --device (did you mean required?)",
        ),
        (
            "COPY a",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "ADD",
            "ADD requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "COPY []",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "COPY a <<E\nE",
            "COPY cannot accept a heredoc as a destination",
        ),
        (
            "COPY --from=$x a b",
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
        ),
        ("COPY --from=7 a b", "invalid stage index 7"),
        ("COPY --from=-1 a b", "invalid stage index -1"),
        (
            "COPY --link=x a b",
            "expecting boolean value for flag --link, not: x",
        ),
        ("ADD --from=x a b", "unknown flag: --from"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV =a", "ENV names can not be blank"),
        ("ENV --x=y a=b", "unknown flag: --x"),
        ("LABEL a=b =c", "LABEL names can not be blank"),
        ("ARG", "ARG requires at least one argument"),
        ("ARG =a", "ARG names can not be blank"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("USER", "USER requires exactly one argument"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("MAINTAINER", "MAINTAINER requires exactly one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ("VOLUME []", "VOLUME requires at least one argument"),
        (
            "VOLUME [\" \"]",
            "VOLUME specified can not be an empty string",
        ),
        ("SHELL []", "SHELL requires at least one argument"),
        (
            "SHELL bash",
            "SHELL requires the arguments to be in JSON form",
        ),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        (
            "HEALTHCHECK --interval=5s",
            "HEALTHCHECK requires at least one argument",
        ),
        ("HEALTHCHECK NONE a", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "missing command after HEALTHCHECK CMD"),
        (
            "HEALTHCHECK CMD []",
            "missing command after HEALTHCHECK CMD",
        ),
        (
            "HEALTHCHECK curl x",
            "unknown type \"CURL\" in HEALTHCHECK (try CMD)",
        ),
        (
            "HEALTHCHECK --interval=5 CMD a",
            "invalid duration \"5\" for --interval",
        ),
        (
            "HEALTHCHECK --timeout=1us CMD a",
            "interval \"timeout\" cannot be less than 1ms",
        ),
        (
            "HEALTHCHECK --timeout=-1s CMD a",
            "interval \"timeout\" cannot be less than 1ms",
        ),
        (
            "HEALTHCHECK --retries=a CMD a",
            "invalid value \"a\" for --retries",
        ),
        (
            "HEALTHCHECK --retries=-1 CMD a",
            "--retries cannot be negative (-1)",
        ),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        (
            "ONBUILD onbuild RUN a",
            "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        ("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD --x=y RUN a", "unknown flag: --x"),
    ] {
        assert_eq!(error(line), expected, "{line}");
    }
}
