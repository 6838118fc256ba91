"""Samples for every row of the table: broadcasting, empty and 0-d tensors, secret and public operands in every place,
memory in other orders, writes through views. A row without a sample fails a test, and so does a sample without a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from worlds import Operand, Sample, flags, index, real, ties, whole

from tacit.tensor.table import OPS, Row

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
for x in (real(2, 3), real(3), real(), real().public, real(2, 3).public, whole(3)):
    for y in (Operand((3,), "divisor"), Operand((2, 1), "divisor"), Operand((), "divisor")):
        # Each entry of a quotient is off by its own inverse's error times the numerator: the divisor's slope is 16.
        add(aten.div.Tensor, x, y, extra_units=16)
add(aten.div.Tensor, real(2, 3).laid("turned"), Operand((2, 3), "divisor", True, "turned"), extra_units=16)
written(aten.div_.Tensor, others=((Operand((3,), "divisor"),),), extra_units=16)
for y, z in ((real(3), Operand((2, 3), "divisor")), (real(3), Operand((3,), "divisor", False)),
             (real(3).public, Operand((3,), "divisor"))):
    add(aten.addcdiv.default, real(2, 3), y, z, extra_units=16)
    add(aten.addcdiv.default, real(2, 3), y, z, call=given(value=-0.25), title="value ", extra_units=16)
written(aten.addcdiv_.default, others=((real(3), Operand((3,), "divisor")),), extra_units=16)
for exponent in (-1, -2, -0.5, 0.5, 1.5, 2.5, 0.3, -0.7):
    # exp(n log x) has the relative error of its exponent; a slope is up to 4^3.
    unary(aten.pow.Tensor_Scalar, kind="above", call=given(exponent), title=f"{exponent} ", extra_units=64)
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

# -- windows -------------------------------------------------------------------------------------------------------


def convolved(x: tuple[int, ...], w: tuple[int, ...], *args: Any, sides: Iterable[str] = ("sss",), bias: bool = True,
              layout: str = "plain") -> None:
    """Forward, with a bias where wanted, and both products of the backward pass by name."""
    transposed, groups = args[3], args[5]
    outputs = w[1] * groups if transposed else w[0]
    for known in sides:
        secret = [side == "s" for side in known]
        operands = [Operand(x, "real", secret[0], layout), Operand(w, "real", secret[1], layout)]
        if bias:
            operands.append(Operand((outputs,), "real", secret[2]))
        call = given(*args) if bias else lambda op, x, w: op(x, w, None, *args)
        add(aten.convolution.default, *operands, call=call, title=f"{args} ")
    shape = aten.convolution(torch.empty(x, device="meta"), torch.empty(w, device="meta"), None, *args).shape
    for known in sorted({side[:2] for side in sides}):
        x_, w_ = (Operand(size, "real", side == "s", layout) for size, side in zip((x, w), known, strict=True))
        for grad in (Operand(tuple(shape)), Operand(tuple(shape), "real", False)):
            if not (grad.secret or x_.secret or w_.secret):
                continue
            mask = [bool(grad.secret or w_.secret), bool(grad.secret or x_.secret), grad.secret]
            add(aten.convolution_backward.default, grad, x_, w_, title=f"{args} ", backward=False,
                call=lambda op, g, x, w, m=mask: [t for t in op(g, x, w, [outputs], *args, m) if t is not None])


convolved((2, 3, 5, 4), (4, 3, 3, 2), [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
          sides=("sss", "ssp", "spp", "psp", "sps", "pps"))
convolved((2, 4, 5, 6), (6, 2, 2, 3), [2, 1], [1, 2], [1, 2], False, [0, 0], 2)
convolved((2, 3, 5, 4), (4, 3, 3, 2), [1, 1], [1, 1], [1, 1], False, [0, 0], 1, layout="channels last")
convolved((2, 3, 7), (2, 3, 3), [2], [1], [1], False, [0], 1, bias=False)
convolved((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), [1, 2, 1], [0, 1, 0], [1, 1, 1], False, [0, 0, 0], 1)
convolved((0, 3, 5, 4), (4, 3, 3, 2), [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
convolved((2, 4, 3, 4), (4, 3, 3, 2), [2, 3], [1, 0], [1, 2], True, [1, 0], 2, sides=("sss", "spp", "psp"))
for x in (real(2, 3, 5, 6), real(3, 4, 4), real(2, 3, 4, 4).laid("channels last"), real(1, 1, 4, 6).laid("turned")):
    for args in (([2, 2],), ([3, 2], [1, 2]), ([2, 3], [2, 2], [1, 1]), ([3, 3], [2, 2], [1, 1], True),
                 ([3, 3], [2, 2], [1, 1], True, False), ([2, 2], [2, 2], [0, 0], False, True, 8)):
        add(aten.avg_pool2d.default, x, call=given(*args), title=f"{args} ")
    for size in ([2, 2], [3, 2], [4, 4]):
        add(aten._adaptive_avg_pool2d.default, x, call=given(size), title=f"{size} ")
for grad, x in ((real(2, 3, 2, 3), real(2, 3, 5, 6)), (real(2, 3, 2, 3).public, real(2, 3, 5, 6))):
    add(aten.avg_pool2d_backward.default, grad, x, call=given([2, 2], [2, 2], [0, 0], False, True, None),
        backward=False)
    add(aten._adaptive_avg_pool2d_backward.default, grad, x, backward=False)
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

for name in ("sigmoid", "tanh", "erf", "silu", "exp", "expm1", "exp2"):
    unary(getattr(aten, name).default, extra_units=2)
    written(getattr(aten, f"{name}_").default, extra_units=2)
    if name != "silu":
        add(getattr(aten, name).default, whole(3), extra_units=2)
for name in ("log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal"):
    # The slope of rsqrt and the reciprocal is up to 16 here, and the gradient passes through both.
    slope = 48 if name in ("rsqrt", "reciprocal") else 8
    unary(getattr(aten, name).default, kind="above", extra_units=slope)
    written(getattr(aten, f"{name}_").default, kind="above", extra_units=slope)
add(aten.reciprocal.default, Operand((2, 3), "divisor"), extra_units=48)
for approximate in ("none", "tanh"):
    unary(aten.gelu.default, call=given(approximate=approximate), title=f"{approximate} ", extra_units=2)
    add(aten.gelu_.default, real(2, 3), call=lambda op, x, how=approximate: op(x.clone(), approximate=how))
for grad, x in ((real(2, 3), real(2, 3)), (real(3).public, real(3)), (real(), real())):
    add(aten.gelu_backward.default, grad, x, extra_units=4, backward=False)
    add(aten.gelu_backward.default, grad, x, call=given(approximate="tanh"), title="tanh ", extra_units=4,
        backward=False)
    add(aten.silu_backward.default, grad, x, extra_units=4, backward=False)
    add(aten.tanh_backward.default, grad, x, extra_units=4, backward=False)
for base in (2, 0.5, 10.0):
    add(aten.pow.Scalar, real(2, 3), call=lambda op, x, b=base: op(b, x), title=f"{base} ", extra_units=8)
for args in ((), (2, [1]), (2, [0, 1], True)):
    add(aten.linalg_vector_norm.default, real(2, 3), call=given(*args), title=f"{args} ", extra_units=8)
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

# -- the largest, classes ------------------------------------------------------------------------------------------

for kind in ("real", "ties"):
    for op in (aten.max.dim, aten.min.dim):
        for args in ((0,), (-1, True), (1,)):
            add(op, Operand((4, 3), kind), call=given(*args), title=f"{args} ")
        add(op, Operand((), kind), call=given(0))
        add(op, Operand((2, 3), kind, True, "turned"), call=given(1))
        add(op, Operand((2, 1), kind), call=given(1))
    for op in (aten.max.default, aten.min.default):
        # Of several largest each gets a share of the gradient: the format rounds thirds.
        add(op, Operand((2, 3), kind), extra_units=2)
        add(op, Operand((), kind))
    for op in (aten.amax.default, aten.amin.default):
        for args in ((), ([0],), ([-1], True), ([0, 2],)):
            add(op, Operand((2, 3, 2), kind), call=given(*args), title=f"{args} ", extra_units=2)
    for op in (aten.argmax.default, aten.argmin.default):
        for args in ((), (0,), (-1, True), (None, True)):
            add(op, Operand((3, 4), kind), call=given(*args), title=f"{args} ")
add(aten.max.dim, whole(3, 3), call=given(1))
add(aten.argmax.default, whole(5))
add(aten.scatter.src, real(2, 3), call=lambda op, x: op(torch.zeros(2, 3, dtype=x.dtype), 1, x.max(1, True)[1],
                                                         x.max(1, True)[0]), backward=False)
for x in (real(2, 3, 5, 6), real(3, 4, 4), real(2, 3, 4, 4).laid("channels last"), ties(1, 1, 4, 6)):
    for args in (([2, 2],), ([3, 2], [1, 2]), ([2, 3], [2, 2], [1, 1]), ([3, 3], [2, 2], [1, 1], [1, 1], True),
                 ([2, 2], [1, 1], [0, 0], [2, 1])):
        add(aten.max_pool2d_with_indices.default, x, call=given(*args), title=f"{args} ")
for x in (real(1, 2, 4, 4), ties(1, 2, 4, 4)):
    pooled = ([2, 2], [1, 1], [1, 1], [1, 1], False)
    add(aten.max_pool2d_with_indices_backward.default, real(1, 2, 5, 5), x, backward=False,
        call=lambda op, g, x, p=pooled: op(g, x, *p, aten.max_pool2d_with_indices(x, *p)[1]))
for op in (aten._softmax.default, aten._log_softmax.default):
    for x, dim in ((real(2, 3), 1), (real(2, 3), 0), (real(4), -1), (real(), 0), (real(2, 3, 2), 1), (real(2, 1), 1)):
        add(op, x, call=given(dim, False), title=f"{dim} ")
add(aten._safe_softmax.default, real(2, 3), call=given(1), backward=False)
for grad, y in ((real(2, 3), real(2, 3)), (real(2, 3).public, real(2, 3)), (real(2, 3), real(2, 3).public)):
    for op in (aten._softmax_backward_data.default, aten._log_softmax_backward_data.default):
        # Called on numbers that are no probabilities: exp of up to 4 multiplies a sum of three.
        add(op, grad, y, call=given(1, torch.float32), extra_units=16, backward=False)
_WEIGHT = torch.tensor([1.0, 0.5, 2.0])
for target in (Operand((4,), "class"), Operand((4,), "class", False)):
    for reduction in (0, 1, 2):
        for weight, ignored in ((None, -100), (_WEIGHT, -100), (None, 1), (_WEIGHT, 2)):
            title = f"{reduction} {weight is not None} {ignored} "
            add(aten.nll_loss_forward.default, real(4, 3), target, title=title, extra_units=2,
                call=lambda op, x, t, a=(weight, reduction, ignored): op(
                    x, t, None if a[0] is None else a[0].to(x.dtype), *a[1:])[0])
            grad = Operand((4,) if reduction == 0 else ())
            add(aten.nll_loss_backward.default, grad, real(4, 3), target, title=title, extra_units=2, backward=False,
                call=lambda op, g, x, t, a=(weight, reduction, ignored): op(
                    g, x, t, *(w := (None if a[0] is None else a[0].to(x.dtype), *a[1:])),
                    aten.nll_loss_forward(x, t, *w)[1]))
for target in (Operand((2, 2, 1), "class"), Operand((2, 2, 1), "class", False)):
    add(aten.nll_loss2d_forward.default, real(2, 3, 2, 1), target, call=lambda op, x, t: op(x, t, None, 1, -100)[0])
    add(aten.nll_loss2d_backward.default, real(), real(2, 3, 2, 1), target, backward=False,
        call=lambda op, g, x, t: op(g, x, t, None, 1, -100, aten.nll_loss2d_forward(x, t, None, 1, -100)[1]))
for target in (Operand((), "class"), Operand((), "class", False)):
    add(aten.nll_loss_forward.default, real(3), target, call=lambda op, x, t: op(x, t, None, 1, -100)[0])

# -- lists -----------------------------------------------------------------------------------------------------------


def lists(of: int, *args: Any) -> Call:
    """The operands dealt to `of` lists, then more arguments; in place on copies, which come back."""

    def call(op: Any, *tensors: Tensor) -> list[Tensor]:
        split = [list(tensors[i::of]) for i in range(of)]
        split[0] = [target.clone() for target in split[0]]
        found = op(*split, *args)
        return split[0] if found is None else list(found)

    return call


_PAIR = (real(2, 3), real(4))
_TURNED = (real(2, 3).laid("turned"), real())
_LIST_UNITS = {"div": 16, "addcdiv": 16, "pow": 64, "rsqrt": 48, "reciprocal": 48, "sqrt": 8}
for x, y in ((real(2, 3), real(2, 3)), (real(2, 3), real(2, 3).public), (real(2, 3).public, real(2, 3))):
    add(aten.maximum.out, x, y, real(2, 3), call=lambda op, x, y, out: op(x, y, out=out.clone()), backward=False)
for op in [op for op, row in OPS.items() if isinstance(row, Row) and "_foreach_" in str(op)]:
    stem = str(op).split("_foreach_")[1].split(".")[0].rstrip("_")
    overload = str(op).split(".")[-1]
    of = {"addcmul": 3, "addcdiv": 3, "lerp": 2, "copy": 2}.get(stem, 2 if overload == "List" else 1)
    last = "divisor" if stem in ("div", "addcdiv") else "above" if stem in ("sqrt", "rsqrt", "reciprocal", "pow") else (
        "real")
    rest: tuple[Any, ...] = {"Scalar": (0.5,), "ScalarList": ([0.5, 3.0],)}.get(overload, ())
    if overload == "Tensor":
        rest = (torch.tensor([0.5, 3.0]),) if stem in ("addcmul", "addcdiv") else (torch.tensor(0.5),)
    for shapes in (_PAIR, _TURNED):
        operands = []
        for x in shapes:
            kinds = ["real"] * (of - 1) + [last]
            operands += [Operand(x.shape, kind, True, x.layout) for kind in kinds]
        add(op, *operands, call=lists(of, *rest), title=f"{stem} ", extra_units=_LIST_UNITS.get(stem, 2),
            backward=False)
