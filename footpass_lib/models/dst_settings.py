"""Settings of the sequence model, and of the variant of its encoder in which players attend to each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from footpass_lib.files import off
from footpass_lib.models.transformer import TransformerSettings
from footpass_lib.samples.windows import WindowSettings
from footpass_lib.schema import FootpassError

ORDERS = ("none", "spatial-first", "temporal-first", "parallel")


@dataclass(frozen=True)
class PlayerSizes:
    """Sizes of the attention of players; the defaults are PAVE's (arXiv 2606.28389), FootpassError if out of range."""

    width: int = 64  # of a player in a token
    heads: int = 4
    layers: int = 1  # of each of the two kinds; PAVE's third model has 2, with a width of 128

    def __post_init__(self) -> None:
        self.transformer(0.0)

    def transformer(self, dropout: float) -> TransformerSettings:
        """The sizes of one of its layers; the width of the feed-forward layer is ours."""
        return TransformerSettings(
            self.width, 4 * self.width, encoder_layers=self.layers, heads=self.heads, dropout=dropout
        )


@dataclass(frozen=True)
class DSTSettings(TransformerSettings):
    """The sequence model's settings; the defaults are the paper's, FootpassError if out of range."""

    windows: WindowSettings = field(default_factory=WindowSettings)
    sources: int = 1  # Extension 2: GNN logits; 2 has them beside TAAD's in an encoder token
    base: float = 1000.0  # of the wavelengths of the frame encoding
    player_attention: str = off("none")  # or the order of PAVE's attention of players: see PlayerAttention
    player_sizes: PlayerSizes = off(PlayerSizes())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sources < 1:
            raise FootpassError(f"DST: sources={self.sources}, expected 1 or more")
        if self.player_attention not in ORDERS:
            raise FootpassError(f"DST: player_attention={self.player_attention!r}, expected one of {', '.join(ORDERS)}")
