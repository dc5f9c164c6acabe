"""The operations, by family; each file holds forward computations and derivative rules side by side.

What `__all__` lists is public.
"""

# ruff: noqa: I001  (sorted, and yet not one name a line)
from .arithmetic import (abs, add, clip, divide, equal, floor, floor_divide, greater, greater_equal, isfinite, isinf,
                         isnan, less, less_equal, logical_and, logical_not, logical_or, logical_xor, maximum, minimum,
                         multiply, negative, not_equal, remainder, sign, sqrt, square, subtract, where)
from .elementwise import (cos, elu, erf, exp, expm1, gelu, leaky_relu, log, log1p, pow, relu, sigmoid, silu, sin,
                          softplus, tanh)
from .indexing import index_add, masked_fill, take
from .joining import concat, split, stack, unstack
from .products import matmul
from .reductions import all, any, argmax, argmin, cumulative_sum, max, mean, min, std, sum, var
from .shapes import (astype, broadcast_to, expand_dims, flip, matrix_transpose, permute_dims, reshape, squeeze,
                     swapaxes)
from .softmax import log_softmax, logsumexp, softmax

__all__ = [
    "abs", "add", "all", "any", "argmax", "argmin", "astype", "broadcast_to", "clip", "concat", "cos",
    "cumulative_sum", "divide", "elu", "equal", "erf", "exp", "expand_dims", "expm1", "flip", "floor",
    "floor_divide", "gelu", "greater", "greater_equal", "index_add", "isfinite", "isinf", "isnan", "leaky_relu",
    "less", "less_equal", "log", "log1p", "log_softmax", "logical_and", "logical_not", "logical_or", "logical_xor",
    "logsumexp", "masked_fill", "matmul", "matrix_transpose", "max", "maximum", "mean", "min", "minimum",
    "multiply", "negative", "not_equal", "permute_dims", "pow", "relu", "remainder", "reshape", "sigmoid", "sign",
    "silu", "sin", "softmax", "softplus", "split", "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum",
    "swapaxes", "take", "tanh", "unstack", "var", "where",
]

# What the library itself builds on.
from .arithmetic import step as step
from .indexing import assigned as assigned
from .indexing import getitem as getitem
from .indexing import rows as rows
from .indexing import scattered as scattered
from .joining import joined as joined
from .joining import pieces as pieces
from .joining import stacked as stacked
from .joining import unstacked as unstacked
from .products import linear as linear
from .shapes import copy as copy
from .softmax import nll_of_logits as nll_of_logits
