"""Which frame each picture of a folder is, and when it was taken, by its name alone."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from warpgrasp.errors import DataError

LARGEST_NUMBER = 10**9  # what is larger is a time
NANOSECONDS = 10**9
EARLIEST_S, LATEST_S = 10**9, 4 * 10**9  # Unix times from 2001 to 2096
DIGITS = re.compile(r"[0-9]+")
# A date and a time of day: 20230405_123456, 2023-04-05 12.34.56, PXL_20230405_123456789, 2023-04-05-12-34-56-123456,
# 2023-04-05-12h34m56s789.
_HOURS = "([01][0-9]|2[0-3])"
_CALENDAR = (
    r"(?<![0-9])((?:19|20)[0-9]{2})[-_.:]?(0[1-9]|1[0-2])[-_.:]?(0[1-9]|[12][0-9]|3[01])(?:[-_ .T]| at )?"
    rf"{_HOURS}[-_.:h]?([0-5][0-9])[-_.:m]?([0-5][0-9])([-_.,s]?)([0-9]{{0,9}})(?![0-9])"
)
CALENDAR = re.compile(_CALENDAR)
# 2023-04-05 at 1.34.56 PM, by a narrow space in some; without the half of the day one in the afternoon is before noon.
TWELVE_HOURS = re.compile(
    _CALENDAR.replace(_HOURS, "(1[0-2]|0?[1-9])") + "[-_. \u00a0\u202f]?([ap])[.]?m(?![a-z0-9])", re.IGNORECASE
)
UNIX_FRACTION = re.compile(r"(?<![0-9])([0-9]{10})[._]([0-9]{1,9})(?![0-9])")
UNIX = re.compile(r"(?<![0-9])([0-9]{10}|[0-9]{13}|[0-9]{16}|[0-9]{19})(?![0-9])")
SECONDS = re.compile(r"(?:^|.*[-_: a-z])([0-9]{1,9})\.([0-9]{1,9})(?:s|sec)?$", re.IGNORECASE)
# Hours and minutes before the seconds: 00-01-02.345, 0h01m02.3s, 01-02.345.
CLOCK = re.compile(r"(?:.*?[^0-9])??(?:([0-9]{1,2})[-_:h])?([0-5]?[0-9])([-_:m])[0-5]?[0-9]\.[0-9]+s?", re.IGNORECASE)
NEGATIVE = re.compile(r"(?:^|[^0-9a-z])-[0-9]", re.IGNORECASE)
COPY = re.compile(r"(.+?)(?: \([0-9]+\)| [0-9]{1,2}|[-_ ]+copy(?: \(?[0-9]+\)?)?)$", re.IGNORECASE)
RENUMBER = "number the pictures from 0 in the order of taking: 000000.png, 000001.png …"


@dataclass(frozen=True)
class NumberedPictures:
    """The names of pictures by their frames' numbers, and when each frame was taken where the names say it."""

    names: Mapping[int, str]
    times_s: tuple[float, ...] | None = None
    """Seconds after the first, in the order of the numbers, which then count from 0."""


def numbered_pictures(folder: Path, names: Sequence[str]) -> NumberedPictures:
    """The frames of some pictures' names.

    A number of up to nine digits (padded or not, before, within or after what else is in the name, as long as it alone
    changes) is the frame's number. Names that hold the time (Unix seconds, milli-, micro- or nanoseconds; a date with
    the time of day; decimal seconds) are numbered from 0 in the order of time. Raises `DataError` naming two pictures
    that claim one frame, and names that tell neither number nor time.
    """
    stems = {name: name[: name.rindex(".")] for name in names}
    _refuse_copies(folder, stems)
    for reading in (_unix_ns, _calendar_ns, _seconds_ns):
        times_ns = reading(folder, stems)
        if times_ns is not None:
            return _in_order(folder, times_ns)
    return NumberedPictures(_by_number(folder, stems))


def _refuse_copies(folder: Path, stems: Mapping[str, str]) -> None:
    """Refuse copies, as programs name them: `0007 (1).png`, `0007 2.png` or `0007 copy.png` beside `0007.png`."""
    name_of = {stem: name for name, stem in stems.items()}
    for name, stem in stems.items():
        copied = COPY.fullmatch(stem)
        if copied and copied[1] in name_of and DIGITS.search(copied[1]):
            raise DataError(
                f"expected one picture for each frame in {folder}, found {name_of[copied[1]]} and {name}, which looks "
                f"like a copy of it; take one of them away"
            )


def _in_order(folder: Path, times_ns: Mapping[str, int]) -> NumberedPictures:
    ordered = sorted(times_ns, key=lambda name: (times_ns[name], name))
    for first, second in pairwise(ordered):
        if times_ns[first] == times_ns[second]:
            raise DataError(
                f"expected one picture for each time in {folder}, found {first} and {second}, which are of the same; "
                f"{RENUMBER}"
            )
    begin_ns = times_ns[ordered[0]]
    times_s = tuple((times_ns[name] - begin_ns) / NANOSECONDS for name in ordered)
    return NumberedPictures(dict(enumerate(ordered)), times_s)


def _times_of(stems: Mapping[str, str], read: Callable[[str], int | None]) -> dict[str, int] | None:
    """The times of all names, or None if one has none, or all have the same: the time when the recording began."""
    times_ns: dict[str, int] = {}
    for name, stem in stems.items():
        time_ns = read(stem)
        if time_ns is None:
            return None
        times_ns[name] = time_ns
    return None if len(stems) > 1 and len(set(times_ns.values())) == 1 else times_ns


def _unix_ns(folder: Path, stems: Mapping[str, str]) -> dict[str, int] | None:
    def read(stem: str) -> int | None:
        fraction = UNIX_FRACTION.search(stem)
        whole = fraction or UNIX.search(stem)
        if whole is None:
            return None
        time_ns = int(whole[1]) * 10 ** (19 - len(whole[1]))
        time_ns += int(fraction[2].rjust(digits, "0").ljust(9, "0")) if fraction else 0
        return time_ns if EARLIEST_S <= time_ns / NANOSECONDS < LATEST_S else None

    fractions = [match.groups() for stem in stems.values() if (match := UNIX_FRACTION.search(stem))]
    digits = _fraction_digits([decimals for _, decimals in fractions], longest_decimals=7)
    return None if _counts_on(fractions) else _times_of(stems, read)


def _fraction_digits(fractions: Sequence[str], *, longest_decimals: int) -> int:
    """How many digits the numbers after the seconds stand for: 0 where they are decimals.

    Whole micro- or nanoseconds without leading zeros are mostly of full length, and some end in 0; shortened decimals
    never do.
    """
    numbers = [number for number in fractions if number != "0"]
    least, most = min(map(len, numbers), default=0), max(map(len, numbers), default=0)
    if not 5 <= most <= least + 3 or least == most or any(number[0] == "0" for number in numbers):
        return 0
    whole = most > longest_decimals or any(number[-1] == "0" for number in numbers)
    return (6 if most <= 6 else 9) if whole else 0


def _counts_on(parts: Sequence[Sequence[str]]) -> bool:
    """Whether the decimals count on while the whole number stays the same: `shot1.0012`, `shot1.0013`."""
    counts = sorted(int(decimals) for _, decimals in parts)
    return len({whole for whole, _ in parts}) == 1 < len(parts) == 1 + counts[-1] - counts[0] == len(set(counts))


def _calendar_ns(folder: Path, stems: Mapping[str, str]) -> dict[str, int] | None:
    matches = {name: match for name, stem in stems.items() if (match := _calendar_match(stem))}
    if len({match.groups()[:6] for match in matches.values()}) < 2 and not _all_have_fractions(matches, stems):
        return None  # it is the time when the recording began; another number counts the frames
    if len(matches) < len(stems):
        if len({DIGITS.sub(lambda digits: "0" * len(digits[0]), stem) for stem in stems.values()}) == 1:
            return None  # six digits after a date that count: 20230405_000060 is no time of day
        other = next(name for name in stems if name not in matches)
        raise DataError(
            f"expected names of one kind in {folder}, found {next(iter(matches))}, which tells a time, and {other}, "
            f"which does not; {RENUMBER}"
        )
    if _counts_within_a_second(matches):
        raise DataError(
            f"expected the time or the number of each picture in {folder}, found names that count within a second, "
            f"such as {max(matches)}; {RENUMBER}"
        )
    return _times_of(stems, lambda stem: _calendar_time_ns(stem))


def _all_have_fractions(matches: Mapping[str, re.Match[str]], stems: Mapping[str, str]) -> bool:
    """Whether all names are of one second and have distinct fractions of it, as computers write them."""
    fractions = {match[8] for match in matches.values() if not match[7] or len(match[8]) in (6, 9)}
    return len(matches) == len(stems) > 1 and len(fractions) == len(stems) and "" not in fractions


def _counts_within_a_second(matches: Mapping[str, re.Match[str]]) -> bool:
    """Whether the digits after the seconds (`_001`) are a count and no fraction, though perhaps as long as one."""
    after: dict[tuple[str, ...], list[int]] = {}
    for match in matches.values():
        if match[7] in ("-", "_") and match[8]:
            if len(match[8]) not in (3, 6, 9):
                return True
            after.setdefault(match.groups()[:6], []).append(int(match[8]))
    counts = [sorted(numbers) for numbers in after.values()]
    return bool(counts) and all(
        numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers))) for numbers in counts
    )


def _calendar_match(stem: str) -> re.Match[str] | None:
    return TWELVE_HOURS.search(stem) or CALENDAR.search(stem)


def _calendar_time_ns(stem: str) -> int | None:
    match = _calendar_match(stem)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if match.re is TWELVE_HOURS:
        hour = hour % 12 + (12 if match[9] in "pP" else 0)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # 31 February
        return None
    return int(moment.timestamp()) * NANOSECONDS + int(match[8].ljust(9, "0"))


def _seconds_ns(folder: Path, stems: Mapping[str, str]) -> dict[str, int] | None:
    """Decimal seconds at the end of each name."""

    def read(stem: str) -> int | None:
        match = SECONDS.fullmatch(stem)
        if match is None:
            return None
        return (60 * _minutes(stem) + int(match[1])) * NANOSECONDS + int(match[2].rjust(digits, "0").ljust(9, "0"))

    parts = [match.groups() for stem in stems.values() if (match := SECONDS.fullmatch(stem))]
    digits = _fraction_digits([decimals for _, decimals in parts], longest_decimals=9)
    return None if _counts_on(parts) else _times_of(stems, read)


def _minutes(stem: str) -> int:
    """The minutes that stand before the seconds; 0 where a number there counts something else: `frame01_02.345`."""
    clock = CLOCK.fullmatch(stem)
    if clock is None or (clock[1] is None and clock[3] == "_"):
        return 0
    return 60 * int(clock[1] or 0) + int(clock[2])


def _by_number(folder: Path, stems: Mapping[str, str]) -> dict[int, str]:
    place = _changing_number(folder, stems)
    numbered: dict[int, str] = {}
    for name, stem in stems.items():
        digits = DIGITS.findall(stem)
        if not digits or (place is None and not stem[-1].isdigit()):
            raise DataError(f"expected names that end with the frame's number in {folder}, found {name}; {RENUMBER}")
        if NEGATIVE.search(stem):
            raise DataError(
                f"expected frames' numbers from 0 on in {folder}, found the negative one of {name}; {RENUMBER}"
            )
        number = int(digits[-1 if place is None else place])
        if number >= LARGEST_NUMBER:
            raise DataError(
                f"expected a frame's number of up to nine digits, or a time since 1970 in seconds, milli-, micro- or "
                f"nanoseconds, in the names of {folder}, found {name}; {RENUMBER}"
            )
        if number in numbered:
            raise DataError(f"expected one picture for each frame in {folder}, found {numbered[number]} and {name}")
        numbered[number] = name
    return dict(sorted(numbered.items()))


def _changing_number(folder: Path, stems: Mapping[str, str]) -> int | None:
    """Which of the numbers in otherwise equal names counts the frames. None means the last, at the names' end.

    Raises `DataError` when several change.
    """
    if len({tuple(DIGITS.split(stem.lower())) for stem in stems.values()}) > 1:
        return None
    columns = list(zip(*(map(int, DIGITS.findall(stem)) for stem in stems.values()), strict=True))
    changing = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    if len(changing) > 1:
        examples = list(stems)
        raise DataError(
            f"expected one number that changes from name to name in {folder}, found {len(changing)} in {examples[0]} "
            f"to {examples[-1]}; {RENUMBER}"
        )
    return changing[0] if changing else None if not columns or next(iter(stems.values()))[-1:].isdigit() else -1
