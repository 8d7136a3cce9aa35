//! Where buildah is known to do something else, and who is right.

use crate::compare::{Aspect, Difference};
use crate::generated::without_links;
use crate::support::Kind;
use crate::support::entry::Entry;

/// One thing that buildah does otherwise.
pub(crate) struct Known {
    /// What it does.
    pub(crate) buildah: &'static str,
    /// The line of the Dockerfile reference, in its section, that decides for us.
    pub(crate) decides: &'static str,
    applies: fn(&Difference<'_>) -> bool,
}

pub(crate) const KNOWN: &[Known] = &[
    Known {
        buildah: "leaves the mount points of its RUN in the image, and the time of /etc changed by them",
        decides: "1.9: mount-point stubs that did not exist before are removed after the step, parents' times restored",
        applies: |difference| match difference.aspect {
            Aspect::Presence => difference.ours.is_none() && STUBS.contains(&difference.path),
            Aspect::Time => difference.path == "etc" && difference.is_build_time_in_theirs(),
            _ => false,
        },
    },
    Known {
        buildah: "gives the directory that a directory is copied to the time of the build",
        decides: "1.8: the top destination directory's mtime is set from the source directory",
        applies: |difference| {
            difference.aspect == Aspect::Time
                && difference.ours.is_some_and(is_directory)
                && difference.is_build_time_in_theirs()
                && difference.copies(is_directory_copy, |dest| ends_with(difference.path, dest))
        },
    },
    Known {
        buildah: "makes missing parents 0755 whatever --chmod says",
        decides: "1.8: with octal --chmod, missing parents get that mode too",
        applies: |difference| {
            let (Some(ours), Some(theirs)) = (difference.ours, difference.theirs) else {
                return false;
            };
            let flag = format!("--chmod={:04o} ", ours.mode);
            difference.aspect == Aspect::Mode
                && is_directory(ours)
                && theirs.mode == 0o755
                && difference.copies(
                    |line| line.contains(&flag),
                    |dest| ends_in_part_of(difference.path, dest),
                )
        },
    },
    Known {
        buildah: "does not give the ARGs of a stage to one that is FROM it",
        decides: "1.5: a stage inherits ARGs and ENV of the stage it is FROM",
        applies: |difference| {
            let is_of_env = difference.is_setting("Env: ")
                && difference.has_lines(&["ARG V=", "FROM s", "ENV V="]);
            is_of_env
                || (is_of_variables(difference) && difference.has_lines(&["ARG V=", "FROM s"]))
        },
    },
    Known {
        buildah: "lets an ENV win over an ARG of the same name below it",
        decides: "1.5: the later statement wins for RUN's environment, while the image's changes by ENV only",
        applies: |difference| {
            let is_one = is_of_variables(difference) || difference.is_setting("Env: ");
            is_one && difference.has_lines(&["ENV V=", "ARG V="])
        },
    },
    Known {
        buildah: "leaves a directory out of which a RUN changed the time only",
        decides: "none: by 2.2 BuildKit leaves it out too; that we have it is our own rule (docs/compatibility.md)",
        applies: |difference| {
            let is_touched = |entry: &Entry| {
                let touch = format!("touch -d @{} '/{}'", entry.mtime, difference.path);
                is_directory(entry) && difference.dockerfile.contains(&touch)
            };
            // Something came into it, and was gone when the RUN ended.
            let is_emptied = |entry: &Entry| {
                let taken = ["mv", "rm -rf"].map(|verb| format!("{verb} '/{}/", difference.path));
                let mut taken = taken.iter();
                is_directory(entry)
                    && difference.is_build_time_in_ours()
                    && taken.any(|taken| difference.dockerfile.contains(taken))
            };
            difference.aspect == Aspect::Time
                && (difference.ours).is_some_and(|entry| is_touched(entry) || is_emptied(entry))
        },
    },
    Known {
        buildah: "puts a directory in the place of a file",
        decides: "1.8: a directory onto an existing file is an error",
        applies: |difference| difference.is_refusal("caused by: cannot copy a directory to "),
    },
    Known {
        buildah: "does not write ArgsEscaped",
        decides: "2.1: CMD and ENTRYPOINT set ArgsEscaped to true, also on Linux",
        applies: |difference| {
            difference.is_setting("ArgsEscaped: ours Some(Bool(true)), buildah's None")
        },
    },
    Known {
        buildah: "writes the name of its container as Hostname",
        decides: "2.1: the table of fields that instructions change, which has no Hostname",
        applies: |difference| difference.is_setting("Hostname: ours None"),
    },
];

/// What buildah mounts something on, where it is isolated by chroot.
const STUBS: [&str; 7] = [
    "dev",
    "proc",
    "sys",
    "run",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
];

/// Finds what explains a difference.
pub(crate) fn explanation(difference: &Difference<'_>) -> Option<&'static Known> {
    KNOWN.iter().find(|known| (known.applies)(difference))
}

fn is_directory(entry: &Entry) -> bool {
    entry.kind == Kind::Directory
}

/// Whether it is in a file that a RUN has printed its variables to, where one of them is an ARG.
fn is_of_variables(difference: &Difference<'_>) -> bool {
    let is_short_file = |entry: &Entry| matches!(entry.kind, Kind::File { size, .. } if size < 100);
    difference.aspect == Aspect::Kind
        && [difference.ours, difference.theirs]
            .into_iter()
            .flatten()
            .all(is_short_file)
        && difference.has_line("ARG V=")
        && difference.dockerfile.contains("echo \"$V $W $HOME\"")
}

/// Whether a COPY has a directory among its sources, as the generated ones are called.
fn is_directory_copy(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.any(|word| {
        matches!(word, "d0" | "d1" | "d0/." | "ld" | "d*" | ".") || word.starts_with("/w/")
    })
}

/// Whether a path may be what this destination leads to, from whatever working directory.
fn ends_with(path: &str, destination: &str) -> bool {
    let destination = without_links(destination);
    let destination = destination.trim_start_matches("./").trim_matches('/');
    destination.is_empty() || format!("/{path}").ends_with(&format!("/{destination}"))
}

/// As `ends_with`, or what a parent of the destination leads to.
fn ends_in_part_of(path: &str, destination: &str) -> bool {
    let destination = without_links(destination);
    let destination = destination.trim_matches('/');
    let ends = destination.match_indices('/').map(|(end, _)| end);
    let mut parts = ends
        .chain([destination.len()])
        .map(|end| &destination[..end]);
    parts.any(|part| ends_with(path, part))
}
