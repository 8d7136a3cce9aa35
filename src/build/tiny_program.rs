//! The smallest programs there are: an ELF header, one segment, and the system call that ends a process with 0.
//!
//! Pure: bytes only (System V ABI, "Object Files"; the processors' supplements of it).

/// Where the file is in memory: above what no process may map, and aligned for pages of 64 KiB.
const ADDRESS: u64 = 0x40_0000;

/// What a file begins with that the kernel loads.
const MAGIC: &[u8; 4] = b"\x7fELF";

/// How an architecture's programs are marked, and how one ends itself.
struct Machine {
    is_64_bit: bool,
    is_big_endian: bool,
    /// `e_machine`.
    number: u16,
    /// `e_flags`.
    flags: u32,
    /// `exit(0)`.
    code: &'static [u8],
}

/// Returns a program for an architecture, as images name it. `None` if we have none.
pub(super) fn program_for(architecture: &str) -> Option<Vec<u8>> {
    Some(machine(architecture)?.program())
}

fn machine(architecture: &str) -> Option<Machine> {
    let little = |is_64_bit, number, flags, code| Machine {
        is_64_bit,
        is_big_endian: false,
        number,
        flags,
        code,
    };
    Some(match architecture {
        // xor ebx, ebx; mov eax, 1; int 0x80
        "386" => little(false, 3, 0, b"\x31\xdb\xb8\x01\0\0\0\xcd\x80"),
        // xor edi, edi; mov eax, 60; syscall
        "amd64" => little(true, 62, 0, b"\x31\xff\xb8\x3c\0\0\0\x0f\x05"),
        // mov r0, #0; mov r7, #1; svc #0. EABI version 5.
        "arm" => little(
            false,
            40,
            0x0500_0000,
            b"\0\0\xa0\xe3\x01\x70\xa0\xe3\0\0\0\xef",
        ),
        // mov x0, #0; mov x8, #93; svc #0
        "arm64" => little(true, 183, 0, b"\0\0\x80\xd2\xa8\x0b\x80\xd2\x01\0\0\xd4"),
        // li.w a0, 0; ori a7, zero, 93; syscall 0. Object ABI version 1, double floats.
        "loong64" => little(true, 258, 0x43, b"\x04\0\x80\x02\x0b\x74\x81\x03\0\0\x2b\0"),
        // li v0, 5058; move a0, zero; syscall. MIPS64 release 2.
        "mips64le" => little(
            true,
            8,
            0x8000_0000,
            b"\xc2\x13\x02\x24\x25\x20\0\0\x0c\0\0\0",
        ),
        // li r0, 1; li r3, 0; sc. ELF ABI version 2.
        "ppc64le" => little(true, 21, 2, b"\x01\0\0\x38\0\0\x60\x38\x02\0\0\x44"),
        // li a0, 0; li a7, 93; ecall
        "riscv64" => little(true, 243, 0, b"\x13\x05\0\0\x93\x08\xd0\x05\x73\0\0\0"),
        // lghi %r2, 0; svc 1
        "s390x" => Machine {
            is_64_bit: true,
            is_big_endian: true,
            number: 22,
            flags: 0,
            code: b"\xa7\x29\0\0\x0a\x01",
        },
        _ => return None,
    })
}

impl Machine {
    fn program(&self) -> Vec<u8> {
        let (header, segment) = match self.is_64_bit {
            true => (64, 56),
            false => (52, 32),
        };
        let start = header + segment;
        let size = start + self.code.len() as u64;
        let mut file = Vec::new();
        file.extend(MAGIC);
        // Class, byte order, version 1, and padding.
        file.push(if self.is_64_bit { 2 } else { 1 });
        file.push(if self.is_big_endian { 2 } else { 1 });
        file.push(1);
        file.resize(16, 0);
        // An executable, for this machine, version 1.
        self.half(&mut file, 2);
        self.half(&mut file, self.number);
        self.word(&mut file, 1);
        self.address(&mut file, ADDRESS + start);
        // The segment's header follows this one; there are no sections.
        self.address(&mut file, header);
        self.address(&mut file, 0);
        self.word(&mut file, self.flags);
        for length in [header, segment, 1, 0, 0, 0] {
            self.half(&mut file, length as u16);
        }
        self.segment(&mut file, size);
        file.extend(self.code);
        file
    }

    /// Appends the header of a segment that is the whole file, to be read and executed.
    fn segment(&self, file: &mut Vec<u8>, size: u64) {
        const LOAD: u32 = 1;
        const READ_EXECUTE: u32 = 5;
        self.word(file, LOAD);
        if self.is_64_bit {
            self.word(file, READ_EXECUTE);
        }
        self.address(file, 0);
        self.address(file, ADDRESS);
        self.address(file, ADDRESS);
        self.address(file, size);
        self.address(file, size);
        if !self.is_64_bit {
            self.word(file, READ_EXECUTE);
        }
        self.address(file, 0x1_0000);
    }

    fn half(&self, file: &mut Vec<u8>, value: u16) {
        file.extend(match self.is_big_endian {
            true => value.to_be_bytes(),
            false => value.to_le_bytes(),
        });
    }

    fn word(&self, file: &mut Vec<u8>, value: u32) {
        file.extend(match self.is_big_endian {
            true => value.to_be_bytes(),
            false => value.to_le_bytes(),
        });
    }

    /// Appends what is as long as an address of the machine.
    fn address(&self, file: &mut Vec<u8>, value: u64) {
        match self.is_64_bit {
            false => self.word(file, value as u32),
            true if self.is_big_endian => file.extend(value.to_be_bytes()),
            true => file.extend(value.to_le_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn the_machines_own_program_ends_with_0() {
        let own = crate::image::Platform::host().architecture;
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("program");
        std::fs::write(&path, program_for(&own).unwrap()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Command::new(&path).status().unwrap().success());
    }

    #[test]
    fn each_program_is_marked_as_its_machines() {
        for (architecture, class, order, number) in [
            ("386", 1, 1, 3),
            ("amd64", 2, 1, 62),
            ("arm", 1, 1, 40),
            ("arm64", 2, 1, 183),
            ("loong64", 2, 1, 258),
            ("mips64le", 2, 1, 8),
            ("ppc64le", 2, 1, 21),
            ("riscv64", 2, 1, 243),
            ("s390x", 2, 2, 22),
        ] {
            let program = program_for(architecture).unwrap();
            assert_eq!(program[4..6], [class, order], "{architecture}");
            let number_bytes = [program[18], program[19]];
            let found = match order {
                1 => u16::from_le_bytes(number_bytes),
                _ => u16::from_be_bytes(number_bytes),
            };
            assert_eq!(found, number, "{architecture}");
        }
        assert_eq!(program_for("wasm"), None);
    }
}
