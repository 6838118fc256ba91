"""Rows of `_foreach_` operators: one operator on a list of tensors, as optimisers use it for all their parameters.

The entries of all tensors are laid end to end and the ordinary row runs once, so that rounds do not grow with the
number of parameters. Tensors that the row would treat differently (other numbers, other memos) form other groups.

torch takes these operators by itself only for plain tensors on a GPU; a hook that it offers for the purpose asks for
them in every group of secret parameters that leaves `foreach` open. Groups of plain parameters are left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import RAdam
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from tacit.protocols import Shares
from tacit.tensor.cell import KNOWN, ROOT, SQUARES, Cell, Context, empty, known, laid_out, rescaled
from tacit.tensor.operands import Number, as_number, context_of, refuse
from tacit.tensor.secret import SecretTensor

Row = Callable[..., SecretTensor]


def each(row: Row) -> Callable[..., list[SecretTensor]]:
    """The row on every entry of the lists; arguments that are no lists hold for all."""

    def run(*args: Any, **kwargs: Any) -> list[SecretTensor]:
        results: list[Any] = [None] * len(args[0])
        for positions, joint in _groups(context_of(*args), args):
            found = row(*joint, **kwargs)
            for position, part in zip(positions, _parted(found, [args[0][i] for i in positions]), strict=True):
                results[position] = part
        return results

    run.__name__, run.__doc__ = f"each_{row.__name__}", row.__doc__
    return run


def each_in_place(row: Row) -> Callable[..., None]:
    """The row on every entry of the lists, written into the first list's tensors."""
    several = each(row)

    def run(*args: Any, **kwargs: Any) -> None:
        if not all(isinstance(target, SecretTensor) for target in args[0]):
            raise refuse("cannot write secrets into the plain tensors of a list", "make all parameters secret")
        for target, result in zip(args[0], several(*args, **kwargs), strict=True):
            if result._cell.promised:
                target._cell.store_later(result._cell)
            else:
                target._cell.store(result._cell.shares, result._cell.frac_bits)

    run.__name__, run.__doc__ = f"{several.__name__}_", f"{row.__doc__} In place."
    return run


def valued(row: Row) -> Row:
    """`addcmul` and `addcdiv`, whose lists pass on position what single tensors pass by name."""

    def run(x: Tensor, y: Tensor, z: Tensor, value: Number = 1) -> SecretTensor:
        return row(x, y, z, value=as_number(value))

    run.__name__, run.__doc__ = row.__name__, row.__doc__
    return run


def zero_each(targets: Sequence[SecretTensor]) -> None:
    """Overwrite every entry of the list with 0."""
    for target in targets:
        target.zero_()


def copy_each(targets: Sequence[SecretTensor], sources: Sequence[Tensor], non_blocking: bool = False) -> None:
    """Write each source into its target."""
    del non_blocking
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


# -- end to end ------------------------------------------------------------------------------------------------------


def _groups(context: Context, args: Sequence[Any]) -> list[tuple[list[int], list[Any]]]:
    """Positions in the lists whose entries may be joined, and the arguments for each such group."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for position in range(len(args[0])):
        entries = [arg[position] if isinstance(arg, list | tuple) else None for arg in args]
        groups[tuple(map(_kind, entries))].append(position)
    return [(positions, _joint(context, args, positions)) for positions in groups.values()]


def _joint(context: Context, args: Sequence[Any], positions: Sequence[int]) -> list[Any]:
    """The arguments for one group. A list that is passed twice is joined once: a square is seen to be one."""
    once: dict[tuple[int, ...], Any] = {}
    joint = []
    for arg in args:
        if isinstance(arg, list | tuple):
            entries = [arg[i] for i in positions]
            same = tuple(map(id, entries))
            if same not in once:
                once[same] = _joined(context, entries)
            arg = once[same]
        joint.append(arg)
    return joint


def _kind(entry: Any) -> Any:
    """Entries of one kind may lie end to end: what is remembered of them differs in the entries only."""
    if not isinstance(entry, SecretTensor):
        return "plain" if isinstance(entry, Tensor) and entry.dim() else entry
    cell = entry._cell
    if (squares := cell.recall(SQUARES)) is not None:
        return SQUARES, squares.weight
    if (root := cell.recall(ROOT)) is not None:
        return ROOT, root.factor, root.addend
    value = cell.recall(KNOWN)
    return (KNOWN, "zero") if value is not None and not value.any() else entry.dtype


def _joined(context: Context, entries: Sequence[Any]) -> Any:
    """One argument for a group: a flat tensor with all entries, or the number that they all are."""
    if not isinstance(entries[0], Tensor):
        return entries[0]
    if not any(isinstance(entry, SecretTensor) for entry in entries):
        return torch.cat([entry.detach().reshape(-1) for entry in entries])
    cells = [entry._cell if isinstance(entry, SecretTensor) else known(context, entry) for entry in entries]

    def join() -> tuple[Shares, int]:
        frac = max(cell.frac_bits for cell in cells)
        return _flat([rescaled(context.protocol, cell.shares, cell.frac_bits, frac) for cell in cells]), frac

    count = sum(entry.numel() for entry in entries)
    joint = Cell(context, None, promise=join, shape=(count,))
    for what in (SQUARES, ROOT):
        memos = [cell.recall(what) for cell in cells]
        if memos[0] is not None:
            joint.remember(what, replace(memos[0], mean=_flat([memo.mean for memo in memos])))
    if _kind(entries[0]) == (KNOWN, "zero"):
        joint.remember(KNOWN, torch.zeros(count, dtype=entries[0].dtype))
    return SecretTensor(joint, entries[0].dtype)


def _flat(parts: Sequence[Shares]) -> Shares:
    return torch.cat([part.reshape(part.shape[0], -1) for part in parts], 1)


def _parted(joint: SecretTensor, like: Sequence[Tensor]) -> list[SecretTensor]:
    """The entries of a flat result as tensors of their own, each laid out as its counterpart is."""
    parts, start = [], 0
    for counterpart in like:
        parts.append(_part(joint, slice(start, start + counterpart.numel()), counterpart))
        start += counterpart.numel()
    return parts


def _part(joint: SecretTensor, where: slice, like: Tensor) -> SecretTensor:
    whole, shape = joint._cell, tuple(like.shape)

    def cut(shares: Shares) -> Shares:
        return shares[:, where].reshape(shares.shape[0], *shape)

    def keep() -> tuple[Shares, int]:
        return _own(cut(whole.shares), like), whole.frac_bits

    if not whole.promised:
        return SecretTensor(Cell(whole.context, *keep()), joint.dtype)
    cell = Cell(whole.context, None, promise=keep, shape=shape)
    for what in (SQUARES, ROOT):
        memo = whole.recall(what)
        if memo is not None:
            cell.remember(what, replace(memo, mean=cut(memo.mean)))
    value = whole.recall(KNOWN)
    if value is not None:
        cell.remember(KNOWN, laid_out(value[None, where].reshape(1, *shape), like)[0])
    return SecretTensor(cell, joint.dtype)


def _own(shares: Shares, like: Tensor) -> Shares:
    """Shares in memory of their own: the joint result must not be kept alive by, or written through, its parts."""
    dense = torch.empty_like(torch.empty_strided(like.shape, like.stride(), device="meta"))
    fresh = laid_out(shares, dense)
    if fresh is shares:
        fresh = empty(shares.shape[0], dense)
        fresh.copy_(shares)
    return fresh


# -- torch.optim -----------------------------------------------------------------------------------------------------


def _ask_for_lists(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    """Before a step: secret parameters move together, unless the program said how they should."""
    del args, kwargs
    if isinstance(optimizer, RAdam):
        return  # its list form divides by 0 in the first steps, on purpose; its other form does not
    for group in optimizer.param_groups:
        open_choice = "foreach" in group and group["foreach"] is None and not group.get("fused")
        # With these, torch has no list form, or refuses it.
        special = group.get("differentiable") or any(isinstance(group.get(key), Tensor) for key in ("lr", "eps"))
        if open_choice and not special and all(isinstance(entry, SecretTensor) for entry in group["params"]):
            group["foreach"] = True


register_optimizer_step_pre_hook(_ask_for_lists)
