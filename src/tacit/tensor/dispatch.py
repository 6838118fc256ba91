"""From an aten overload to its row: look it up, check what it may write, book its cost, run it.

An operator without a row stops the program and is named, with the module it came from and the nearest rows there are.
"""

from __future__ import annotations

import difflib
import sys
from functools import cache, lru_cache
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor

from tacit.errors import NotRepresentable, RefusedOp, ShapeError
from tacit.tensor import losses
from tacit.tensor.cell import IDLE, KNOWN, Context, known, laid_out
from tacit.tensor.operands import find_cell, made
from tacit.tensor.secret import SecretTensor
from tacit.tensor.table import OPS, Refusal


def dispatch(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer one operator that reached a secret tensor."""
    row = OPS.get(func)
    if row is None and _is_composite(func):
        # Only inference mode lets composites through undivided: take them apart as autograd would have done.
        return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
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
    if row is None or cell is None:  # no cell: a secret operand hides in an argument that no row reads
        _no_row(func)
    if row.reads_values:
        args, kwargs, secret = _opened(func, args, kwargs)
        if not secret:
            return _on_known(cell.context, func, args, kwargs)
        if row.kind in ("sum", "product") and not _written(func) and any(map(_is_idle, args)):
            return _postponed(cell.context, func, row.run, args, kwargs)
    with cell.context.session.meter.measure(_short_name(func)):
        try:
            result = row.run(*args, **kwargs)
        except (RefusedOp, NotRepresentable, ShapeError) as error:
            # The row knows what is wrong; only here is known which call of the program asked for it.
            if error.message.startswith("aten."):
                raise
            raise type(error)(f"{_where(func)}: {error.message}", hint=error.hint) from error
    return _in_layout(func, args, kwargs, result)


def _opened(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], bool]:
    """The arguments with plain tensors for those that every party knows, and whether any secret is left.

    A tensor that is written to stays what it is, and counts as secret unless its present value is known.
    """
    written = _written(func)
    secret: list[SecretTensor] = []
    opened = tuple(_plain(value, secret) for value in args)
    opened_kwargs = {key: _plain(value, secret) for key, value in kwargs.items()}
    for position, name in written:
        if position < len(args):
            opened = (*opened[:position], args[position], *opened[position + 1 :])
        elif name in kwargs:
            opened_kwargs[name] = kwargs[name]
    return opened, opened_kwargs, bool(secret)


# Not a function inside the one above: calling itself it would be a cycle, and every operator would leave one behind.
def _plain(value: Any, secret: list[SecretTensor]) -> Any:
    """The value with known tensors in the open; those that are not known are added to `secret`."""
    if isinstance(value, SecretTensor):
        value_known = value._cell.recall(KNOWN)
        if value_known is not None:
            return value_known
        secret.append(value)
    elif isinstance(value, list | tuple):
        return [_plain(entry, secret) for entry in value]
    return value


def _on_known(context: Context, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The operator on values that every party knows: torch computes it, and the result is known again."""
    if not _written(func):
        result = func(*args, **kwargs)
        if isinstance(result, Tensor):
            return SecretTensor(known(context, result), result.dtype)
        return [None if part is None else SecretTensor(known(context, part), part.dtype) for part in result]
    target, *rest = args
    before = target._cell.recall(KNOWN)
    assert before is not None
    value = func(before.clone(), *rest, **kwargs)
    fresh = known(context, value)
    target._cell.store(fresh.shares, fresh.frac_bits)
    target._cell.remember(KNOWN, laid_out(value[None], target)[0])
    return target


def _is_idle(value: Any) -> bool:
    return isinstance(value, SecretTensor) and value._cell.promised and value._cell.recall(IDLE) is not None


def _postponed(context: Context, func: Any, run: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> SecretTensor:
    """The row on a value that nobody has asked for: a promise again. A loss may be made of several operators."""
    like = _like_torch(func, tuple(map(_outline, args)), tuple(map(_outline, kwargs.items())))
    result = losses.promised(context, lambda *operands: run(*operands, **kwargs), args, tuple(like.shape))
    return result if like.dtype == result.dtype else SecretTensor(result._cell, like.dtype)


def _in_layout(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
    """The result in the memory order that torch gives it: gates return contiguous words, torch follows the inputs.

    A model may rely on it: `(2.5 * x.t()).t().view(-1)` is a view only if the product is laid out as x.t() is.
    """
    if not _is_pointwise(func) or not isinstance(result, SecretTensor):
        return result
    if result._cell.promised and result.dtype != torch.bool:
        return result  # a loss
    if all(value.is_contiguous() for value in (*args, *kwargs.values()) if isinstance(value, Tensor)):
        return result
    cell = result._cell
    shares = laid_out(cell.shares, _like_torch(func, tuple(map(_outline, args)), tuple(map(_outline, kwargs.items()))))
    if shares is cell.shares:
        return result
    copy = made(cell.context, shares, cell.frac_bits, result.dtype)
    copy._cell.inherit(cell)
    return copy


class _Outline(NamedTuple):
    """All of a tensor that decides how the result of a pointwise operator lies in memory."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype


def _outline(value: Any) -> Any:
    if isinstance(value, Tensor):
        return _Outline(tuple(value.shape), tuple(value.stride()), value.dtype)
    return tuple(map(_outline, value)) if isinstance(value, tuple | list) else value


@lru_cache(maxsize=1024)
def _like_torch(func: Any, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...]) -> Tensor:
    """What torch makes of tensors with these outlines; asked once, since a training step repeats itself."""

    def tensor(value: Any) -> Any:
        if not isinstance(value, _Outline):
            return value
        return torch.empty_strided(value.shape, value.strides, dtype=value.dtype, device="meta")

    result: Tensor = func(*map(tensor, args), **{key: tensor(value) for key, value in kwargs})
    return result


@cache
def _is_pointwise(func: Any) -> bool:
    """Whether the result has an entry for each entry of the broadcast operands, and memory of its own."""
    tagged = torch.Tag.pointwise in func.tags or func in _UNTAGGED
    return tagged and not _written(func)


#: Pointwise in fact, though torch does not tag them.
_UNTAGGED = frozenset({torch.ops.aten.rsub.Tensor})


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
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key))


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
