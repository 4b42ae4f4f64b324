"""Types are checked at every call of `warpgrasp` (pyproject: `--jaxtyping-packages`); this makes the checks cheap.

jaxtyping's wrapper keeps a memory of axis lengths for every call, in Python: half the suite's time, most of it for
functions that name no axis. Here those are wrapped by the type checker alone: the same types, without the memory.
To be imported before the package.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import jaxtyping
import jaxtyping._decorator

with_axes = jaxtyping.jaxtyped


def names_axes(annotation: Any) -> bool:
    """Whether an annotation has a shape in it, at any depth; one that is still text may have."""
    if isinstance(annotation, str):
        return True
    if isinstance(annotation, list):  # a callable's parameters
        return any(map(names_axes, annotation))
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(map(names_axes, get_args(annotation)))


def checked(decorated: Any = None, *, typechecker: Callable[[Any], Any]) -> Any:
    """What jaxtyping's import hook calls for each function and class, instead of `jaxtyped`."""
    if decorated is None:
        return partial(checked, typechecker=typechecker)
    if inspect.isfunction(decorated) and not any(map(names_axes, decorated.__annotations__.values())):
        return typechecker(decorated)
    return with_axes(decorated, typechecker=typechecker)  # calls this for a class's, a method's, a property's functions


jaxtyping.jaxtyped = jaxtyping._decorator.jaxtyped = checked
