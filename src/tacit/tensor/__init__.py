"""Secret tensors under unmodified PyTorch: the wrapper, the table of operators, and the verbs secret and reveal."""

from tacit.tensor import dispatch as dispatch  # makes SecretTensor answer
from tacit.tensor.secret import SecretTensor
from tacit.tensor.verbs import reveal, secret

__all__ = ["SecretTensor", "reveal", "secret"]
