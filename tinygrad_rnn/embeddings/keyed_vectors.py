"""Vectors by word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class KeyedVectors:
    """A vector for each word.

    Parameters
    ----------
    index_to_key : sequence of str
    vectors : float32 ndarray (n, size)
    """

    def __init__(self, index_to_key: Sequence[str], vectors: np.ndarray) -> None:
        self.index_to_key, self.vectors = list(index_to_key), vectors
        self.key_to_index = {word: k for k, word in enumerate(self.index_to_key)}

    def __len__(self) -> int:
        return len(self.index_to_key)

    def __contains__(self, word: object) -> bool:
        return word in self.key_to_index

    def __getitem__(self, word: str) -> np.ndarray:
        row: np.ndarray = self.vectors[self.key_to_index[word]]
        return row

    def similarity(self, a: str, b: str) -> float:
        """Cosine of the angle between the vectors of two words."""
        x, y = self[a], self[b]
        return float(x @ y / np.sqrt((x @ x) * (y @ y)))

    def most_similar(self, word: str, topn: int = 10) -> list[tuple[str, float]]:
        """The words nearest to one, with their cosines."""
        unit = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        cosines = unit @ unit[self.key_to_index[word]]
        order = [k for k in np.argsort(-cosines).tolist() if self.index_to_key[k] != word][:topn]
        return [(self.index_to_key[k], float(cosines[k])) for k in order]

    def save(self, path: str) -> None:
        """Write as word2vec's text."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{len(self)} {self.vectors.shape[1]}\n")
            for word, row in zip(self.index_to_key, self.vectors):
                file.write(f"{word} {' '.join(map(str, row.tolist()))}\n")
