//! One thing of a build with `--link` is changed: what is linked does not depend on the files below.

use super::case::NO_CHANGE;
use super::{BaseImages, Change, Edit};

const DOCKERFILE: &str = "
     FROM base
     RUN echo one > /one
     COPY --link src /src
     RUN cat /src/a > /seen
     COPY --link other /other
";

pub(super) const CHANGES: &[Change] = &[
    Change {
        what: "nothing",
        dockerfile: "
     FROM base
hit  RUN echo one > /one
hit  COPY --link src /src
hit  RUN cat /src/a > /seen
hit  COPY --link other /other
",
        ..NO_CHANGE
    },
    Change {
        what: "a base with another file under linked copies",
        bases: BaseImages::OtherFiles,
        dockerfile: "
     FROM base
miss RUN echo one > /one
hit  COPY --link src /src
miss RUN cat /src/a > /seen
hit  COPY --link other /other
",
        ..NO_CHANGE
    },
    Change {
        what: "a command before a linked copy",
        before: DOCKERFILE,
        dockerfile: "
     FROM base
miss RUN echo two > /one
hit  COPY --link src /src
miss RUN cat /src/a > /seen
hit  COPY --link other /other
",
        ..NO_CHANGE
    },
    Change {
        what: "a file of a linked copy",
        dockerfile: "
     FROM base
hit  RUN echo one > /one
miss COPY --link src /src
miss RUN cat /src/a > /seen
hit  COPY --link other /other
",
        edits: &[Edit::Write("src/a", "changed\n")],
        ..NO_CHANGE
    },
    Change {
        what: "--link for a plain copy",
        before: "
     FROM base
     COPY src /src
     RUN cat /src/a > /seen
",
        dockerfile: "
     FROM base
miss COPY --link src /src
miss RUN cat /src/a > /seen
",
        ..NO_CHANGE
    },
    Change {
        what: "--parents for a copy of the contents",
        before: "
     FROM base
     COPY src/sub /to/
     RUN ls /to > /seen
",
        dockerfile: "
     FROM base
miss COPY --parents src/sub /to/
miss RUN ls /to > /seen
",
        ..NO_CHANGE
    },
    Change {
        what: "a file that --parents leaves where it is",
        dockerfile: "
     FROM base
hit  COPY --parents src/sub/* /to/
hit  RUN ls /to > /seen
",
        edits: &[
            Edit::Write("src/a", "changed\n"),
            Edit::Write("new", "new\n"),
        ],
        ..NO_CHANGE
    },
    Change {
        what: "the mode of a parent that --parents makes",
        dockerfile: "
     FROM base
miss COPY --parents src/sub/* /to/
miss RUN ls /to > /seen
",
        edits: &[Edit::Mode("src", 0o711)],
        ..NO_CHANGE
    },
    Change {
        what: "a command that makes the same files for a linked copy",
        before: "
     FROM base AS build
     RUN echo one > /made
     FROM base
     RUN echo one > /one
     COPY --link --from=build /made /made
     RUN cat /made > /seen
",
        dockerfile: "
     FROM base AS build
miss RUN echo one > /made && true
     FROM base
miss RUN echo two > /one
hit  COPY --link --from=build /made /made
miss RUN cat /made > /seen
",
        ..NO_CHANGE
    },
    Change {
        what: "a command of the builder that makes the same for a linked copy and what is built on it",
        before: "
     FROM base AS build
     RUN echo one > /made
     FROM base
     COPY --link --from=build /made /made
     RUN cat /made > /seen
",
        dockerfile: "
     FROM base AS build
miss RUN echo one > /made && true
     FROM base
hit  COPY --link --from=build /made /made
hit  RUN cat /made > /seen
",
        ..NO_CHANGE
    },
    Change {
        what: "an archive in a linked ADD and a here document",
        before: "
     FROM base
     RUN echo one > /one
     ADD --link other /other
     COPY --link <<one /text
     first
     one
",
        dockerfile: "
     FROM base
miss RUN echo two > /one
hit  ADD --link other /other
miss COPY --link <<one /text
     second
     one
",
        ..NO_CHANGE
    },
];
