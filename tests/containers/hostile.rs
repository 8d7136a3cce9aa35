//! Commands that do to the container what they can, in mode `inplace`: it is what it was afterwards, and builds on.

use super::call::Call;
use super::docker;
use super::root_listing::LOOK;
use crate::support::process::Ended;
use crate::support::{Kind, Site, TestDir, check_image};

/// The lines of a Dockerfile that does some harm, and the exit code of its build.
const HARM: [(&str, u8); 10] = [
    // What is left running, and what has left its session.
    (
        "RUN (setsid sh -c 'while sleep 0.1; do touch /outlived /usr; done' >/dev/null 2>&1 &); sleep 1000 &\n\
         RUN ! ps | grep -v grep | grep sleep\n",
        0,
    ),
    // What the kernel and the runtime have filled.
    (
        "RUN rm -rf /proc/self /proc/sys /dev/* /dev /etc /workspace 2>/dev/full; touch /dev/null\n\
         RUN test -c /dev/null && test ! -e /etc/passwd\n",
        0,
    ),
    // Who may do what with the container's devices.
    (
        "RUN chmod 0700 /dev && chmod 0 /dev/shm && mkdir /dev/sub && chown 7 /dev\n\
         USER 7\nRUN echo >/dev/null && test ! -e /dev/sub\n",
        0,
    ),
    (
        "RUN ln -sf /nowhere /etc/resolv.conf; mv /etc/hosts /etc/moved; echo other >/etc/hostname; chmod 0 /etc/hosts\n\
         RUN test \"$(cat /etc/hostname)\" != other && test ! -e /etc/moved\n",
        0,
    ),
    // Directories at the top, and those that something is mounted in.
    (
        "RUN mv /etc /etc2; mv /dev /dev2; mv /home /var/home && mv /root /toor && mv /tmp /tmp2 && ln -s /var /tmp\n\
         RUN test -e /etc2/passwd && test -L /tmp && mv /toor /root\n",
        0,
    ),
    (
        "RUN chmod 0 / /etc /bin && chown 5:5 / /etc\nRUN ls -ld /\n",
        0,
    ),
    ("RUN chmod 0 /\nUSER app\nRUN id\n", 1),
    ("RUN rm /bin/sh\nRUN echo\n", 1),
    ("RUN rm -rf /bin /etc; exit 42\n", 42),
    ("RUN kill -KILL $$\n", 255),
];

/// Builds each Dockerfile below `/builds/jobs`, says how that ended, and whether the root directory is as it was.
const SCRIPT: &str = r#"
look before
for dockerfile in /builds/jobs/*; do
  code=0
  /kaniko/executor --isolation=inplace --context /workspace --dockerfile "$dockerfile" --destination "$APP" \
    >/builds/out/log 2>&1 || code=$?
  look after
  diff /builds/out/before /builds/out/after || cat /builds/out/log
  echo "${dockerfile##*/} $code"
done
"#;

fn run(site: &Site, dockerfiles: &[(&str, String)], script: &str) -> Ended {
    let (jobs, out) = (TestDir::new(), TestDir::new());
    for (name, lines) in dockerfiles {
        let dockerfile = format!("FROM {}\n{lines}", site.base);
        std::fs::write(jobs.join(name), dockerfile).expect("write a Dockerfile");
    }
    let call = Call::script(&format!("{LOOK}{script}"))
        .env("APP", &site.app())
        .read_only_volume(jobs.path(), "/builds/jobs")
        .volume(out.path(), "/builds/out");
    docker::run(&[], &call)
}

#[test]
fn what_commands_break_is_whole_afterwards() {
    let site = Site::busybox();
    let names: Vec<String> = (0..HARM.len()).map(|number| number.to_string()).collect();
    let harm = names.iter().zip(HARM);
    let mut dockerfiles: Vec<(&str, String)> = harm
        .clone()
        .map(|(name, (lines, _))| (name.as_str(), lines.to_owned()))
        .collect();
    dockerfiles.push(("last", "RUN echo whole >/last\n".to_owned()));
    let ended = run(&site, &dockerfiles, SCRIPT);
    let codes = harm.map(|(name, (_, code))| format!("{name} {code}\n"));
    let expected: String = codes.chain(["last 0\n".to_owned()]).collect();
    assert_eq!(ended.stdout, expected, "{}", ended.stderr);
    let tree = check_image(&site.registry, crate::support::site::APP, &site.base).tree();
    assert_eq!(tree.get("last").kind, Kind::file("whole\n"));
    assert!(!tree.has("outlived") && !tree.has("usr"));
}

/// Nothing can keep root from it; what it was is said.
#[test]
fn a_command_that_removes_the_executors_files_is_told() {
    let site = Site::busybox();
    let removing = "RUN rm -rf /kaniko 2>/dev/null; true\n".to_owned();
    let ended = run(
        &site,
        &[("removing", removing)],
        &SCRIPT.replace("look after", "cat /builds/out/log; exit"),
    );
    let lost = "the command removed `/kaniko/";
    assert!(
        ended.stdout.contains(lost),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    site.assert_nothing_pushed();
}
