//! Where a suite is built: a registry with the bases in it.

use super::base_names::BaseName;
use super::case::Case;
use super::zoo;
use crate::support::{Base, BaseImage, Registry};
use std::sync::OnceLock;

/// The time that every build is given: later than all that the bases and contexts have, earlier than today.
pub(crate) const EPOCH: &str = "1700000000";

/// A secret that every build is given: a variable that every build has anyway.
const SECRET: &str = "--secret=id=epoch,env=SOURCE_DATE_EPOCH";

const ZOO: &str = "base/zoo:1";

pub(crate) struct Place {
    pub(crate) registry: Registry,
    busybox: BaseImage,
    zoo: BaseImage,
    scratch: BaseImage,
    /// Large, and wanted by few cases: pushed when the first of them comes.
    debian: OnceLock<BaseImage>,
}

impl Place {
    pub(crate) fn open() -> Self {
        let registry = Registry::start();
        zoo::image().push_to(&registry, ZOO);
        Self {
            busybox: Base::Busybox.push_to(&registry),
            zoo: BaseImage::in_registry(&registry, ZOO),
            scratch: BaseImage::scratch(),
            debian: OnceLock::new(),
            registry,
        }
    }

    pub(crate) fn base(&self, name: BaseName) -> &BaseImage {
        match name {
            BaseName::Busybox => &self.busybox,
            BaseName::Zoo => &self.zoo,
            BaseName::Scratch => &self.scratch,
            BaseName::Debian => self
                .debian
                .get_or_init(|| Base::Debian.push_to(&self.registry)),
        }
    }

    /// The flags that give a case its bases and its secret.
    pub(crate) fn build_args(&self, case: &Case) -> Vec<String> {
        let arguments = [
            ("BASE", BaseName::Busybox),
            ("ZOO", BaseName::Zoo),
            ("DEBIAN", BaseName::Debian),
        ];
        let wanted = arguments.into_iter().filter(|(argument, _)| {
            let declared = format!("ARG {argument}");
            case.dockerfile.lines().any(|line| line == declared)
        });
        wanted
            .map(|(argument, name)| format!("--build-arg={argument}={}", self.base(name)))
            .chain([SECRET.to_owned()])
            .collect()
    }
}
