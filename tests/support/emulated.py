"""Runs a command as root of a user namespace whose kernel has a handler for programs of s390x, seen nowhere else.

    emulated.py FLAGS INTERPRETER DIRECTORY COMMAND...

FLAGS are those of the handler (binfmt_misc); DIRECTORY is an empty one of the caller's. Ends with 77 where the kernel has
no handlers for single namespaces (before Linux 6.7).
"""

import ctypes
import os
import sys

NEW_USER, NEW_MOUNT = 0x10000000, 0x00020000
MAGIC = r"\x7fELF\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x16"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff"
UNSUPPORTED = 77

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(flags, interpreter, directory, *command):
    ready_read, ready_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready_read)
        os.close(mapped_write)
        checked(libc.unshare(NEW_USER))
        os.write(ready_write, b"x")
        os.read(mapped_read, 1)
        os.setgid(0)
        os.setuid(0)
        checked(libc.unshare(NEW_MOUNT))
        try:
            checked(libc.mount(b"none", directory.encode(), b"binfmt_misc", 0, None))
        except OSError:
            os._exit(UNSUPPORTED)
        with open(os.path.join(directory, "register"), "w") as register:
            register.write(f":test:M::{MAGIC}:{MASK}:{interpreter}:{flags}")
        os.execv(command[0], command)
    os.close(ready_write)
    os.read(ready_read, 1)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{child}/{name}", "w") as ids:
            ids.write("0 0 65536")
    os.write(mapped_write, b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main(*sys.argv[1:])
