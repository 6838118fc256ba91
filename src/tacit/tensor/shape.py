"""Rows that move entries and compute nothing: views, copies, joins, fills. No messages.

Views share memory: the operator runs on one component, and the result's strides then serve all of them, because the
components of one storage have equal strides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch

from tacit.protocols import Shares
from tacit.tensor import labels
from tacit.tensor.cell import CHOICES, KNOWN, Cell, Context, empty, rescaled
from tacit.tensor.operands import Number, addend_of, axis, cell_of, context_of, made, natural_bits, refuse
from tacit.tensor.secret import SecretTensor


def view(func: Any) -> Callable[..., Any]:
    """The row of any view operator, with one result or several."""

    def run(x: SecretTensor, *args: Any, **kwargs: Any) -> Any:
        cell = x._cell
        if cell.promised and cell.recall(CHOICES) is not None:
            return _promised_view(x, func, *args, **kwargs)
        moved = func(cell.shares[0], *args, **kwargs)
        # as_strided counts from the start of memory, which is another for the remembered value.
        plain = cell.recall(KNOWN) if func is not torch.ops.aten.as_strided.default else None
        if isinstance(moved, Tensor):
            seen = _wrapped_view(x, moved, None if plain is None else func(plain, *args, **kwargs))
            if len(moved.shape) == x.dim() + 1 and (choices := cell.recall(CHOICES)) is not None:
                seen._cell.remember(CHOICES, choices)
            return labels.followed(x, partial(_called, func, args, kwargs), seen)
        plains = [None] * len(moved) if plain is None else func(plain, *args, **kwargs)
        parts = [_wrapped_view(x, part, value) for part, value in zip(moved, plains, strict=True)]
        return [labels.followed(x, partial(_called, func, args, kwargs, at), part) for at, part in enumerate(parts)]

    run.__name__ = _name(func)
    run.__doc__ = "The same entries in another shape or order; shares memory."
    return run


def _name(func: Any) -> str:
    return str(func.name())


def _overload(func: Any) -> str:
    """transpose_ has one overload where transpose has three; its arguments say which one is meant."""
    return "int" if func is torch.ops.aten.transpose_.default else str(func._overloadname)


def _wrapped_view(x: SecretTensor, moved: Tensor, plain: Tensor | None) -> SecretTensor:
    shares = x._cell.shares
    cell = x._cell.view(
        shares.as_strided((shares.shape[0], *moved.shape), (shares.stride(0), *moved.stride()), moved.storage_offset())
    )
    if plain is not None:
        cell.remember(KNOWN, plain)
    if x.is_inference():
        return SecretTensor(cell, x.dtype)
    # A view of a normal tensor must be a normal tensor, also where inference mode is on around us.
    with torch.inference_mode(False):
        return SecretTensor(cell, x.dtype)


def _called(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *rest: Any) -> Any:
    """func on the last argument; the part of its result that a number before it names, if there is one."""
    *at, x = rest
    moved = func(x, *args, **kwargs)
    return moved[at[0]] if at else moved


def _promised_view(x: SecretTensor, func: Any, *args: Any, **kwargs: Any) -> SecretTensor:
    """A view of indices that nobody has computed yet; the backward pass of `max` adds a dimension to them."""
    cell = x._cell

    def keep() -> tuple[Shares, int]:
        return torch.stack([func(part, *args, **kwargs) for part in cell.shares]), cell.frac_bits

    seen = Cell(cell.context, None, promise=keep, shape=tuple(func(torch.empty(x.shape), *args, **kwargs).shape))
    if len(seen.shape) == x.dim() + 1:
        seen.remember(CHOICES, cell.recall(CHOICES))
    return SecretTensor(seen, x.dtype)


def view_in_place(func: Any) -> Callable[..., SecretTensor]:
    """`transpose_`, `squeeze_`, `unsqueeze_`: the tensor becomes a view of its own memory."""
    # The wrapper's own sizes change by the operator itself, out of reach of the table.
    packet = getattr(torch.ops.aten, func._schema.name.removeprefix("aten::").removesuffix("_"))
    functional = view(getattr(packet, _overload(func)))

    def run(x: SecretTensor, *args: Any, **kwargs: Any) -> SecretTensor:
        x._cell = functional(x, *args, **kwargs)._cell
        with no_dispatch():
            func(x, *args, **kwargs)
        return x

    run.__name__ = _name(func)
    run.__doc__ = "Another shape or order for this tensor itself; other tensors on its memory keep theirs."
    return run


def alias(x: SecretTensor) -> SecretTensor:
    """Another tensor on the same cell, so that what is remembered and promised travels along."""
    if x.is_inference():
        return SecretTensor(x._cell, x.dtype)
    with torch.inference_mode(False):
        return SecretTensor(x._cell, x.dtype)


def each_component(func: Any) -> Callable[..., SecretTensor]:
    """The row of an operator that only moves entries into fresh memory (flip, gather with public index, ...)."""

    def run(x: Tensor, *args: Any, **kwargs: Any) -> SecretTensor:
        if any(isinstance(value, SecretTensor) for value in args) or not isinstance(x, SecretTensor):
            raise refuse(f"cannot use a secret tensor as an index of {func.name()}", "make the index public")
        cell = x._cell
        _note_indices(cell.context, [value for value in args if isinstance(value, Tensor)])
        moved = made(
            cell.context, _gathered([func(part, *args, **kwargs) for part in cell.shares]), cell.frac_bits, x.dtype
        )
        keeps_all = func not in _FILLING  # others put zeros between the entries
        return labels.followed(x, lambda places: func(places, *args, **kwargs), moved) if keeps_all else moved

    run.__name__ = _name(func)
    run.__doc__ = "The same entries elsewhere, in fresh memory."
    return run


def unsafe_split(func: Any) -> Callable[..., list[SecretTensor]]:
    """Parts that torch promises nobody will write to; copied all the same."""

    def run(x: SecretTensor, *args: Any, **kwargs: Any) -> list[SecretTensor]:
        cell = x._cell
        parts = zip(*(func(part, *args, **kwargs) for part in cell.shares), strict=True)
        return [made(cell.context, torch.stack(part), cell.frac_bits, x.dtype) for part in parts]

    run.__name__ = _name(func)
    run.__doc__ = "The parts of a tensor, in fresh memory."
    return run


def pad(x: SecretTensor, pad: Sequence[int], value: Number = 0) -> SecretTensor:
    """Constant padding: zeros around the shares, and the constant added where no entry came to lie."""
    cell = x._cell
    moved = _gathered([torch.ops.aten.constant_pad_nd(part, list(pad)) for part in cell.shares])
    context, frac = cell.context, max(cell.frac_bits, natural_bits(cell.context, value))
    moved = rescaled(context.protocol, moved, cell.frac_bits, frac)
    if value:
        outside = torch.ops.aten.constant_pad_nd(torch.zeros(x.shape, dtype=torch.int64), list(pad), 1)
        word = torch.as_tensor(addend_of(context, value, frac, "padding value"))
        moved = context.protocol.add_public(moved, (outside * word).numpy())
    if frac and not x.is_floating_point():
        raise refuse(f"cannot pad a {x.dtype} tensor with {value}", "pad with a whole number")
    return made(context, moved, frac, x.dtype)


def index(x: Tensor, indices: Sequence[Tensor | None]) -> SecretTensor:
    """x[indices] for public indices and masks."""
    _public_indices(context_of(x, indices), indices)
    assert isinstance(x, SecretTensor)
    cell = x._cell
    moved = _gathered([torch.ops.aten.index(part, list(indices)) for part in cell.shares])
    picked = made(cell.context, moved, cell.frac_bits, x.dtype)
    return labels.followed(x, lambda places: torch.ops.aten.index(places, list(indices)), picked)


def index_put(
    x: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False, unsafe: bool = False
) -> SecretTensor:
    """A copy of x with x[indices] = values, or += values, for public indices."""
    del unsafe
    _public_indices(context_of(x, values), indices)
    return _merged(x, values, lambda x, v: torch.ops.aten.index_put(x, list(indices), v, accumulate))


def scatter_add(x: Tensor, dim: int, index: Tensor, source: Tensor) -> SecretTensor:
    """A copy of x with the source added at public indices; the backward pass of gather."""
    _public_indices(context_of(x, source), [index])
    return _merged(x, source, lambda x, v: torch.ops.aten.scatter_add(x, dim, index, v))


def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1) -> SecretTensor:
    """A copy of x with rows of the source added at public indices; the backward pass of index_select."""
    _public_indices(context_of(x, source), [index])
    if alpha != 1:
        source = source * alpha
    return _merged(x, source, lambda x, v: torch.ops.aten.index_add(x, dim, index, v))


def _merged(x: Tensor, values: Tensor, place: Callable[[Tensor, Tensor], Tensor]) -> SecretTensor:
    if x.dtype != values.dtype:
        raise refuse(f"cannot put {values.dtype} values into a {x.dtype} tensor", "cast one of them first")
    context = context_of(x, values)
    targets, added, frac = _same_bits(context, [x, values])
    return made(context, _gathered([place(t, v) for t, v in zip(targets, added, strict=True)]), frac, x.dtype)


def _public_indices(context: Context, indices: Sequence[Tensor | None]) -> None:
    if any(isinstance(entry, SecretTensor) for entry in indices):
        raise refuse(
            "cannot index with a secret tensor: which entries are read would show",
            "multiply by a one-hot or 0/1 mask, or reveal the index if positions may be known",
        )
    _note_indices(context, indices)


def _note_indices(context: Context, indices: Sequence[Tensor | None]) -> None:
    for entry in indices:
        if entry is not None:
            context.note_public(entry.numpy())


def cat(tensors: Sequence[Tensor], dim: int = 0) -> SecretTensor:
    """Concatenation; plain parts become public shares."""
    context = context_of(tensors)
    # torch ignores one-dimensional empty parts whatever the others' shapes; so do we.
    parts = [part for part in tensors if tuple(part.shape) != (0,)] or list(tensors)
    *shares, frac = _same_bits(context, parts)
    along = axis(dim, parts[0].dim())
    joined = _gathered([torch.cat(same, along) for same in zip(*shares, strict=True)])
    return labels.joined(parts, lambda places: torch.cat(places, along), made(context, joined, frac, _label(tensors)))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> SecretTensor:
    """Stacking along a new dimension."""
    context = context_of(tensors)
    *shares, frac = _same_bits(context, tensors)
    along = axis(dim, tensors[0].dim() + 1)
    stacked = made(context, torch.stack(shares, along + 1), frac, _label(tensors))
    return labels.joined(tensors, lambda places: torch.stack(places, along), stacked)


def clone(x: SecretTensor, *, memory_format: torch.memory_format | None = None) -> SecretTensor:
    """A copy in fresh memory; keeps the strides of a dense tensor, as torch does."""
    cell = x._cell
    fresh = empty(cell.shares.shape[0], outline(x, memory_format=memory_format or torch.preserve_format))
    fresh.copy_(cell.shares)
    copy = made(cell.context, fresh, cell.frac_bits, x.dtype)
    copy._cell.inherit(cell)
    return copy


def to_copy(
    x: SecretTensor, *, dtype: torch.dtype | None = None, memory_format: torch.memory_format | None = None, **rest: Any
) -> SecretTensor:
    """Casts change the label only; a float cannot become an integer, since rounding is not a cast here."""
    if any(rest.get(key) not in (None, False, torch.strided, torch.device("cpu")) for key in rest):
        raise refuse(f"cannot move a secret tensor with {rest}", "secret tensors stay where their party keeps them")
    target = dtype or x.dtype
    if x.is_floating_point() and not target.is_floating_point:
        raise refuse(f"cannot cast a secret float tensor to {target}", "compare it with thresholds instead")
    if target == torch.bool and x.dtype != torch.bool:
        raise refuse("cannot cast a secret integer tensor to bool", "write x != 0")
    copy = clone(x, memory_format=memory_format)
    return made(copy._cell.context, copy._cell.shares, copy._cell.frac_bits, target)


def copy_(target: SecretTensor, source: Tensor, non_blocking: bool = False) -> SecretTensor:
    """Write a secret or public source into a secret target."""
    del non_blocking
    if not torch.can_cast(source.dtype, target.dtype):
        raise refuse(f"cannot write {source.dtype} values into a {target.dtype} tensor", "make the target float")
    context = context_of(target, source)
    cell = cell_of(source)
    if cell is None:
        frac = natural_bits(context, source)
        target._cell.store(context.protocol.public(addend_of(context, source, frac, "copied value")), frac)
    else:
        target._cell.store(cell.shares, cell.frac_bits)
    return target


def select_backward(grad: SecretTensor, sizes: Sequence[int], dim: int, position: int) -> SecretTensor:
    """Zeros, with the gradient where the entries came from."""
    return _placed(grad, sizes, lambda room: room.select(dim, position))


def slice_backward(
    grad: SecretTensor, sizes: Sequence[int], dim: int, start: int, end: int, step: int
) -> SecretTensor:
    """Zeros, with the gradient where the entries came from."""
    return _placed(grad, sizes, lambda room: torch.ops.aten.slice(room, dim, start, end, step))


def _placed(grad: SecretTensor, sizes: Sequence[int], where: Callable[[Tensor], Tensor]) -> SecretTensor:
    cell = grad._cell
    room = torch.zeros((cell.shares.shape[0], *sizes), dtype=torch.int64)
    for target, source in zip(room, cell.shares, strict=True):
        where(target).copy_(source)
    return made(cell.context, room, cell.frac_bits, grad.dtype)


def outline(x: SecretTensor, **layout: Any) -> Tensor:
    """Sizes and strides that torch would give a tensor like x."""
    refuse_device(layout)
    return torch.empty_like(torch.empty_strided(x.shape, x.stride(), device="meta"), **layout)


def refuse_device(layout: dict[str, Any]) -> None:
    if layout.pop("device", None) not in (None, torch.device("cpu"), "cpu"):
        raise refuse("cannot make a secret tensor on another device", "leave the device out")
    layout.pop("pin_memory", None)


#: Moves whose result has entries that come from nowhere.
_FILLING = frozenset({
    torch.ops.aten.tril.default, torch.ops.aten.triu.default, torch.ops.aten.diag_embed.default,
    torch.ops.aten.diagonal_backward.default, torch.ops.aten.unfold_backward.default,
})


def _gathered(parts: Sequence[Tensor]) -> Shares:
    """Components computed one by one, in memory that keeps the strides torch gave them."""
    fresh = empty(len(parts), parts[0])
    for target, part in zip(fresh, parts, strict=True):
        target.copy_(part)
    return fresh


def _same_bits(context: Context, tensors: Sequence[Tensor]) -> list[Any]:
    """Shares of all operands with equal fraction bits, and that number last; plain operands become public shares."""
    cells = [cell_of(value) for value in tensors]
    bits = [
        min(cell.frac_bits, context.frac_bits) if cell is not None else natural_bits(context, value)
        for cell, value in zip(cells, tensors, strict=True)
    ]
    known = {cell.frac_bits for cell in cells if cell is not None}
    frac = known.pop() if len(known) == 1 and None not in cells else max(bits)
    shares = [
        rescaled(context.protocol, cell.shares, cell.frac_bits, frac)
        if cell is not None
        else context.protocol.public(addend_of(context, value, frac, "joined value"))
        for cell, value in zip(cells, tensors, strict=True)
    ]
    return [*shares, frac]


def _label(tensors: Sequence[Tensor]) -> torch.dtype:
    label = tensors[0].dtype
    for value in tensors[1:]:
        label = torch.promote_types(label, value.dtype)
    return label
