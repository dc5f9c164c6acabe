"""The operations, by family; each file holds forward computations and derivative rules side by side."""

from .arithmetic import (add, clip, divide, equal, floor, greater, greater_equal, isfinite, isinf, isnan, less, less_equal,
                         logical_and, logical_not, logical_or, logical_xor, maximum, minimum, multiply, negative, not_equal,
                         remainder, sign, square, step, subtract, where)
from .arithmetic import abs as abs
from .creation import (arange, empty, empty_like, eye, full, full_like, linspace, meshgrid, ones, ones_like, zeros,
                       zeros_like)
from .elementwise import (cos, elu, erf, exp, expm1, gelu, leaky_relu, log, log1p, relu, sigmoid, silu, sin, softplus, sqrt,
                          tanh)
from .elementwise import pow as pow
from .indexing import getitem, index_add, masked_fill, rows, take
from .products import linear, matmul
from .reductions import all as all
from .reductions import any as any
from .reductions import argmax, argmin, cumulative_sum, mean, std, var
from .reductions import max as max
from .reductions import min as min
from .reductions import sum as sum
from .shapes import (astype, broadcast_to, concat, copy, expand_dims, flip, matrix_transpose, permute_dims, reshape, split,
                     squeeze, stack, swapaxes, unstack)
from .softmax import log_softmax, logsumexp, nll_of_logits, softmax

__all__ = [name for name in dir() if not name.startswith("_")]
