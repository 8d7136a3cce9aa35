//! One thing of a build in stages is changed.

use super::case::NO_CHANGE;
use super::{Change, Edit};

/// What the changes below are made to. Of a builder whose results are all found nothing is needed.
const BEFORE: &str = "
     FROM base AS build
     COPY src /src
     RUN cat /src/a > /made
     FROM base AS last
     RUN echo one > /one
     COPY --from=build /made /made
     RUN cat /made > /copy
";

pub(super) const CHANGES: &[Change] = &[
    Change {
        what: "a stage's name",
        before: BEFORE,
        dockerfile: "
     FROM base AS maker
     COPY src /src
     RUN cat /src/a > /made
     FROM base AS last
hit  RUN echo one > /one
hit  COPY --from=maker /made /made
hit  RUN cat /made > /copy
",
        ..NO_CHANGE
    },
    Change {
        what: "a stage's number for its name",
        before: BEFORE,
        dockerfile: "
     FROM base
     COPY src /src
     RUN cat /src/a > /made
     FROM base
hit  RUN echo one > /one
hit  COPY --from=0 /made /made
hit  RUN cat /made > /copy
",
        ..NO_CHANGE
    },
    Change {
        what: "the order of stages",
        before: "
     FROM base AS one
     RUN echo one > /one
     FROM base AS two
     RUN echo two > /two
     FROM base
     COPY --from=one /one /one
     COPY --from=two /two /two
",
        dockerfile: "
     FROM base AS two
     RUN echo two > /two
     FROM base AS one
     RUN echo one > /one
     FROM base
hit  COPY --from=one /one /one
hit  COPY --from=two /two /two
",
        ..NO_CHANGE
    },
    Change {
        what: "a builder whose result stays the same",
        before: BEFORE,
        dockerfile: "
     FROM base AS build
miss COPY src /src
miss RUN cat /src/a > /made
     FROM base AS last
hit  RUN echo one > /one
hit  COPY --from=build /made /made
hit  RUN cat /made > /copy
",
        edits: &[Edit::Write("src/sub/b", "changed\n")],
        ..NO_CHANGE
    },
    Change {
        what: "a builder whose result changes",
        before: BEFORE,
        dockerfile: "
     FROM base AS build
miss COPY src /src
miss RUN cat /src/a > /made
     FROM base AS last
hit  RUN echo one > /one
miss COPY --from=build /made /made
miss RUN cat /made > /copy
",
        edits: &[Edit::Write("src/a", "changed\n")],
        ..NO_CHANGE
    },
    Change {
        what: "another name of a builder's file",
        before: "
     FROM base AS build
     RUN echo made > /made && cp /made /twin
     FROM base
     COPY --from=build /made /file
     RUN cat /file > /copy
",
        dockerfile: "
     FROM base AS build
hit  RUN echo made > /made && cp /made /twin
     FROM base
miss COPY --from=build /twin /file
miss RUN cat /file > /copy
",
        ..NO_CHANGE
    },
    Change {
        what: "a stage that nothing is needed of",
        before: "
     FROM base AS test
     RUN echo tested > /tested
     FROM base
     RUN echo one > /one
",
        dockerfile: "
     FROM base AS test
     RUN exit 1
     FROM base
hit  RUN echo one > /one
",
        ..NO_CHANGE
    },
    Change {
        what: "a stage that is divided in two",
        before: "
     FROM base
     RUN echo one > /one
     RUN echo two > /two
",
        dockerfile: "
     FROM base AS half
hit  RUN echo one > /one
     FROM half
hit  RUN echo two > /two
",
        ..NO_CHANGE
    },
    Change {
        what: "a stage under another",
        before: "
     FROM base AS under
     RUN echo one > /one
     FROM under
     RUN echo two > /two
",
        dockerfile: "
     FROM base AS under
miss RUN echo 1 > /one
     FROM under
miss RUN echo two > /two
",
        ..NO_CHANGE
    },
    Change {
        what: "the target",
        before: BEFORE,
        dockerfile: "
     FROM base AS build
hit  COPY src /src
hit  RUN cat /src/a > /made
     FROM base AS last
     RUN echo one > /one
     COPY --from=build /made /made
     RUN cat /made > /copy
",
        flags: &["--target=build"],
        ..NO_CHANGE
    },
];
