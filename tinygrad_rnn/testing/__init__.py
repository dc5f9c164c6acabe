"""Tools to test code that differentiates: the ones that test this library.

    from tinygrad_rnn.testing import gradcheck
    gradcheck(lambda x, w: (x @ w).tanh(), [x, w])

`strategies` needs Hypothesis, and is imported when it is first asked for.
"""

from ..autograd.primitive import Domain, reals
from .gradcheck import adjointcheck, gradcheck, gradgradcheck
from .laws import check

__all__ = ["Domain", "adjointcheck", "check", "gradcheck", "gradgradcheck", "reals"]


def __getattr__(name: str) -> object:
    if name == "strategies":
        import importlib
        return importlib.import_module(f"{__name__}.strategies")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
