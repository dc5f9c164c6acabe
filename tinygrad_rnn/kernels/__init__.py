"""Arrays in, arrays out: the compiled inner loops of the library.

A name is imported when it is first asked for, so that importing the package needs no Numba. With NUMBA_DISABLE_JIT=1
every compiled function is replaced by its NumPy oracle of the same name, and Numba is never imported.
"""
import importlib
import os
from typing import Any

# Where a name is defined. Modules under _PYTHON run with and without compiled code and decide for themselves.
_PYTHON = {
    "gemm": "matmul pack",
    "threads": "set_num_threads get_num_threads",
    "arithmetic": "negative absolute square sqrt reciprocal sign floor ceil rint add subtract multiply divide "
                  "remainder pow maximum minimum clip where equal not_equal less less_equal greater greater_equal "
                  "logical_and logical_or logical_xor logical_not isnan isinf isfinite",
    "sorting": "sort argsort topk",
    "convolution": "im2col col2im convolve convolve_image convolve_filters",
}
_COMPILED: dict[str, str] = {
    "elementwise": "exp expm1 log log1p rsqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
                   "sigmoid erf relu leaky_relu elu gelu gelu_tanh silu softplus hardsigmoid "
                   "tanh_backward sigmoid_backward relu_backward leaky_relu_backward elu_backward gelu_backward "
                   "silu_backward softplus_backward",
    "reduce": "sum mean prod norm var any all max min argmax argmin cumulative_sum",
    "cross_entropy": "softmax log_softmax logsumexp softmax_backward log_softmax_backward nll_forward nll_backward",
    "gather": "take_rows scatter_add",
    "steps": "adam sum_of_squares",
    "topk": "top_k top_log_probs",
    "beam": "merge_beams",
    "sampling": "draw",
    "nearest": "keep_largest",
    "cooccurrence": "count_pairs",
    "glove": "deal_entries glove_stratum",
    "tsne": "tsne_padded tsne_exact tsne_tree tsne_conditionals",
}
# Where an oracle stands that is not in `oracle`.
_ORACLES = {**dict.fromkeys(("topk", "beam", "sampling"), "search_oracle"),
            **dict.fromkeys(("nearest", "cooccurrence", "glove", "tsne"), "words_oracle")}

_without_jit = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
_home = {name: module for module, names in _PYTHON.items() for name in names.split()}
_home |= {name: _ORACLES.get(module, "oracle") if _without_jit else module
          for module, names in _COMPILED.items() for name in names.split()}

__all__ = sorted(_home)  # pyright: ignore


def __getattr__(name: str) -> Any:
    if name not in _home:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _home[name]
    module = importlib.import_module(f"{__name__}.{home}")
    # All names of a module at once: a function may be called as its module is, and would be hidden by it.
    globals().update({n: getattr(module, n) for n, m in _home.items() if m == home})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
