//! What a case's Dockerfile starts from, read from its FROM lines alone.

/// The image that the arguments `BASE`, `ZOO` and `DEBIAN` name, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BaseName {
    Busybox,
    Zoo,
    Debian,
    Scratch,
}

impl BaseName {
    /// The base of the last stage, through the stages that it starts from.
    pub(crate) fn of_last_stage(dockerfile: &str) -> Self {
        let mut stages: Vec<(&str, Self)> = Vec::new();
        for line in dockerfile.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (base, name) = match words[..] {
                ["FROM", base] => (base, ""),
                ["FROM", base, "AS", name] => (base, name),
                _ => continue,
            };
            let earlier = stages.iter().rev().find(|(name, _)| *name == base);
            let resolved = earlier.map_or_else(|| Self::of_argument(base), |(_, base)| *base);
            stages.push((name, resolved));
        }
        stages.last().expect("a Dockerfile has a stage").1
    }

    fn of_argument(word: &str) -> Self {
        match word {
            "$BASE" => Self::Busybox,
            "$ZOO" => Self::Zoo,
            "$DEBIAN" => Self::Debian,
            "scratch" => Self::Scratch,
            other => panic!("a case starts from $BASE, $ZOO, $DEBIAN or scratch, not from {other}"),
        }
    }
}
