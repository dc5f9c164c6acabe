"""The backward pass: the chain rule, what may be differentiated, what is freed, and every mistake a user can make."""

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, tensor
from tinygrad_rnn.autograd import grad
from tinygrad_rnn.autograd.backward import unbroadcast
from tinygrad_rnn.autograd.primitive import primitive, reals
from tinygrad_rnn.testing import gradcheck, gradgradcheck


def leaf(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Tensor:
    return tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype), requires_grad=True)


# ---- the chain rule -----------------------------------------------------------------------------------------------
def test_a_longhand_chain() -> None:
    x, w, b = leaf(5, 3), leaf(3, 2, seed=1), leaf(2, seed=2)
    loss = ((x @ w + b).tanh() ** 2).mean()
    loss.backward()
    z = x.data @ w.data + b.data
    h = np.tanh(z)
    d_z = 2 * h / h.size * (1 - h * h)
    np.testing.assert_allclose(x.grad.data, d_z @ w.data.T)
    np.testing.assert_allclose(w.grad.data, x.data.T @ d_z)
    np.testing.assert_allclose(b.grad.data, d_z.sum(0))


def test_paths_add_up() -> None:
    x = tensor(3.0, requires_grad=True)
    y = x * x  # x twice
    z = y + y * x  # y twice
    z.backward()
    assert x.grad.item() == 2 * 3 + 3 * 9


def test_many_paths_add_up() -> None:
    x = leaf(4)
    y = x.exp()
    total = y * 1.0
    for k in range(2, 6):
        total = total + y * float(k)
    total.sum().backward()
    np.testing.assert_allclose(x.grad.data, 15 * np.exp(x.data))


def test_gradients_accumulate() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    for k in range(1, 4):
        (x * x).sum().backward()
        assert x.grad.tolist() == [2 * k, 4 * k]


def test_a_leaf_may_be_the_root() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    x.backward([3.0, 4.0])
    assert x.grad.tolist() == [3, 4]


def test_constants_get_none() -> None:
    x, c = tensor(2.0, requires_grad=True), tensor(3.0)
    y = x * c
    y.backward()
    assert c.grad is None
    assert y.grad is None
    assert x.grad.item() == 3


def test_integers_do_not_carry_gradients() -> None:
    x = tensor([1.5, 2.5], requires_grad=True)
    for y in (x > 2, x.argmax(), x.astype(tg.int64), x == x, x.isnan()):
        assert not y.requires_grad
    assert x.floor().requires_grad


def test_detach_cuts() -> None:
    x = tensor(3.0, requires_grad=True)
    (x.detach() * x).backward()
    assert x.grad.item() == 3


def test_gradients_are_not_shared_buffers() -> None:
    a, b = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0], requires_grad=True)
    seed = np.ones(2, np.float32)
    (a + b).backward(seed)
    a.grad.data[:] = 7
    assert b.grad.tolist() == [1, 1]
    assert seed.tolist() == [1, 1]
    g1, g2 = grad(a + b, [a, b], seed)
    g1.data[:] = 5
    assert g2.tolist() == [1, 1]
    assert seed.tolist() == [1, 1]
    c = tensor([2.0, 2.0])
    (g,) = grad((a * c).sum(), a)
    g.data[:] = 9
    assert c.tolist() == [2, 2]


def test_a_gradient_is_contiguous_and_writable() -> None:
    x = leaf(3, 4)
    x.sum().backward()
    assert x.grad.data.flags.c_contiguous
    assert x.grad.data.flags.writeable


def test_an_intermediate_gradient_is_not_added_into() -> None:
    # The gradient of y is handed on to x and to z as one buffer; adding to x's must not change z's.
    x, z = leaf(3), leaf(3, seed=1)
    y = x + z
    (y * 1.0 + x * 2.0 + x * 3.0).sum().backward()
    assert x.grad.tolist() == [6, 6, 6]
    assert z.grad.tolist() == [1, 1, 1]


# ---- where to begin -----------------------------------------------------------------------------------------------
def test_gradients_to_begin_with() -> None:
    x = leaf(2, 3)
    for v in (np.full((2, 3), 2.0), tensor(np.full((2, 3), 2.0)), [[2.0] * 3] * 2):
        x.grad = None
        (x * 3.0).backward(v)
        assert x.grad.tolist() == [[6.0] * 3] * 2
    y = leaf(1, 1)
    y.exp().backward()
    np.testing.assert_allclose(y.grad.data, np.exp(y.data))


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        (
            None,
            ValueError,
            r"backward: a tensor of shape \(2, 3\) is not a number: pass a gradient of that shape, or .*\.sum\(\)",
        ),
        (np.ones((3, 2)), ValueError, r"gradient must have the shape of the tensor, \(2, 3\), got \(3, 2\)"),
        (1.0, ValueError, r"gradient must have the shape of the tensor, \(2, 3\), got \(\)"),
        (np.ones((2, 3), np.float32), TypeError, r"dtype of the tensor, float64, got float32; use astype\(float64\)"),
        (np.ones((2, 3), int), TypeError, "float64, got int64"),
        ("text", TypeError, "expected bools, integers"),
    ],
)
def test_wrong_gradients(gradient: Any, error: type, message: str) -> None:
    y = leaf(2, 3).exp()
    with pytest.raises(error, match=message):
        y.backward(gradient)
    y.backward(np.ones((2, 3)))


def test_nothing_to_differentiate() -> None:
    x = leaf(2)
    with tg.no_grad():
        unrecorded = x * 2
    for y in (tensor(1.0), tensor(1.0) * 2, unrecorded.sum(), x.detach().sum()):
        with pytest.raises(
            ValueError, match=r"backward: nothing to differentiate: this tensor of shape \(\) was not computed"
        ):
            y.backward()


# ---- a freed graph ------------------------------------------------------------------------------------------------
FREED = r"freed by an earlier backward: what {} \(result of shape {}\) needs is gone.*detach\(\).*retain_graph=True"


def test_twice_through_one_graph() -> None:
    x = leaf(2, 3)
    y = x.tanh().sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.data, 2 * (1 - np.tanh(x.data) ** 2))
    with pytest.raises(ValueError, match=FREED.format("sum", r"\(\)")):
        y.backward()


def test_a_part_of_the_graph_was_freed() -> None:
    x = leaf(2)
    h = x.exp()
    h.sum().backward()
    with pytest.raises(ValueError, match=FREED.format("exp", r"\(2,\)")):
        (h * 2.0).sum().backward()
    assert x.grad.tolist() == np.exp(x.data).tolist(), "a pass that fails leaves .grad alone"


def test_additions_are_freed_too() -> None:
    x = leaf(2)
    y = (x + 1.0).sum()
    y.backward()
    with pytest.raises(ValueError, match="the graph was freed"):
        y.backward()


def test_a_recurrent_state_that_was_not_detached() -> None:
    w, h = leaf(4, 4), tensor(np.zeros((1, 4)))
    for window in range(2):
        for _ in range(3):
            h = (h @ w + 1.0).tanh()
        if window == 0:
            h.sum().backward()
            continue
        with pytest.raises(ValueError, match=FREED.format("tanh", r"\(1, 4\)")):
            h.sum().backward()
    h = h.detach()
    (h @ w).tanh().sum().backward()


def test_only_what_is_needed_must_be_there() -> None:
    x = leaf(2)
    h = x.exp()
    h.sum().backward()
    y = (h * 2.0).sum()
    (g,) = grad(y, h)
    assert g.tolist() == [2, 2]


# ---- grad() -------------------------------------------------------------------------------------------------------
def test_grad_returns_and_does_not_accumulate() -> None:
    x, y = leaf(3), leaf(3, seed=1)
    gx, gy = grad((x * y).sum(), [x, y])
    np.testing.assert_array_equal(gx.data, y.data)
    np.testing.assert_array_equal(gy.data, x.data)
    assert x.grad is None
    assert not gx.requires_grad


def test_grad_of_several_outputs() -> None:
    x = leaf(3)
    (g,) = grad([x.exp(), (x * x).sum()], x, [np.ones(3), None])
    np.testing.assert_allclose(g.data, np.exp(x.data) + 2 * x.data)
    (g,) = grad((x.sum(), x.sum() * 2.0), x)
    assert g.tolist() == [3, 3, 3]
    y = x.sum()
    (g,) = grad([y, y], x)
    assert g.tolist() == [2, 2, 2]


def test_grad_of_intermediate_results() -> None:
    x = leaf(3)
    h = x.exp()
    y = h * x
    gh, gx, gy = grad(y.sum(), [h, x, y])
    np.testing.assert_allclose(gh.data, x.data)
    np.testing.assert_allclose(gx.data, np.exp(x.data) * (1 + x.data))
    assert gy.tolist() == [1, 1, 1]


def test_grad_runs_only_the_rules_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    @primitive(rules=[lambda g, _y, _x: ran.append(1) or g], oracle=np.positive, domain=[reals()], register=False)
    def watched(x: Any) -> Any:
        return x * 1

    x, w = leaf(3), leaf(3, seed=1)
    h = watched(x) * w
    grad(h.sum(), w, retain_graph=True)
    assert not ran
    grad(h.sum(), x)
    assert ran


def test_grad_keeps_the_graph_only_if_asked() -> None:
    x = leaf(2)
    y = x.exp().sum()
    grad(y, x, retain_graph=True)
    grad(y, x)
    with pytest.raises(ValueError, match="the graph was freed"):
        grad(y, x)


def test_unused_inputs() -> None:
    x, unused = leaf(2), leaf(3)
    y = x.exp().sum()
    with pytest.raises(
        ValueError, match=r"grad: inputs\[1\] of shape \(3,\) is not used by the outputs; allow_unused=True"
    ):
        grad(y, [x, unused], retain_graph=True)
    g, none = grad(y, [x, unused], allow_unused=True)
    assert none is None
    assert g.shape == (2,)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: grad(x.sum(), tensor(1.0)),
            ValueError,
            r"inputs\[0\] does not require a gradient; call requires_grad_\(\)",
        ),
        (
            lambda x: grad(x.sum(), np.ones(2)),
            TypeError,
            "inputs must be a Tensor or a sequence of Tensors, got ndarray",
        ),
        (lambda x: grad(1.0, x), TypeError, "outputs must be a Tensor or a sequence of Tensors, got float"),
        (lambda x: grad([x, x], x, [np.ones(2)]), ValueError, "one entry for each of 2 outputs, got 1"),
        (lambda x: grad(x, x), ValueError, r"a tensor of shape \(2,\) is not a number"),
        (lambda x: grad(tensor(1.0), x), ValueError, "nothing to differentiate"),
        (
            lambda x: grad(x, x, np.ones(3)),
            ValueError,
            r"gradient must have the shape of the tensor, \(2,\), got \(3,\)",
        ),
    ],
)
def test_wrong_calls_of_grad(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"grad: .*{message}" if "inputs" in message else message):
        call(leaf(2))


# ---- derivatives of derivatives -----------------------------------------------------------------------------------
def test_higher_derivatives_of_a_power() -> None:
    x = tensor(2.0, dtype=tg.float64, requires_grad=True)
    y, found = x**5.0, []
    for _ in range(5):
        (y,) = grad(y, x, create_graph=True)
        found.append(y.item())
    assert found == [80, 160, 240, 240, 120]


def test_backward_through_backward() -> None:
    x = leaf(3)
    (x.tanh() * x).sum().backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    (first * first).sum().backward()
    t = np.tanh(x.data)
    d1 = t + x.data * (1 - t * t)
    d2 = 2 * (1 - t * t) - 2 * x.data * t * (1 - t * t)
    np.testing.assert_allclose(x.grad.data, 2 * d1 * d2)


def test_recorded_gradients_accumulate_on_the_tape() -> None:
    x = tensor(3.0, dtype=tg.float64, requires_grad=True)
    (x**3.0).backward(create_graph=True)
    (x**2.0).backward(create_graph=True)
    g, x.grad = x.grad, None
    assert g.item() == 27 + 6
    g.backward()
    assert x.grad.item() == 18 + 2


def test_a_plain_pass_after_a_recorded_one() -> None:
    x = tensor(3.0, requires_grad=True)
    (x * x).backward(create_graph=True)
    (x * x).backward()
    assert x.grad.item() == 12
    assert not x.grad.requires_grad


def test_the_cotangent_can_be_differentiated() -> None:
    x, v = leaf(3), leaf(3, seed=1)
    (g,) = grad(x.exp(), x, v, create_graph=True)
    (gv,) = grad(g.sum(), v)
    np.testing.assert_allclose(gv.data, np.exp(x.data))


def test_recording_sees_the_values_of_the_call() -> None:
    x = tensor(2.0, requires_grad=True)
    y = x * x * x
    x.data = np.array(100.0, np.float32)
    (g,) = grad(y, x, create_graph=True)
    assert g.item() == 12


def test_the_pass_does_not_record_unless_asked() -> None:
    x = leaf(3)
    y = (x * x).sum()
    assert not grad(y, x, retain_graph=True)[0].requires_grad
    with tg.no_grad():
        assert grad(y, x, create_graph=True)[0].requires_grad


# ---- operations with several results ------------------------------------------------------------------------------
def _both_pull(g: Any, y: Any, x: Any, needed: Any) -> list[Any]:
    (g_sin, g_cos), (s, c) = g, y
    return [(0 if g_sin is None else g_sin * c) - (0 if g_cos is None else g_cos * s)]


both = primitive(pull=_both_pull, oracle=lambda x: (np.sin(x), np.cos(x)), domain=[reals()], register=False)(
    lambda x: (np.sin(x), np.cos(x))
)


@pytest.mark.parametrize("use", [lambda s, c: s * c, lambda s, c: s, lambda s, c: c * c, lambda s, c: s + s * c + c])
def test_several_results(use: Any) -> None:
    x = np.array([0.3, -1.2])
    assert gradcheck(lambda t: use(*both(t)), x)
    assert gradgradcheck(lambda t: use(*both(t)), x)


def test_several_results_and_hooks() -> None:
    x, seen = leaf(2), []
    s, c = both(x)
    s.register_hook(lambda g: seen.append(g.tolist()))
    c.retain_grad()
    (s * 2.0 + c * 3.0 + c).sum().backward()
    assert seen == [[2, 2]]
    assert c.grad.tolist() == [4, 4]
    np.testing.assert_allclose(x.grad.data, 2 * np.cos(x.data) - 4 * np.sin(x.data))


def test_results_that_are_integers_are_constants() -> None:
    split = primitive(pull=lambda g, y, x, needed: [g[0]], oracle=None, register=False)(
        lambda x: (x.copy(), np.argsort(x))
    )
    values, order = split(leaf(3))
    assert values.requires_grad
    assert not order.requires_grad


def test_a_pull_that_is_not_needed_is_told() -> None:
    asked = []

    def pull(g: Any, _y: Any, *likes: Any, needed: Any) -> list[Any]:
        asked.append(needed)
        return [g if n else None for n in needed]

    total = primitive(pull=pull, oracle=None, register=False)(lambda *arrays: np.sum(arrays, 0))
    a, b = leaf(2), leaf(2, seed=1)
    total(a, np.ones(2), b).sum().backward()
    grad(total(a, b).sum(), b)
    assert asked == [(True, False, True), (False, True)]
    assert a.grad.tolist() == [1, 1]


def test_a_pull_may_give_one_array_twice() -> None:
    total = primitive(pull=lambda g, y, a, b, needed: [d := g * 2, d], oracle=None, register=False)(lambda a, b: a + b)
    a, b = leaf(2), leaf(2, seed=1)
    total(a, b).sum().backward()
    a.grad.data[:] = 9
    assert b.grad.tolist() == [2, 2]


# ---- hooks --------------------------------------------------------------------------------------------------------
def test_hooks_see_and_replace() -> None:
    x = leaf(2)
    seen: list[Any] = []
    y = x * 3.0
    handle = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10.0)
    x.register_hook(lambda g: np.asarray(g) + 1)
    y.sum().backward(retain_graph=True)
    assert seen == [[1, 1]]
    assert x.grad.tolist() == [31, 31]
    handle.remove()
    handle.remove()
    y.sum().backward()
    assert len(seen) == 1
    assert x.grad.tolist() == [62, 62]


def test_a_hook_sees_the_whole_gradient_once() -> None:
    x, seen = tensor(2.0, requires_grad=True), []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * x + x).backward()
    assert seen == [5]


def test_hooks_under_create_graph() -> None:
    x = tensor(2.0, dtype=tg.float64, requires_grad=True)
    y = x * x
    y.register_hook(lambda g: g * 2.0)
    (g,) = grad(y * y, x, create_graph=True)
    assert g.item() == 2 * 4 * 8
    (g2,) = grad(g, x)
    assert g2.item() == 8 * 4 + 2 * 8 * 2 * 4, "on its way through y again, it is doubled again"


def test_wrong_hooks() -> None:
    with pytest.raises(ValueError, match="register_hook: no gradient flows"):
        tensor(1.0).register_hook(print)
    with pytest.raises(ValueError, match="retain_grad: no gradient flows"):
        tensor(1.0).retain_grad()
    x = leaf(2)
    y = x * 1.0
    y.register_hook(lambda g: np.ones(3))
    with pytest.raises(
        ValueError, match=r"a hook must return None, or a gradient like .* float64 \(2,\); it returned float64 \(3,\)"
    ):
        y.sum().backward()


def test_retain_grad() -> None:
    x = leaf(2)
    y = x.exp()
    y.retain_grad()
    y.retain_grad()
    x.retain_grad()
    for k in (1, 2):
        (y * 3.0).sum().backward(retain_graph=True)
        assert y.grad.tolist() == [3 * k, 3 * k]


def test_a_retained_gradient_makes_no_cycle() -> None:
    gc.collect()
    gc.disable()
    try:
        from weakref import ref

        y = leaf(2).exp()
        y.retain_grad()
        y.sum().backward()
        node = ref(y._node)
        del y
        assert node() is None
    finally:
        gc.enable()


# ---- threads --------------------------------------------------------------------------------------------------------
def test_threads_differentiate_side_by_side() -> None:
    def gradient(seed: int) -> np.ndarray:
        w, h = leaf(6, 6, seed=seed), tensor(np.ones((2, 6)))
        for _ in range(50):
            h = (h @ w).tanh()
        h.sum().backward()
        return w.grad.data

    expected = [gradient(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(gradient, range(8)), expected):
            np.testing.assert_array_equal(found, wanted)


# ---- wrong rules --------------------------------------------------------------------------------------------------
def test_a_rule_of_the_wrong_shape() -> None:
    wrong = primitive(rules=[lambda g, _y, _x: np.ones(7)], oracle=None, register=False, name="wrong")(lambda x: x * 1)
    with pytest.raises(ValueError, match=r"a rule gave a gradient of shape \(7,\) for an argument of shape \(2,\)"):
        wrong(leaf(2)).sum().backward()


@pytest.mark.parametrize(("came", "shape"), [((4,), (4, 4)), ((), (1, 1)), ((2, 3), (2,)), ((2, 1), (2, 3))])
def test_what_cannot_be_summed_to_a_shape(came: tuple[int, ...], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="for an argument of shape"):
        unbroadcast(np.ones(came), shape)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4), (3, 1), (1, 1), (2, 1, 4), (1, 3, 1), (2, 3, 4)])
def test_a_broadcast_gradient_is_summed(shape: tuple[int, ...]) -> None:
    g = np.random.default_rng(0).standard_normal((2, 3, 4))
    expected = np.zeros(shape)
    for place in np.ndindex(g.shape):
        target = tuple(k if n > 1 else 0 for k, n in zip(place[3 - len(shape):], shape))
        expected[target] += g[place]
    for found in (unbroadcast(g, shape), unbroadcast(tensor(g), shape).data):
        assert found.shape == shape
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
