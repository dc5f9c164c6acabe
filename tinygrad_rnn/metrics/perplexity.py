"""Perplexity: among how many equally likely tokens the model is left to guess, in the geometric mean."""

from __future__ import annotations

from typing import Any

import numpy as np


def perplexity(nll: Any = None, tokens: Any = None, *, log_probs: Any = None) -> float:
    """Perplexity of a text under a model, per token.

        perplexity = P(w_1 ... w_N)^(-1/N) = exp(-(1/N) sum_t ln p(w_t | w_1 ... w_t-1))

    Lectures write it as a product over one-hot targets, PP = prod_t (1 / sum_j y_j(t) yhat_j(t))^(1/T), which is the
    same.  Its natural logarithm is the cross-entropy, the loss, in nats a token; its base-2 logarithm the bits a token:
    perplexity = e^nats = 2^bits, bits = nats / ln 2.  Lower is better; 1 is certainty, V a guess among V tokens.
    Perplexities compare only over the same tokens: one a word is not one a character.

    Parameters
    ----------
    nll : float, optional
        Negative log-likelihood of the whole text, summed over its tokens, in nats.
    tokens : int, optional
        N.  Given with nll.
    log_probs : array_like, optional
        In place of nll and tokens: ln p of each token, any shape.

    Returns
    -------
    float
        1 or more; infinite where a token had probability 0.

    Raises
    ------
    TypeError
        Unless exactly one of the two forms is given.
    ValueError
        Without tokens, and for a NaN.

    Source: Jelinek, Mercer, Bahl and Baker 1977, Perplexity: a measure of the difficulty of speech recognition tasks.
    """
    if (nll is None) != (tokens is None) or (nll is None) == (log_probs is None):
        raise TypeError("perplexity: pass nll and tokens, or log_probs alone")
    if log_probs is not None:
        values = np.asarray(log_probs, np.float64)
        nll, tokens = -values.sum(), values.size
    nats, count = float(nll), float(tokens)
    if not count >= 1:
        raise ValueError(f"perplexity: tokens must be at least 1, got {count:g}")
    if np.isnan(nats):
        raise ValueError("perplexity: the negative log-likelihood is NaN")
    with np.errstate(over="ignore"):
        return float(np.exp(nats / count))
