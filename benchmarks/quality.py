"""Quality of word vectors against those of other programs: agreement with human judgments, over several seeds.

    python -m benchmarks.quality              trains what is not scored yet, then prints the table
    python -m benchmarks.quality --record     prints the table, and keeps it in benchmarks/results/quality
    python -m benchmarks.quality --report     prints the table that is kept

All sides learn from the same file, TINYGRAD_RNN_DATA/wiki/enwiki20m.txt, with the same parameters, on two threads, each
fit in a process of its own; all vectors are judged by the same code.  Scores are Spearman's correlations with WS-353,
SimLex-999 and MEN, and the share of right analogies.  They go to a file as soon as they are there, so a run may be
interrupted: on two processors half an hour for five seeds, and again as long for the C program's GloVe.

The verdict is "as good" where our mean is at least the peer's less two standard errors of the difference of both means.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, variance
from typing import Any

from benchmarks.report import grid

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "benchmarks" / "results" / "quality" / "word_vectors.json"
SCRATCH = ROOT / "build" / "benchmarks" / "quality.jsonl"
SETTINGS = dict(vector_size=100, window=5, negative=5, sample=1e-3, min_count=5, epochs=5, alpha=0.025, min_alpha=1e-4)
GLOVE = dict(vector_size=100, window=10, x_max=100.0, alpha=0.75, learning_rate=0.05, min_count=5, epochs=15)
THREADS = 2
C = "C, as Stanford's GloVe"      # peers/glove.c
PEERS: dict[str, dict[str, Any]] = {"gensim, skip-gram": {"sg": 1}, "gensim, CBOW": {"sg": 0}, C: {}}
OURS: dict[str, tuple[dict[str, Any], str]] = {     # name: parameters, and the peer that it is compared with
    "skip-gram, noise shared by a window": ({}, "gensim, skip-gram"),
    "skip-gram, noise for each pair": ({"shared_negatives": False}, "gensim, skip-gram"),
    "skip-gram, deterministic": ({"deterministic": True}, "gensim, skip-gram"),
    "CBOW": ({"model": "cbow"}, "gensim, CBOW"),
    "CBOW, deterministic": ({"model": "cbow", "deterministic": True}, "gensim, CBOW"),
    "GloVe": ({}, C),
}
Scores = dict[str, float]


def data() -> Path:
    """The folder with corpus and judgments."""
    return Path(os.environ["TINYGRAD_RNN_DATA"])


def judge(vectors: Any) -> Scores:
    """Scores of KeyedVectors."""
    files = {"WS-353": "EN-WS-353-ALL.txt", "SimLex-999": "EN-SIMLEX-999.txt", "MEN": "EN-MEN-TR-3k.txt"}
    scores = {name: vectors.evaluate_word_pairs(data() / "wordsim" / file).spearman for name, file in files.items()}
    return scores | {"analogies": vectors.evaluate_word_analogies(data() / "wordsim" / "questions-words.txt").accuracy}


def fit(side: str, seed: int) -> Scores:
    """Train one side, in this process."""
    corpus = data() / "wiki" / "enwiki20m.txt"
    if side == C:
        return judge(glove_by_c(corpus, seed))
    if side in PEERS:
        from gensim.models import Word2Vec as Peer

        from tinygrad_rnn.embeddings import KeyedVectors

        peer = Peer(corpus_file=str(corpus), **SETTINGS, **PEERS[side], workers=THREADS, seed=seed).wv
        return judge(KeyedVectors(peer.index_to_key, peer.vectors))
    from tinygrad_rnn.embeddings import GloVe, Word2Vec

    model: Any
    if side == "GloVe":
        model = GloVe(**GLOVE, workers=THREADS, rng=seed).fit(corpus, progress=False)   # type: ignore[arg-type]
    else:
        model = Word2Vec(**SETTINGS, **OURS[side][0], workers=THREADS, rng=seed).fit(corpus, progress=False)
    return judge(model.vectors) | {f"loss {k}": loss for k, loss in enumerate(model.loss_history, 1)}


def glove_by_c(corpus: Path, seed: int) -> Any:
    """KeyedVectors of the program in C: the sum of both sides' rows."""
    import numpy as np

    from benchmarks.bench_glove import vocabulary
    from benchmarks.peers.glove import Program, run
    from tinygrad_rnn.embeddings import KeyedVectors

    size = int(GLOVE["vector_size"])
    _, known = vocabulary(corpus)
    with tempfile.TemporaryDirectory() as folder:
        program = Program(corpus, known.tokens, Path(folder), int(GLOVE["window"]), size)
        for stage in (program.count(), program.shuffle(seed), program.train(THREADS, int(GLOVE["epochs"]), seed)):
            run(stage)
        rows = np.fromfile(stage.target).reshape(2, len(known), size + 1)
    return KeyedVectors(known.tokens, rows[:, :, :size].sum(0).astype(np.float32))


def scored(file: Path) -> dict[str, dict[int, Scores]]:
    """Side to seed to scores, as far as they are there."""
    found: dict[str, dict[int, Scores]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        one = json.loads(line)
        found.setdefault(one["side"], {})[one["seed"]] = one["scores"]
    return found


def train(file: Path, sides: Sequence[str], seeds: int) -> None:
    """Score what is missing, a process each; seed after seed, so that all sides have about as many."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(1, seeds + 1):
        for side in sides:
            if seed in scored(file).get(side, {}):
                continue
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.quality", "--fit", side, str(seed)], cwd=ROOT, check=True,
                stdout=subprocess.PIPE, text=True, env=os.environ | {"TINYGRAD_RNN_NUM_THREADS": str(THREADS)})
            scores = json.loads(done.stdout)
            with open(file, "a", encoding="utf-8") as out:
                out.write(json.dumps({"side": side, "seed": seed, "scores": scores}) + "\n")
            print(side, seed, {name: round(score, 3) for name, score in scores.items()}, file=sys.stderr, flush=True)


def compare(found: Mapping[str, Mapping[int, Scores]]) -> list[dict[str, Any]]:
    """Rows: of one of our modes and one measure, both means with their standard errors, and the verdict."""
    rows = []
    for side, (_, peer) in OURS.items():
        for measure in ("WS-353", "SimLex-999", "MEN", "analogies"):
            a, b = ([scores[measure] for scores in found.get(name, {}).values()] for name in (side, peer))
            if min(len(a), len(b)) < 2:
                continue
            errors = [math.sqrt(variance(x) / len(x)) for x in (a, b)]
            rows.append({"side": side, "peer": peer, "measure": measure, "ours": mean(a), "ours_error": errors[0],
                         "peers": mean(b), "peers_error": errors[1], "seeds": [len(a), len(b)],
                         "as_good": mean(a) >= mean(b) - 2 * math.hypot(*errors)})
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown."""
    lines = [["vectors", "measured by", "ours", "peer", "peer's", "seeds",
              "at least the peer's mean - 2 standard errors"]]
    lines += [[row["side"], row["measure"], f"{row['ours']:.3f} ± {row['ours_error']:.3f}", row["peer"],
               f"{row['peers']:.3f} ± {row['peers_error']:.3f}", " / ".join(map(str, row["seeds"])),
               "yes" if row["as_good"] else "no"] for row in rows]
    return grid(lines)


def recorded() -> list[dict[str, Any]]:
    """The rows that are kept with the code."""
    rows: list[dict[str, Any]] = json.loads(KEPT.read_text(encoding="utf-8"))["rows"]
    return rows


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=(__doc__ or "")[:82])
    parser.add_argument("--fit", nargs=2, metavar=("SIDE", "SEED"), help="one side and seed; prints its scores")
    parser.add_argument("--sides", nargs="+", choices=[*PEERS, *OURS], default=[*PEERS, *OURS], metavar="SIDE")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scores", type=Path, default=SCRATCH, help="file of the scores that are there")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    if arguments.report:
        print(table(recorded()))
        return
    if arguments.fit:
        print(json.dumps(fit(arguments.fit[0], int(arguments.fit[1]))))
        return
    if not arguments.record:
        train(arguments.scores, arguments.sides, arguments.seeds)
    rows = compare(scored(arguments.scores))
    if arguments.record:
        new = {row["side"] for row in rows}     # what was kept of others stays
        rows = sorted([row for row in recorded() if row["side"] not in new] + rows,
                      key=lambda row: list(OURS).index(row["side"]))
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        kept = {"settings": SETTINGS, "glove": GLOVE, "threads": THREADS, "rows": rows}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
