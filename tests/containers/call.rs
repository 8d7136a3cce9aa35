//! One call of the image, whatever kind of container it is to run in.

use super::images::Variant;
use std::path::{Path, PathBuf};

/// What runs in a container: as a pod's container or a `docker run` names it.
pub(crate) struct Call {
    /// As docker knows it.
    pub(crate) image: String,
    /// In place of the image's entrypoint, if there is any.
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) volumes: Vec<Volume>,
}

/// A directory of the machine's in the container.
pub(crate) struct Volume {
    pub(crate) source: PathBuf,
    pub(crate) target: String,
    pub(crate) is_read_only: bool,
}

impl Call {
    /// The image as it is, with arguments for the executor.
    pub(crate) fn executor(args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            image: Variant::Executor.tag().to_owned(),
            command: Vec::new(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            volumes: Vec::new(),
        }
    }

    /// The image with a shell that runs `script` as a CI job does, instead of the executor.
    pub(crate) fn script(script: &str) -> Self {
        let command = ["/busybox/sh", "-ec", script].map(str::to_owned);
        Self {
            image: Variant::Debug.tag().to_owned(),
            command: command.into(),
            ..Self::executor(Vec::<String>::new())
        }
    }

    pub(crate) fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Runs `command` in another image instead of ours.
    pub(crate) fn in_image(mut self, image: &str, command: &str) -> Self {
        self.image = image.to_owned();
        self.command = vec![command.to_owned()];
        self
    }

    /// Runs the executor, with the arguments so far, in a shell's script as `"$@"`.
    pub(crate) fn within(self, script: &str) -> Self {
        let shell = Self::script(script);
        let mut command = shell.command;
        command.push("sh".to_owned());
        Self {
            image: shell.image,
            command,
            ..self
        }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn volume(self, source: &Path, target: &str) -> Self {
        self.with_volume(source, target, false)
    }

    pub(crate) fn read_only_volume(self, source: &Path, target: &str) -> Self {
        self.with_volume(source, target, true)
    }

    fn with_volume(mut self, source: &Path, target: &str, is_read_only: bool) -> Self {
        self.volumes.push(Volume {
            source: source.to_owned(),
            target: target.to_owned(),
            is_read_only,
        });
        self
    }
}
