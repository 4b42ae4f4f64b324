import subprocess
import sys

import pytest

from warpgrasp.training.processes import keep_freed_memory

PAGES_OF_STEPS = """
import ctypes, resource
libc = ctypes.CDLL(None)
libc.prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: some systems give memory in pages of two megabytes
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
{first}
def steps(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        blocks = [libc.malloc(20_000_000) for _ in range(4)]
        for block in blocks:
            ctypes.memset(block, 1, 20_000_000)
        for block in blocks:
            libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
steps(2)
print(steps(5))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_a_step_gets_the_memory_of_the_one_before():
    def pages(first: str) -> int:
        script = PAGES_OF_STEPS.format(first=first)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert pages("") > 50_000
    assert pages("from warpgrasp.training.processes import keep_freed_memory\nassert keep_freed_memory()") < 5_000


def test_another_system_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
