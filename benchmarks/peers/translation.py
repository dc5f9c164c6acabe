"""The peer of our encoder-decoder in PyTorch, as its tutorials and toolkits write it.

A bidirectional LSTM reads, an LSTM that attends at every step writes. With input feeding the decoder is a loop over
LSTMCell; without, nn.LSTM and two batched products.
"""

from typing import Any

import torch
from torch import nn


class Model(nn.Module):
    """S words of a source and T of a target, (S, B) and (T, B), to scores of the next words (T, B, V)."""

    def __init__(self, source: int, target: int, E: int, H: int, score: str, feeding: str | None,
                 dropout: float = 0.0) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(source, E), nn.Embedding(target, E)
        self.encoder = nn.LSTM(E, H, bidirectional=True)
        self.bridge = nn.ModuleList([nn.Linear(2 * H, H), nn.Linear(2 * H, H)])
        self.cell = nn.LSTMCell(E + H, H) if feeding else None
        self.lstm = None if feeding else nn.LSTM(E, H)
        self.query = nn.Linear(H, H if score == "additive" else 2 * H, bias=False)
        self.keys = nn.Linear(2 * H, H, bias=False) if score == "additive" else None
        self.v = nn.Parameter(torch.randn(H)) if score == "additive" else None
        self.combine, self.linear = nn.Linear(3 * H, H), nn.Linear(H, target)
        self.dropout = nn.Dropout(dropout)

    def encode(self, source: Any, lengths: Any) -> tuple[Any, Any]:
        """What the decoder attends to, and the state that it begins with."""
        x = self.dropout(self.source(source))
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        states, last = self.encoder(packed)
        memory = nn.utils.rnn.pad_packed_sequence(states)[0].transpose(0, 1)
        keys = memory if self.keys is None else self.keys(memory)
        mask = torch.arange(memory.shape[1]) >= lengths[:, None]
        state = tuple(torch.tanh(linear(torch.cat([s[0], s[1]], -1))) for linear, s in zip(self.bridge, last))
        return (memory, keys, mask), state

    def attend(self, h: Any, memory: Any, keys: Any, mask: Any) -> Any:
        """h (B, T, H) -> (B, T, H)."""
        if self.v is not None:
            energy = torch.tanh(self.query(h)[:, :, None] + keys[:, None]) @ self.v
        else:
            energy = self.query(h) @ keys.mT
        weights = energy.masked_fill(mask[:, None], -torch.inf).softmax(-1)
        return torch.tanh(self.combine(torch.cat([weights @ memory, h], -1)))

    def step(self, x: Any, state: tuple[Any, Any, Any], read: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        """One word's vector (B, E) and (h, c, attended) -> (h, c, attended), for input feeding."""
        h, c, attended = state
        assert self.cell is not None
        h, c = self.cell(torch.cat([x, attended], -1), (h, c))
        return h, c, self.attend(h[:, None], *read)[:, 0]

    def forward(self, source: Any, lengths: Any, target: Any) -> Any:
        """Scores of every next word."""
        read, (h, c) = self.encode(source, lengths)
        x = self.dropout(self.target(target))
        if self.lstm is not None:
            y, _ = self.lstm(x, (h[None], c[None]))
            y = self.attend(y.transpose(0, 1), *read).transpose(0, 1)
        else:
            state, found = (h, c, torch.zeros_like(h)), []
            for word in x:
                state = self.step(word, state, read)
                found.append(state[2])
            y = torch.stack(found)
        return self.linear(self.dropout(y))
