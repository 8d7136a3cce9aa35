//! Random texts in the shape of Dockerfiles: what a mistake in the parser would need to show.

use proptest::prelude::*;

/// Pieces that Dockerfiles are made of, so that random ones come near real ones.
const PIECES: &[&str] = &[
    "FROM ",
    "RUN ",
    "COPY ",
    "ADD ",
    "ENV ",
    "ARG ",
    "LABEL ",
    "ONBUILD ",
    "HEALTHCHECK ",
    "SHELL ",
    "CMD ",
    "EXPOSE ",
    "VOLUME ",
    "--from=",
    "--mount=",
    "type=cache,target=",
    "--",
    "<<",
    "<<-",
    "EOF",
    "'",
    "\"",
    "\\",
    "`",
    "$",
    "${",
    "}",
    ":-",
    "/",
    "//",
    "%",
    "#",
    "# ",
    "escape=",
    "\n",
    "\r\n",
    "\t",
    " ",
    "[",
    "]",
    ",",
    "=",
    "a",
    "é",
    "\u{feff}",
    "\0",
    "*",
    "?",
    "\u{a0}",
    "AS ",
    "{",
    "\\u",
    "d800",
];

/// Pieces of one word, its quotes and substitutions among them.
const WORD_PIECES: &[&str] = &[
    "a", "b", ".", "/", "-", "*", "?", "'", "\"", "\\", "$", "$a", "${a", "${b:-", "${a#", "${a##",
    "${a%", "${a%%", "${a/", "${a//", "/", "}", ":+", ":?", "é", "1", "_", "{", " ", "<<",
];

/// Words of the kind that instructions have, quoted and not.
const WORDS: &[&str] = &[
    "a", "/b", "c/d.e", "\"f g\"", "'h i'", "$j", "${k:-l}", "m\\ n", "é", "*", "x=y", "--", "#z",
    "[\"o\"]", "1", "\"\"", "<<E", "-", "a#b", "\"it's\"",
];

const KEYWORDS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK CMD",
    "LABEL",
    "MAINTAINER",
    "ONBUILD RUN",
    "ONBUILD COPY",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
    "run",
    "Copy",
    "NONSENSE",
];

const FLAGS: &[&str] = &[
    "--from=a ",
    "--chown=\"b c\" ",
    "--link ",
    "--mount=type=cache,target=/d ",
    "--exclude='*.e' ",
    "--network=none ",
    "--platform=$f ",
    "--unknown=g ",
    "--interval=5s ",
    "-- ",
];

/// Text of no shape at all, but of the right pieces.
pub(super) fn near_dockerfile() -> impl Strategy<Value = String> {
    pieces(PIECES, 200)
}

/// One word, or what looks like one.
pub(super) fn near_word() -> impl Strategy<Value = String> {
    pieces(WORD_PIECES, 30)
}

/// A text of which every line is an instruction, a comment or blank: most of them are
/// read to the end.
pub(super) fn shaped_dockerfile() -> impl Strategy<Value = String> {
    prop::collection::vec(block(), 0..12).prop_map(|blocks| format!("FROM a\n{}", blocks.concat()))
}

/// Instructions that are sure to be read, one for each line, without here documents,
/// continuations and comments.
pub(super) fn plain_lines() -> impl Strategy<Value = Vec<String>> {
    let line = one_of(&[
        "RUN a  b",
        "ENV c=\"d e\" f=g",
        "ENV h i  j",
        "COPY --link k l",
        "CMD [\"m\", \"n\"]",
        "LABEL o='p q'",
        "USER r s",
        "EXPOSE 80 81/udp",
        "ONBUILD ADD t u",
        "ARG v w=x",
        "HEALTHCHECK --interval=1s CMD y  z",
        "WORKDIR /a b",
        "VOLUME /c /d",
    ]);
    prop::collection::vec(line.prop_map(str::to_owned), 1..20)
}

fn block() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => instruction(),
        1 => Just("# a comment \\\n".to_owned()),
        1 => Just(" \t\n".to_owned()),
        2 => heredoc(),
    ]
}

fn instruction() -> impl Strategy<Value = String> {
    let flags = prop::collection::vec(one_of(FLAGS), 0..3);
    let separators = one_of(&[" ", "  ", "\t", " \\\n", "\\\n  ", " \\\n# c\n", " \\\n\n"]);
    let words = prop::collection::vec((one_of(WORDS), separators), 0..6);
    let end = one_of(&["\n", "\r\n", " \n", "\\\n\n"]);
    (one_of(KEYWORDS), flags, words, end).prop_map(|(keyword, flags, words, end)| {
        let words: String = words
            .iter()
            .map(|(word, blank)| format!("{word}{blank}"))
            .collect();
        format!("{keyword} {}{words}{end}", flags.concat())
    })
}

fn heredoc() -> impl Strategy<Value = String> {
    let head = one_of(&[
        "RUN <<E",
        "RUN cat <<-E 3<<'F'",
        "COPY <<\"E\" <<F /d/",
        "ADD --link <<E /f",
        "ONBUILD RUN <<E",
        "RUN << E",
    ]);
    let lines = one_of(&[
        "a\n", "\tb\n", "E \n", "# c\n", "d \\\n", "\r\n", "$e ${f\n", "\tE\n",
    ]);
    (head, prop::collection::vec(lines, 0..4)).prop_map(|(head, lines)| {
        let end = if head.contains('F') { "E\nF\n" } else { "E\n" };
        format!("{head}\n{}{end}", lines.concat())
    })
}

fn pieces(of: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(one_of(of), 0..most).prop_map(|pieces| pieces.concat())
}

fn one_of(of: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    (0..of.len()).prop_map(|index| of[index])
}
