"""What the machine lacks, in one sentence: room on the disk, permissions, memory."""

import errno

ADVICE = {
    errno.ENOSPC: "make room on the disk, and give the same command again; what was there before is kept",
    errno.EDQUOT: "make room on the disk, and give the same command again; what was there before is kept",
    errno.EFBIG: "files may not grow that large here; what was there before is kept",
    errno.EACCES: "choose another place, or get the right to use this one",
    errno.EPERM: "choose another place, or get the right to use this one",
    errno.EROFS: "choose another place: this one can only be read",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENOTDIR: "it lies in a file; name a path in a folder",
    errno.ENOENT: "look at its name, and make the folder it is in",
    errno.EMFILE: "allow more open files (ulimit -n)",
}
# What PyTorch, the operating system's loader, Python's threads and modules in C say when there is no memory left.
NO_MEMORY = (
    *("can't allocate memory", "out of memory", "cannot allocate memory", "can't start new thread"),
    *("failed to map segment", "unable to mmap", "std::bad_alloc", "could not create a primitive"),
    *("could not execute a primitive", "error return without exception set"),
)


def lacks_memory(error: BaseException) -> bool:
    """Whether it is memory that was lacking."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY)


def trouble_of(error: BaseException) -> str | None:
    """What is wrong with files or memory; None of any other error, which is a fault of the program."""
    if lacks_memory(error):
        reason = str(error)[:200] or "an allocation failed"
        return f"expected more memory than this process can get ({reason}): end other programs, or allow it more"
    if isinstance(error, UnicodeEncodeError):
        return f"expected a name in UTF-8, which is all that some libraries take, got {error.object}; rename it"
    if not isinstance(error, OSError):
        return None
    path = error.filename2 if error.filename2 is not None else error.filename
    if path is None or error.strerror is None:
        return f"expected files that can be read and written: {error}"
    advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
    return f"expected to use {path}: {error.strerror}{advice}"
