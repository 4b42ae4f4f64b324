"""How files go wrong: the corpora of damaged files that the readers of the layouts are tried with."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import ceil

import numpy as np
import pytest

# Of a corpus, the fast tests read the first tenth, but at least FEWEST; the slow ones all.
FEWEST = 20
CORPUS_SHARES = pytest.mark.parametrize(
    "share", [pytest.param(0.1, id="a tenth"), pytest.param(1.0, id="all", marks=pytest.mark.slow)]
)


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Bytes flipped, a tail cut off, a piece taken out, repeated or made of noise, a line taken out."""
    data = bytearray(content)
    start, length = int(random.integers(len(data))), int(random.integers(1, 1 + min(64, len(data))))
    match int(random.integers(6)):
        case 0:
            for at in random.integers(len(data), size=int(random.integers(1, 8))):
                data[at] ^= int(random.integers(1, 256))
        case 1:
            del data[start:]
        case 2:
            del data[start : start + length]
        case 3:
            data[start:start] = data[start : start + length]
        case 4:
            data[start : start + length] = random.bytes(length)
        case _:
            lines = content.splitlines(keepends=True)
            return b"".join(np.delete(np.array(lines, dtype=object), int(random.integers(len(lines)))))
    return bytes(data)


def mutations(content: bytes, count: int, seed: int, *, share: float = 1.0) -> Iterator[bytes]:
    """The first part of a corpus of `count` mutated versions of a file."""
    random = np.random.default_rng(seed)
    for _ in range(max(min(count, FEWEST), ceil(share * count))):
        yield mutated(content, random)


def outcomes(corpus: Iterable[bytes], write: Callable[[bytes], object], read: Callable[[], str]) -> Counter[str]:
    """How often each version, written in the file's place, is read with which outcome (`refused`, or another)."""
    found: Counter[str] = Counter()
    for content in corpus:
        write(content)
        found[read()] += 1
    return found
