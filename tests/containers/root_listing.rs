//! What the root directory of a container is, as text: two listings that agree, and nothing was changed.

/// A shell's function `look NAME` that writes the listing to a file: every file of the container's own with its metadata,
/// and what a root command could change of the things that the runtime has put there. What is in the tool's directory and
/// below `/builds/out` does not count.
pub(crate) const LOOK: &str = r#"
look() {
  {
    find / -xdev -path /kaniko -prune -o -path /builds/out -prune -o -exec stat -c '%n %A %u:%g %Y' {} +
    stat -c '%N %A %u:%g %t:%T' /dev/*
    grep -H . /etc/hosts /etc/hostname /etc/resolv.conf
  } | sort >"/builds/out/$1"
}
"#;
