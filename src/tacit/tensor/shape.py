"""Rows that move entries and compute nothing: views, copies, joins, fills. No messages.

Views share memory: the operator runs on one component, and the result's strides then serve all of them, because the
components of one storage have equal strides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch

from tacit.protocols import Shares
from tacit.tensor.cell import Cell, Context, rescaled
from tacit.tensor.operands import Number, cell_of, context_of, made, natural_bits, refuse, words_of
from tacit.tensor.secret import SecretTensor


def view(func: Any) -> Callable[..., Any]:
    """The row of any view operator, with one result or several."""

    def run(x: SecretTensor, *args: Any, **kwargs: Any) -> Any:
        cell = x._cell
        shares = cell.shares
        moved = func(shares[0], *args, **kwargs)
        if isinstance(moved, Tensor):
            return _wrapped_view(x, cell, shares, moved)
        return [_wrapped_view(x, cell, shares, part) for part in moved]

    run.__name__ = func.name()
    return run


def _wrapped_view(x: SecretTensor, cell: Cell, shares: Shares, moved: Tensor) -> SecretTensor:
    seen = shares.as_strided(
        (shares.shape[0], *moved.shape), (shares.stride(0), *moved.stride()), moved.storage_offset()
    )
    if x.is_inference():
        return SecretTensor(cell.view(seen), x.dtype)
    # A view of a normal tensor must be a normal tensor, also where inference mode is on around us.
    with torch.inference_mode(False):
        return SecretTensor(cell.view(seen), x.dtype)


def view_in_place(func: Any) -> Callable[..., SecretTensor]:
    """`transpose_`, `squeeze_`, `unsqueeze_`: the tensor becomes a view of its own memory."""
    functional = getattr(torch.ops.aten, func._schema.name.removeprefix("aten::").removesuffix("_"))

    def run(x: SecretTensor, *args: Any, **kwargs: Any) -> SecretTensor:
        cell = x._cell
        x._cell = _wrapped_view(x, cell, cell.shares, functional(cell.shares[0], *args, **kwargs))._cell
        with no_dispatch():
            func(x, *args, **kwargs)
        return x

    run.__name__ = func.name()
    return run


def alias(x: SecretTensor) -> SecretTensor:
    """`detach` and `alias`: another tensor on the same cell, so that memos and promises travel along."""
    if x.is_inference():
        return SecretTensor(x._cell, x.dtype)
    with torch.inference_mode(False):
        return SecretTensor(x._cell, x.dtype)


def each_component(func: Any) -> Callable[..., SecretTensor]:
    """The row of an operator that only moves entries into fresh memory (flip, gather with public index, ...)."""

    def run(x: SecretTensor, *args: Any, **kwargs: Any) -> SecretTensor:
        if any(isinstance(value, SecretTensor) for value in args):
            raise refuse(f"cannot use a secret tensor as an index of {func.name()}", "make the index public")
        cell = x._cell
        moved = torch.stack([func(part, *args, **kwargs) for part in cell.shares])
        return made(cell.context, moved, cell.frac_bits, x.dtype)

    run.__name__ = func.name()
    return run


def index(x: Tensor, indices: Sequence[Tensor | None]) -> SecretTensor:
    """x[indices] for public indices and masks."""
    _public_indices(indices)
    if not isinstance(x, SecretTensor):
        raise refuse("cannot index a public tensor with a secret one", "make the index public")
    cell = x._cell
    _note_indices(cell.context, indices)
    moved = torch.stack([torch.ops.aten.index(part, list(indices)) for part in cell.shares])
    return made(cell.context, moved, cell.frac_bits, x.dtype)


def index_put(
    x: SecretTensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False, unsafe: bool = False
) -> SecretTensor:
    """A copy of x with x[indices] = values, or += values, for public indices."""
    del unsafe
    _public_indices(indices)
    context = context_of(x, values)
    _note_indices(context, indices)
    targets, added, frac = _same_bits(context, [x, values])
    parts = [
        torch.ops.aten.index_put(part, list(indices), value, accumulate)
        for part, value in zip(targets, added, strict=True)
    ]
    return made(context, torch.stack(parts), frac, x.dtype)


def _public_indices(indices: Sequence[Tensor | None]) -> None:
    if any(isinstance(entry, SecretTensor) for entry in indices):
        raise refuse(
            "cannot index with a secret tensor: which entries are read would show",
            "multiply by a one-hot or 0/1 mask, or reveal the index if positions may be known",
        )


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
    joined = torch.cat(shares, dim % parts[0].dim() + 1)
    return made(context, joined, frac, _label(tensors))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> SecretTensor:
    """Stacking along a new dimension."""
    context = context_of(tensors)
    *shares, frac = _same_bits(context, tensors)
    return made(context, torch.stack(shares, dim % (tensors[0].dim() + 1) + 1), frac, _label(tensors))


def clone(x: SecretTensor, *, memory_format: torch.memory_format | None = None) -> SecretTensor:
    """A copy in fresh memory; keeps the strides of a dense tensor, as torch does."""
    cell = x._cell
    if memory_format in (None, torch.preserve_format):
        layout = torch.empty_like(torch.empty_strided(x.shape, x.stride(), device="meta"))
    else:
        layout = torch.empty(x.shape, device="meta").contiguous(memory_format=memory_format)
    fresh = _empty(cell.shares.shape[0], layout)
    fresh.copy_(cell.shares)
    copy = made(cell.context, fresh, cell.frac_bits, x.dtype)
    copy._cell.memo = cell.memo
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
    context = context_of(target, source)
    cell = cell_of(source)
    if cell is None:
        frac = natural_bits(context, source)
        target._cell.store(context.protocol.public(words_of(context, source, frac, "copied value")), frac)
    else:
        target._cell.store(cell.shares, cell.frac_bits)
    return target


def filled(value: Number | None) -> Callable[..., SecretTensor]:
    """`zeros_like`, `empty_like`, `full_like`: a secret tensor whose entries happen to be public now."""

    def run(x: SecretTensor, *args: Any, dtype: torch.dtype | None = None, **layout: Any) -> SecretTensor:
        number = args[0] if value is None else value
        return _full(x, tuple(x.shape), number, dtype, layout)

    return run


def new_filled(value: Number | None) -> Callable[..., SecretTensor]:
    """`new_zeros`, `new_empty`, `new_full`."""

    def run(x: SecretTensor, size: Sequence[int], *args: Any, dtype: torch.dtype | None = None, **layout: Any) -> SecretTensor:
        return _full(x, tuple(size), args[0] if value is None else value, dtype, layout)

    return run


def new_empty_strided(
    x: SecretTensor, size: Sequence[int], stride: Sequence[int], *, dtype: torch.dtype | None = None, **layout: Any
) -> SecretTensor:
    """Room for a gradient whose strides differ from its parameter's."""
    del layout
    fresh = _empty(x._cell.shares.shape[0], torch.empty_strided(tuple(size), tuple(stride), device="meta")).zero_()
    return made(x._cell.context, fresh, 0, dtype or x.dtype)


def ones_like(x: SecretTensor, *, dtype: torch.dtype | None = None, **layout: Any) -> Tensor:
    """A plain tensor: it is public anyway, and the gradient that starts every backward then costs nothing."""
    del layout
    return torch.ones(x.shape, dtype=dtype or x.dtype)


def fill_(target: SecretTensor, value: Number | Tensor) -> SecretTensor:
    """Overwrite every entry with one number."""
    if isinstance(value, SecretTensor):
        target._cell.store(value._cell.shares, value._cell.frac_bits)
        return target
    return copy_(target, torch.as_tensor(value))


def zero_(target: SecretTensor) -> SecretTensor:
    """Overwrite every entry with 0."""
    return fill_(target, 0)


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


def _full(
    x: SecretTensor, shape: tuple[int, ...], number: Number, dtype: torch.dtype | None, layout: dict[str, Any]
) -> SecretTensor:
    if layout.get("device") not in (None, torch.device("cpu"), "cpu"):
        raise refuse("cannot make a secret tensor on another device", "leave the device out")
    context = x._cell.context
    frac = natural_bits(context, number)
    words = words_of(context, torch.full(shape, number), frac, "fill value")
    return made(context, context.protocol.public(words), frac, dtype or x.dtype)


def _empty(components: int, layout: Tensor) -> Shares:
    """Memory for shares whose trailing strides are those of `layout` (a meta tensor)."""
    extent = 1 + sum((size - 1) * stride for size, stride in zip(layout.shape, layout.stride(), strict=True))
    return torch.empty_strided((components, *layout.shape), (max(extent, 1), *layout.stride()), dtype=torch.int64)


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
        else context.protocol.public(words_of(context, value, frac, "joined value"))
        for cell, value in zip(cells, tensors, strict=True)
    ]
    return [*shares, frac]


def _label(tensors: Sequence[Tensor]) -> torch.dtype:
    label = tensors[0].dtype
    for value in tensors[1:]:
        label = torch.promote_types(label, value.dtype)
    return label
