"""DST, the sequence model: an encoder over the frames of a window, a decoder that writes its events one by one.

Section 6 of the FOOTPASS baseline. The decoder keeps keys and values of earlier tokens and of the encoder's output, so
that teacher forcing and decoding token by token run through the same lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from footpass_lib.models.fast import Dropout
from footpass_lib.models.transformer import DecoderLayer, EncoderLayer, LayerCache, frame_encoding
from footpass_lib.models.weights import seeded_initialisation
from footpass_lib.samples.windows import ACTION, FRAME, N_ACTIONS, N_TOKEN_ROLES, ROLE, WindowSettings
from footpass_lib.schema import N_CLASSES, N_SLOTS, FootpassError

FRAME_HEADS = ("dense", "pointer")


@dataclass(frozen=True)
class DSTSettings:
    """The sequence model's settings; the defaults are the paper's.

    Attributes
    ----------
    windows
        Shape of the windows.
    sources
        Sources of logits in an encoder token: 1 (TAAD) or 2 (TAAD and GNN).
    width, feedforward
        Channels, and hidden channels of the feed-forward layers.
    encoder_layers, decoder_layers, heads
        Of the transformer.
    dropout
        Also on attention weights.
    norm_first
        Layer norm before each sublayer in place of after it.
    frame_head
        ``dense``: a linear layer gives logits of the relative frames. ``pointer``: each frame's logit is the product
        of a query of the decoder and a key of the encoder's output there.
    base
        Of the wavelengths of the frame encoding.
    read_pointed
        With a pointer: action and role are read from the encoder's output at the frame that is pointed at, and not
        from the decoder alone. In training that is the true frame; so a token's frame comes first, and then what
        happens there (``decoding.choose_frame_first``).
    player_channels
        0: an encoder token is a linear function of its inputs as they are. Above 0, with windows of pooled inputs: a
        small network, the same for all slots, makes this many channels of each player's inputs first
        (:class:`PlayerEmbedding`), so that what a kick looks like need not be learned 26 times.
    dense_head
        Whether the encoder's output also says of every token which event it holds, and whose: for training only, where
        it teaches the encoder what the few tokens of the decoder would take long to teach.

    Raises
    ------
    FootpassError
        If a value is out of range.
    """

    windows: WindowSettings = field(default_factory=WindowSettings)
    sources: int = 1
    width: int = 512
    feedforward: int = 2048
    encoder_layers: int = 6
    decoder_layers: int = 6
    heads: int = 8
    dropout: float = 0.1
    norm_first: bool = False
    frame_head: str = "dense"
    base: float = 1000.0
    read_pointed: bool = False
    player_channels: int = 0
    dense_head: bool = False

    def __post_init__(self) -> None:
        for name in ("sources", "width", "feedforward", "encoder_layers", "decoder_layers", "heads"):
            if getattr(self, name) < 1:
                raise FootpassError(f"DST: {name}={getattr(self, name)}, expected 1 or more")
        if self.width % (2 * self.heads):
            raise FootpassError(f"DST: width={self.width}, expected a multiple of twice the {self.heads} heads")
        if self.frame_head not in FRAME_HEADS:
            raise FootpassError(f"DST: frame_head={self.frame_head!r}, expected one of {', '.join(FRAME_HEADS)}")
        if self.read_pointed and self.frame_head != "pointer":
            raise FootpassError(f"DST: read_pointed with frame_head={self.frame_head!r}, expected pointer")
        if self.player_channels and not self.windows.pooled:
            raise FootpassError(f"DST: player_channels={self.player_channels}, expected windows of pooled inputs")


class Logits(NamedTuple):
    """Logits of the token after each: ``action`` (B, S, 10), ``role`` (B, S, 27), ``frame`` (B, S, 752).

    ``dense`` (B, L, 9 + 26), of class and slot of the event in each encoder token: from a forward pass, with that head.
    """

    action: Tensor
    role: Tensor
    frame: Tensor
    dense: Tensor | None = None


class Memory(NamedTuple):
    """The encoder's output.

    ``states`` (B, L, width); ``mask`` (B, 1, 1, L), True where a token has a frame of the half; ``n_frames`` (B,);
    ``frame_keys`` (B, L * frames of a token, width), for the pointer only.
    """

    states: Tensor
    mask: Tensor
    n_frames: Tensor
    frame_keys: Tensor | None


class PlayerEmbedding(nn.Module):
    """Encoder tokens (B, L, width) from pooled inputs (B, L, token_width), through channels of each player."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        inputs, channels = settings.windows.token_width(settings.sources) // N_SLOTS, settings.player_channels
        self.player = nn.Sequential(nn.Linear(inputs, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))
        self.token = nn.Linear(N_SLOTS * channels, settings.width)
        self.gain = nn.Parameter(torch.full((1,), 3.0))  # against the frame encoding, whose values are larger

    def forward(self, features: Tensor) -> Tensor:
        players = features.unflatten(-1, (N_SLOTS, -1))  # (B, L, 26, inputs of a player)
        return self.gain * self.token(self.player(players).flatten(-2))


class DST(nn.Module):
    """Sequence model of section 6 of the FOOTPASS baseline.

    A linear layer on a one-hot is a row of a table: the one-hots of frames, actions and roles are never built.

    Parameters
    ----------
    settings
        Sizes.
    seed
        Of the initial weights.
    """

    def __init__(self, settings: DSTSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings
        shape, width = settings.windows, settings.width
        with seeded_initialisation(seed):
            if settings.player_channels:
                self.feature_embedding: nn.Module = PlayerEmbedding(settings)
            else:
                self.feature_embedding = nn.Linear(shape.token_width(settings.sources), width)
            self.token_frame_table = nn.Embedding(shape.n_frame_ids, width)
            self.action_table = nn.Embedding(N_ACTIONS, width)
            self.role_table = nn.Embedding(N_TOKEN_ROLES, width)
            self.event_frame_table = nn.Embedding(shape.n_frame_ids, width)
            self.dropout = Dropout(settings.dropout)
            self.encoder = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.encoder_layers))
            self.encoder_norm = nn.LayerNorm(width)
            self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.decoder_layers))
            self.decoder_norm = nn.LayerNorm(width)
            self.action_role_head = nn.Linear(width, N_ACTIONS + N_TOKEN_ROLES)
            if settings.frame_head == "dense":
                self.frame_head = nn.Linear(width, shape.n_frame_ids)
            else:
                self.frame_query = nn.Linear(width, width)
                self.frame_key = nn.Linear(width, shape.frames_per_token * width)
                self.end_key = nn.Parameter(torch.empty(1, width))
            if settings.read_pointed:
                self.reader = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, width))
            if settings.dense_head:
                self.dense_head = nn.Linear(width, N_CLASSES + N_SLOTS)
            for parameter in self.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
        encoding = frame_encoding(shape.n_frame_ids, width, settings.base)
        self.register_buffer("encoding", encoding, persistent=False)

    def encode(self, features: Tensor, n_frames: Tensor) -> Memory:
        """Read windows.

        Parameters
        ----------
        features
            (B, L, token_width), L at most the window's tokens.
        n_frames
            (B,): frames of each window that are in the half, 1 or more; what comes after has no effect.

        Raises
        ------
        FootpassError
            If the features have another shape.
        """
        shape = self.settings.windows
        n_tokens, width = shape.n_tokens, shape.token_width(self.settings.sources)
        if features.ndim != 3 or features.shape[1] > n_tokens or features.shape[2] != width:
            expected = f"expected (B, up to {n_tokens}, {width})"
            raise FootpassError(f"DST: features of shape {tuple(features.shape)}; {expected}")
        first = torch.arange(features.shape[1], device=features.device) * shape.frames_per_token + 1
        mask = (first <= n_frames[:, None])[:, None, None]  # (B, 1, 1, L)
        x = self.feature_embedding(features) + self.token_frame_table(first) + self.encoding[first]
        x = self.dropout(x)
        for layer in self.encoder:
            x = layer(x, mask)
        states = self.encoder_norm(x)
        pointer = self.settings.frame_head == "pointer"
        keys = self.frame_key(states).unflatten(-1, (-1, self.settings.width)).flatten(1, 2) if pointer else None
        return Memory(states, mask, n_frames, keys)

    def start(self, memory: Memory) -> list[LayerCache]:
        """The caches of all decoder layers before the first token."""
        return [LayerCache(layer.cross.project(memory.states).contiguous()) for layer in self.decoder]

    def decode(
        self,
        tokens: Tensor,
        memory: Memory,
        caches: list[LayerCache],
        frames: Tensor | None = None,
    ) -> Logits:
        """Logits of what follows each of the tokens (B, S, 3), which come after those in the caches.

        Either all tokens come at once, with new caches, or one by one. ``frames`` (B, S) are those that action and role
        are read at (``read_pointed``); without them, the likeliest.
        """
        x = self.advance(tokens, memory, caches)
        frame_logits = self.frames(x, memory)
        if frames is None and self.settings.read_pointed:
            frames = frame_logits.argmax(dim=-1)
        return Logits(*self.actions_and_roles(x, memory, frames), frame_logits)

    def advance(self, tokens: Tensor, memory: Memory, caches: list[LayerCache]) -> Tensor:
        """The decoder's output (B, S, width) after each of the tokens, as in :meth:`decode`."""
        action, role, frame = tokens[..., ACTION], tokens[..., ROLE], tokens[..., FRAME]
        x = self.action_table(action) + self.role_table(role) + self.event_frame_table(frame) + self.encoding[frame]
        x = self.dropout(x)
        for layer, cache in zip(self.decoder, caches, strict=True):
            x = layer(x, cache, memory.mask)
        return self.decoder_norm(x)

    def frames(self, x: Tensor, memory: Memory) -> Tensor:
        """Logits of the next frame (B, S, 752) from the decoder's output (B, S, width)."""
        return self.frame_head(x) if self.settings.frame_head == "dense" else self._point(x, memory)

    def actions_and_roles(self, x: Tensor, memory: Memory, frames: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits of action (B, S, 10) and role (B, S, 27); ``frames`` (B, S) as in :meth:`decode`."""
        if self.settings.read_pointed:
            x = self.reader(torch.cat([x, self._states_at(frames, memory)], dim=-1))
        action_role = self.action_role_head(x)
        return action_role[..., :N_ACTIONS], action_role[..., N_ACTIONS:]

    def _states_at(self, frames: Tensor, memory: Memory) -> Tensor:
        """The encoder's output (B, S, width) in the tokens of relative frames (B, S)."""
        token = ((frames - 1) // self.settings.windows.frames_per_token).clamp(0, memory.states.shape[1] - 1)
        return memory.states.gather(1, token[..., None].expand(-1, -1, self.settings.width))

    def _point(self, x: Tensor, memory: Memory) -> Tensor:
        """Logits (B, S, 752): what is no frame of the half has one learned key; lowest where no event can be."""
        query, keys = self.frame_query(x) / self.settings.width**0.5, memory.frame_keys
        frame = torch.arange(self.settings.windows.n_frame_ids, device=x.device)
        logits = F.pad(query @ keys.transpose(1, 2), (1, len(frame) - 1 - keys.shape[1]))
        last = memory.n_frames[:, None, None]
        logits = torch.where(frame <= last, logits, query @ self.end_key.to(query.dtype).T)
        return logits.masked_fill((frame < 1) | (frame > last + 1), torch.finfo(logits.dtype).min)

    def forward(self, features: Tensor, n_frames: Tensor, inputs: Tensor, frames: Tensor | None = None) -> Logits:
        """Logits with teacher forcing, for decoder tokens (B, S, 3) that start with SOS; the rest as in ``encode``.

        ``frames`` (B, S) are those of the tokens that follow, for a model that reads there.
        """
        memory = self.encode(features, n_frames)
        logits = self.decode(inputs, memory, self.start(memory), frames)
        return logits._replace(dense=self.dense_head(memory.states)) if self.settings.dense_head else logits
