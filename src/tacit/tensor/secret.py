"""SecretTensor: a torch.Tensor whose value no party holds.

It lies below autograd: torch sees a float32 tensor on the CPU and does its own bookkeeping (graph, views, versions);
every operator that reaches `__torch_dispatch__` is looked up in one table and answered on shares. What the table does
not know is refused by name. Nothing falls through to plain text: the wrapper has no storage that could be read.

Not here: what an operator means (table and its modules), how a value gets in or out (verbs).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, cast

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch

from tacit.errors import RefusedOp
from tacit.tensor.cell import Cell

_HOW_TO_SEE = "use tacit.reveal(x, to=..., name=...), which asks the job files of all parties"


class SecretTensor(Tensor):
    """A secret tensor. Its shape and dtype are public; its value is shared among the parties."""

    _cell: Cell
    #: Answers every operator; dispatch.py puts itself here, since the table stands above this module.
    answer: ClassVar[Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]]

    @staticmethod
    def __new__(cls, cell: Cell, dtype: torch.dtype, requires_grad: bool = False) -> SecretTensor:
        promised = cell._shares is None
        strides = torch.empty(cell.shape, device="meta").stride() if promised else cell.shares.stride()[1:]
        offset = 0 if promised else cell.shares.storage_offset()
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, cell.shape, strides=strides, storage_offset=offset, dtype=dtype, device="cpu",
            requires_grad=requires_grad,
        )
        made._cell = cell
        return cast(SecretTensor, made)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        return cls.answer(func, args, kwargs or {})

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Defining this keeps torch's fused inference paths, which would bypass the table, from being taken.
        del types
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    # -- what must not show a value ------------------------------------------------------------------------------

    def __repr__(self, *, tensor_contents: object = None) -> str:
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"SecretTensor(shape={list(self.shape)}, dtype={self.dtype}{grad})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        if spec:
            _refuse(f"format a secret value with {spec!r}")
        return repr(self)

    def numpy(self, *args: object, **kwargs: object) -> NoReturn:
        _refuse("turn a secret tensor into a numpy array")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        _refuse("turn a secret tensor into a numpy array")

    def tolist(self) -> NoReturn:
        _refuse("turn a secret tensor into a list")

    def __dlpack__(self, *args: object, **kwargs: object) -> NoReturn:
        _refuse("export a secret tensor through DLPack")

    def share_memory_(self) -> NoReturn:
        _refuse("move a secret tensor to shared memory")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        # Pickling a wrapper would write its attributes, this party's shares, in the clear.
        _refuse("pickle a secret tensor (torch.save, copies between processes)",
                "reveal the module to its owner, who may save it")

    def __copy__(self) -> SecretTensor:
        return cast(SecretTensor, self.detach())

    # -- `p.data = q` --------------------------------------------------------------------------------------------

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        # torch swaps only its own side of a wrapper here; without this the old share would silently stay.
        if not isinstance(value, SecretTensor):
            _refuse("put a plain value where a secret one is (p.data = plain)", "use tacit.secret(value, owner=...)")
        with no_dispatch():
            Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self._cell = value._cell


def _refuse(what: str, instead: str = _HOW_TO_SEE) -> NoReturn:
    raise RefusedOp(f"cannot {what}: the parties would learn it, or see noise", hint=instead)


def cell_of(value: Any) -> Cell | None:
    """The cell of a secret tensor, None of anything else."""
    return value._cell if isinstance(value, SecretTensor) else None
