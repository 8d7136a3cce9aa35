//! The plans for several platforms as one: what they have in common is done once.
//!
//! Stages are compared by what they do, all variables expanded, and never by their text: a stage
//! `FROM --platform=$BUILDPLATFORM` is the same for all platforms up to the first step that an ARG such as TARGETARCH
//! reaches. What comes before becomes a stage of its own, which the rest is built on.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::Platform;

use super::draft::ImageDraft;
use super::evaluated::{EvaluatedStage, EvaluatedStep};
use super::plan::{Plan, PlannedStage, StageBase, needs};

/// Stages, evaluated, by their numbers.
pub(super) type Evaluated = BTreeMap<usize, EvaluatedStage>;

/// What has to be done for all platforms.
pub(super) struct Joined {
    /// All stages. Its platform is the first.
    pub(super) plan: Plan,
    pub(super) evaluated: Evaluated,
    /// One for each platform, in order.
    pub(super) images: Vec<PlannedImage>,
}

/// An image to put together.
pub(super) struct PlannedImage {
    pub(super) platform: Platform,
    /// The number of the stage that has its layers.
    pub(super) stage: usize,
    /// All of it but its layers.
    pub(super) draft: ImageDraft,
}

/// Joins the plans of a build, of which there is at least one. A single one stays as it is.
pub(super) fn join(mut plans: Vec<(Plan, Evaluated)>) -> Joined {
    let mut images = Vec::from_iter(plans.iter().map(planned_image));
    if plans.len() == 1 {
        let (plan, evaluated) = plans.remove(0);
        return Joined {
            plan,
            evaluated,
            images,
        };
    }
    let mut joiner = Joiner {
        numbers: vec![BTreeMap::new(); plans.len()],
        stages: BTreeMap::new(),
        evaluated: BTreeMap::new(),
    };
    let of_all = plans.iter().flat_map(|(plan, _)| plan.stages.keys());
    let in_file: BTreeSet<usize> = of_all.copied().collect();
    // In the order of the file: what a stage needs has its number by then.
    for index in in_file {
        joiner.add(index, &mut plans);
    }
    let numbers = &joiner.numbers;
    for (image, numbers) in images.iter_mut().zip(numbers) {
        image.stage = numbers[&image.stage];
    }
    let targets = plans.iter().zip(numbers);
    let targets = targets.flat_map(|((plan, _), numbers)| {
        let targets = plan.targets.iter();
        targets.map(|target| numbers[target])
    });
    let targets = targets.collect();
    let (first, _) = plans.swap_remove(0);
    Joined {
        plan: Plan {
            stages: joiner.stages,
            targets,
            ..first
        },
        evaluated: joiner.evaluated,
        images,
    }
}

fn planned_image((plan, evaluated): &(Plan, Evaluated)) -> PlannedImage {
    let stage = plan.targets[0];
    PlannedImage {
        platform: plan.platform.clone(),
        stage,
        draft: evaluated[&stage].draft.clone(),
    }
}

/// A stage of the Dockerfile for one platform.
struct Instance {
    /// The number of its plan.
    plan: usize,
    platform: Platform,
    stage: PlannedStage,
    evaluated: EvaluatedStage,
}

struct Joiner {
    /// For each plan, what its stages' numbers have become.
    numbers: Vec<BTreeMap<usize, usize>>,
    stages: BTreeMap<usize, PlannedStage>,
    evaluated: Evaluated,
}

impl Joiner {
    /// Takes over a stage of the Dockerfile, for all platforms that need it.
    fn add(&mut self, index: usize, plans: &mut [(Plan, Evaluated)]) {
        let mut groups: Vec<Vec<Instance>> = Vec::new();
        for (number, (plan, evaluated)) in plans.iter_mut().enumerate() {
            let (Some(mut stage), Some(mut evaluated)) =
                (plan.stages.remove(&index), evaluated.remove(&index))
            else {
                continue;
            };
            renumber(&mut stage, &mut evaluated, &self.numbers[number]);
            let instance = Instance {
                plan: number,
                platform: plan.platform.clone(),
                stage,
                evaluated,
            };
            let group = groups
                .iter_mut()
                .find(|group| group[0].starts_as(&instance));
            match group {
                Some(group) => group.push(instance),
                None => groups.push(vec![instance]),
            }
        }
        for group in groups {
            self.add_group(index, group);
        }
    }

    /// Takes over instances that start from the same.
    fn add_group(&mut self, index: usize, group: Vec<Instance>) {
        let common = common_steps(&group);
        let is_one = group
            .iter()
            .all(|instance| instance.stage.steps.len() == common);
        if group.len() > 1 && is_one {
            let numbers = group.iter().map(|instance| instance.plan);
            let numbers: Vec<usize> = numbers.collect();
            let number = self.push(merged(group));
            for plan in numbers {
                self.numbers[plan].insert(index, number);
            }
            return;
        }
        let mut group = group;
        if group.len() > 1 && common > 0 {
            let trunk = split_off_trunk(&mut group, common);
            let number = self.push(trunk);
            for instance in &mut group {
                instance.stage.base = StageBase::Stage(number);
            }
        }
        for mut instance in group {
            instance.name_by_platform();
            let number = self.push((instance.stage, instance.evaluated));
            self.numbers[instance.plan].insert(index, number);
        }
    }

    fn push(&mut self, (mut stage, evaluated): (PlannedStage, EvaluatedStage)) -> usize {
        let number = self.stages.len();
        stage.needs = needs(&stage.base, &stage.steps);
        self.stages.insert(number, stage);
        self.evaluated.insert(number, evaluated);
        number
    }
}

impl Instance {
    /// Says whether two instances start with the same files, for the same platform.
    fn starts_as(&self, other: &Self) -> bool {
        let (own, other) = (&self.stage, &other.stage);
        own.platform == other.platform
            && own.is_replaced == other.is_replaced
            && own.base.is_same(&other.base)
    }

    /// Tells this platform's stage from the others', as BuildKit does in its log.
    fn name_by_platform(&mut self) {
        let name = format!("{} {}", self.platform, self.stage.name);
        let from = &mut self.evaluated.from;
        for step in self.evaluated.steps.iter_mut().chain([from]) {
            step.name.stage.clone_from(&name);
        }
        self.stage.name = name;
    }
}

fn renumber(
    stage: &mut PlannedStage,
    evaluated: &mut EvaluatedStage,
    numbers: &BTreeMap<usize, usize>,
) {
    if let StageBase::Stage(base) = &mut stage.base {
        *base = numbers[base];
    }
    for step in &mut stage.steps {
        step.source.renumber(numbers);
        let mounts = step.mount_sources.iter_mut();
        mounts.for_each(|source| source.renumber(numbers));
    }
    let works = evaluated.steps.iter_mut();
    let works = works.filter_map(|step| step.work.as_mut());
    works.for_each(|work| work.renumber(numbers));
}

/// Returns how many steps from the first on do the same in all instances: all of them, or so many that the last one
/// changes files.
fn common_steps(group: &[Instance]) -> usize {
    let steps = |instance: &'_ Instance| instance.evaluated.steps.len();
    let Some((first, others)) = group.split_first() else {
        return 0;
    };
    let is_common = |at: &usize| {
        let step = &first.evaluated.steps[*at];
        let mut others = others.iter().map(|other| other.evaluated.steps.get(*at));
        others.all(|other| other.is_some_and(|other| other.work == step.work))
    };
    let common = (0..steps(first)).take_while(is_common).count();
    if group.iter().all(|instance| steps(instance) == common) {
        return common;
    }
    let changes_files = |step: &EvaluatedStep| step.work.is_some();
    let last = first.evaluated.steps[..common]
        .iter()
        .rposition(changes_files);
    last.map_or(0, |last| last + 1)
}

/// Makes one stage of instances that do the same. What they say of the config may differ: whoever is built on one has its
/// own draft already.
fn merged(group: Vec<Instance>) -> (PlannedStage, EvaluatedStage) {
    let makes_layers = group.iter().any(|instance| instance.stage.makes_layers);
    let mut instances = group.into_iter();
    let Some(Instance {
        stage, evaluated, ..
    }) = instances.next()
    else {
        unreachable!("a group has at least one instance");
    };
    let stage = PlannedStage {
        makes_layers,
        ..stage
    };
    (stage, evaluated)
}

/// Takes the first `common` steps off all instances, and makes a stage of them.
fn split_off_trunk(group: &mut [Instance], common: usize) -> (PlannedStage, EvaluatedStage) {
    let makes_layers = group.iter().any(|instance| instance.stage.makes_layers);
    let mut trunk = None;
    for instance in group {
        let Instance {
            stage, evaluated, ..
        } = instance;
        let rest = stage.steps.split_off(common);
        let planned = std::mem::replace(&mut stage.steps, rest);
        let rest = evaluated.steps.split_off(common);
        let steps = std::mem::replace(&mut evaluated.steps, rest);
        let base = std::mem::replace(&mut stage.base, StageBase::Scratch);
        trunk.get_or_insert_with(|| {
            let stage = PlannedStage {
                name: stage.name.clone(),
                text: stage.text.clone(),
                span: stage.span,
                base,
                platform: stage.platform.clone(),
                is_replaced: stage.is_replaced,
                steps: planned,
                needs: BTreeSet::new(),
                makes_layers,
            };
            (stage, evaluated.with_steps(steps))
        });
    }
    let Some(trunk) = trunk else {
        unreachable!("a group has at least one instance");
    };
    trunk
}
