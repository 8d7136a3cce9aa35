//! One thing of the Dockerfile is changed.

use super::Change;
use super::case::NO_CHANGE;

/// What the changes below are made to.
const BEFORE: &str = "
     FROM base
     ENV GREETING=hello
     RUN echo one > /one
     COPY src /src
     RUN echo two > /two
";

pub(super) const CHANGES: &[Change] = &[
    Change {
        what: "comments",
        before: BEFORE,
        dockerfile: "
     # syntax=docker/dockerfile:1
     # Says hello.
     FROM base
     ENV GREETING=hello
hit  RUN echo one > /one
     # Copies.
hit  COPY src /src
hit  RUN echo two > /two
",
        ..NO_CHANGE
    },
    Change {
        what: "blank lines and continuations",
        before: BEFORE,
        dockerfile: "

     FROM base

     ENV GREETING=hello
hit  RUN echo one \\
     > /one

hit  COPY src \\
     # of all
       /src


hit  RUN echo two > /two
",
        ..NO_CHANGE
    },
    Change {
        what: "lower case, and another form of ENV",
        before: BEFORE,
        dockerfile: "
     FROM base
     env GREETING hello
hit  run echo one > /one
hit  copy [\"src\", \"/src\"]
hit  run echo two > /two
",
        ..NO_CHANGE
    },
    Change {
        what: "a variable for a path that is the same",
        before: BEFORE,
        dockerfile: "
     FROM base
     ARG WHERE=/src
     ENV GREETING=hello
miss RUN echo one > /one
hit  COPY src ${WHERE}
miss RUN echo two > /two
",
        ..NO_CHANGE
    },
    Change {
        what: "an ENV, which commands that make the same do not pass on to copies",
        before: BEFORE,
        dockerfile: "
     FROM base
     ENV GREETING=goodbye
miss RUN echo one > /one
hit  COPY src /src
miss RUN echo two > /two
",
        ..NO_CHANGE
    },
    Change {
        what: "an ENV after a command",
        before: "
     FROM base
     RUN echo one > /one
     ENV GREETING=hello
     RUN echo $GREETING > /two
     COPY src /src
",
        dockerfile: "
     FROM base
hit  RUN echo one > /one
     ENV GREETING=goodbye
miss RUN echo $GREETING > /two
miss COPY src /src
",
        ..NO_CHANGE
    },
    Change {
        what: "the default of an ARG",
        before: "
     FROM base
     RUN echo one > /one
     ARG WHO=me
     RUN echo $WHO > /who
",
        dockerfile: "
     FROM base
hit  RUN echo one > /one
     ARG WHO=you
miss RUN echo $WHO > /who
",
        ..NO_CHANGE
    },
    Change {
        what: "a LABEL, an EXPOSE and a CMD in the middle",
        before: BEFORE,
        dockerfile: "
     FROM base
     ENV GREETING=hello
hit  RUN echo one > /one
     LABEL new=label
     EXPOSE 80
hit  COPY src /src
     CMD [\"sh\"]
hit  RUN echo two > /two
",
        ..NO_CHANGE
    },
    Change {
        what: "a command",
        before: BEFORE,
        dockerfile: "
     FROM base
     ENV GREETING=hello
miss RUN echo 1 > /one
miss COPY src /src
miss RUN echo two > /two
",
        ..NO_CHANGE
    },
    Change {
        what: "a command that makes the same",
        before: BEFORE,
        dockerfile: "
     FROM base
     ENV GREETING=hello
miss RUN echo 'one' > /one
hit  COPY src /src
hit  RUN echo two > /two
",
        ..NO_CHANGE
    },
    Change {
        what: "a RUN that is gone from the middle",
        before: "
     FROM base
     RUN echo one > /one
     RUN echo two > /two
     RUN echo three > /three
",
        dockerfile: "
     FROM base
hit  RUN echo one > /one
miss RUN echo three > /three
",
        ..NO_CHANGE
    },
    Change {
        what: "a RUN more at the end",
        before: BEFORE,
        dockerfile: "
     FROM base
     ENV GREETING=hello
hit  RUN echo one > /one
hit  COPY src /src
hit  RUN echo two > /two
miss RUN echo three > /three
",
        ..NO_CHANGE
    },
    Change {
        what: "two RUNs that are swapped",
        before: "
     FROM base
     RUN echo one >> /log
     RUN echo two >> /log
",
        dockerfile: "
     FROM base
miss RUN echo two >> /log
miss RUN echo one >> /log
",
        ..NO_CHANGE
    },
    Change {
        what: "two copies that are swapped",
        before: "
     FROM base
     COPY src /src
     COPY other /other
     RUN cat /other > /copy
",
        dockerfile: "
     FROM base
miss COPY other /other
miss COPY src /src
miss RUN cat /other > /copy
",
        ..NO_CHANGE
    },
    Change {
        what: "the body of a script",
        before: "
     FROM base
     RUN <<EOF
     echo one > /one
     EOF
     COPY src /src
",
        dockerfile: "
     FROM base
miss RUN <<EOF
     echo one > /one
     echo two > /two
     EOF
miss COPY src /src
",
        ..NO_CHANGE
    },
    Change {
        what: "the body of a file",
        before: "
     FROM base
     COPY src /src
     COPY <<EOF /file
     one
     EOF
",
        dockerfile: "
     FROM base
hit  COPY src /src
miss COPY <<EOF /file
     two
     EOF
",
        ..NO_CHANGE
    },
    Change {
        what: "a file's text that a variable is part of",
        before: "
     FROM base
     ENV WHO=me
     COPY <<EOF /file
     $WHO
     EOF
",
        dockerfile: "
     FROM base
     ENV WHO=you
miss COPY <<EOF /file
     $WHO
     EOF
",
        ..NO_CHANGE
    },
    Change {
        what: "WORKDIR",
        before: "
     FROM base
     WORKDIR /one
     COPY other .
     RUN cat other > copy
",
        dockerfile: "
     FROM base
miss WORKDIR /two
miss COPY other .
miss RUN cat other > copy
",
        ..NO_CHANGE
    },
    Change {
        what: "WORKDIR in two parts",
        before: "
     FROM base
     WORKDIR /one/two
     COPY other .
     RUN cat other > copy
",
        dockerfile: "
     FROM base
miss WORKDIR /one
miss WORKDIR two
miss COPY other .
miss RUN cat other > copy
",
        ..NO_CHANGE
    },
    Change {
        what: "USER",
        before: "
     FROM base
     RUN chmod 777 /tmp
     USER app
     COPY src /src
     RUN id -u > /tmp/id
",
        dockerfile: "
     FROM base
hit  RUN chmod 777 /tmp
     USER 1000:1000
hit  COPY src /src
miss RUN id -u > /tmp/id
",
        ..NO_CHANGE
    },
    Change {
        what: "SHELL, which the exec form does without",
        before: "
     FROM base
     COPY src /src
     RUN [\"cp\", \"/src/a\", \"/exec\"]
     RUN echo shell > /shell
",
        dockerfile: "
     FROM base
     SHELL [\"/bin/sh\", \"-e\", \"-c\"]
hit  COPY src /src
hit  RUN [\"cp\", \"/src/a\", \"/exec\"]
miss RUN echo shell > /shell
",
        ..NO_CHANGE
    },
    Change {
        what: "COPY --chmod",
        before: "
     FROM base
     COPY --chmod=755 src /src
     RUN cat /src/a > /copy
",
        dockerfile: "
     FROM base
miss COPY --chmod=700 src /src
miss RUN cat /src/a > /copy
",
        ..NO_CHANGE
    },
    Change {
        what: "COPY --chown",
        before: "
     FROM base
     COPY src /src
     RUN cat /src/a > /copy
",
        dockerfile: "
     FROM base
miss COPY --chown=app src /src
miss RUN cat /src/a > /copy
",
        ..NO_CHANGE
    },
    Change {
        what: "where a COPY goes",
        before: "
     FROM base
     COPY src /src
     RUN echo one > /one
",
        dockerfile: "
     FROM base
miss COPY src /to
miss RUN echo one > /one
",
        ..NO_CHANGE
    },
    Change {
        what: "what a COPY excludes",
        before: "
     FROM base
     COPY src /src
     RUN echo one > /one
",
        dockerfile: "
     FROM base
miss COPY --exclude=sub src /src
miss RUN echo one > /one
",
        ..NO_CHANGE
    },
    Change {
        what: "ADD for a COPY of the same file",
        before: "
     FROM base
     COPY other /other
     RUN echo one > /one
",
        dockerfile: "
     FROM base
miss ADD other /other
miss RUN echo one > /one
",
        ..NO_CHANGE
    },
    Change {
        what: "RUN --network=none",
        before: BEFORE,
        dockerfile: "
     FROM base
     ENV GREETING=hello
miss RUN --network=none echo one > /one
hit  COPY src /src
hit  RUN echo two > /two
",
        ..NO_CHANGE
    },
];
