"""The engine's public names: each is there under the package, is a method where a Tensor comes first, and has its
parameters and defaults as promised."""

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, autograd, kernels, random, testing

AXES = "(x, axis=None, keepdims=False)"
FUNCTIONS = f"""
negative square abs sign floor ceil round isnan isfinite isinf logical_not(a)
reciprocal sqrt exp expm1 log log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh(x)
sigmoid relu erf rsqrt selu silu hardtanh hardsigmoid matrix_transpose nonzero(x)
add subtract multiply divide pow remainder maximum minimum matmul outer dot(a, b)
equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor(a, b)
clip(x, min=None, max=None)
where(condition, x, y)
sum mean prod max min any all argmax argmin{AXES}
var std(x, axis=None, correction=0, keepdims=False)
logsumexp{AXES}
cumulative_sum flip(x, axis=None)
vector_norm(x, axis=None, keepdims=False, ord=2)
tensordot(a, b, axes=2)
vecdot(a, b, axis=-1)
reshape(x, shape)
permute_dims(x, axes)
squeeze(x, axis)
expand_dims unstack(x, axis=0)
broadcast_to(x, shape)
roll(x, shift, axis=None)
tile(x, repetitions)
repeat(x, repeats, axis=None)
tril triu(x, k=0)
sort argsort(x, axis=-1, descending=False)
take(x, indices, axis=None)
take_along_axis(x, indices, axis=-1)
astype(x, dtype)
leaky_relu(x, negative_slope=0.01)
elu(x, alpha=1.0)
gelu(x, approximate="none")
softplus(x, beta=1.0)
softmax log_softmax cummax(x, axis=-1)
topk(x, k, axis=-1, largest=True)
masked_fill(x, mask, value)
index_add scatter scatter_add(x, indices, values, axis=0)
swapaxes(x, axis1, axis2)
diagonal(x, offset=0, axis1=0, axis2=1)
pad(x, pad_width, mode="constant", constant_values=0)
split(x, indices_or_sections, axis=0)
"""
OTHERS = {
    tg: """
zeros ones empty(shape, dtype=float32)
full(shape, fill_value, dtype=None)
tensor(data, dtype=None, requires_grad=False)
concat stack(arrays, axis=0)
einsum(equation, *operands)
set_num_threads(n)
get_num_threads()
""",
    random: """
normal(shape, mean=0.0, std=1.0, dtype=float32, rng=None)
uniform(shape, low=0.0, high=1.0, dtype=float32, rng=None)
""",
    autograd: """
grad(outputs, inputs, grad_outputs=None, create_graph=False, allow_unused=False)
vjp(fn, *inputs)
jvp(fn, inputs, tangents)
jacobian hessian(fn, x)
hvp(fn, x, v)
checkpoint(fn, *tensors)
custom(forward, vjp, name=None)
RowSparse(indices, values, shape)
draw(tensor)
""",
    kernels: """
matmul(a, b, out=None)
pack(b)
""",
    testing: """
gradcheck gradgradcheck(fn, inputs, eps=1e-6, atol=1e-5, rtol=1e-3)
""",
    Tensor: """
backward(self, gradient=None, retain_graph=False, create_graph=False)
requires_grad_(self, flag=True)
astype(self, dtype)
numpy item tolist detach copy retain_grad(self)
register_hook(self, fn)
scatter_ scatter_add_ index_add_(self, indices, values, axis=0)
""",
}
ALIASES = """
arcsin=asin arccos=acos arctan=atan arcsinh=asinh arccosh=acosh arctanh=atanh amax=max amin=min cumsum=cumulative_sum
norm=vector_norm
"""


def rows(home: Any, text: str) -> list[Any]:
    """One a name: (where it lives, name, signature)."""
    return [(home, name, "(" + arguments) for line in text.strip().splitlines()
            for names, arguments in [line.split("(", 1)] for name in names.split()]


LISTED = rows(tg, FUNCTIONS)
ALL = LISTED + [row for home, text in OTHERS.items() for row in rows(home, text)]


def parameters(signature: str) -> list[inspect.Parameter]:
    """What a signature in text says."""
    promised: Any = eval(f"lambda {signature[1:-1]}: None", {"float32": np.float32})
    return list(inspect.signature(promised).parameters.values())


def found(home: Any, name: str) -> list[inspect.Parameter]:
    """The parameters that something has, without annotations."""
    signature = inspect.signature(getattr(home, name))
    return [p.replace(annotation=p.empty) for p in signature.parameters.values()]


@pytest.mark.parametrize(("home", "name", "signature"), ALL, ids=[f"{name}{n}" for n, (_, name, _) in enumerate(ALL)])
def test_parameters_and_defaults(home: Any, name: str, signature: str) -> None:
    promised, ours = parameters(signature), found(home, name)
    if home is Tensor:
        promised, ours = promised[1:], ours[1:]
    further = ours[len(promised):]
    assert ours[:len(promised)] == promised
    assert all(p.default is not p.empty for p in further)


@pytest.mark.parametrize("name", [name for _, name, _ in LISTED])
def test_functions_are_methods(name: str) -> None:
    assert callable(getattr(Tensor, name))


def test_aliases() -> None:
    for pair in ALIASES.split():
        alias, name = pair.split("=")
        assert getattr(tg, alias) is getattr(tg, name)
        assert hasattr(Tensor, alias)


def test_the_rest_is_there() -> None:
    names = "zeros_like ones_like empty_like full_like arange linspace eye meshgrid no_grad enable_grad detect_anomaly "
    names += "Parameter Cell autograd cells data decode embeddings interop kernels metrics models nn optim testing "
    names += "train"
    dtypes = SimpleNamespace(float32=np.float32, float64=np.float64, int32=np.int32, int64=np.int64, bool=np.bool_)
    assert [name for name in [*names.split(), "__version__"] if not hasattr(tg, name)] == []
    assert all(getattr(tg, name) == dtype for name, dtype in vars(dtypes).items())
    assert tg.Parameter is tg.nn.Parameter
    assert tg.Cell is tg.cells.Cell
    for name in ("no_grad", "enable_grad", "detect_anomaly"):
        assert getattr(autograd, name) is getattr(tg, name)
    t = tg.tensor([[1.0, 2.0]])
    assert all(hasattr(t, name) for name in "shape ndim size dtype T mT grad requires_grad is_leaf data".split())
    assert (float(t[0, 0]), bool(t[0, 0]), len(t), [len(row) for row in t]) == (1.0, True, 1, [2])
    for strategy in ("shapes", "broadcastable", "arrays"):
        assert callable(getattr(testing.strategies, strategy))
