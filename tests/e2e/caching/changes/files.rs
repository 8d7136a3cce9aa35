//! One thing of the build context is changed.

use super::case::NO_CHANGE;
use super::{Change, Edit};

/// What is copied, and what sees it, are executed.
const SEEN: Change = Change {
    dockerfile: "
     FROM base
hit  RUN echo first > /first
miss COPY src /src
miss RUN cat /src/a > /copy
",
    ..NO_CHANGE
};

/// Everything is answered.
const UNSEEN: Change = Change {
    dockerfile: "
     FROM base
hit  RUN echo first > /first
hit  COPY src /src
hit  RUN cat /src/a > /copy
",
    ..NO_CHANGE
};

pub(super) const CHANGES: &[Change] = &[
    Change {
        what: "nothing",
        ..UNSEEN
    },
    Change {
        what: "a file's content",
        edits: &[Edit::Write("src/a", "changed\n")],
        ..SEEN
    },
    Change {
        what: "a file's content, of the same length",
        edits: &[
            Edit::Write("src/a", "b\n"),
            Edit::Mtime("src/a", 1_600_000_000),
        ],
        ..SEEN
    },
    Change {
        what: "a file that is written again as it was",
        edits: &[Edit::Write("src/a", "a\n")],
        ..UNSEEN
    },
    Change {
        what: "a file's mode",
        edits: &[Edit::Mode("src/a", 0o755)],
        ..SEEN
    },
    Change {
        what: "a directory's mode",
        edits: &[Edit::Mode("src/sub", 0o700)],
        ..SEEN
    },
    Change {
        what: "a file's time",
        edits: &[Edit::Mtime("src/a", 1_700_000_000)],
        ..UNSEEN
    },
    Change {
        what: "a directory's time",
        edits: &[Edit::Mtime("src/sub", 1_700_000_000)],
        ..UNSEEN
    },
    Change {
        what: "owners, which COPY resets",
        edits: &[Edit::Owner("src/a", 1234), Edit::Owner("src/sub", 99)],
        ..UNSEEN
    },
    Change {
        what: "an ignored file",
        edits: &[Edit::Write("src/ignored", "changed")],
        ..UNSEEN
    },
    Change {
        what: "an ignored file that is gone",
        edits: &[Edit::Remove("src/ignored")],
        ..UNSEEN
    },
    Change {
        what: "a file that is not ignored any more",
        edits: &[Edit::Write(".dockerignore", "")],
        ..SEEN
    },
    Change {
        what: "a rule that ignores nothing",
        edits: &[Edit::Write(
            ".dockerignore",
            "src/ignored\nsecret\nnothing\n",
        )],
        ..UNSEEN
    },
    Change {
        what: "a file that is not copied",
        edits: &[Edit::Write("other", "changed\n")],
        ..UNSEEN
    },
    Change {
        what: "a new file in a copied directory",
        edits: &[Edit::Write("src/sub/new", "")],
        ..SEEN
    },
    Change {
        what: "a new directory in a copied directory",
        edits: &[Edit::Dir("src/sub/new")],
        ..SEEN
    },
    Change {
        what: "a file that is gone",
        edits: &[Edit::Remove("src/sub/b")],
        ..SEEN
    },
    Change {
        what: "a renamed file",
        edits: &[Edit::Rename("src/sub/b", "src/sub/c")],
        ..SEEN
    },
    Change {
        what: "a file that has moved to another directory",
        edits: &[Edit::Rename("src/sub/b", "src/b")],
        ..SEEN
    },
    Change {
        what: "a symlink's target",
        edits: &[Edit::Remove("src/link"), Edit::Symlink("src/link", "sub/b")],
        ..SEEN
    },
    Change {
        what: "a symlink for a file with the same bytes",
        edits: &[Edit::Remove("src/twin"), Edit::Symlink("src/twin", "a")],
        ..SEEN
    },
    Change {
        what: "a hard link for a file with the same bytes",
        edits: &[
            Edit::Remove("src/twin"),
            Edit::HardLink("src/twin", "src/a"),
        ],
        ..SEEN
    },
    Change {
        what: "a directory for a file",
        edits: &[Edit::Remove("src/sub/b"), Edit::Dir("src/sub/b")],
        ..SEEN
    },
    Change {
        what: "a file's capability",
        edits: &[Edit::Capability("src/twin")],
        ..SEEN
    },
    Change {
        what: "the neighbour of a file that is copied alone",
        edits: &[
            Edit::Write("src/twin", "changed\n"),
            Edit::Write("src/new", ""),
        ],
        dockerfile: "
     FROM base
hit  COPY src/a /a
hit  RUN cat /a > /copy
",
        ..NO_CHANGE
    },
    Change {
        what: "a file that a wildcard finds",
        edits: &[Edit::Write("src/a2", "")],
        dockerfile: "
     FROM base
miss COPY src/a* /
miss COPY other /other
",
        ..NO_CHANGE
    },
    Change {
        what: "the mode of a directory that is mounted",
        dockerfile: "
     FROM base
hit  COPY src/sub /sub
miss RUN --mount=source=src/sub,target=/m stat -c %a /m > /mode
",
        edits: &[Edit::Mode("src/sub", 0o700)],
        ..NO_CHANGE
    },
];
