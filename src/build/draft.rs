//! An image being made: its config and its history, as instructions change them. Its layers are made elsewhere.
//!
//! Which instruction changes which field, and what the history says of it, follows BuildKit field
//! for field (`frontend/dockerfile/dockerfile2llb/convert.go`); nothing here touches a file.

use std::time::Duration;

use jiff::Timestamp;

use crate::image::config::{Healthcheck, HistoryEntry};
use crate::image::{DiffId, ImageConfig, Platform};

use super::go_format;

/// The comment that BuildKit puts into each history entry of its own; tools look for it.
const HISTORY_COMMENT: &str = "buildkit.dockerfile.v0";

/// The shell of the shell form where no SHELL instruction says otherwise.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// An image being made.
#[derive(Debug, Clone)]
pub(super) struct ImageDraft {
    /// The config so far, without the diff IDs and times of new layers.
    pub(super) config: ImageConfig,
    /// Whether this stage has set CMD itself: only then does ENTRYPOINT leave it alone.
    cmd_is_own: bool,
    /// How many history entries there were at the beginning of each stage: of the one above the base first, of this one last.
    stage_starts: Vec<usize>,
}

/// Where the layers of an image come from, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayerCounts {
    /// Those of the base.
    pub(super) base: usize,
    /// Those of each stage, the one above the base first.
    pub(super) stages: Vec<usize>,
}

impl ImageDraft {
    /// Starts from nothing, as `FROM scratch` does.
    pub(super) fn scratch(platform: &Platform) -> Self {
        Self {
            config: ImageConfig::scratch(platform),
            cmd_is_own: false,
            stage_starts: vec![0],
        }
    }

    /// Starts a stage from a finished image.
    pub(super) fn from_base(mut config: ImageConfig) -> Self {
        config.created = None;
        config.reconcile_history(None);
        config.add_default_path();
        Self {
            stage_starts: vec![config.history.len()],
            config,
            cmd_is_own: false,
        }
    }

    /// Starts a stage from what another stage made.
    pub(super) fn from_stage(parent: &Self) -> Self {
        let mut stage_starts = parent.stage_starts.clone();
        stage_starts.push(parent.config.history.len());
        Self {
            cmd_is_own: false,
            stage_starts,
            config: parent.config.clone(),
        }
    }

    /// Removes and returns the triggers for a stage built from this image.
    pub(super) fn take_triggers(&mut self) -> Vec<String> {
        std::mem::take(&mut self.config.config.on_build)
    }

    /// Returns the words that the shell form puts before its text.
    pub(super) fn shell(&self) -> Vec<String> {
        if self.config.config.shell.is_empty() {
            DEFAULT_SHELL.map(str::to_owned).to_vec()
        } else {
            self.config.config.shell.clone()
        }
    }

    /// Returns the working directory, `/` where none is set.
    pub(super) fn working_dir(&self) -> &str {
        match self.config.config.working_dir.as_str() {
            "" => "/",
            set => set,
        }
    }

    /// Adds the history entry of a layer that is still to be made.
    pub(super) fn add_layer(&mut self, created_by: String) {
        self.push_history(created_by, false);
    }

    /// Adds the history entry of an instruction that makes no layer.
    pub(super) fn add_history(&mut self, created_by: String) {
        self.push_history(created_by, true);
    }

    /// CMD: `words` include the shell where the shell form was used.
    pub(super) fn set_cmd(&mut self, words: Vec<String>) {
        self.add_history(format!("CMD {}", go_format::quoted_list(&words)));
        self.config.config.cmd = words;
        self.config.config.args_escaped = true;
        self.cmd_is_own = true;
    }

    /// ENTRYPOINT: clears the CMD that came with the base.
    pub(super) fn set_entrypoint(&mut self, words: Vec<String>) {
        self.add_history(format!("ENTRYPOINT {}", go_format::quoted_list(&words)));
        self.config.config.entrypoint = words;
        if !self.cmd_is_own {
            self.config.config.cmd.clear();
        }
    }

    /// ENV: replaces a value in its place or adds it at the end.
    pub(super) fn set_env(&mut self, pairs: &[(String, String)]) {
        let mut variables = super::scope::Variables::from_env(&self.config.config.env);
        for (name, value) in pairs {
            variables.set(name, value);
        }
        self.config.config.env = variables.to_env();
        self.add_history(format!("ENV {}", show_pairs(pairs)));
    }

    /// LABEL.
    pub(super) fn set_labels(&mut self, pairs: &[(String, String)]) {
        self.add_history(format!("LABEL {}", show_pairs(pairs)));
        self.config.config.labels.extend(pairs.iter().cloned());
    }

    /// EXPOSE: `ports` as `port/protocol`.
    pub(super) fn expose(&mut self, ports: Vec<String>) {
        self.add_history(format!("EXPOSE {}", go_format::plain_list(&ports)));
        self.config.config.exposed_ports.extend(ports);
    }

    /// VOLUME.
    pub(super) fn add_volumes(&mut self, volumes: Vec<String>) {
        self.add_history(format!("VOLUME {}", go_format::plain_list(&volumes)));
        self.config.config.volumes.extend(volumes);
    }

    /// USER.
    pub(super) fn set_user(&mut self, user: String) {
        self.add_history(format!("USER {user}"));
        self.config.config.user = user;
    }

    /// STOPSIGNAL.
    pub(super) fn set_stop_signal(&mut self, signal: String) {
        self.add_history(format!("STOPSIGNAL {signal}"));
        self.config.config.stop_signal = signal;
    }

    /// SHELL.
    pub(super) fn set_shell(&mut self, words: Vec<String>) {
        self.add_history(format!("SHELL {}", go_format::plain_list(&words)));
        self.config.config.shell = words;
    }

    /// HEALTHCHECK.
    pub(super) fn set_healthcheck(&mut self, healthcheck: Healthcheck) {
        self.add_history(format!("HEALTHCHECK {}", show_healthcheck(&healthcheck)));
        self.config.config.healthcheck = Some(healthcheck);
    }

    /// MAINTAINER.
    pub(super) fn set_author(&mut self, author: String) {
        self.add_history(format!("MAINTAINER {author}"));
        self.config.author = author;
    }

    /// ONBUILD: no history entry.
    pub(super) fn add_trigger(&mut self, text: String) {
        self.config.config.on_build.push(text);
    }

    /// Leaves each stage one layer, and returns how many there were. The history tells of it where the stage's last layer
    /// was made; the instructions before have made none of their own.
    pub(super) fn keep_one_layer_per_stage(&mut self) -> LayerCounts {
        let history = &mut self.config.history;
        let ends = self.stage_starts[1..].iter().copied();
        let ends = ends.chain([history.len()]).collect::<Vec<_>>();
        let starts = self.stage_starts.iter().zip(ends);
        let stages = starts.map(|(start, end)| {
            let entries = history[*start..end].iter_mut().rev();
            let of_layers = entries.filter(|entry| !entry.empty_layer);
            let mut count = 0;
            for entry in of_layers {
                entry.empty_layer = count > 0;
                count += 1;
            }
            count
        });
        let stages = stages.collect();
        let below = &self.config.history[..self.stage_starts[0]];
        LayerCounts {
            base: below.iter().filter(|entry| !entry.empty_layer).count(),
            stages,
        }
    }

    /// Completes the config: diff IDs of all layers, the times of history entries, `created`. No time
    /// is later than `epoch`; `now` is for an image of whose layers nobody says when they were made.
    pub(super) fn finish(
        mut self,
        layers: Vec<FinishedLayer>,
        epoch: Option<Timestamp>,
        now: Timestamp,
    ) -> ImageConfig {
        let (times, diff_ids): (Vec<_>, Vec<_>) = layers
            .into_iter()
            .map(|layer| (layer.created, layer.diff_id))
            .unzip();
        self.config.rootfs.diff_ids = diff_ids;
        self.config.reconcile_history(None);
        let history = &mut self.config.history;
        let of_layers = history.iter_mut().filter(|entry| !entry.empty_layer);
        for (entry, created) in of_layers.zip(times) {
            if let Some(created) = created {
                entry.created = Some(created.to_string());
            }
        }
        fill_times(history, epoch);
        let last = self.config.history.iter().rev();
        self.config.created = last
            .filter_map(|entry| entry.created.clone())
            .next()
            .or_else(|| Some(epoch.unwrap_or(now).to_string()));
        self.config
    }

    fn push_history(&mut self, created_by: String, empty_layer: bool) {
        self.config.history.push(HistoryEntry {
            created_by,
            comment: HISTORY_COMMENT.to_owned(),
            empty_layer,
            ..HistoryEntry::default()
        });
    }
}

/// A layer of the image, as the config tells of it.
pub(super) struct FinishedLayer {
    /// Digest of its tar.
    pub(super) diff_id: DiffId,
    /// When it was made. `None` for one of the base, whose history says so already.
    pub(super) created: Option<Timestamp>,
}

/// Gives entries without a time that of the first new layer, or of the last layer before them, and
/// takes times back that are later than `epoch` (BuildKit, exporter/containerimage/writer.go).
fn fill_times(history: &mut [HistoryEntry], epoch: Option<Timestamp>) {
    let mut time = None;
    let mut is_missing = false;
    for entry in history.iter() {
        match &entry.created {
            Some(created) => {
                time = Some(created.clone());
                if is_missing {
                    break;
                }
            }
            None => is_missing = true,
        }
    }
    is_missing = false;
    for entry in history.iter_mut() {
        match &entry.created {
            Some(created) if is_missing => time = Some(created.clone()),
            Some(_) => {}
            None => {
                is_missing = true;
                entry.created.clone_from(&time);
            }
        }
        if let Some(epoch) = epoch {
            clamp(entry, epoch);
        }
    }
}

fn clamp(entry: &mut HistoryEntry, epoch: Timestamp) {
    let created = entry
        .created
        .as_deref()
        .and_then(|text| text.parse::<Timestamp>().ok());
    if created.is_none_or(|created| created > epoch) {
        entry.created = Some(epoch.to_string());
    }
}

fn show_pairs(pairs: &[(String, String)]) -> String {
    let shown: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    shown.join(" ")
}

/// Returns the check as Go's `%+v` prints the struct.
fn show_healthcheck(check: &Healthcheck) -> String {
    let time = |nanos: i64| go_format::duration(Duration::from_nanos(nanos.unsigned_abs()));
    format!(
        "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        go_format::plain_list(&check.test),
        time(check.interval),
        time(check.timeout),
        time(check.start_period),
        time(check.start_interval),
        check.retries,
    )
}

#[cfg(test)]
mod tests;
