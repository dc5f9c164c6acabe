"""no_grad, enable_grad, detect_anomaly: as blocks and as decorators, nested, interrupted, in threads and tasks."""

import asyncio
import inspect
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import autograd, tensor


def recording() -> bool:
    return bool((tensor(1.0, requires_grad=True) * 2).requires_grad)


def test_blocks_nest() -> None:
    assert recording()
    with tg.no_grad():
        assert not recording()
        with tg.enable_grad():
            assert recording()
            with tg.no_grad():
                assert not recording()
            assert recording()
        assert not recording()
    assert recording()


def test_an_exception_ends_a_block() -> None:
    with pytest.raises(KeyError), tg.no_grad(), tg.enable_grad(), tg.no_grad():
        raise KeyError
    assert recording()


def test_one_instance_can_be_nested_and_shared() -> None:
    setting = tg.no_grad()
    with setting:
        with setting:
            assert not recording()
        assert not recording()
    assert recording()


def test_decorators() -> None:
    @tg.no_grad()
    def frozen(depth: int) -> list[bool]:
        """What it says."""
        return [recording(), *([] if depth == 0 else thawed(depth - 1))]

    @tg.enable_grad()
    def thawed(depth: int) -> list[bool]:
        return [recording(), *frozen(depth)]

    assert frozen(2) == [False, True, False, True, False]
    assert frozen.__name__ == "frozen"
    assert frozen.__doc__ == "What it says."
    assert recording()

    @tg.no_grad()
    def fails() -> None:
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fails()
    assert recording()


def test_methods_can_be_decorated() -> None:
    class Model:
        @tg.no_grad()
        def predict(self) -> bool:
            return recording()

    assert Model().predict() is False


@pytest.mark.parametrize("setting", [tg.no_grad, tg.enable_grad, tg.detect_anomaly])
def test_what_runs_after_its_call_cannot_be_decorated(setting: Any) -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def coroutine() -> None:
        pass

    async def stream() -> Any:
        yield 1

    for function in (generator, coroutine, stream):
        with pytest.raises(
            TypeError,
            match=rf"{setting.__name__}: cannot decorate {function.__name__}, .*write `with {setting.__name__}",
        ):
            setting()(function)


def test_a_block_inside_a_generator() -> None:
    def values() -> Iterator[bool]:
        for _ in range(2):
            with tg.no_grad():
                value = recording()
            yield value

    found = [(inside, recording()) for inside in values()]
    assert found == [(False, True), (False, True)]


def test_leaves_require_gradients_whatever_the_mode() -> None:
    with tg.no_grad():
        x = tensor(1.0, requires_grad=True)
        assert x.requires_grad
        assert x.is_leaf


def test_each_thread_has_its_own_mode() -> None:
    inside, seen = threading.Event(), []
    done = threading.Event()

    def other() -> None:
        inside.wait(10)
        seen.append(recording())
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with tg.no_grad():
        inside.set()
        done.wait(10)
        seen.append(recording())
    thread.join()
    assert seen == [True, False]


def test_each_task_has_its_own_mode() -> None:
    async def frozen() -> bool:
        with tg.no_grad():
            await asyncio.sleep(0.001)
            return recording()

    async def plain() -> bool:
        await asyncio.sleep(0)
        return recording()

    async def both() -> list[bool]:
        return await asyncio.gather(frozen(), plain())

    assert asyncio.run(both()) == [False, True]


def test_the_same_objects_everywhere() -> None:
    assert tg.no_grad is autograd.no_grad
    assert tg.enable_grad is autograd.enable_grad
    assert tg.detect_anomaly is autograd.detect_anomaly


# ---- the hunt for NaN ---------------------------------------------------------------------------------------------
def here() -> str:
    """The line after the call of this function, as messages name it."""
    frame = inspect.currentframe().f_back
    return f"{__file__}:{frame.f_lineno + 1}: "


def test_the_first_operation_forward() -> None:
    x = tensor([1.0, 0.0], requires_grad=True)
    with pytest.raises(FloatingPointError) as caught, tg.detect_anomaly():
        y = x * 2.0
        line = here()
        z = tg.log(y)
        z.sum()
    message = str(caught.value)
    assert message.startswith("log gave NaN or infinity for finite arguments (x: float32 (2,))")
    assert f"called at {line}z = tg.log(y)" in message


def test_operators_name_the_line_too() -> None:
    x = tensor([1e30], requires_grad=True)
    with pytest.raises(FloatingPointError) as caught, tg.detect_anomaly(), np.errstate(over="ignore"):
        line = here()
        x * x
    assert str(caught.value).startswith(
        "multiply gave NaN or infinity for finite arguments (a: float32 (1,), b: float32 (1,))"
    )
    assert line in str(caught.value)


def test_constants_are_watched_too() -> None:
    with pytest.raises(FloatingPointError, match="log gave"), tg.detect_anomaly():
        tensor([0.0]).log()


def test_what_was_not_finite_before_is_no_anomaly() -> None:
    x = tensor([np.nan, 1.0], requires_grad=True)
    with tg.detect_anomaly():
        (x.exp() + 1).sum().backward()
        y = tg.masked_fill(tensor([1.0, 2.0]), [True, False], -np.inf)
        tg.softmax(y)
        tg.add(tensor(1.0), float("inf"))
    assert np.isnan(x.grad.data[0])


def test_the_first_operation_backward() -> None:
    x = tensor([4.0, 0.0], requires_grad=True)
    with tg.detect_anomaly():
        line = here()
        root = tg.sqrt(x)
        y = (root * 3.0).sum()
        with pytest.raises(FloatingPointError) as caught:
            y.backward()
    message = str(caught.value)
    assert message.startswith(
        "backward of sqrt (result of shape (2,)): the gradient of argument 0 is NaN or infinite, though"
    )
    assert f"called at {line}root = tg.sqrt(x)" in message


def test_backward_of_what_was_recorded_before() -> None:
    y = tensor([0.0], requires_grad=True).sqrt().sum()
    with (
        pytest.raises(FloatingPointError, match=r"backward of sqrt.*\n.*before detect_anomaly\(\) was entered"),
        tg.detect_anomaly(),
    ):
        y.backward()


def test_backward_under_create_graph() -> None:
    x = tensor([0.0], requires_grad=True)
    with tg.detect_anomaly():
        y = x.sqrt().sum()
        with pytest.raises(FloatingPointError, match="sqrt|divide"):
            y.backward(create_graph=True)


def test_backward_of_several_results() -> None:
    with tg.detect_anomaly():
        parts = tg.unstack(tensor([4.0, 0.0], requires_grad=True))
        y = parts[1].sqrt() + parts[0]
        with pytest.raises(FloatingPointError, match="backward of sqrt"):
            y.backward()
        a, b = tg.split(tensor([4.0, 1.0], requires_grad=True), 2)
        (a * b).sum().backward()


def test_as_a_decorator() -> None:
    @tg.detect_anomaly()
    def step(x: Any) -> Any:
        return tg.log(x)

    with pytest.raises(FloatingPointError):
        step(tensor([0.0]))
    tg.log(tensor([0.0]))


def test_modes_combine() -> None:
    with tg.no_grad(), pytest.raises(FloatingPointError), tg.detect_anomaly():
        assert not recording()
        tg.log(tensor([0.0]))
    with tg.detect_anomaly(), tg.no_grad(), pytest.raises(FloatingPointError):
        tg.log(tensor([0.0]))


def test_a_decorator_without_brackets() -> None:
    w = tg.tensor([1.0], requires_grad=True)

    @tg.no_grad
    def doubled() -> Any:
        return w * 2

    assert not doubled().requires_grad and (w * 2).requires_grad


def test_an_anomaly_is_told_where_warnings_are_errors() -> None:
    big = tensor(np.float32(3e38), requires_grad=True)
    with tg.detect_anomaly(), pytest.raises(FloatingPointError, match="multiply"):
        _ = big * 10
