//! What the registry has under the name of the base is changed.

use super::case::NO_CHANGE;
use super::{BaseImages, Change};

/// Steps look at files alone.
const UNSEEN: Change = Change {
    dockerfile: "
     FROM base
hit  COPY src /src
hit  WORKDIR /work
hit  RUN echo one > /one
",
    ..NO_CHANGE
};

/// All of them stand on other files, or on what may be other files.
const SEEN: Change = Change {
    dockerfile: "
     FROM base
miss COPY src /src
miss WORKDIR /work
miss RUN echo one > /one
",
    ..NO_CHANGE
};

pub(super) const CHANGES: &[Change] = &[
    Change {
        what: "a base of the same files under another digest",
        bases: BaseImages::Recompressed,
        ..UNSEEN
    },
    Change {
        what: "a base with another label",
        bases: BaseImages::Relabelled,
        ..UNSEEN
    },
    Change {
        what: "a base with another file",
        bases: BaseImages::OtherFiles,
        ..SEEN
    },
    Change {
        what: "a base with its files in two layers",
        bases: BaseImages::Split,
        ..SEEN
    },
    Change {
        what: "a base with another environment",
        bases: BaseImages::OtherEnvironment,
        dockerfile: "
     FROM base
hit  COPY src /src
hit  WORKDIR /work
miss RUN echo one > /one
",
        ..NO_CHANGE
    },
];
