"""Registries: members by name, ours from a dict, other people's from the entry points of their packages."""

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from warpgrasp.errors import UserError

Member = TypeVar("Member")


class RegistryError(UserError):
    """No member of a registry has the name, or a package's member cannot be loaded."""


class Registry(Mapping[str, Member], Generic[Member]):
    """Members of one kind by name. Packages join by an entry-point group, for example `warpgrasp.datasets`.

    In another package's pyproject.toml:

        [project.entry-points."warpgrasp.datasets"]
        toy = "toy_package:ToyDataset"

    Our own names cannot be replaced. A package's member is imported when it is asked for.
    """

    def __init__(self, kind: str, group: str, own: Mapping[str, Member]):
        self.kind = kind  # in the singular, for errors: "data set"
        self.group = group
        self._own = dict(own)
        self._loaded: dict[str, Member] = {}

    def __getitem__(self, name: str) -> Member:
        """The member of a name. Raises `RegistryError` naming those that there are."""
        if name in self._own:
            return self._own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        """Our own names, then those of other packages."""
        yield from self._own
        yield from sorted(name for name in entry_points(group=self.group).names if name not in self._own)

    def __len__(self) -> int:
        """How many members there are."""
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        """Whether there is a member of this name. Nothing is imported."""
        return name in self._own or name in entry_points(group=self.group).names

    def is_own(self, name: str) -> bool:
        """Whether a name is one of ours, not of another package's member."""
        return name in self._own

    def _load(self, name: str) -> Member:
        for entry in entry_points(group=self.group, name=name):
            try:
                return entry.load()
            except Exception as error:
                raise RegistryError(
                    f"expected the {self.kind} {name!r} at {entry.value} of {self.group}, but it cannot be imported: "
                    f"{error}"
                ) from error
        raise RegistryError(f"expected one of {', '.join(self)} as the {self.kind}, got {name!r}")
