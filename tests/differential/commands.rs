//! Random shell commands. Each makes sense in any state of the files, so that what it does depends on that state alone:
//! where two builders have come to different files, it goes on to make them more different.

use crate::random::Random;

/// Where files are made, changed, moved and removed; none of these directories itself ever goes.
pub(crate) const DIRS: [&str; 3] = ["/w/a", "/w/b", "/w/c"];

/// Where hard links are. Nothing but removing and renaming is done to them once they are made: what becomes of the other
/// names of a file that a later step changes depends on how a builder keeps its layers.
pub(crate) const LINKS: &str = "/w/l";

const NAMES: [&str; 6] = ["p", "q", "r/s", "r/t", "u", "v v"];

/// One command, which cannot fail.
pub(crate) fn command(random: &mut Random) -> String {
    let (one, other) = (path(random), path(random));
    let number = random.below(1000);
    let time = 1_000_000_000 + random.below(500_000_000);
    let made = format!("mkdir -p \"$(dirname '{one}')\"");
    let command = match random.below(17) {
        0..=2 => format!("{made} && rm -rf '{one}' && echo {number} > '{one}'"),
        3 => format!("mkdir -p '{one}'"),
        4 => format!("rm -rf '{one}'"),
        5 | 6 => format!("[ -e '{one}' ] && {made} && rm -rf '{other}' && mv '{one}' '{other}'"),
        7 => format!("{made} && ln -sfn '{other}' '{one}'"),
        8 => format!("{made} && ln -sfn ../{number} '{one}'"),
        9 => format!(
            "[ -e '{one}' ] && [ ! -L '{one}' ] && chmod {} '{one}'",
            mode(random)
        ),
        10 => format!("[ -e '{one}' ] && [ ! -L '{one}' ] && touch -d @{time} '{one}'"),
        11 => format!(
            "chown -h {}:{} '{one}'",
            random.below(3000),
            random.below(3000)
        ),
        12 => format!("cp -a '{one}' '{other}x'"),
        13 => format!("{made} && rm -rf '{one}' && mkfifo -m 0640 '{one}'"),
        14 => {
            let links = [random.below(9), random.below(9)].map(|n| format!("{LINKS}/{n}"));
            let [first, second] = links;
            format!("rm -f {first} {second}; echo {number} > {first} && ln {first} {second}")
        }
        15 => format!("rm -f {LINKS}/{}", random.below(9)),
        _ => format!(
            "{made} && rm -rf '{one}' && (id -u; id -G; pwd; echo \"$V $W $HOME\") > '{one}'"
        ),
    };
    format!("({command}) || true")
}

/// A path in one of the directories, or in the home of the ordinary user.
fn path(random: &mut Random) -> String {
    let dir = random.pick(&[DIRS[0], DIRS[1], DIRS[2], "/home/app"]);
    format!("{dir}/{}", NAMES[random.below(NAMES.len())])
}

pub(crate) fn mode(random: &mut Random) -> &'static str {
    random.pick(&[
        "0600", "0644", "0755", "0700", "4755", "1777", "2770", "0444",
    ])
}
