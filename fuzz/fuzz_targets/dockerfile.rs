//! Any bytes as a Dockerfile, and as the triggers that its ONBUILDs keep.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sawagani::dockerfile::{Expander, Instruction, parse, parse_trigger};

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = parse(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    let _ = (file.check_mounts(), file.circle());
    let lookup = |name: &str| (name.len() % 2 == 0).then(|| format!("{name}/a.b *"));
    for statement in file.stages.iter().flat_map(|stage| &stage.statements) {
        let mut expander = Expander::new(file.directives.escape, &lookup);
        let _ = statement.instruction.expand(&mut expander);
        match &statement.instruction {
            Instruction::Onbuild(onbuild) => drop(parse_trigger(&onbuild.trigger)),
            Instruction::Run(run) => {
                let _ = run.invocation();
                for mount in &run.mounts {
                    let _ = mount.resolve(&mut expander);
                }
            }
            _ => {}
        }
    }
});
