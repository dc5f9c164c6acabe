"""Optimizers and schedules beside PyTorch's, over twenty steps, every option."""

import inspect
import itertools

import numpy as np
import pytest

from tinygrad_rnn import nn, optim, tensor

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def options(**choices) -> list[dict]:
    return [dict(zip(choices, values)) for values in itertools.product(*choices.values())]


CASES = [
    *(("SGD", o) for o in options(lr=[0.1], momentum=[0, 0.9], dampening=[0, 0.2], weight_decay=[0, 0.1],
                                  nesterov=[False], maximize=[False, True])),
    *(("SGD", o) for o in options(lr=[0.1], momentum=[0.9], weight_decay=[0, 0.1], nesterov=[True])),
    *(("Adagrad", o) for o in options(lr_decay=[0, 0.1], weight_decay=[0, 0.1], initial_accumulator_value=[0, 0.5],
                                      eps=[1e-10, 1e-2], maximize=[False, True])),
    *(("RMSprop", o) for o in options(alpha=[0.99, 0.8], eps=[1e-8, 1e-2], weight_decay=[0, 0.1], momentum=[0, 0.9],
                                      centered=[False, True], maximize=[False, True])),
    *(("Adadelta", o) for o in options(lr=[1.0, 0.3], rho=[0.9, 0.5], eps=[1e-6, 1e-2], weight_decay=[0, 0.1],
                                       maximize=[False, True])),
    *((kind, o) for kind in ("Adam", "AdamW")
      for o in options(lr=[0.01], betas=[(0.9, 0.999), (0.5, 0.8)], eps=[1e-8, 1e-2], weight_decay=[0, 0.1],
                       amsgrad=[False, True], maximize=[False, True])),
]


@pytest.mark.parametrize(("kind", "arguments"), CASES)
def test_twenty_steps(kind, arguments, rng) -> None:
    starts = [rng.normal(size=(4, 5)), rng.normal(size=())]
    ours = [nn.Parameter(start) for start in starts]
    theirs = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
    a, b = getattr(optim, kind)(ours, **arguments), getattr(torch.optim, kind)(theirs, **arguments)
    for step in range(20):
        for p, q in zip(ours, theirs):
            g = rng.normal(size=p.shape)
            # now and then a parameter has no gradient
            p.grad, q.grad = (None, None) if step == 7 and p.ndim else (tensor(g), torch.tensor(g))
        a.step()
        b.step()
        for p, q in zip(ours, theirs):
            np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW"])
def test_arguments_and_defaults(kind) -> None:
    theirs = inspect.signature(getattr(torch.optim, kind)).parameters
    for name, parameter in inspect.signature(getattr(optim, kind)).parameters.items():
        if name == "lazy":
            continue
        assert parameter.default == theirs[name].default, name
    positional = [name for name, p in inspect.signature(getattr(optim, kind)).parameters.items()
                  if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert list(theirs)[:len(positional)] == positional


S, R = optim.lr_scheduler, torch.optim.lr_scheduler
SCHEDULES = [
    lambda s, o: s.StepLR(o, 3, 0.5), lambda s, o: s.StepLR(o, 4), lambda s, o: s.ExponentialLR(o, 0.9),
    lambda s, o: s.CosineAnnealingLR(o, 7), lambda s, o: s.CosineAnnealingLR(o, 7, 0.01), lambda s, o: s.LinearLR(o),
    lambda s, o: s.LinearLR(o, 1.0, 0.1, 9), lambda s, o: s.LambdaLR(o, lambda t: 0.95 ** t),
    lambda s, o: s.LambdaLR(o, [lambda t: 0.95 ** t, lambda t: 1 / (t + 1)]),
    lambda s, o: s.OneCycleLR(o, 0.5, 21), lambda s, o: s.OneCycleLR(o, [0.5, 0.1], epochs=3, steps_per_epoch=10),
    lambda s, o: s.OneCycleLR(o, 0.5, 30, pct_start=0.2, anneal_strategy="linear", three_phase=True, div_factor=5.0),
    lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 5), s.ExponentialLR(o, 0.9)], [5]),
    lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 4), s.StepLR(o, 3), s.LinearLR(o, 1.0, 0.0, 5)], [4, 9]),
]


@pytest.mark.parametrize("make", SCHEDULES)
def test_schedules(make) -> None:
    a = optim.SGD([{"params": [nn.Parameter([1.0])]}, {"params": [nn.Parameter([1.0])], "lr": 0.03}], lr=0.2)
    b = torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)]},
                         {"params": [torch.zeros(1, requires_grad=True)], "lr": 0.03}], lr=0.2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)       # PyTorch's about the order of calls
        ours, theirs = make(S, a), make(R, b)
        for _ in range(20):
            expected = [group["lr"] for group in b.param_groups]
            np.testing.assert_allclose(ours.get_last_lr(), expected, rtol=1e-9, atol=1e-15)
            np.testing.assert_allclose([group["momentum"] for group in a.param_groups],
                                       [group["momentum"] for group in b.param_groups])
            b.step()
            ours.step()
            theirs.step()


@pytest.mark.parametrize("given", options(mode=["min", "max"], threshold_mode=["rel", "abs"], cooldown=[0, 2],
                                          min_lr=[0, [0.01, 0.02]]))
def test_plateaus(given, rng) -> None:
    a = optim.SGD([{"params": [nn.Parameter([1.0])]}, {"params": [nn.Parameter([1.0])], "lr": 0.03}], lr=0.2)
    b = torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)]},
                         {"params": [torch.zeros(1, requires_grad=True)], "lr": 0.03}], lr=0.2)
    ours = S.ReduceLROnPlateau(a, patience=1, factor=0.6, threshold=0.05, **given)
    theirs = R.ReduceLROnPlateau(b, patience=1, factor=0.6, threshold=0.05, **given)
    for metric in rng.uniform(0.5, 2, 60):
        ours.step(metric)
        theirs.step(metric)
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr())


@pytest.mark.parametrize("kind", ["StepLR", "ExponentialLR", "LinearLR", "CosineAnnealingLR", "OneCycleLR",
                                  "ReduceLROnPlateau"])
def test_arguments_and_defaults_of_schedules(kind) -> None:
    ours, theirs = (inspect.signature(getattr(m, kind)).parameters for m in (S, R))
    assert list(ours) == list(theirs)[:len(ours)]
    assert all(parameter.default == theirs[name].default for name, parameter in ours.items())
