"""From an aten overload to its row: look it up, check what it may write, book its cost, run it.

An operator without a row stops the program and is named, with the module it came from and the nearest rows there are.
"""

from __future__ import annotations

import difflib
import sys
from functools import cache
from typing import Any, NoReturn

import torch

from tacit.errors import RefusedOp
from tacit.tensor import shape
from tacit.tensor.operands import find_cell
from tacit.tensor.secret import SecretTensor
from tacit.tensor.table import OPS, Refusal, Row


def dispatch(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer one operator that reached a secret tensor."""
    row = OPS.get(func)
    if row is None:
        if _is_composite(func):
            # Only inference mode lets composites through undivided: take them apart as autograd would have done.
            return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        if not _is_view(func):
            _no_row(func)
        row = Row(shape.view(func), "view")
        OPS[func] = row
    if isinstance(row, Refusal):
        raise RefusedOp(f"{_where(func)}: {row.reason}", hint=row.instead)
    for position, name in _written(func):
        target = args[position] if position < len(args) else kwargs.get(name)
        if target is not None and find_cell((target,)) is None:
            raise RefusedOp(
                f"{_where(func)} would write a secret into the plain tensor `{name}`",
                hint="make the target secret too: tacit.secret(module) or tacit.secret(tensor, owner=...)",
            )
    cell = find_cell(args) or find_cell(kwargs.values())
    if cell is None:  # a secret operand hides in an argument that no row reads
        _no_row(func)
    with cell.context.session.meter.measure(_short_name(func)):
        return row.run(*args, **kwargs)


@cache
def _written(func: Any) -> tuple[tuple[int, str], ...]:
    """Position and name of every argument that the schema says is written to."""
    arguments = func._schema.arguments
    return tuple(
        (position, argument.name)
        for position, argument in enumerate(arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )


@cache
def _is_composite(func: Any) -> bool:
    key = "CompositeImplicitAutograd"
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key)) and not _is_view(func)


@cache
def _is_view(func: Any) -> bool:
    schema = func._schema
    return not schema.is_mutable and any(result.alias_info is not None for result in schema.returns)


@cache
def _short_name(func: Any) -> str:
    return str(func._schema.name).removeprefix("aten::")


def _no_row(func: Any) -> NoReturn:
    known = sorted({_short_name(op) for op in OPS})
    near = difflib.get_close_matches(_short_name(func), known, n=3, cutoff=0.5)
    hint = f"the nearest rows are {', '.join(near)}" if near else "docs/generated/ops.md lists every row"
    raise RefusedOp(f"no row for {_where(func)}", hint=hint)


def _where(func: Any) -> str:
    """The operator's name, and the path of the module whose forward called it."""
    path = module_path()
    return f"{func}{f' in {path}' if path else ''}"


def module_path() -> str:
    """`0.linear (Linear)`: the innermost module under way, named as its outermost module names it. Read off the stack.

    Walking the stack costs nothing until something goes wrong, where hooks would cost something on every call.
    """
    modules = []
    frame = sys._getframe()
    while frame is not None:
        owner = frame.f_locals.get("self") if frame.f_code.co_name == "_call_impl" else None
        if isinstance(owner, torch.nn.Module):
            modules.append(owner)
        frame = frame.f_back  # type: ignore[assignment]
    if not modules:
        return ""
    inner, outer = modules[0], modules[-1]
    name = next((name for name, module in outer.named_modules() if module is inner), "")
    return f"{name or type(outer).__name__} ({type(inner).__name__})"


SecretTensor.answer = staticmethod(dispatch)

__all__ = ["dispatch", "module_path"]
