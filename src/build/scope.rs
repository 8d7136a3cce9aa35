//! The variables of a build: which ARG and ENV values an instruction sees.
//!
//! Dockerfile reference, "ARG" ("Scope", "Using ARG variables", "Predefined ARGs", "Automatic
//! platform ARGs").

use std::collections::BTreeMap;

use crate::image::Platform;
use crate::image::config::DEFAULT_PATH;

/// ARGs that need no declaration: given by `--build-arg`, they reach RUN and nothing else.
const PROXY_ARGS: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Ends of the names of automatic ARGs, after `BUILD` and `TARGET`.
const PLATFORM_SUFFIXES: [&str; 5] = ["PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT"];

/// The automatic ARG that names the stage to build.
const TARGET_STAGE: &str = "TARGETSTAGE";

/// ARGs that steer BuildKit's SBOM scanner and never reach a command's environment.
const NEVER_EXPORTED: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Says whether `--build-arg` may give `name` although no ARG declares it.
pub(super) fn is_predefined(name: &str) -> bool {
    let suffix = ["TARGET", "BUILD"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix));
    let is_automatic = suffix.is_some_and(|suffix| PLATFORM_SUFFIXES.contains(&suffix));
    is_automatic || name == TARGET_STAGE || is_proxy(name)
}

fn is_proxy(name: &str) -> bool {
    let mut known = PROXY_ARGS.iter();
    known.any(|proxy| name.eq_ignore_ascii_case(proxy))
}

/// Names and values in the order of their definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Variables(Vec<(String, String)>);

impl Variables {
    /// Reads `NAME=value` lines of an image's config.
    pub(super) fn from_env(env: &[String]) -> Self {
        let mut variables = Self::default();
        for line in env {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            variables.set(name, value);
        }
        variables
    }

    /// Returns the value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Defines `name`, or gives it another value in its place.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Returns `NAME=value` lines for an image's config.
    pub(super) fn to_env(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

/// The variables before the first FROM, and what `--build-arg` gives.
#[derive(Debug, Clone)]
pub(super) struct GlobalScope {
    build_args: BTreeMap<String, String>,
    variables: Variables,
}

impl GlobalScope {
    /// Starts with the automatic platform ARGs. `target_stage` is the name of the stage to build.
    pub(super) fn new(
        build_args: &BTreeMap<String, String>,
        build: &Platform,
        target: &Platform,
        target_stage: &str,
    ) -> Self {
        let mut variables = Variables::default();
        for (prefix, platform) in [("BUILD", build), ("TARGET", target)] {
            let values = [
                platform.to_string(),
                platform.os.clone(),
                platform.os_version.clone().unwrap_or_default(),
                platform.architecture.clone(),
                platform.variant.clone().unwrap_or_default(),
            ];
            for (suffix, value) in PLATFORM_SUFFIXES.into_iter().zip(values) {
                variables.set(&format!("{prefix}{suffix}"), &value);
            }
        }
        variables.set(TARGET_STAGE, target_stage);
        let names: Vec<String> = variables.0.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(value) = build_args.get(&name) {
                variables.set(&name, value);
            }
        }
        Self {
            build_args: build_args.clone(),
            variables,
        }
    }

    /// Declares an ARG before the first FROM. `default` is expanded already.
    pub(super) fn declare(&mut self, name: &str, default: Option<&str>) {
        let value = self.build_args.get(name).map(String::as_str).or(default);
        if let Some(value) = value.map(str::to_owned) {
            self.variables.set(name, &value);
        }
    }

    /// Gives a name another value than it was given.
    pub(super) fn replace(&mut self, name: &str, value: &str) {
        if let Some(given) = self.build_args.get_mut(name) {
            value.clone_into(given);
        }
        if self.variables.get(name).is_some() {
            self.variables.set(name, value);
        }
    }

    /// Returns the value of a global ARG.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)
    }

    /// Returns all global ARGs with their values.
    pub(super) fn all(&self) -> &[(String, String)] {
        &self.variables.0
    }

    /// Returns the value that `--build-arg` gives `name`.
    pub(super) fn build_arg(&self, name: &str) -> Option<&str> {
        self.build_args.get(name).map(String::as_str)
    }

    /// Returns the whole environment of a command, to which its stage gives `own`, in order of definition. `home` is
    /// used where nothing sets HOME.
    pub(super) fn run_environment(
        &self,
        own: &[(String, String)],
        home: &str,
    ) -> Vec<(String, String)> {
        let mut environment = Variables::default();
        for (name, value) in self.proxies() {
            environment.set(&name, &value);
        }
        for (name, value) in own {
            environment.set(name, value);
        }
        for (name, value) in [("PATH", DEFAULT_PATH), ("HOME", home)] {
            if environment.get(name).is_none() {
                environment.set(name, value);
            }
        }
        environment.0
    }

    /// Returns the proxy settings of `--build-arg` that RUN gets without a declaration, under the
    /// name in upper and in lower case.
    fn proxies(&self) -> Vec<(String, String)> {
        let given = self.build_args.iter();
        given
            .filter(|(name, value)| is_proxy(name) && !value.is_empty())
            .flat_map(|(name, value)| {
                [name.to_ascii_uppercase(), name.to_ascii_lowercase()]
                    .map(|name| (name, value.clone()))
            })
            .collect()
    }
}

/// The variables of a stage.
#[derive(Debug, Clone, Default)]
pub(super) struct StageScope {
    /// ENV and ARG values in effect: of two statements the later one wins.
    variables: Variables,
    /// What was declared by ARG, in order, with its last value: the history of RUN lists it, what the parent stage declared
    /// first (BuildKit frontend, `convert.go`).
    declared: Variables,
}

impl StageScope {
    /// Starts a stage from an image, or from `parent`, whose ARGs and ENVs it inherits; `env` is the
    /// image's own environment and wins.
    pub(super) fn new(parent: Option<&Self>, env: &[String]) -> Self {
        let mut scope = parent.cloned().unwrap_or_default();
        for (name, value) in Variables::from_env(env).0 {
            scope.variables.set(&name, &value);
        }
        scope
    }

    /// Returns the value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)
    }

    /// Declares an ARG and returns its value: the command line's, else `default`, which is expanded
    /// already, else the global one; `None` where nobody gives one.
    pub(super) fn declare(
        &mut self,
        name: &str,
        default: Option<&str>,
        global: &GlobalScope,
    ) -> Option<String> {
        let value = global
            .build_arg(name)
            .or(default)
            .or_else(|| global.get(name))
            .map(str::to_owned);
        if let Some(value) = &value
            && !NEVER_EXPORTED.contains(&name)
        {
            self.variables.set(name, value);
        }
        self.declared
            .set(name, value.as_deref().unwrap_or_default());
        value
    }

    /// Sets an ENV.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        self.variables.set(name, value);
    }

    /// Returns what ENV and declared ARGs give a command, in order of definition.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        self.variables.0.clone()
    }

    /// Returns what the history of a RUN says of the ARGs in effect, as BuildKit writes it:
    /// `|2 NAME=value OTHER=`, and nothing where there are none.
    pub(super) fn history_args(&self) -> Vec<String> {
        let declared = &self.declared.0;
        if declared.is_empty() {
            return Vec::new();
        }
        let count = format!("|{}", declared.len());
        let args = declared.iter().map(|(name, own)| {
            // An ENV of the same name may have come later.
            let value = self.variables.get(name).unwrap_or(own);
            format!("{name}={value}")
        });
        std::iter::once(count).chain(args).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(build_args: &[(&str, &str)]) -> GlobalScope {
        let build_args = build_args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let platform = Platform::parse("linux/arm/v7").unwrap();
        GlobalScope::new(&build_args, &platform, &platform, "final")
    }

    #[test]
    fn an_arg_takes_the_command_line_then_its_default_then_the_global_value() {
        let mut global = global(&[("GIVEN", "cli")]);
        global.declare("GIVEN", Some("global"));
        global.declare("BOTH", Some("global"));
        let mut scope = StageScope::new(None, &[]);
        let declare = |scope: &mut StageScope, name, default| scope.declare(name, default, &global);
        assert_eq!(
            declare(&mut scope, "GIVEN", Some("own")).as_deref(),
            Some("cli")
        );
        assert_eq!(
            declare(&mut scope, "BOTH", Some("own")).as_deref(),
            Some("own")
        );
        assert_eq!(declare(&mut scope, "BOTH", None).as_deref(), Some("global"));
        assert_eq!(declare(&mut scope, "NOWHERE", None), None);
        assert_eq!(
            scope.history_args(),
            ["|3", "GIVEN=cli", "BOTH=global", "NOWHERE="]
        );
    }

    #[test]
    fn automatic_args_are_global_and_can_be_overridden() {
        let automatic = global(&[]);
        assert_eq!(automatic.get("TARGETPLATFORM"), Some("linux/arm/v7"));
        assert_eq!(automatic.get("TARGETVARIANT"), Some("v7"));
        assert_eq!(automatic.get("TARGETSTAGE"), Some("final"));
        assert_eq!(
            global(&[("TARGETARCH", "mips")]).get("TARGETARCH"),
            Some("mips")
        );
    }

    #[test]
    fn the_later_of_arg_and_env_wins_for_run() {
        let global = global(&[]);
        let mut scope = StageScope::new(None, &["X=image".to_owned()]);
        scope.declare("X", Some("2"), &global);
        let environment = global.run_environment(&scope.environment(), "/root");
        assert!(environment.contains(&("X".to_owned(), "2".to_owned())));
        scope.set_env("X", "3");
        assert_eq!(scope.get("X"), Some("3"));
        let child = StageScope::new(Some(&scope), &["X=image".to_owned()]);
        assert_eq!(child.get("X"), Some("image"));
        assert_eq!(child.history_args(), ["|1", "X=image"]);
    }

    #[test]
    fn a_stage_inherits_args_and_lists_them_in_its_history_before_its_own() {
        let global = global(&[]);
        let mut parent = StageScope::new(None, &[]);
        parent.declare("A", Some("1"), &global);
        parent.declare("BUILDKIT_SBOM_SCAN_STAGE", Some("true"), &global);
        parent.set_env("A", "2");
        let expected = ["|2", "A=2", "BUILDKIT_SBOM_SCAN_STAGE=true"];
        assert_eq!(parent.history_args(), expected);
        let environment = parent.environment();
        assert_eq!(environment, [("A".to_owned(), "2".to_owned())]);
        let mut child = StageScope::new(Some(&parent), &[]);
        assert_eq!(child.get("A"), Some("2"));
        child.declare("B", Some("3"), &global);
        child.declare("A", Some("4"), &global);
        let expected = ["|3", "A=4", "BUILDKIT_SBOM_SCAN_STAGE=true", "B=3"];
        assert_eq!(child.history_args(), expected);
    }

    #[test]
    fn predefined_names_need_no_declaration() {
        for name in [
            "TARGETPLATFORM",
            "BUILDOSVERSION",
            "TARGETSTAGE",
            "No_Proxy",
            "ALL_PROXY",
        ] {
            assert!(is_predefined(name), "{name}");
        }
        for name in ["BUILDSTAGE", "TARGET", "targetos", "PROXY"] {
            assert!(!is_predefined(name), "{name}");
        }
    }

    #[test]
    fn undeclared_proxies_reach_run_in_both_cases_and_nothing_else() {
        let global = global(&[("http_proxy", "http://p:1"), ("OTHER", "x")]);
        let scope = StageScope::new(None, &[]);
        let environment = global.run_environment(&scope.environment(), "/root");
        let expected = [
            ("HTTP_PROXY", "http://p:1"),
            ("http_proxy", "http://p:1"),
            ("PATH", DEFAULT_PATH),
            ("HOME", "/root"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(environment, expected);
        assert_eq!(scope.get("http_proxy"), None);
        assert!(scope.history_args().is_empty());
    }
}
