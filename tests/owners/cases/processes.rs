//! Processes that come and go.

use std::sync::Arc;

use sawagani::sandbox::{EmulationSummary, Identity, OwnerEmulation};

use crate::fixture::{Fixture, Outcome, succeeded};

pub(crate) fn many_short_lived_processes_are_answered(fixture: &Fixture) {
    // Eight at a time, as two users.
    fixture.output(
        "mkdir r a; chmod 777 a; for n in 1 2 3 4; do \
           (i=0; while [ $i -lt 50 ]; do (touch r/$n.$i; chown 7:$i r/$n.$i) & wait; i=$((i+1)); done) & \
           su app -c \"i=0; while [ \\$i -lt 50 ]; do (touch a/$n.\\$i) & wait; i=\\$((i+1)); done\" & \
         done; wait",
    );
    for n in 1..=4 {
        for i in 0..50 {
            assert_eq!(fixture.owner(&format!("tmp/r/{n}.{i}")), (7, i));
            assert_eq!(fixture.owner(&format!("tmp/a/{n}.{i}")), (1000, 1000));
        }
    }
}

pub(crate) fn killed_processes_hold_nothing_up(fixture: &Fixture) {
    // Each is killed somewhere in an endless row of answered calls; what it leaves behind at the end
    // is killed with the step.
    fixture.output(
        "i=0; while [ $i -lt 30 ]; do (while :; do touch k$i; chown 7 k$i; mkdir d$i; rmdir d$i; done) 2>/dev/null & \
         pid=$!; usleep 3000 2>/dev/null || sleep 0.003; kill -9 $pid; wait $pid; i=$((i+1)); done; \
         (while :; do touch rest; chown 7 rest; done) & touch end; chown 9 end",
    );
    assert_eq!(fixture.owner("tmp/end"), (9, 0));
}

pub(crate) fn a_step_that_cannot_start_ends(fixture: &Fixture) {
    let ledger = Arc::clone(&fixture.ledger);
    let emulation = OwnerEmulation::start(ledger, Identity::new(0, 0, &[])).unwrap();
    assert_eq!(emulation.finish(), EmulationSummary::default());
    let outcome = fixture.run_as(0, 0, &[], &["/bin/nothing"]);
    let expected = sawagani::sys::Report::ExecFailed(sawagani::sys::Errno::NOENT);
    assert_eq!(outcome.report, Some(expected));
    assert_eq!(outcome.summary.warnings, [""; 0]);
}

/// A program that makes one call as 32-bit programs do, and exits with its error number.
fn program_of_32_bits(call: u8) -> Vec<u8> {
    const BASE: u32 = 0x40_0000;
    const CODE_AT: u32 = 64 + 56;
    const PATH: &[u8] = b"/tmp/f\0";
    let mut code = vec![0xb8, call, 0, 0, 0, 0xbb];
    const CODE_BYTES: u32 = 33;
    code.extend((BASE + CODE_AT + CODE_BYTES).to_le_bytes());
    // ecx = 7, edx = 8; int 0x80; ebx = -eax; eax = 1 (exit); int 0x80
    code.extend([0xb9, 7, 0, 0, 0, 0xba, 8, 0, 0, 0, 0xcd, 0x80]);
    code.extend([0x89, 0xc3, 0xf7, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]);
    assert_eq!(code.len(), CODE_BYTES as usize);
    code.extend(PATH);
    let size = u64::from(CODE_AT) + code.len() as u64;
    // An ELF header and one program header (elf(5)), for a 64-bit x86.
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for number in [u64::from(BASE + CODE_AT), 64, 0] {
        elf.extend(number.to_le_bytes());
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for number in [0, BASE.into(), BASE.into(), size, size, 4096] {
        elf.extend(number.to_le_bytes());
    }
    elf.extend(code);
    elf
}

pub(crate) fn programs_of_32_bits_are_answered_too(fixture: &Fixture) {
    use std::os::unix::fs::PermissionsExt;
    if !cfg!(target_arch = "x86_64") {
        println!("not on this machine");
        return;
    }
    const CHOWN: u8 = 182;
    const CHOWN_32: u8 = 212;
    for (name, call) in [("narrow", CHOWN), ("wide", CHOWN_32)] {
        let path = fixture.path("bin").join(name);
        std::fs::write(&path, program_of_32_bits(call)).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let said =
        fixture.output("touch f; narrow; echo $?; stat -c %u:%g f; wide; echo $?; stat -c %u:%g f");
    if said.starts_with("139\n") {
        println!("this kernel runs no 32-bit programs");
        return;
    }
    const ENOSYS: &str = "38";
    assert_eq!(said, format!("{ENOSYS}\n0:0\n0\n7:8\n"));
}

pub(crate) fn what_an_answer_costs(fixture: &Fixture) {
    const FILES: u32 = 2000;
    fixture.output(&format!(
        "mkdir d; cd d; i=0; while [ $i -lt {FILES} ]; do : > $i; i=$((i+1)); done; chown 7:7 1"
    ));
    let script = "cd d; i=0; while [ $i -lt 10 ]; do find . -links 7; i=$((i+1)); done";
    let argv = ["/bin/sh", "-c", script];
    let timed = |run: &dyn Fn() -> Outcome| {
        let start = std::time::Instant::now();
        assert_eq!(succeeded(run()), "");
        start.elapsed()
    };
    let plain = timed(&|| fixture.run_unanswered(&argv));
    let answered = timed(&|| fixture.run_as(0, 0, &[], &argv));
    let more = answered.saturating_sub(plain).as_micros() / u128::from(FILES * 10);
    println!("about {more} microseconds more for each `lstat` of a file without a record");
}
