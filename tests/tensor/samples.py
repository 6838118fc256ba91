"""Samples for every row of the table: broadcasting, empty and 0-d tensors, secret and public operands in every place,
memory in other orders, writes through views. A row without a sample fails a test, and so does a sample without a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from worlds import Operand, Sample, flags, index, real, ties, whole

aten = torch.ops.aten

Call = Callable[..., Any]
SAMPLES: list[Sample] = []
_taken: dict[tuple[Any, str], int] = {}
_walked: set[Any] = set()  # overloads that went through all shapes and layouts once


def add(op: Any, *operands: Operand, call: Call | None = None, title: str = "", **options: Any) -> None:
    """One sample; `call` is the overload itself on all operands unless given."""
    described = ", ".join(
        f"{'' if o.secret else 'public '}{o.kind} {list(o.shape)}{'' if o.layout == 'plain' else ' ' + o.layout}"
        for o in operands
    )
    title = f"{title}({described})"
    count = _taken[op, title] = _taken.get((op, title), 0) + 1
    SAMPLES.append(Sample(op, operands, call or (lambda op, *t: op(*t)), f"{title} #{count}", **options))


def given(*args: Any, **kwargs: Any) -> Call:
    """The overload with more arguments after the tensors."""
    return lambda op, *tensors: op(*tensors, *args, **kwargs)


def in_place(*args: Any, **kwargs: Any) -> Call:
    """On a copy of the first operand, which must be what comes back."""

    def call(op: Any, target: Tensor, *rest: Tensor) -> list[Tensor]:
        target = target.clone()
        result = op(target, *rest, *args, **kwargs)
        assert result is target
        return [target]

    return call


def through_a_view(*args: Any, **kwargs: Any) -> Call:
    """On a view of a copy, whose base must see the change."""

    def call(op: Any, base: Tensor, *rest: Tensor) -> list[Tensor]:
        base = base.clone()
        seen = base[1:]
        op(seen, *rest, *args, **kwargs)
        return [base, seen]

    return call


def on_list(*args: Any, **kwargs: Any) -> Call:
    return lambda op, *tensors: op(list(tensors), *args, **kwargs)


_LIKE: tuple[Operand, ...] = (
    real(3, 2).laid("turned"), real(), real(0, 3), real(2, 3), real(2, 3, 2, 2).laid("channels last"),
    real(2, 3).laid("expanded"), real(5).laid("stepped"), real(3, 2).laid("inner"),
)
_BROADCAST: tuple[tuple[Operand, Operand], ...] = (
    (real(2, 3), real(3)), (real(2, 1), real(3)), (real(), real(2)), (real(), real()), (real(0, 3), real(3)),
    (real(2, 3).laid("turned"), real(2, 3).laid("turned")), (real(2, 3).laid("turned"), real(2, 3)),
    (real(2, 2, 2, 2).laid("channels last"), real(2, 1, 1)), (real(2, 3).laid("expanded"), real(3).laid("stepped")),
)


def binary(op: Any, *, kind: str = "real", mixed: Iterable[tuple[Operand, Operand]] = (), call: Call | None = None,
           **options: Any) -> None:
    """All broadcasts, with both operands secret and with either public; a few of them the second time."""
    pairs = _BROADCAST[:3] if op in _walked else _BROADCAST
    _walked.add(op)
    for x, y in pairs:
        x, y = (Operand(o.shape, kind, o.secret, o.layout) for o in (x, y))
        for sides in ((x, y), (x, y.public), (x.public, y)):
            add(op, *sides, call=call, **options)
    for x, y in mixed:
        add(op, x, y, call=call, **options)


def unary(op: Any, *, kind: str = "real", call: Call | None = None, **options: Any) -> None:
    """All shapes and layouts; a few of them the second time."""
    shapes = _LIKE[:3] if op in _walked else _LIKE
    _walked.add(op)
    for x in shapes:
        add(op, Operand(x.shape, kind, True, x.layout), call=call, **options)


def written(op: Any, *args: Any, others: tuple[tuple[Operand, ...], ...] = ((),), kind: str = "real",
            **options: Any) -> None:
    """In place on a tensor and on a view, for each choice of the other operands."""
    for rest in others:
        title = f"{list(args)} " if args else ""
        add(op, Operand((2, 3), kind), *rest, call=in_place(*args), title=title, **options)
        add(op, Operand((3, 3), kind), *rest, call=through_a_view(*args), title=f"view {title}", **options)
    if others == ((),):
        add(op, Operand((), kind), call=in_place(*args), title=f"{list(args)} ", **options)
        add(op, Operand((0, 2), kind), call=in_place(*args), title=f"{list(args)} ", **options)


# -- structure -----------------------------------------------------------------------------------------------------

for view in (aten.detach.default, aten.alias.default, aten.t.default):
    for x in (real(2, 3), real(3), real(), real(0, 3), flags(2, 2), real(3, 2).laid("turned")):
        add(view, x)
for op, arguments in {
    aten.as_strided.default: [((2, 2), (1, 2)), ((2,), (3,), 1)],
    aten.diagonal.default: [(), (1, 0, -1)],
    aten.expand.default: [((4, 2, 3),), ((-1, 3),)],
    aten.permute.default: [((1, 0),), ((-1, 0),)],
    aten.select.int: [(0, 1), (-1, -1)],
    aten.slice.Tensor: [(), (1, 1), (-1, 0, 9, 2), (0, -1)],
    aten.split.Tensor: [(1,), (2, -1)],
    aten.split_with_sizes.default: [((1, 1),), ((1, 2), -1)],
    aten.squeeze.default: [()],
    aten.squeeze.dim: [(0,), (-1,)],
    aten.squeeze.dims: [((0, 1),)],
    aten.transpose.int: [(0, 1), (-1, 0), (0, 0)],
    aten.unbind.int: [(), (-1,)],
    aten.unfold.default: [(1, 2, 1), (-1, 3, 2)],
    aten.unsqueeze.default: [(0,), (-1,)],
    aten.view.default: [((6,),), ((3, -1),), ((1, 2, 3),)],
    aten._unsafe_view.default: [((6,),), ((3, 2),)],
    aten._reshape_alias.default: [((3, 2), (2, 1))],
}.items():
    for args in arguments:
        no_grad = op in (aten.as_strided.default, aten._reshape_alias.default)
        add(op, real(2, 3), call=given(*args), title=f"{args} ", backward=not no_grad)
        add(op, whole(2, 3), call=given(*args), title=f"{args} ")
for op in (aten.squeeze.default, aten.unbind.int, aten.slice.Tensor):
    add(op, real(1, 2, 1))
    add(op, real(2, 3).laid("turned"))
add(aten.view.default, real(), call=given((1, 1)))
add(aten.view.default, real(0, 3), call=given((3, 0)))
add(aten.expand.default, real(), call=given((2, 2)))
add(aten.squeeze.dim, real(1, 3), call=given(0))
add(aten.split.Tensor, real(5), call=given(2))
for op, args in {
    aten.transpose_.default: (0, -1), aten.squeeze_.default: (), aten.squeeze_.dim: (0,), aten.squeeze_.dims: ((0,),),
    aten.unsqueeze_.default: (1,), aten.t_.default: (),
}.items():
    for x in (real(1, 3), real(1, 3).laid("turned")):
        add(op, x, call=in_place(*args))

add(aten.flip.default, real(2, 3), call=given((0, -1)))
add(aten.roll.default, real(2, 3), call=given((1,), (1,)))
add(aten.repeat.default, real(2, 3), call=given((2, 1, 2)))
add(aten.index_select.default, real(2, 3), index(4), call=lambda op, x, i: op(x, -1, i))
add(aten.index_select.default, whole(2, 3), index(0), call=lambda op, x, i: op(x, 0, i))
add(aten.gather.default, real(2, 3), index(2, 2), call=lambda op, x, i: op(x, -1, i))
for op in (aten.tril.default, aten.triu.default):
    add(op, real(3, 3))
    add(op, real(2, 3, 3), call=given(1))
add(aten.diag_embed.default, real(2, 3))
add(aten.diagonal_backward.default, real(2), call=given((2, 3), 0, 0, 1))
add(aten.unfold_backward.default, real(2, 2, 2), call=given((2, 3), 1, 2, 1))
add(aten.select_backward.default, real(3), call=given((2, 3), 0, -1))
add(aten.slice_backward.default, real(2, 2), call=given((2, 5), -1, 0, 4, 2))
for value in (0, 1.5, -2):
    add(aten.constant_pad_nd.default, real(2, 3), call=given((1, 0, 0, 2), value), title=f"{value} ")
add(aten.constant_pad_nd.default, whole(2), call=given((1, 1), 3))
add(aten.constant_pad_nd.default, real(2, 4), call=given((-1, -1)))
for parts in (
    (real(2, 3), real(1, 3)), (real(2, 3), real(1, 3).public), (real(1, 3).public, real(2, 3)), (real(0), real(2, 3)),
    (whole(2, 3), real(2, 3)), (flags(2), whole(2)), (real(2, 3).laid("turned"), real(2, 3).laid("turned")),
    (real(2, 2, 2, 2).laid("channels last"), real(2, 2, 2, 2).laid("channels last")), (real(0), real(3).public),
    (real(2),),
):
    add(aten.cat.default, *parts, call=on_list())
add(aten.cat.default, real(2, 3), real(2, 1), call=on_list(-1))
for parts in (
    (real(2, 3), real(2, 3)), (real(), real().public, real()), (whole(2), real(2).public), (real(0), real(0)),
):
    add(aten.stack.default, *parts, call=on_list())
    add(aten.stack.default, *parts, call=on_list(-1), title="-1 ")
add(aten.unsafe_split.Tensor, real(5, 2), call=given(2))
add(aten.unsafe_split_with_sizes.default, real(5, 2), call=given((2, 3)))
unary(aten.clone.default)
add(aten.clone.default, real(2, 3, 2, 2), call=given(memory_format=torch.channels_last))
add(aten.clone.default, real(3, 2).laid("turned"), call=given(memory_format=torch.contiguous_format))
add(aten._to_copy.default, whole(2), call=given(dtype=torch.float32))
add(aten._to_copy.default, flags(2), call=given(dtype=torch.float32))
add(aten._to_copy.default, flags(2), call=given(dtype=torch.int64))
add(aten._to_copy.default, real(3, 2).laid("turned"))
written(aten.copy_.default, others=((real(3),), (real(3).public,), (real(),), (whole(3),), (flags(3),)))
for source in (real(2, 3), real(2, 3).public, real(2, 3).laid("turned")):
    add(aten.copy_.default, real(2, 3), source, call=in_place())
for entries in (([0, 1, 1],), (None, [2, 0]), ([[0, 1]], [[2, -1]]), ([],)):
    chosen = [None if entry is None else torch.tensor(entry, dtype=torch.int64) for entry in entries]
    add(aten.index.Tensor, real(2, 3), call=given(chosen), title=f"{entries} ")
    for accumulate in (False, True):
        options = {"call": lambda op, x, v, chosen=chosen, a=accumulate: op(x, chosen, v, a)}
        title = f"{entries} {accumulate} "
        # With repeated places and no accumulation torch itself does not say which value stays.
        if accumulate or entries != ([0, 1, 1],):
            add(aten.index_put.default, real(2, 3), real(), title=title, **options)
            add(aten.index_put.default, real(2, 3), real().public, title=title, **options)
            add(aten.index_put.default, real(2, 3).public, real(), title=title, **options)
mask = torch.tensor([[True, False, True], [False, False, True]])
add(aten.index.Tensor, real(2, 3), call=given([mask]))
add(aten.index.Tensor, flags(2, 3), call=given([mask]))
columns = [None, torch.tensor([0, 2])]
for value in (real(), real().public, real(2)):
    for op, backward in ((aten.index_put_.default, True), (aten._index_put_impl_.default, False)):
        add(op, real(2, 3), value, call=lambda op, x, v: op(x.clone(), columns, v), backward=backward)
for x, source in ((real(3, 2), real(2, 2)), (real(3, 2), real(2, 2).public)):
    add(aten.index_add.default, x, source, index(2), call=lambda op, x, s, i: op(x, 0, i, s))
    add(aten.index_add_.default, x, source, index(2), call=lambda op, x, s, i: op(x.clone(), 0, i, s))
    add(aten.scatter_add.default, x, source, index(2, 2), call=lambda op, x, s, i: op(x, 0, i, s))
    add(aten.scatter_add_.default, x, source, index(2, 2), call=lambda op, x, s, i: op(x.clone(), 0, i, s))
add(aten.index_add.default, real(3, 2).public, real(2, 2), index(2), call=lambda op, x, s, i: op(x, 0, i, s, alpha=2))


# -- constants -----------------------------------------------------------------------------------------------------

for op in (aten.ones_like.default, aten.zeros_like.default):
    unary(op)
    add(op, real(2, 3), call=given(dtype=torch.int64))
    add(op, real(2, 3, 2, 2), call=given(memory_format=torch.channels_last))
for op in (aten.empty_like.default, aten.new_empty.default, aten.new_empty_strided.default):
    # What lies in fresh memory is undefined; zeros are what a secret tensor promises.
    sizes = {aten.new_empty.default: ((2, 2),), aten.new_empty_strided.default: ((2, 3), (1, 2))}.get(op, ())
    add(op, real(2, 3).laid("turned"), call=lambda op, x, sizes=sizes: op(x, *sizes).fill_(2))
add(aten.full_like.default, real(2, 3), call=given(0.5))
add(aten.full_like.default, whole(2, 3), call=given(7))
for op, args in {aten.new_zeros.default: (), aten.new_ones.default: (), aten.new_full.default: (-1.5,)}.items():
    add(op, real(2, 3), call=given((4,), *args))
    add(op, whole(2, 3), call=given((0, 2), *args[:0], *([3] if args else [])))
written(aten.fill_.Scalar, 1.5)
written(aten.fill_.Scalar, 3, kind="whole")
written(aten.fill_.Tensor, others=((real(),), (real().public,)))
written(aten.zero_.default)
for p in ((), (0.25,)):
    written(aten.bernoulli_.float, *p)  # both sides draw from torch's generator; the judge seeds it
for op in (aten.isnan.default, aten.isinf.default):
    unary(op)

# -- sums and scalings -----------------------------------------------------------------------------------------------

_KINDS = ((whole(2, 3), real(3)), (whole(2), whole(2)), (real(2, 3), whole(3).public))
_BOOLS = ((flags(2, 3), flags(3)), (flags(2, 3), flags(3).public), (flags(3), flags(3).laid("stepped")))
for op in (aten.add.Tensor, aten.sub.Tensor, aten.rsub.Tensor):
    binary(op, mixed=_KINDS)
    binary(op, call=given(alpha=3))
    binary(op, call=given(alpha=0.3), extra_units=1)
binary(aten.add.Tensor, kind="bool", mixed=_BOOLS)
add(aten.add.Tensor, flags(3), real(2, 3))
for op in (aten.add.Scalar, aten.sub.Scalar, aten.rsub.Scalar):
    for number in (2, -0.5, 0.1):
        unary(op, call=given(number), extra_units=1)
    add(op, whole(2), call=given(3))
    add(op, whole(2), call=given(0.5))
    add(op, real(2), call=given(3, 0.25))
_OTHERS = ((real(3),), (real(3).public,), (real(),), (whole(3),))
for op in (aten.add_.Tensor, aten.sub_.Tensor):
    written(op, others=_OTHERS)
for op in (aten.add_.Scalar, aten.sub_.Scalar):
    written(op, 0.75)
    written(op, 3, kind="whole")
unary(aten.neg.default)
add(aten.neg.default, whole(2))
written(aten.neg_.default)
for x in (*_LIKE, whole(2, 3), flags(2, 3)):
    add(aten.sum.default, x)
    add(aten.cumsum.default, x, call=given(0))
    add(aten.cumsum.default, x, call=given(-1), title="-1 ")
add(aten.sum.default, whole(3), call=given(dtype=torch.float32))
for x in (real(2, 3), real(2, 3).laid("turned"), whole(2, 3), real(2, 3, 2, 2).laid("channels last")):
    for args in ((None,), ([0],), ([-1],), ([0, 1], True), ([],)):
        add(aten.sum.dim_IntList, x, call=given(*args), title=f"{args} ")
add(aten.sum.dim_IntList, real(), call=given([0]))
add(aten.sum.dim_IntList, real(0, 3), call=given([0]))
add(aten.sum.dim_IntList, real(0, 3), call=given([1], True))
for x in (real(2, 3), real(), real(4), real(2, 3).laid("turned"), real(7)):
    add(aten.mean.default, x)
    add(aten.mean.dim, x, call=given([-1]))
    add(aten.mean.dim, x, call=given(None, True))
add(aten.mean.dim, real(0, 3), call=given([1]))

# -- products --------------------------------------------------------------------------------------------------------

binary(aten.mul.Tensor, mixed=(*_KINDS, *_BOOLS, (flags(3), real(2, 3))))
unary(aten.mul.Tensor, call=lambda op, x: op(x, x))
written(aten.mul_.Tensor, others=_OTHERS)
for number in (2, 0.5, 0.3, -1, 1, 0, 1e-3, 1.0):
    unary(aten.mul.Scalar, call=given(number))
    add(aten.mul.Scalar, whole(3), call=given(number), title=f"{number} ")
    written(aten.mul_.Scalar, number)
    if number:
        unary(aten.div.Scalar, call=given(number))
        divisor = torch.tensor(float(number), dtype=torch.float64)
        add(aten.div.Tensor, real(2, 3), call=given(divisor), title=f"{number} ")
        written(aten.div_.Scalar, number)
for x in (real(2, 3), whole(2, 3), real(2, 3).laid("turned"), real(3), real()):
    for y in (Operand((3,), "positive", False), Operand((2, 1), "positive", False)):
        add(aten.div.Tensor, x, y)
written(aten.div_.Tensor, others=((Operand((3,), "positive", False),),))
for exponent in (0, 1, 2, 3, 4):
    unary(aten.pow.Tensor_Scalar, call=given(exponent), extra_units=4)
    add(aten.pow.Tensor_Scalar, whole(3), call=given(exponent), title=f"{exponent} ")
written(aten.pow_.Scalar, 2)
_SIDES = ((True, True), (True, False), (False, True))
for op, *shapes in (
    (aten.mm.default, (2, 3), (3, 4)), (aten.mm.default, (0, 3), (3, 2)), (aten.mm.default, (2, 0), (0, 2)),
    (aten.bmm.default, (2, 2, 3), (2, 3, 1)), (aten.bmm.default, (0, 2, 3), (0, 3, 1)),
    (aten.mv.default, (2, 3), (3,)), (aten.dot.default, (4,), (4,)), (aten.dot.default, (0,), (0,)),
):
    for sides in _SIDES:
        for layout in ("plain", "turned"):
            pairs = zip(shapes, sides, strict=True)
            add(op, *(Operand(shape, "real", side, layout if min(shape) else "plain") for shape, side in pairs))
for op, *shapes in (
    (aten.addmm.default, (4,), (2, 3), (3, 4)), (aten.addmm.default, (2, 1), (2, 3), (3, 4)),
    (aten.addmv.default, (2,), (2, 3), (3,)), (aten.baddbmm.default, (2, 1, 4), (2, 2, 3), (2, 3, 4)),
):
    for sides in ("sss", "spp", "psp", "pps", "ssp"):
        add(op, *(Operand(shape, "real", side == "s") for shape, side in zip(shapes, sides, strict=True)))
    add(op, *(Operand(s) for s in shapes), call=given(beta=0.5, alpha=2), extra_units=2)
    add(op, *(Operand(s) for s in shapes), call=given(beta=0), title="beta=0 ")
for x, y, z in (
    (real(2, 3), real(3), real(2, 1)), (real(3), real(3).public, real(3)), (real(3), real(3), real().public),
    (real(3).public, real(3), real(3)), (real(3), real(3).public, real(3).public),
):
    add(aten.addcmul.default, x, y, z)
    add(aten.addcmul.default, x, y, z, call=given(value=-0.5), title="value ")
written(aten.addcmul_.default, others=((real(3), real(3)), (real(3), real(3).public)))
for x, y in ((real(2, 3), real(3)), (real(2, 3), real(3).public), (real(3).public, real(2, 3))):
    add(aten.lerp.Scalar, x, y, call=given(0.25))
    add(aten.lerp.Scalar, x, y, call=given(0.9), title="0.9 ", extra_units=1)
add(aten.lerp_.Scalar, real(2, 3), real(3), call=in_place(0.5))
add(aten.lerp_.Scalar, real(3, 3), real(3), call=through_a_view(0.5))
for args, options in (
    ((), {}), (([0],), {"correction": 0}), (([-1],), {"keepdim": True}), ((None,), {"correction": 2}),
):
    add(aten.var.correction, real(4, 3), call=given(*args, **options), title=f"{args} {options} ", extra_units=2)

# -- comparisons -----------------------------------------------------------------------------------------------------

_COMPARED = ((whole(2, 3), ties(3)), (flags(3), flags(2, 3)), (whole(3), whole(3).public), (ties(3), whole(3)))
for name in ("lt", "le", "gt", "ge", "eq", "ne"):
    packet = getattr(aten, name)
    binary(packet.Tensor, kind="ties", mixed=_COMPARED)
    for number in (0, 0.5, 1e-9, -1e-9, 1e30, float("-inf"), 0.3):
        unary(packet.Scalar, kind="ties", call=given(number))
        add(packet.Scalar, whole(4), call=given(number), title=f"{number} ")
for op in (aten.logical_not.default, aten.bitwise_not.default):
    unary(op, kind="bool")
add(aten.logical_not.default, whole(4))
for op in (aten.logical_and.default, aten.logical_or.default, aten.logical_xor.default):
    binary(op, kind="bool", mixed=((whole(4), flags(4)), (ties(4), ties(4).public)))
for op in (aten.bitwise_and.Tensor, aten.bitwise_or.Tensor, aten.bitwise_xor.Tensor):
    binary(op, kind="bool")
for op in (aten.bitwise_and.Scalar, aten.bitwise_or.Scalar, aten.bitwise_xor.Scalar):
    for flag in (True, False):
        add(op, flags(2, 3), call=given(flag), title=f"{flag} ")
written(aten.logical_not_.default, kind="bool")
for op in (aten.bitwise_and_.Tensor, aten.bitwise_or_.Tensor, aten.bitwise_xor_.Tensor,
           aten.logical_and_.default, aten.logical_or_.default, aten.logical_xor_.default):
    written(op, kind="bool", others=((flags(3),), (flags(3).public,)))
for name in ("all", "any"):
    packet = getattr(aten, name)
    for x in (flags(3), flags(2, 2), flags(), flags(0), whole(3), ties(2)):
        add(packet.default, x)
    for args in ((0,), (-1, True)):
        add(packet.dim, flags(2, 3), call=given(*args), title=f"{args} ")
        add(packet.dims, flags(2, 3), call=given([args[0]], *args[1:]), title=f"{args} ")
    add(packet.dims, flags(2, 3), call=given(None))
for condition in (flags(2, 3), flags(3), flags(), flags(2, 3).public):
    for x, y in ((real(3), real(2, 1)), (real(3), real(2, 3).public), (real(3).public, real(3)), (whole(3), real(3)),
                 (flags(3), flags(3)), (real(), real())):
        add(aten.where.self, condition, x, y)
add(aten.where.self, flags(2, 3), real(3).public, real(2, 3).public)
add(aten.where.self, flags(0, 3), real(3), real())
add(aten.where.self, flags(2, 3).laid("turned"), real(2, 3).laid("turned"), real())
for value in (0, -1.5, 3):
    for m in (flags(2, 3), flags(3), flags(3).public):
        add(aten.masked_fill.Scalar, real(2, 3), m, call=given(value), title=f"{value} ")
        add(aten.masked_fill_.Scalar, real(2, 3), m, call=in_place(value), title=f"{value} ")
add(aten.masked_fill.Scalar, whole(3), flags(3), call=given(2))
for op, call in ((aten.masked_fill.Tensor, None), (aten.masked_fill_.Tensor, in_place())):
    add(op, real(2, 3), flags(3), real(), call=call)
    add(op, real(2, 3), flags(3).public, real(), call=call)
    add(op, real(2, 3), flags(3), real().public, call=call)
for kind in ("real", "ties"):
    for op in (aten.relu.default, aten.abs.default, aten.sgn.default):
        unary(op, kind=kind)
    unary(aten.sign.default, kind=kind)
    unary(aten.leaky_relu.default, kind=kind, extra_units=1)
    unary(aten.leaky_relu.default, kind=kind, call=given(0.25), title="0.25 ")
    unary(aten.hardtanh.default, kind=kind)
    unary(aten.threshold.default, kind=kind, call=given(0.5, -2))
    written(aten.threshold_.default, 0.5, -2, kind=kind)
    written(aten.leaky_relu_.default, 0.25, kind=kind)
    written(aten.hardtanh_.default, kind=kind)
    written(aten.relu_.default, kind=kind)
    written(aten.abs_.default, kind=kind)
    for bounds in ((-0.5, 0.5), (None, 1), (0,), (float("-inf"), 0.5)):
        unary(aten.clamp.default, kind=kind, call=given(*bounds), title=f"{bounds} ")
    written(aten.clamp_.default, -0.5, 1, kind=kind)
    for op in (aten.clamp_min.default, aten.clamp_max.default):
        unary(op, kind=kind, call=given(0.5))
    for op in (aten.clamp_min_.default, aten.clamp_max_.default):
        written(op, 0.5, kind=kind)
add(aten.abs.default, whole(3))
add(aten.clamp.default, whole(3), call=given(-1, 1))
for low, high in ((real(3), real(3).public), (real(3).public, real(3))):
    add(aten.clamp.Tensor, real(2, 3), low, high)
add(aten.clamp.Tensor, real(2, 3), real(3), call=lambda op, x, low: op(x, low))
for op in (aten.maximum.default, aten.minimum.default):
    binary(op, kind="ties", mixed=((whole(3), whole(3)), (whole(3), ties(3))))
for grad, x in ((real(2, 3), ties(2, 3)), (real(2, 3).public, ties(2, 3)), (real(), ties())):
    for level in (0, 0.5):
        add(aten.threshold_backward.default, grad, x, call=given(level), title=f"{level} ")
    add(aten.hardtanh_backward.default, grad, x, call=given(-0.5, 1))
for grad, x in ((real(2, 3), ties(2, 3)), (real(2, 3), ties(2, 3).public)):
    add(aten.leaky_relu_backward.default, grad, x, call=given(0.25, False))

# -- curves and losses -----------------------------------------------------------------------------------------------

unary(aten.sigmoid.default)
written(aten.sigmoid_.default)
unary(aten.softplus.default)
unary(aten.softplus.default, call=given(2, 20), title="beta 2 ")
unary(aten.log_sigmoid_forward.default, call=lambda op, x: op(x)[0])
for grad, x in ((real(2, 3), real(2, 3)), (real(3).public, real(3)), (real(), real())):
    add(aten.softplus_backward.default, grad, x, call=given(1, 20))
    add(aten.log_sigmoid_backward.default, grad, x, call=lambda op, g, x: op(g, x, aten.log_sigmoid_forward(x)[1]))
for grad, y in ((real(2, 3), real(2, 3)), (real(3).public, real(3)), (real(3), real(3).public), (real(), real())):
    add(aten.sigmoid_backward.default, grad, y, extra_units=4)
for reduction in (0, 1, 2):
    for x, y in ((real(2, 3), real(2, 3)), (real(4), real(4).public), (real(4).public, real(4)), (real(), real())):
        add(aten.mse_loss.default, x, y, call=given(reduction), title=f"{reduction} ", extra_units=2)
        if x.shape:
            g = Operand(x.shape if reduction == 0 else ())
            add(aten.mse_loss_backward.default, g, x, y, call=given(reduction), title=f"{reduction} ", extra_units=8)
    for x, y in ((real(2, 3), Operand((2, 3), "bool")), (real(4), Operand((4,), "positive", False))):
        add(aten.binary_cross_entropy_with_logits.default, x, Operand(y.shape, "positive", y.secret),
            call=given(None, None, reduction), title=f"{reduction} ")
add(aten.binary_cross_entropy_with_logits.default, real(2, 3), Operand((2, 3), "positive"),
    Operand((3,), "positive", False), Operand((3,), "positive", False), extra_units=6)
