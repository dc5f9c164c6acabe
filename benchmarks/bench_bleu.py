"""BLEU of a corpus: 100,000 pairs of sentences of 5 to 40 words, ours against sacreBLEU."""

from collections.abc import Callable

from benchmarks.harness import Benchmark, Case


def corpus(pairs: int) -> tuple[list[str], list[str]]:
    """Translations and references: words by Zipf's law, three in ten of a translation another, one in twenty lost."""
    import random

    rng = random.Random(0)
    words = [f"w{k}" for k in range(20_000)]
    weights = [1 / (k + 5) for k in range(len(words))]
    references = [rng.choices(words, weights, k=rng.randint(5, 40)) for _ in range(pairs)]
    hypotheses = [[word if rng.random() < 0.7 else rng.choice(words) for word in reference if rng.random() < 0.95]
                  for reference in references]
    return [" ".join(line) for line in hypotheses], [" ".join(line) for line in references]


class Step:
    """Scores the corpus; the score is a note, so that both sides are seen to agree."""

    def __init__(self, bleu: Callable, pairs: int, tokenize: str) -> None:
        hypotheses, references = corpus(pairs)
        self.call = lambda: bleu(hypotheses, [references], tokenize=tokenize, force=True).score
        self.notes: dict[str, float] = {}

    def __call__(self) -> None:
        self.notes["BLEU"] = self.call()


def ours(pairs: int, tokenize: str) -> Callable[[], object]:
    """`metrics.corpus_bleu`."""
    from tinygrad_rnn.metrics import corpus_bleu

    return Step(corpus_bleu, pairs, tokenize)


def via_sacrebleu(pairs: int, tokenize: str) -> Callable[[], object]:
    """sacreBLEU, whose tokenizers keep the lines that they have seen: the second run of 13a finds some of them."""
    import sacrebleu

    return Step(sacrebleu.corpus_bleu, pairs, tokenize)


def case(pairs: int, tokenize: str, **targets: float) -> Case:
    """A size and a tokenizer."""
    return Case(f"{pairs:,} pairs, tokenize={tokenize}", {"pairs": pairs, "tokenize": tokenize}, items=pairs,
                targets=targets)


BENCHMARK = Benchmark(
    title="BLEU",
    sides={"ours": ours, "sacreBLEU": via_sacrebleu},
    cases=[case(100_000, "none", sacreBLEU=3.0), case(100_000, "13a")],
    toy=[case(50, "none"), case(50, "13a")],
    item="pairs",
    rounds=3,
    budget=0.0,
)
