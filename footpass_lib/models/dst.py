"""DST, the sequence model: an encoder over the frames of a window, a decoder that writes its events one by one.

Section 6 of the FOOTPASS baseline. The decoder keeps keys and values of earlier tokens and of the encoder's output, so
that teacher forcing and decoding token by token run through the same lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from footpass_lib.models import seeded_initialisation
from footpass_lib.models.dropout import Dropout, dropout
from footpass_lib.samples.windows import ACTION, FRAME, N_ACTIONS, N_TOKEN_ROLES, ROLE, WindowSettings
from footpass_lib.schema import N_CLASSES, N_SLOTS, FootpassError

FRAME_HEADS = ("dense", "pointer")
_FEW_ROWS, _LARGE_WEIGHT = 8, 2**18  # rows of a decoding step; values of a weight, 1 MB


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


@dataclass
class LayerCache:
    """Keys and values (2, B, heads, length, width / heads) of one decoder layer: of the memory, and of past tokens.

    Those of the past stand at the front of ``room``, which grows by more than is asked for, so that few tokens copy it.
    """

    memory: Tensor
    room: Tensor | None = None
    length: int = 0

    def extend(self, keys_values: Tensor) -> Tensor:
        """Add those of new tokens; all so far."""
        start, self.length = self.length, self.length + keys_values.shape[3]
        if self.room is None:
            self.room = keys_values
        elif self.length <= self.room.shape[3]:
            self.room[..., start : self.length, :] = keys_values
        else:
            spare = keys_values.new_empty(*keys_values.shape[:3], self.length, keys_values.shape[4])
            self.room = torch.cat([self.room[..., :start, :], keys_values, spare], dim=3)
        return self.room[..., : self.length, :]


class StreamedLinear(nn.Linear):
    """``nn.Linear`` that is faster on a CPU in a decoding step; same weights and, up to rounding, the same output.

    For a few rows the time goes into reading a weight that is larger than the cache, which matrix libraries do faster
    where it is the left factor, unless it is wider than high.
    """

    def forward(self, x: Tensor) -> Tensor:
        rows = x.numel() // self.in_features
        large = self.weight.numel() >= _LARGE_WEIGHT and self.in_features <= self.out_features
        if x.device.type != "cpu" or torch.is_grad_enabled() or rows > _FEW_ROWS or not large:
            return super().forward(x)
        return (self.weight @ x.reshape(rows, -1).T).T.reshape(*x.shape[:-1], -1) + self.bias


class Attention(nn.Module):
    """Multi-head attention whose keys and values are made apart from its use, and can be kept."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        self.split = (settings.heads, settings.width // settings.heads)
        self.dropout = settings.dropout
        self.query = StreamedLinear(settings.width, settings.width)
        self.key_value = StreamedLinear(settings.width, 2 * settings.width)
        self.out = StreamedLinear(settings.width, settings.width)

    def project(self, source: Tensor) -> Tensor:
        """Keys and values (2, B, heads, S, width / heads) of a source (B, S, width)."""
        return self.key_value(source).unflatten(-1, (2, *self.split)).permute(2, 0, 3, 1, 4)

    def forward(self, x: Tensor, keys_values: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        query = self.query(x).unflatten(-1, self.split).transpose(1, 2)  # (B, heads, S, width / heads)
        plain = x.device.type == "cpu" and (self.training or x.shape[1] == 1)
        attend = _attend if plain else F.scaled_dot_product_attention
        odds = self.dropout if self.training else 0.0
        mixed = attend(query, *keys_values, attn_mask=mask, dropout_p=odds, is_causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))


def _attend(
    query: Tensor, keys: Tensor, values: Tensor, attn_mask: Tensor | None, dropout_p: float, is_causal: bool
) -> Tensor:
    """``scaled_dot_product_attention``, faster on a CPU with dropout, and in a decoding step.

    With either, torch's takes the same products, but scales all the keys, and its dropout is slow.
    """
    scores = query / query.shape[-1] ** 0.5 @ keys.transpose(-2, -1)  # (B, heads, S, length)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    return dropout(scores.softmax(dim=-1), dropout_p) @ values


class Residual(nn.Module):
    """Dropout, sum with the input, and layer norm around a sublayer."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        self.norm_first = settings.norm_first
        self.norm = nn.LayerNorm(settings.width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        if self.norm_first:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


def _feed_forward(settings: DSTSettings) -> nn.Sequential:
    return nn.Sequential(
        StreamedLinear(settings.width, settings.feedforward),
        nn.ReLU(),
        Dropout(settings.dropout),
        StreamedLinear(settings.feedforward, settings.width),
    )


class EncoderLayer(nn.Module):
    """Self-attention over the tokens (B, L, width) where the mask is True, then a feed-forward layer."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        self.attention, self.feed_forward = Attention(settings), _feed_forward(settings)
        self.around_attention, self.around_feed_forward = Residual(settings), Residual(settings)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.around_attention(x, lambda h: self.attention(h, self.attention.project(h), mask))
        return self.around_feed_forward(x, self.feed_forward)


class DecoderLayer(nn.Module):
    """Attention to this and earlier tokens, attention to the memory, then a feed-forward layer."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        self.attention, self.cross = Attention(settings), Attention(settings)
        self.feed_forward = _feed_forward(settings)
        self.around_attention, self.around_cross = Residual(settings), Residual(settings)
        self.around_feed_forward = Residual(settings)

    def forward(self, x: Tensor, cache: LayerCache, memory_mask: Tensor) -> Tensor:
        """Several tokens may come at once only while the cache has no past; padding comes last, so no token sees it."""
        causal = cache.room is None
        x = self.around_attention(
            x, lambda h: self.attention(h, cache.extend(self.attention.project(h)), causal=causal)
        )
        x = self.around_cross(x, lambda h: self.cross(h, cache.memory, memory_mask))
        return self.around_feed_forward(x, self.feed_forward)


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


def frame_encoding(n_frames: int, width: int, base: float) -> Tensor:
    """Sinusoids (n_frames, width) of the frame number: sines of rising wavelength at even places, cosines at odd."""
    angle = torch.arange(n_frames)[:, None] * base ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
