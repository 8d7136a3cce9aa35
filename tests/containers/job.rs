//! What is built in every container: packages that are hard to install, users, special files, a second stage.

use crate::support::Context;

/// A Dockerfile and what it may be built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    /// Packages whose installation needs `/proc`, root's privileges and several users.
    Full,
    /// The same without what cannot be installed or run where there is no `/proc`.
    WithoutProc,
    /// No RUN at all.
    Copies,
}

impl Job {
    /// The name of its image.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::WithoutProc => "without-proc",
            Self::Copies => "copies",
        }
    }

    /// The context, with the Dockerfile over `base`.
    pub(crate) fn context(self, base: &str) -> Context {
        let dockerfile = match self {
            Self::Full => format!(
                "{}RUN bash -c 'cat <(echo process substitution)' >/home/app/substituted\n",
                installing(
                    base,
                    "openjdk-17-jre-headless sudo openssh-client iputils-ping"
                )
            ),
            Self::WithoutProc => installing(base, "sudo openssh-client iputils-ping"),
            Self::Copies => format!(
                "FROM {base} AS second\n\
                 COPY --chown=7:8 --chmod=4750 greeting /made/\n\
                 FROM {base}\n\
                 ENV A=b\n\
                 WORKDIR /home/app\n\
                 COPY --from=second /made /srv/made\n\
                 COPY --from=second /usr/bin/passwd /etc/shadow /srv/special/\n\
                 USER 1000:1000\n"
            ),
        };
        Context::new(dockerfile).file("greeting", "hello from the context\n")
    }
}

fn installing(base: &str, packages: &str) -> String {
    format!(
        "FROM {base} AS second\n\
         COPY greeting /made/\n\
         RUN chown 7:8 /made/greeting && chmod 4750 /made/greeting && ln /made/greeting /made/again\n\
         FROM {base}\n\
         RUN apt-get update && apt-get install -y --no-install-recommends {packages}\n\
         RUN useradd --create-home app && mkfifo /srv/fifo && chmod 600 /srv/fifo && rm -r /usr/share/doc/base-files\n\
         COPY --from=second /made /srv/made\n\
         USER app\n\
         RUN sudo -n true || id\n\
         RUN id -un >/home/app/name\n"
    )
}
