//! One flag is changed.

use super::Change;
use super::case::NO_CHANGE;

const DOCKERFILE: &str = "
     FROM base
hit  RUN echo one > /one
     ARG WHO=me
hit  RUN echo $WHO > /who
hit  COPY other /other
";

const NOTHING_FITS: &str = "
     FROM base
miss RUN echo one > /one
     ARG WHO=me
miss RUN echo $WHO > /who
miss COPY other /other
";

pub(super) const CHANGES: &[Change] = &[
    Change {
        what: "an ARG that the stage does not declare",
        dockerfile: DOCKERFILE,
        flags: &["--build-arg=OTHER=1"],
        ..NO_CHANGE
    },
    Change {
        what: "an ARG that has its default",
        dockerfile: DOCKERFILE,
        flags: &["--build-arg=WHO=me"],
        ..NO_CHANGE
    },
    Change {
        what: "a proxy",
        dockerfile: DOCKERFILE,
        flags: &[
            "--build-arg=HTTP_PROXY=http://127.0.0.1:9",
            "--build-arg=no_proxy=127.0.0.1",
        ],
        ..NO_CHANGE
    },
    Change {
        what: "a label",
        dockerfile: DOCKERFILE,
        flags: &["--label=made=later"],
        ..NO_CHANGE
    },
    Change {
        what: "an ARG that the stage declares",
        dockerfile: "
     FROM base
hit  RUN echo one > /one
     ARG WHO=me
miss RUN echo $WHO > /who
miss COPY other /other
",
        flags: &["--build-arg=WHO=you"],
        ..NO_CHANGE
    },
    Change {
        what: "an ARG of all stages that one declares",
        dockerfile: "
     ARG WHO=me
     FROM base
hit  RUN echo one > /one
     ARG WHO
miss RUN echo $WHO > /who
",
        flags: &["--build-arg=WHO=you"],
        ..NO_CHANGE
    },
    Change {
        what: "other media types",
        dockerfile: DOCKERFILE,
        flags: &["--image-format=docker"],
        ..NO_CHANGE
    },
    Change {
        what: "files in a plain directory",
        dockerfile: DOCKERFILE,
        flags: &["--storage=tree"],
        ..NO_CHANGE
    },
    Change {
        what: "another isolation",
        dockerfile: DOCKERFILE,
        flags: &["--isolation=chroot"],
        ..NO_CHANGE
    },
    Change {
        what: "a path that is left out",
        dockerfile: NOTHING_FITS,
        flags: &["--ignore-path=/one"],
        ..NO_CHANGE
    },
    Change {
        what: "another compression",
        dockerfile: NOTHING_FITS,
        flags: &["--compression=zstd"],
        ..NO_CHANGE
    },
    Change {
        what: "another level of compression",
        dockerfile: NOTHING_FITS,
        flags: &["--compression-level=1"],
        ..NO_CHANGE
    },
    Change {
        what: "another epoch",
        dockerfile: NOTHING_FITS,
        flags: &["--build-arg=SOURCE_DATE_EPOCH=1577836801"],
        ..NO_CHANGE
    },
    Change {
        what: "a time to live that has passed",
        dockerfile: NOTHING_FITS,
        cache_flags: &["--cache-ttl=1ms"],
        ..NO_CHANGE
    },
];
