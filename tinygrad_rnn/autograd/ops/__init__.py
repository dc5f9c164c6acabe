"""The operations, by family; each file holds forward computations and derivative rules side by side.

What `__all__` lists is public.
"""

# ruff: noqa: I001  (sorted, and yet not one name a line)
from .along import scatter, scatter_add, take_along_axis
from .arithmetic import (abs, add, ceil, clip, divide, floor, floor_divide, maximum, minimum, multiply, negative,
                         reciprocal, remainder, round, sign, sqrt, square, subtract, where)
from .circular import acos, acosh, asin, asinh, atan, atanh, cos, cosh, sin, sinh, tan
from .circular import acos as arccos, acosh as arccosh, asin as arcsin, asinh as arcsinh, atan as arctan
from .circular import atanh as arctanh
from .comparison import (equal, greater, greater_equal, isfinite, isinf, isnan, less, less_equal, logical_and,
                         logical_not, logical_or, logical_xor, not_equal)
from .einsum import einsum
from .elementwise import (elu, erf, exp, expm1, gelu, hardsigmoid, hardtanh, leaky_relu, log, log1p, pow, relu, rsqrt,
                          selu, sigmoid, silu, softplus, tanh)
from .indexing import index_add, masked_fill, nonzero, take
from .joining import concat, split, stack, unstack
from .products import dot, matmul, outer, tensordot, vecdot
from .rearranging import diagonal, pad, repeat, roll, tile, tril, triu
from .reductions import (all, any, argmax, argmin, cumulative_sum, max, mean, min, prod, std, sum, var, vector_norm)
from .reductions import cumulative_sum as cumsum, max as amax, min as amin, vector_norm as norm
from .shapes import (astype, broadcast_to, expand_dims, flip, matrix_transpose, permute_dims, reshape, squeeze,
                     swapaxes)
from .softmax import log_softmax, logsumexp, softmax
from .sorting import argsort, cummax, sort, topk

__all__ = [
    "abs", "acos", "acosh", "add", "all", "amax", "amin", "any", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctanh", "argmax", "argmin", "argsort", "asin", "asinh", "astype", "atan", "atanh", "broadcast_to", "ceil",
    "clip", "concat", "cos", "cosh", "cummax", "cumsum", "cumulative_sum", "diagonal", "divide", "dot", "einsum",
    "elu", "equal", "erf", "exp", "expand_dims", "expm1", "flip", "floor", "floor_divide", "gelu", "greater",
    "greater_equal", "hardsigmoid", "hardtanh", "index_add", "isfinite", "isinf", "isnan", "leaky_relu", "less",
    "less_equal", "log", "log1p", "log_softmax", "logical_and", "logical_not", "logical_or", "logical_xor",
    "logsumexp", "masked_fill", "matmul", "matrix_transpose", "max", "maximum", "mean", "min", "minimum", "multiply",
    "negative", "nonzero", "norm", "not_equal", "outer", "pad", "permute_dims", "pow", "prod", "reciprocal", "relu",
    "remainder", "repeat", "reshape", "roll", "round", "rsqrt", "scatter", "scatter_add", "selu", "sigmoid", "sign",
    "silu", "sin", "sinh", "softmax", "softplus", "sort", "split", "sqrt", "square", "squeeze", "stack", "std",
    "subtract", "sum", "swapaxes", "take", "take_along_axis", "tan", "tanh", "tensordot", "tile", "topk", "tril",
    "triu", "unstack", "var", "vecdot", "vector_norm", "where",
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
from .windows import convolved as convolved
from .windows import pooled as pooled
from .windows import unfolded as unfolded
