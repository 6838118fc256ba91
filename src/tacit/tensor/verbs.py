"""The two verbs by which values enter and leave: secret() and reveal().

Everything between them happens on shares. A reveal is checked against this party's own consent before any share
leaves, and is listed in the disclosure report with the line of the program that asked for it.
"""

from __future__ import annotations

import copy
import math
import struct
import sys
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor, nn

from tacit.errors import Misuse, NotRepresentable, PeerDiverged, PeerGarbage, ShapeError
from tacit.session import current
from tacit.tensor import labels, model_file
from tacit.tensor.cell import Cell, Context
from tacit.tensor.secret import SecretTensor

Module = TypeVar("Module", bound=nn.Module)

#: Announced before an input: dtype, number of dimensions, up to 12 sizes. Shapes are public.
_SHAPE = struct.Struct("<BB12q")
_DTYPES = (torch.float32, torch.int64, torch.bool)
_LABELS = len(_DTYPES)  # announced for one-hot rows of class numbers; the last size is the number of classes
ENTRIES_MAX = 1 << 28  # of one tensor: 4 GiB of shares


def context() -> Context:
    """The run of this process as tensors see it; connects the parties on first use."""
    run = current.current()
    known: Context | None = run.tensors
    if known is None:
        # An output that cannot be written is an error now, not after hours of training.
        model_file.check_free(run.party)
        known = run.tensors = Context(run.session)
    return known


@overload
def secret(value: Module, *, owner: int | str | None = None) -> Module: ...
@overload
def secret(
    value: Tensor | np.ndarray | float | None, *, owner: int | str, classes: int | None = None
) -> SecretTensor: ...
def secret(value: Any, *, owner: int | str | None = None, classes: int | None = None) -> Any:
    """Share a value among the parties.

    value   a tensor, array or number at the owner; ignored at every other party, which may pass None. Floats become
            float32-labelled fixed-point numbers; integers and bools stay whole. Shape and dtype become public.
            Or a module: its parameters and floating-point buffers become secret in place, from the owner's values.
    owner   the party (name or place) whose value it is. For a module the first party by default: initial weights are
            public, and one party's copy spares the others a disagreement in the last digit.
    classes for labels of a classification, numbers from 0 up: how many classes there are, which is public. The labels
            are then shared one-hot, and a cross entropy with them needs no comparison.

    Raises NotRepresentable for NaN, infinite or too large entries, with the index of the first.
    """
    ctx = context()
    if isinstance(value, nn.Module):
        return _secret_module(ctx, value, ctx.session.place_of(0 if owner is None else owner))
    if owner is None:
        raise Misuse("secret(tensor) needs an owner", hint='say whose value it is: tacit.secret(x, owner="alice")')
    if classes is not None and classes < 1:
        raise Misuse(f"classes = {classes}: one at least", hint="say how many classes there are, labels from 0 up")
    place = ctx.session.place_of(owner)
    with ctx.session.meter.measure("secret"):
        if ctx.session.place != place:
            return _receive(ctx, place, classes)
        if value is None:
            raise Misuse(
                f"{ctx.session.parties[place]} is the owner and passed None", hint="the owner passes the value itself"
            )
        return _send(ctx, place, value, classes)


def reveal(x: Any, *, to: int | str | None = None, name: str | None = None) -> Any:
    """Open a secret tensor, or every parameter of a module, to one party or to "all".

    x      a SecretTensor, or a module with secret parameters.
    to     a party by name or place, or "all". A module goes to the job's `model_to` by default.
    name   what the job files of all parties call this reveal; each party checks its own before a share leaves.

    Returns a float32, int64 or bool tensor at the receiver and None elsewhere; for a module a plain copy of it, whose
    state is also saved at the job's `model_out`. Raises RevealRefused where this party's job does not allow it.
    """
    ctx = context()
    party = current.current().party
    line = _line_of_caller(sys._getframe(1))
    if to is None and isinstance(x, nn.Module):
        to = party.job.model_to if party.job is not None else None
    if to is None and isinstance(x, nn.Module):
        raise Misuse(
            "reveal(module) needs a receiver, and the job names none",
            hint='set model_to = "NAME" in every job file, or say tacit.reveal(module, to="NAME")',
        )
    if to is None:
        raise Misuse("reveal() needs a receiver", hint='for example tacit.reveal(x, to="bob", name="test scores")')
    receivers = tuple(range(len(ctx.session.parties))) if to == "all" else (ctx.session.place_of(to),)
    receiver = "all" if to == "all" else ctx.session.parties[receivers[0]]
    title = name or ("weights" if isinstance(x, nn.Module) else "value")
    if isinstance(x, nn.Module):
        return _reveal_module(ctx, x, receivers, receiver, title, line)
    if not isinstance(x, SecretTensor):
        raise ShapeError(f"reveal() got {type(x).__name__}, which is not secret", hint="it is public already: use it")
    shape = str(list(x.shape))
    ctx.session.disclosures.permit(title, receiver, shape, line)
    _agree(ctx, title, receiver, shape)
    return _open(ctx, x, receivers)


def _agree(ctx: Context, title: str, receiver: str, shape: str) -> None:
    """All parties meet here before a share leaves any of them, and each has already asked its own job file.

    So one refusal stops the reveal for everybody, although a reveal to one receiver takes a share of one party only.
    Name, receiver and shape are compared like any other public value.
    """
    with ctx.session.meter.measure("reveal"):
        ctx.note_public(np.frombuffer(f"{title}\0{receiver}\0{shape}".encode(), dtype=np.uint8))
        ctx.agree_on_public()


def _open(ctx: Context, x: SecretTensor, receivers: tuple[int, ...]) -> Tensor | None:
    with ctx.session.meter.measure("reveal"):
        # Bits beyond the job's format are the unrounded rest of a product: truncate them rather than show them.
        shares, frac = x._cell.settled()
        words = ctx.protocol.reveal(shares, receivers)
    if words is None:
        return None
    if not x.is_floating_point():
        return torch.as_tensor(words).to(x.dtype)
    return torch.as_tensor(ctx.fixed.decode(words, frac_bits=frac)).to(x.dtype)


def _reveal_module(
    ctx: Context, module: nn.Module, receivers: tuple[int, ...], receiver: str, title: str, line: str
) -> nn.Module | None:
    entries = {key: value for key, value in module.state_dict().items() if isinstance(value, SecretTensor)}
    if not entries:
        raise Misuse("this module has no secret parameters", hint="make it secret first: tacit.secret(module)")
    count = sum(value.numel() for value in entries.values())
    shape = f"{len(entries)} tensors, {count} values"
    ctx.session.disclosures.permit(title, receiver, shape, line)
    _agree(ctx, title, receiver, shape)
    opened = {key: _open(ctx, value, receivers) for key, value in entries.items()}
    if ctx.session.place not in receivers:
        return None
    plain = _plain_copy(module, opened)
    model_file.save(current.current().party, plain.state_dict())
    return plain


def _plain_copy(module: nn.Module, opened: dict[str, Tensor | None]) -> nn.Module:
    """The same module with plain tensors; secret ones are swapped before copying, so no share is duplicated."""
    memo: dict[int, Any] = {}
    for key, value in module.state_dict(keep_vars=True).items():
        if isinstance(value, SecretTensor):
            plain = opened[key]
            assert plain is not None
            memo[id(value)] = nn.Parameter(plain, value.requires_grad) if isinstance(value, nn.Parameter) else plain
    return copy.deepcopy(module, memo)


def _secret_module(ctx: Context, module: nn.Module, place: int) -> nn.Module:
    made: dict[int, Any] = {}  # tied weights stay tied
    with ctx.session.meter.measure("secret"):
        for child in module.modules():
            for key, parameter in list(child.named_parameters(recurse=False, remove_duplicate=False)):
                if not isinstance(parameter, SecretTensor):
                    if id(parameter) not in made:
                        value = _share_known_shape(ctx, place, parameter.detach())
                        made[id(parameter)] = nn.Parameter(value, parameter.requires_grad)
                    setattr(child, key, made[id(parameter)])
            for key, buffer in list(child.named_buffers(recurse=False, remove_duplicate=False)):
                if buffer.is_floating_point() and not isinstance(buffer, SecretTensor):
                    if id(buffer) not in made:
                        made[id(buffer)] = _share_known_shape(ctx, place, buffer)
                    setattr(child, key, made[id(buffer)])
    return module


def _share_known_shape(ctx: Context, place: int, value: Tensor) -> SecretTensor:
    words = ctx.fixed.encode(value, what="parameter") if ctx.session.place == place else None
    shares = ctx.protocol.share(place, words, tuple(value.shape))
    return SecretTensor(Cell(ctx, shares, ctx.frac_bits), torch.float32)


def _send(ctx: Context, place: int, value: Any, classes: int | None) -> SecretTensor:
    tensor = value.detach() if isinstance(value, Tensor) else torch.as_tensor(value)
    if classes is not None:
        tensor = _one_hot(tensor, classes)
    label = torch.float32 if tensor.is_floating_point() else torch.bool if tensor.dtype == torch.bool else torch.int64
    if tensor.dim() > 12 or tensor.numel() > ENTRIES_MAX:
        raise ShapeError(f"a secret tensor has at most 12 dimensions and 2^28 entries, not {list(tensor.shape)}")
    # Encode first: a bad value must stop this party before the others start to wait for it.
    if label == torch.float32:
        words = ctx.fixed.encode(tensor, what="secret tensor")
    else:
        words = ctx.fixed.integers(tensor, what="secret tensor")
    sizes = [*tensor.shape, *[0] * (12 - tensor.dim())]
    code = _DTYPES.index(label) if classes is None else _LABELS
    header = np.frombuffer(_SHAPE.pack(code, tensor.dim(), *sizes), dtype=np.int8)
    others = [peer for peer in range(len(ctx.session.parties)) if peer != place]
    ctx.session.exchange("shape", dict.fromkeys(others, header), {})
    return _made(ctx, place, words, tuple(tensor.shape), code)


def _one_hot(tensor: Tensor, classes: int) -> Tensor:
    if tensor.is_floating_point() or tensor.dtype == torch.bool or tensor.is_complex():
        raise Misuse(f"labels are whole numbers, not {tensor.dtype}", hint="cast them with y.to(torch.int64)")
    bad = ((tensor < 0) | (tensor >= classes)).nonzero()
    if len(bad):
        # The index is the owner's own and seen by nobody else; the label itself stays out of the message.
        raise NotRepresentable(
            f"label {bad[0].tolist()} is not one of {classes} classes", hint=f"number the classes 0 to {classes - 1}"
        )
    return nn.functional.one_hot(tensor.to(torch.int64), classes)


def _receive(ctx: Context, place: int, classes: int | None) -> SecretTensor:
    arrived = ctx.session.exchange("shape", {}, {place: ((_SHAPE.size,), np.dtype(np.int8))})[place]
    owner = ctx.session.parties[place]
    shape, code = _announced(arrived.tobytes(), owner)
    announced = shape[-1] if code == _LABELS else None
    if announced != classes:
        said = ["no labels" if count is None else f"labels of {count} classes" for count in (announced, classes)]
        raise PeerDiverged(
            f"{owner} shares {said[0]}, and our program expects {said[1]}",
            hint="all parties must run the same program, with the same `classes`",
        )
    return _made(ctx, place, None, shape, code)


def _announced(header: bytes, owner: str) -> tuple[tuple[int, ...], int]:
    """Shape and kind of an input, as its owner announced them; checked before anything is allocated for it."""
    code, dims, *sizes = _SHAPE.unpack(header)
    shape = tuple(sizes[:dims])
    # A size of 0 makes the product 0 whatever the others are, so it counts as 1 here.
    entries = math.prod(max(size, 1) for size in shape)
    sound = code <= _LABELS and 12 >= dims >= (code == _LABELS) and min(sizes) >= 0 and not any(sizes[dims:])
    if not sound or entries > ENTRIES_MAX:
        raise PeerGarbage(f"{owner} announced an impossible tensor", hint=f"ask {owner} what it runs")
    return shape, code


def _made(
    ctx: Context, place: int, words: np.ndarray | None, shape: tuple[int, ...], code: int
) -> SecretTensor:
    shares = ctx.protocol.share(place, words, shape)
    if code == _LABELS:
        return labels.labelled(ctx, shares)
    label = _DTYPES[code]
    return SecretTensor(Cell(ctx, shares, ctx.frac_bits if label == torch.float32 else 0), label)


def _line_of_caller(frame: FrameType | None) -> str:
    """file:line of the program line that revealed, for the report."""
    if frame is None:
        return "?"
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


__all__ = ["context", "reveal", "secret"]
