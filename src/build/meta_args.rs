//! The ARGs before the first FROM, which all stages may ask for.

use anyhow::Result;

use crate::dockerfile::{Dockerfile, Expander};
use crate::image::Platform;

use super::scope::GlobalScope;
use super::{BuildOptions, DockerfileText};

/// Declares the ARGs before the first FROM.
pub(super) fn global_scope(
    dockerfile: &Dockerfile,
    text: &DockerfileText,
    options: &BuildOptions,
    platform: &Platform,
    target: usize,
) -> Result<GlobalScope> {
    let asked = options.targets.first().map(|name| name.to_lowercase());
    let last = dockerfile.stages[target].name().map(str::to_owned);
    let target_stage = asked.or(last).unwrap_or_else(|| "default".to_owned());
    let host = Platform::host();
    let mut global = GlobalScope::new(&options.build_args, &host, platform, &target_stage);
    declare_meta_args(&mut global, dockerfile, text)?;
    Ok(global)
}

/// Declares the ARGs before the first FROM, each of which sees those before it.
pub(super) fn declare_meta_args(
    global: &mut GlobalScope,
    dockerfile: &Dockerfile,
    text: &DockerfileText,
) -> Result<()> {
    for meta_arg in &dockerfile.meta_args {
        for arg in &meta_arg.args {
            let lookup = |name: &str| global.get(name).map(str::to_owned);
            let mut expander = Expander::new(dockerfile.directives.escape, &lookup);
            let is_given = global.build_arg(&arg.name).is_some();
            let default = arg.default.as_deref().filter(|_| !is_given);
            let default = default.map(|word| expander.word(word));
            let default = default.transpose().map_err(|error| {
                text.error_at(meta_arg.source.span, "cannot expand the default")
                    .because(error)
            })?;
            global.declare(&arg.name, default.as_deref());
        }
    }
    Ok(())
}
