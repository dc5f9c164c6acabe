"""What word vectors minimise, on Tensors: the definitions that the kernels are tested against.

    skip-gram   each context word x predicts the centre word       x: the contexts' rows (m, D)
    CBOW        their mean h predicts it                            x: h (1, D)

Outputs o (n, D) are rows of a second table, and labels say which of them are right:

    full softmax            all V words                         -log softmax(x o^T)[centre]
    negative sampling       the centre word and K noise words   -log sigmoid(x o_centre) - sum_k log sigmoid(-x o_k)
    hierarchical softmax    the nodes on the way to the centre  -sum log sigmoid(+-x o_node), + where the way goes left

Sources: Mikolov, Chen, Corrado and Dean 2013, Efficient estimation of word representations in vector space; Mikolov,
Sutskever, Chen, Corrado and Dean 2013, Distributed representations of words and phrases, equations 2 to 4; the
lecture's theta_t is a row of o, its e_c a row of x.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..autograd.ops import log_softmax, matmul, matrix_transpose, softplus, sum


def logistic_loss(x: Tensor, o: Tensor, labels: Any) -> Tensor:
    """Of negative sampling and of hierarchical softmax: -log of the probability of each label, in nats.

    Parameters
    ----------
    x : Tensor (m, D)
    o : Tensor (n, D)
    labels : array_like (n,)
        1 for outputs that are right, 0 for the others; the same for every x.

    Returns
    -------
    Tensor ()
        Summed over all m n pairs of a row and an output.
    """
    scores: Tensor = matmul(x, matrix_transpose(o))                 # (m, n)
    loss: Tensor = sum(softplus(scores * (1 - 2 * labels)))         # -log sigmoid(s) = softplus(-s)
    return loss


def softmax_loss(x: Tensor, o: Tensor, labels: Any) -> Tensor:
    """Of the full softmax: -log of the probability of the output whose label is 1, in nats; as `logistic_loss`."""
    loss: Tensor = -sum(log_softmax(matmul(x, matrix_transpose(o))) * labels)
    return loss


def bag(x: Tensor, mean: bool = True) -> Tensor:
    """CBOW's h: the mean, or the sum, of the context rows (m, D); (1, D)."""
    h: Tensor = sum(x, axis=0, keepdims=True) / (x.shape[0] if mean else 1)
    return h
