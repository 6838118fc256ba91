"""SecretTensor: a torch.Tensor whose value no party holds.

It lies below autograd: torch sees a float32 tensor on the CPU and does its own bookkeeping (graph, views, versions);
every operator that reaches `__torch_dispatch__` is looked up in one table and answered on shares. What the table does
not know is refused by name. Nothing falls through to plain text: the wrapper has no storage that could be read.

Not here: what an operator means (table and its modules), how a value gets in or out (verbs).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, cast

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch

from tacit.errors import RefusedOp
from tacit.tensor.cell import KNOWN, OUTLINE, Cell

_HOW_TO_SEE = "use tacit.reveal(x, to=..., name=...), which asks the job files of all parties"


class SecretTensor(Tensor):
    """A secret tensor. Its shape and dtype are public; its value is shared among the parties."""

    _cell: Cell
    #: Answers every operator; dispatch.py puts itself here, since the table stands above this module.
    answer: ClassVar[Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]]

    @staticmethod
    def __new__(cls, cell: Cell, dtype: torch.dtype, requires_grad: bool = False) -> SecretTensor:
        offset = 0
        if not cell.promised:
            shares = cell.shares
            offset, strides = int(shares.storage_offset()), shares.stride()[1:]
        else:
            value = cell.recall(OUTLINE) if cell.recall(KNOWN) is None else cell.recall(KNOWN)
            strides = torch.empty(cell.shape, device="meta").stride() if value is None else value.stride()
        made = Tensor._make_wrapper_subclass(
            cls, cell.shape, strides=strides, storage_offset=offset, dtype=dtype, device=_CPU,
            requires_grad=requires_grad,
        )
        made._cell = cell
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch passes no kwargs where there are none
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        del types
        return cls.answer(func, args, kwargs or {})

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Defining this keeps torch's fused inference paths, which would bypass the table, from being taken.
        del types
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    # -- what must not show a value ------------------------------------------------------------------------------

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        del tensor_contents
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
        # numpy asks for this too when an array meets a secret tensor in a sum or product.
        _refuse("turn a secret tensor into a numpy array",
                f"to compute with an array, write torch.as_tensor(array) first; to see values, {_HOW_TO_SEE}")

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
        twin = SecretTensor(self._cell, self.dtype, self.requires_grad)
        twin.__dict__.update({key: value for key, value in self.__dict__.items() if key != "_cell"})
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> SecretTensor:
        # The default one copies all attributes deeply: through the cell, that is the run and its sockets.
        if id(self) in memo:
            return cast(SecretTensor, memo[id(self)])
        if not self.is_leaf:
            raise RefusedOp("cannot deepcopy a tensor that autograd computed", hint="detach() it first, as in torch")
        with torch.no_grad():
            cell = cast(SecretTensor, self.detach().clone())._cell
        twin = memo[id(self)] = SecretTensor(cell, self.dtype, self.requires_grad)
        attributes = {key: value for key, value in self.__dict__.items() if key != "_cell"}
        twin.__dict__.update(copy.deepcopy(attributes, memo))
        twin.grad = copy.deepcopy(self.grad, memo)
        return twin

    # -- `p.data = q` --------------------------------------------------------------------------------------------

    @property
    def data(self) -> Tensor:
        # As torch has it: the same memory, unknown to autograd, which does not count writes through it.
        return SecretTensor(self._cell, self.dtype)

    @data.setter
    def data(self, value: Tensor) -> None:
        # torch swaps only its own side of a wrapper here; without this the old share would silently stay.
        if not isinstance(value, SecretTensor):
            _refuse("put a plain value where a secret one is (p.data = plain)", "use tacit.secret(value, owner=...)")
        with no_dispatch():
            Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self._cell = value._cell


_CPU = torch.device("cpu")


def _refuse(what: str, instead: str = _HOW_TO_SEE) -> NoReturn:
    raise RefusedOp(f"cannot {what}: the parties would learn it, or see noise", hint=instead)


def cell_of(value: Any) -> Cell | None:
    """The cell of a secret tensor, None of anything else."""
    return value._cell if isinstance(value, SecretTensor) else None
