//! Executors and a warmer at work in one cache directory, killed at any moment: it stays whole.

use super::project::{EPOCH, Project};
use crate::support::cache_dir::CacheDir;
use crate::support::process::{Ended, Running};
use crate::support::{Base, Context, Registry, TestDir, Who};
use rustix::process::Signal;
use std::process::Command;
use std::time::Duration;

const ROUNDS: u64 = 20;

/// The latest moment of a round at which something is killed; a build takes about as long.
const LAST_KILL_MILLISECONDS: u64 = 250;

const TIMEOUT: Duration = Duration::from_secs(120);

#[test]
fn a_directory_stays_whole_whoever_is_killed_while_writing() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let dir = TestDir::new();
    let cache = CacheDir::new(Who::Root);
    let flag = cache.flag();
    let lines =
        "COPY src /src\nRUN cat /src/* > /all\nRUN head -c 300000 /dev/zero | tr '\\0' x > /more\n";
    let projects = ["one", "other"].map(|name| {
        let context = Context::new(format!("FROM {base}\n{lines}")).file("src/a", name);
        Project::new(&registry, name, context)
    });
    let mut random = Random(20_261_126);
    for round in 0..ROUNDS {
        // Something new in each round, so that each writes.
        let number = round.to_string();
        let warmer = warmer(&cache, &base.reference, round % 4 == 0);
        let executors = projects.each_ref().map(|project| {
            std::fs::write(project.context.path().join("src/round"), &number)
                .expect("write a file");
            executor(&dir, project, &flag)
        });
        let [one, other] = executors;
        let mut running = vec![("one", one), ("other", other), ("warmer", warmer)];
        let wait = random.below(LAST_KILL_MILLISECONDS);
        std::thread::sleep(Duration::from_millis(wait));
        let (killed, victim) = running.remove(random.below(3) as usize);
        victim.kill();
        for (name, survivor) in running {
            let ended = survivor.wait();
            assert_eq!(
                ended.code(),
                0,
                "round {round}: {killed} was killed, {name}: {ended:#?}"
            );
        }
    }
    cache.assert_whole();
    for project in &projects {
        let built = project.build(&[&flag]);
        project.assert_same_as_uncached(&built, &[], &base);
    }
}

fn executor(dir: &TestDir, project: &Project<'_>, flag: &str) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_executor"));
    command
        .arg(flag)
        .arg("--context")
        .arg(project.context.path())
        .arg("--destination")
        .arg(project.destination())
        .arg("--state-dir")
        .arg(dir.path())
        .env("SOURCE_DATE_EPOCH", EPOCH);
    Running::start("executor", command, TIMEOUT)
}

fn warmer(cache: &CacheDir, image: &str, is_forced: bool) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warmer"));
    command.arg(cache.flag()).arg("--image").arg(image);
    if is_forced {
        command.arg("--force");
    }
    Running::start("warmer", command, TIMEOUT)
}

/// Numbers that look like chance and are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A killed program whose end is awaited.
trait Kill {
    fn kill(self) -> Ended;
}

impl Kill for Running {
    fn kill(mut self) -> Ended {
        if !self.has_ended() {
            self.signal(Signal::KILL);
        }
        self.wait()
    }
}
