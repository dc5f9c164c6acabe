"""A recurrent language model: what comes next, given everything so far.

    e_t = E[x_t]                            embedding: a row of a table for every token
    h_t, c_t = LSTM(e_t, h_t-1, c_t-1)      memory
    p(x_t+1 | x_1 ... x_t) = softmax(W h_t + b)

Nothing here knows what a token is: a character, a word, a note.

Source: Bengio 2003, A neural probabilistic language model; Mikolov 2010, Recurrent neural network based language model;
over characters, Sutskever 2011, Generating text with recurrent neural networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import kernels, nn
from ..autograd import Tensor, no_grad
from ..decode import Logits
from ..metrics import perplexity
from .stepping import Output

State = tuple[Tensor, Tensor]


class LanguageModel(nn.Module):
    """Embedding, LSTM layers, and a linear layer to a score for each token of the vocabulary.

    Parameters
    ----------
    vocabulary_size : int
        V.
    embedding : int
        Width of a token's vector, D.
    hidden : int
        Units of each LSTM layer, H.
    layers : int
        LSTM layers, each reading the output of the one below.
    rng : numpy.random.Generator, int or None
        Where the start values come from; None draws fresh entropy.
    """

    def __init__(self, vocabulary_size: int, embedding: int = 64, hidden: int = 256, layers: int = 1, *,
                 rng: Any = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers)
        self.linear = nn.Linear(hidden, vocabulary_size)
        self.initialise(rng)

    def forward(self, x: Any, state: State | None = None) -> tuple[Tensor, State]:
        """Scores of the token after each token.

        Parameters
        ----------
        x : int array, (T, B)
            Tokens.
        state : pair of Tensors, each (layers, B, H), optional
            Memory of what came before x; None for nothing.

        Returns
        -------
        logits : Tensor, (T, B, V)
            logits[t] scores the token that follows x[t]; softmax makes them probabilities.
        state : pair of Tensors
            Memory after x.
        """
        output, state = self.lstm(self.embedding(x), state)
        return self.linear(output), state

    def decoder(self, state: Any = None, batch: int = 1) -> tuple[Decoder, Any]:
        """The model as `tinygrad_rnn.decode` takes it: `greedy(*model.decoder(), bos=..., ...)`.

        Parameters
        ----------
        state : pair of Tensors, each (layers, B, H), optional
            Memory of what came before; None for nothing.
        batch : int
            B.

        Returns
        -------
        step : callable (tokens, state) -> (log_probs, state)
            With the weights as they are now; without dropout.
        state : of arrays with first axis B
        """
        step = Decoder(self)
        return step, step.layer.start(state, batch)


class Decoder:
    """A language model's step: tokens (N,) and their memory to logits (N, V) and the memory after them.

    Parameters
    ----------
    model : LanguageModel
    """

    def __init__(self, model: LanguageModel) -> None:
        self.layer = model.lstm.row_stepper()
        self.table, self.output = model.embedding.weight.data.copy(), Output(model.linear)

    def __call__(self, tokens: np.ndarray, state: Any) -> tuple[Logits, Any]:
        """One step."""
        y, state = self.layer(kernels.take_rows(self.table, tokens), state)
        return self.output(y), state


def detach(state: Any) -> Any:
    """The same memory (a Tensor, nested tuples of them) off the tape: carried on, where gradients stop."""
    return tuple(map(detach, state)) if isinstance(state, tuple) else state.detach()


@dataclass(frozen=True)
class Likelihood:
    """How well a model predicts a text: its negative log-likelihood in nats, summed, over so many tokens."""

    total: float
    tokens: int

    @property
    def nats(self) -> float:
        """Nats a token, the mean cross-entropy."""
        return self.total / self.tokens

    @property
    def bits(self) -> float:
        """Bits a token: what a compressor with this model would need."""
        return self.nats / math.log(2)

    @property
    def perplexity(self) -> float:
        """exp(nats)."""
        return perplexity(self.total, self.tokens)


@no_grad()
def evaluate(model: LanguageModel, ids: Any, *, streams: int = 32, warm_up: int = 128) -> Likelihood:
    """How well a model predicts a stream of tokens, each from all that came before it.

    One after the other would be slow, so up to `streams` parts of the stream are read side by side.  Each part but the
    first reads the last `warm_up` tokens of the part before it, which fill its memory and do not count.  Every token is
    predicted once, the very first aside, which nothing precedes.

    Parameters
    ----------
    model : LanguageModel
    ids : int array, (N,)
        N >= 2.
    streams : int
        Parts that are read at once; fewer where parts would be shorter than `warm_up`.  1: one after the other.
    warm_up : int
        Steps, at least 1.

    Returns
    -------
    Likelihood
        Of the N - 1 tokens.

    Raises
    ------
    ValueError
        For fewer than two tokens.
    FloatingPointError
        If the model's predictions are not finite.
    """
    ids = np.asarray(ids)
    targets = len(ids) - 1
    if targets < 1:
        raise ValueError(f"evaluate: ids must hold at least two tokens, one to predict the next from; got {len(ids)}")
    steps = -(-targets // max(1, min(streams, targets // warm_up)))     # of a part; the last may be shorter
    first = np.arange(0, targets, steps)
    total, state = 0.0, None
    with _evaluating(model):
        if len(first) > 1:
            # (warm_up, 1) + (streams,) -> (warm_up, streams).  Nothing precedes the first part: its memory stays empty.
            before = np.maximum(first + np.arange(-warm_up, 0)[:, None], 0)
            _, (h, c) = model(ids[before])
            follows = (first > 0)[None, :, None]    # (1, streams, 1)
            state = h * follows, c * follows
        for start in range(0, steps, warm_up):
            # (T, 1) + (streams,) -> (T, streams)
            at = first + np.arange(start, min(start + warm_up, steps))[:, None]
            counted = at < targets
            at = np.minimum(at, targets - 1)
            logits, state = model(ids[at], state)
            nats = nn.functional.cross_entropy(logits, ids[at + 1], reduction="none", axis=-1).numpy()
            total += float(nats[counted].sum(dtype=np.float64))
    if not math.isfinite(total):
        raise FloatingPointError("evaluate: the model's predictions are NaN or infinite: its training diverged")
    return Likelihood(total, targets)


def sample(model: LanguageModel, prompt: Any, length: int, temperature: float = 1.0, rng: Any = None) -> Iterator[int]:
    """Continue a text, token by token: each is drawn from the model's prediction, then read by the model.

        p_i = exp(z_i / temperature) / sum_j exp(z_j / temperature)

    Parameters
    ----------
    model : LanguageModel
    prompt : int array, (N,)
        What the model reads first, N >= 1.
    length : int
        Tokens to draw.
    temperature : float
        1 is the model's own distribution; below 1 likely tokens become likelier, and 0 always takes the likeliest.
    rng : numpy.random.Generator | int | None

    Yields
    ------
    int
        `length` token ids, each as soon as it is known.

    Raises
    ------
    ValueError
        For an empty prompt, a negative length or temperature.
    FloatingPointError
        If the model's predictions are not finite.
    """
    prompt = np.asarray(prompt, np.int64)
    if prompt.ndim != 1 or not len(prompt):
        raise ValueError(f"sample: prompt must hold at least one token, got shape {prompt.shape}")
    if length < 0:
        raise ValueError(f"sample: length must not be negative, got {length}")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"sample: temperature must be 0 (greedy) or positive, got {temperature}")
    return _draws(model, prompt, length, temperature, np.random.default_rng(rng))


def _draws(model: LanguageModel, prompt: np.ndarray, length: int, temperature: float,
           rng: np.random.Generator) -> Iterator[int]:
    if not length:
        return
    # Never around a yield: between two tokens the caller's code runs, in the caller's modes.
    with no_grad(), _evaluating(model):
        logits, state = model(prompt[:, None])      # (N,) -> (N, 1): one stream
        step = model.lstm.stepper(state)
    logits = logits[-1, 0]
    for _ in range(length - 1):
        token = _choose(logits.numpy(), temperature, rng)
        yield token
        with no_grad():
            logits = model.linear(step(model.embedding.weight.data[token]))
    yield _choose(logits.numpy(), temperature, rng)


def _choose(logits: np.ndarray, temperature: float, rng: np.random.Generator) -> int:
    """Draw a token from softmax(logits / temperature); the likeliest at temperature 0."""
    z = logits.astype(np.float64)
    if not np.isfinite(z).all():
        raise FloatingPointError("sample: the model's predictions are NaN or infinite: its training diverged")
    if temperature == 0:
        return int(z.argmax())
    with np.errstate(over="ignore"):    # close to temperature 0: exp(-inf) is 0
        p = np.exp((z - z.max()) / temperature)
    # Inverse transform: the first token whose cumulative probability exceeds a uniform number.
    cumulative = p.cumsum()
    return int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))


class _evaluating:
    """Evaluation mode (no dropout) for a block; what stood before stands again after it."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.before = model, model.training

    def __enter__(self) -> None:
        self.model.eval()

    def __exit__(self, *exc: object) -> None:
        self.model.train(self.before)
