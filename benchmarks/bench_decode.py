"""Decoding: beam search, greedy and sampling, against the usual ways written on torch.

    LSTM        a language model: embedding, one LSTM layer, a linear layer to the vocabulary
    attention   a translation model's decoder over sources of at most 15 words: the same, with general attention after
                the step, which the next step hears of (Luong 2015, input feeding) or, "no feeding", does not

Both sides have the same weights and the sources read already, and every sentence runs to the same length, for nothing
ends it: what differs is the work, not how long it goes on.

The peer is batched beam search as it is usually written: B * width rows from the first step on, log-softmax, the scores
of width * V continuations of a sentence side by side, `topk` of twice the width, ended ones sorted out, the states
reordered by `index_select`; without gradients. Greedy takes `max` of the log-probabilities, sampling `multinomial`.

Another model is another entry of MODELS: what makes its weights, its step here, and its step in torch.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.harness import Benchmark, Case

EOS, BOS, STEPS = 1, 0, 30


# ---- models ---------------------------------------------------------------------------------------------------------
def lstm_weights(H: int, V: int) -> dict[str, Any]:
    """Start values of PyTorch, the output layer's ten times as large: a trained model is no less sure than that."""
    import numpy as np

    rng = np.random.default_rng(0)
    bound = H**-0.5

    def uniform(*shape: int, scale: float = 1.0) -> Any:
        return (rng.uniform(-bound, bound, shape) * scale).astype(np.float32)

    weights = {"embedding.weight": rng.standard_normal((V, H)).astype(np.float32),
               "lstm.weight_ih_l0": uniform(4 * H, H), "lstm.weight_hh_l0": uniform(4 * H, H),
               "lstm.bias_ih_l0": uniform(4 * H), "lstm.bias_hh_l0": uniform(4 * H),
               "linear.weight": uniform(V, H, scale=10.0), "linear.bias": uniform(V)}
    weights["linear.bias"][EOS] = -1e4
    return weights


def memories(H: int, B: int) -> list[Any]:
    """What each sentence remembers at its beginning, h and c, (B, H): that they differ."""
    import numpy as np

    return list(np.random.default_rng(1).normal(0, 0.5, (2, B, H)).astype(np.float32))


def lstm_ours(H: int, V: int, B: int) -> tuple[Callable[..., Any], Any]:
    """Step and state in tinygrad_rnn."""
    from tinygrad_rnn.models import LanguageModel

    model = LanguageModel(V, H, H, rng=0)
    model.load_state_dict(lstm_weights(H, V))
    return model.decoder(tuple(part[None] for part in memories(H, B)), B)   # (B, H) -> (1, B, H): one layer


def lstm_torch(H: int, V: int, B: int, width: int) -> tuple[Callable[..., Any], Any]:
    """Logits and state in torch, `width` rows for each sentence."""
    import torch

    embedding, cell, linear = torch.nn.Embedding(V, H), torch.nn.LSTMCell(H, H), torch.nn.Linear(H, V)
    weights = {name: torch.from_numpy(value) for name, value in lstm_weights(H, V).items()}
    embedding.load_state_dict({"weight": weights["embedding.weight"]})
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    cell.load_state_dict({name: weights[f"lstm.{name}_l0"] for name in parts})
    linear.load_state_dict({name: weights[f"linear.{name}"] for name in ("weight", "bias")})

    def step(tokens: Any, state: Any) -> tuple[Any, Any]:
        h, c = cell(embedding(tokens), state)
        return linear(h), (h, c)

    return step, tuple(torch.from_numpy(part).repeat_interleave(width, 0) for part in memories(H, B))


WORDS, EMBEDDING = 15, 256     # of a source at most; width


def attention_weights(H: int, V: int) -> dict[str, Any]:
    """As above; the scores' ten times as large."""
    import numpy as np

    rng = np.random.default_rng(0)

    def uniform(*shape: int, scale: float = 1.0) -> Any:
        return (rng.uniform(-1, 1, shape) * H**-0.5 * scale).astype(np.float32)

    weights = {"embedding": rng.standard_normal((V, EMBEDDING)).astype(np.float32), "query": uniform(2 * H, H),
               "x": uniform(4, H, EMBEDDING), "attended": uniform(4, H, H), "h": uniform(4, H, H), "b": uniform(4, H),
               "combine": uniform(H, 3 * H), "combine b": uniform(H), "out": uniform(V, H, scale=10.0),
               "out b": uniform(V)}
    weights["out b"][EOS] = -1e4
    return weights


def sources(H: int, B: int) -> tuple[Any, Any]:
    """What an encoder left of each word, (WORDS, B, 2 H), and how many words there are."""
    import numpy as np

    rng = np.random.default_rng(2)
    return rng.normal(0, 0.5, (WORDS, B, 2 * H)).astype(np.float32), rng.integers(WORDS - 4, WORDS + 1, B)


def attention_ours(H: int, V: int, B: int, feeding: str | None = "attended") -> tuple[Callable[..., Any], Any]:
    """Step and state in tinygrad_rnn."""
    from tinygrad_rnn import no_grad, tensor
    from tinygrad_rnn.models.decoder import Decoder

    model, w = Decoder(V, EMBEDDING, H, memory_size=2 * H, feeding=feeding, rng=0), attention_weights(H, V)
    named = {f"W_{gate}_{part}_l0": w[part][k] for k, gate in enumerate("ifgo")
             for part in (("x", "attended", "h") if feeding else ("x", "h"))}
    named |= {f"b_{gate}_l0": w["b"][k] for k, gate in enumerate("ifgo")}
    if feeding:
        named |= {"W_query_h_l0": w["query"], "W_attended_context_l0": w["combine"][:, :2 * H],
                  "W_attended_h_l0": w["combine"][:, 2 * H:], "b_attended_l0": w["combine b"]}
    rest = {} if feeding else {"first.attention.weight_query": w["query"], "first.combine.weight": w["combine"],
                               "first.combine.bias": w["combine b"]}
    model.load_state_dict({"embedding.weight": w["embedding"], "linear.weight": w["out"], "linear.bias": w["out b"],
                           **{f"first.layer.{name}": value for name, value in named.items()}, **rest})
    states, lengths = sources(H, B)
    with no_grad():
        memory = model.first.remember(tensor(states), lengths=lengths)
        return model.stepper(model.begin(B, [tuple(map(tensor, memories(H, B)))], memory), memory)


def attention_torch(H: int, V: int, B: int, width: int, feeding: bool = True) -> tuple[Callable[..., Any], Any]:
    """Logits and state in torch; the memory as often as there are rows, as toolkits do."""
    import torch

    w = {name: torch.from_numpy(value) for name, value in attention_weights(H, V).items()}
    cell = torch.nn.LSTMCell(EMBEDDING + H * feeding, H)
    read = torch.cat([w["x"], w["attended"]], -1) if feeding else w["x"]
    cell.load_state_dict({"weight_ih": read.flatten(0, 1), "weight_hh": w["h"].flatten(0, 1),
                          "bias_ih": w["b"].flatten(), "bias_hh": torch.zeros(4 * H)})
    states, lengths = map(torch.from_numpy, sources(H, B))
    memory = states.transpose(0, 1).repeat_interleave(width, 0).contiguous()
    beyond = (torch.arange(WORDS) >= lengths[:, None]).repeat_interleave(width, 0)
    linear = torch.nn.functional.linear

    def step(tokens: Any, state: Any) -> tuple[Any, Any]:
        h, c, *before = state
        h, c = cell(torch.cat([w["embedding"][tokens], *before], -1), (h, c))
        energy = torch.bmm(memory, linear(h, w["query"])[:, :, None])[:, :, 0]
        weights = energy.masked_fill(beyond, float("-inf")).softmax(-1)
        context = torch.bmm(weights[:, None], memory)[:, 0]
        attended = torch.tanh(linear(torch.cat([context, h], -1), w["combine"], w["combine b"]))
        return linear(attended, w["out"], w["out b"]), (h, c, attended) if feeding else (h, c)

    start = [torch.from_numpy(part).repeat_interleave(width, 0) for part in memories(H, B)]
    return step, (*start, torch.zeros_like(start[0])) if feeding else tuple(start)


MODELS = {"LSTM": (lstm_ours, lstm_torch), "attention": (attention_ours, attention_torch),
          "attention, no feeding": (partial(attention_ours, feeding=None), partial(attention_torch, feeding=False))}


# ---- sides ----------------------------------------------------------------------------------------------------------
def ours(model: str, how: str, H: int, V: int, B: int, steps: int) -> Callable[[], object]:
    """A batch of sentences by tinygrad_rnn.decode."""
    from tinygrad_rnn import decode

    step, state = MODELS[model][0](H, V, B)
    common = dict(bos=BOS, eos=EOS, max_length=steps)
    if how == "beam":
        return lambda: decode.beam_search(step, state, **common, width=10)
    if how == "greedy":
        return lambda: decode.greedy(step, state, **common)
    return lambda: decode.sample(step, state, **common, rng=0)


def via_torch(model: str, how: str, H: int, V: int, B: int, steps: int) -> Callable[[], object]:
    """The same in torch."""
    import torch

    width = 10 if how == "beam" else 1
    step, state = MODELS[model][1](H, V, B, width)

    @torch.inference_mode()
    def beam() -> Any:
        tokens, memory = torch.full((B * width,), BOS), state
        scores = torch.full((B, width), float("-inf"))
        scores[:, 0] = 0.0
        history = torch.zeros(B * width, 0, dtype=torch.int64)
        offsets = torch.arange(B)[:, None] * width
        ended: list[list[tuple[float, Any]]] = [[] for _ in range(B)]
        for t in range(steps):
            logits, memory = step(tokens, memory)
            totals = scores.view(-1, 1) + torch.log_softmax(logits, -1)
            best, places = totals.view(B, width * V).topk(2 * width, -1)
            parents, words = places // V, places % V
            over = words == EOS
            if over[:, :width].any():
                for sentence, rank in over[:, :width].nonzero().tolist():
                    row = history[sentence * width + int(parents[sentence, rank])]
                    ended[sentence].append((best[sentence, rank].item() / (t + 1) ** 0.7, row))
            # The first `width` of those that go on, in their order.
            order = (over.to(torch.int64) * 2 * width + torch.arange(2 * width)).topk(width, -1, largest=False)[1]
            scores = best.gather(1, order)
            rows = (parents.gather(1, order) + offsets).view(-1)
            tokens = words.gather(1, order).view(-1)
            memory = tuple(part.index_select(0, rows) for part in memory)
            history = torch.cat([history.index_select(0, rows), tokens[:, None]], 1)
        return history.view(B, width, -1)[:, 0].tolist(), (scores[:, 0] / steps**0.7).tolist(), ended

    @torch.inference_mode()
    def one_by_one() -> Any:
        tokens, memory = torch.full((B,), BOS), state
        history, total = [], torch.zeros(B)
        over = torch.zeros(B, dtype=torch.bool)
        for _ in range(steps):
            logits, memory = step(tokens, memory)
            log_probs = torch.log_softmax(logits, -1)
            if how == "greedy":
                chosen, tokens = log_probs.max(-1)
            else:
                tokens = torch.multinomial(log_probs.exp(), 1)[:, 0]
                chosen = log_probs.gather(1, tokens[:, None])[:, 0]
            total = total + torch.where(over, 0.0, chosen)
            over = over | (tokens == EOS)
            history.append(tokens)
            if over.all():
                break
        return torch.stack(history, 1).tolist(), total.tolist()

    return beam if how == "beam" else one_by_one


def case(how: str, B: int, H: int, V: int, target: float | None, steps: int = STEPS, model: str = "LSTM") -> Case:
    """A row: sentences a second of beams, tokens a second of the others."""
    name = "beam search, width 10" if how == "beam" else how
    return Case(f"{name}, B = {B}, {model} {H}, vocabulary {V}",
                {"model": model, "how": how, "H": H, "V": V, "B": B, "steps": steps},
                items=B if how == "beam" else B * steps, targets={} if target is None else {"torch": target})


SIZES, TRANSLATING = ((256, 5_000), (512, 10_000)), ((256, 6_000), (512, 8_000))
FED, UNFED = "attention", "attention, no feeding"
BENCHMARK = Benchmark(
    title=f"Decoding, float32, {STEPS} tokens a sentence; items: sentences of beams, else tokens",
    sides={"ours": ours, "torch": via_torch},
    cases=[*(case("beam", B, *size, target) for size in SIZES for B, target in ((1, 3.0), (32, 1.5))),
           *(case(how, B, *size, target) for how in ("greedy", "sampling") for size in SIZES
             for B, target in ((1, 2.0), (64, 1.2))),
           *(case("beam", B, *size, target, model=FED) for size in TRANSLATING for B, target in ((1, 3.0), (32, 1.5))),
           *(case(how, B, *size, target, model=FED) for how in ("greedy", "sampling") for size in TRANSLATING
             for B, target in ((1, 2.0), (64, 1.2))),
           *(case("beam", B, *TRANSLATING[0], target, model=UNFED) for B, target in ((1, 3.0), (32, 1.5)))],
    toy=[case(how, B, 4, 12, None, 3, model) for how in ("beam", "greedy", "sampling") for B in (1, 3)
         for model in MODELS],
    threads=(2,),
    item="items",
    budget=0.5,
)
