"""Types are checked at every call of `warpgrasp` (pyproject: `--jaxtyping-packages`); this makes the checks cheap.

jaxtyping's wrapper keeps a memory of axis lengths for every call, in Python: half the suite's time, most of it for
functions that name no axis. Here those are wrapped by the type checker alone: the same types, without the memory.
Each function is wrapped when it is called first: to wrap them all takes seconds of every process.
To be imported before the package.
"""

import inspect
from collections.abc import Callable
from functools import partial, wraps
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
    if not inspect.isfunction(decorated):  # it calls this for a class's, a method's, a property's functions
        return with_axes(decorated, typechecker=typechecker)
    if not decorated.__annotations__:  # nothing to check; a compiler may want the function as it is
        return decorated
    return checked_when_called(decorated, typechecker)


def checked_when_called(function: Callable[..., Any], typechecker: Callable[[Any], Any]) -> Callable[..., Any]:
    """The function with its types checked."""
    made: list[Callable[..., Any]] = []

    @wraps(function)
    def call(*values: Any, **named: Any) -> Any:
        if not made:
            bare = not any(map(names_axes, function.__annotations__.values()))
            made.append(typechecker(function) if bare else with_axes(function, typechecker=typechecker))
        return made[0](*values, **named)

    return call


jaxtyping.jaxtyped = jaxtyping._decorator.jaxtyped = checked
