"""Write `docs/python-names.md`: what the package offers by name, with signatures and docstrings.

`tests/test_names.py` holds the page against the code, so that none of it changes unnoticed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

import pushsvc
import pushsvc.client

PAGE = Path(__file__).parent / "python-names.md"
_HEAD = """\
# Names in Python

All that is public, as the docstrings say it; whatever isn't named here may change at any time.
[From Python](python.md) has examples. This page is made by `python docs/names.py`.

Everything is for [Trio](https://trio.readthedocs.io). Times are Unix milliseconds and spans are
seconds, unless it is said otherwise. What is `async` may block and always checkpoints; what isn't
never does.
"""
_UNTOLD = {"Event": "Whatever a stream yields."}
"""What stands for a docstring where there is none."""


def main() -> None:
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")


def page() -> str:
    return "\n".join([_HEAD, *_module(pushsvc), *_module(pushsvc.client)])


def _module(module: Any) -> Iterator[str]:
    yield f"## `{module.__name__}`\n"
    said = _said_of_names(module)
    for name in module.__all__:
        value = getattr(module, name)
        if module is pushsvc.client and getattr(pushsvc, name, None) is value:
            continue
        if name == "__version__":
            yield "### `__version__`\n\nThe version of the package, as text.\n"
        elif inspect.isclass(value):
            yield from _class(name, value)
        elif inspect.isfunction(value):
            yield f"### `{name}`\n\n{_callable(name, value)}"
        else:
            yield f"### `{name}`\n\n`{_alias(value)}`\n\n{said.get(name, _UNTOLD.get(name, ''))}\n"


def _class(name: str, value: type) -> Iterator[str]:
    yield f"### `{name}`\n"
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    yield f"A class{f', a kind of `{bases}`' if bases not in ('', 'Struct') else ''}.\n"
    yield f"{_docstring(value)}\n"
    if issubclass(value, msgspec.Struct) and value is not pushsvc.Settings:
        yield from _fields(value)
    for member, what in vars(value).items():
        if member.startswith("_"):
            continue
        if isinstance(what, property):
            kind = inspect.signature(what.fget).return_annotation  # type: ignore[arg-type]
            yield f"#### `{name}.{member}`\n\n`{kind}`\n\n{_docstring(what)}\n"
        elif inspect.isfunction(what):
            yield f"#### `{name}.{member}`\n\n{_callable(f'{name}.{member}', what)}"


def _callable(name: str, function: Any) -> str:
    signature = str(inspect.signature(function)).replace("'", "")
    signature = signature.replace("(self, ", "(").replace("(self)", "()")
    inner = inspect.unwrap(function)
    begin = ""
    if inspect.iscoroutinefunction(function):
        begin = "await "
    elif inspect.isasyncgenfunction(inner):
        begin = "async with "
        signature = signature.replace("AsyncGenerator[", "").replace("AsyncIterator[", "")
        signature = signature.removesuffix("]") if "-> " in signature else signature
    return f"`{begin}{name}{signature}`\n\n{_docstring(function)}\n"


def _fields(struct: type[msgspec.Struct]) -> Iterator[str]:
    """Fields, with what stands below each of them in the source, or is said in its type."""
    [node] = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(node, ast.ClassDef)
    body = [*node.body, None]
    types = get_type_hints(struct, include_extras=True)
    lines = []
    for each, after in pairwise(body):
        if not isinstance(each, ast.AnnAssign):
            continue
        name = ast.unparse(each.target)
        kind, said = types[name], ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            said = str(after.value.value)
        if get_origin(kind) is Annotated:
            kind, meta = get_args(kind)
            said = meta.description or said
        default = ""
        if each.value is not None and not isinstance(each.value, ast.Call):
            default = f" = {ast.unparse(each.value)}"
        said = f": {' '.join(said.split())}" if said else ""
        lines.append(f"- `{name}: {_alias(kind)}{default}`{said}")
    if lines:
        yield "\n".join(lines) + "\n"


def _alias(value: Any) -> str:
    text = value.__name__ if isinstance(value, type) and not get_args(value) else str(value)
    return re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", text)


def _said_of_names(module: Any) -> dict[str, str]:
    """What stands below names that have no docstring of their own, in the modules they are from."""
    found = {}
    for name in module.__all__:
        home = next((one for one, names in _homes() if name in names), module.__name__)
        body = ast.parse(inspect.getsource(importlib.import_module(home))).body
        for each, after in pairwise(body):
            named = isinstance(each, ast.AnnAssign) and ast.unparse(each.target) == name
            if named and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                found[name] = str(after.value.value)
    return found


def _homes() -> list[tuple[str, tuple[str, ...]]]:
    return [(f"pushsvc.{home}", names) for home, names in pushsvc._HOMES.items()]


def _docstring(value: Any) -> str:
    said = inspect.getdoc(value) or ""
    # Of a structure without one there is only its signature.
    return "" if said.startswith(f"{getattr(value, '__name__', '')}(") else said


if __name__ == "__main__":
    main()
