"""Words that the vocabulary lacks: where the model says "unknown", copy the source word that it looked at.

Source: Luong 2015, Addressing the rare word problem in neural machine translation; Jean 2015, On using very large
target vocabulary for neural machine translation, section 3.3, which reads the alignment off the attention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor


def replace_unknown(tokens: Sequence[Any], attention: Any, source: Sequence[Any], unknown: Any,
                    lexicon: Mapping[Any, Any] | None = None) -> list[Any]:
    """Put source words in the place of unknown ones.

    Parameters
    ----------
    tokens : sequence of T words, or ids
    attention : (T, S)
        What each step paid to each source word; `score_sentences(..., observe=...)` gives it. Weights beyond the
        source's words, of padding, do not count.
    source : sequence of up to S words
    unknown : word
        What stands for unknown ones in `tokens`.
    lexicon : mapping, optional
        Translations of source words; what it lacks is copied as it is.

    Returns
    -------
    list of T words

    Raises
    ------
    ValueError
        For an attention map of another shape, an empty source.
    """
    weights = np.asarray(attention.data if isinstance(attention, Tensor) else attention)
    if weights.ndim != 2 or len(weights) != len(tokens) or not 0 < len(source) <= weights.shape[1]:
        raise ValueError(f"replace_unknown: attention must be (T, S), a row for each of {len(tokens)} tokens and a "
                         f"column for each of {len(source)} source words (at least one), got shape {weights.shape}")
    lexicon = {} if lexicon is None else lexicon
    looked_at = (source[k] for k in weights[:, :len(source)].argmax(1).tolist())
    return [lexicon.get(word, word) if token == unknown else token for token, word in zip(tokens, looked_at)]
