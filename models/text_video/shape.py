"""The shape of the two towers: what their weights, and those of the trunk below, depend on."""

from dataclasses import dataclass, field

from models.text_video.sentences import DIMENSIONS
from models.text_video.tokenizer import ENTRIES, MAX_TOKENS
from models.text_video.trunk import TrunkConfig

SIZES = (
    "dimension", "width", "heads", "text_layers", "frame_layers", "expansion", "entries",
    "max_tokens", "max_frames", "video_towers",
)  # fmt: skip


@dataclass(frozen=True)
class TextVideoConfig:
    """Shape of the two towers.

    Attributes:
        dimension: D, of the shared space.
        width: d, inside both towers.
        text_width: d inside the text tower; `width` if None.
        text_layers: transformer blocks over words.
        frame_layers: transformer blocks over frames.
        expansion: how many times wider a block's feed-forward layer is.
        dropout: inside blocks.
        region_dropout: of the trunk's channels, for all regions of a frame at once.
        entries: of the tokenizer.
        max_tokens: of a caption.
        max_frames: of a clip.
        video_towers: side by side over one trunk, joined to one vector.
        read_sentences: the frozen encoders (`models.text_video.sentences`) as whose vectors
            captions come; as ids where there is none. Such a network teaches others.
        trunk: what makes the regions.
    """

    dimension: int = 256
    width: int = 192
    heads: int = 4
    text_width: int | None = None
    text_layers: int = 2
    frame_layers: int = 1
    expansion: int = 2
    dropout: float = 0.1
    region_dropout: float = 0.2
    entries: int = ENTRIES
    max_tokens: int = MAX_TOKENS
    max_frames: int = 8
    video_towers: int = 1
    read_sentences: tuple[str, ...] = ()
    trunk: TrunkConfig = field(default_factory=TrunkConfig)

    def __post_init__(self) -> None:
        """Refuse what is no size or share, and heads that don't share the width evenly."""
        for name in SIZES:
            if getattr(self, name) < 1:
                raise ValueError(f"self.{name} = {getattr(self, name)}, expected at least 1")
        for name in ("dropout", "region_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"self.{name} = {getattr(self, name)}, expected 0 to below 1")
        unknown = set(self.read_sentences) - set(DIMENSIONS)
        if unknown:
            raise ValueError(
                f"self.read_sentences = {self.read_sentences}, expected of {', '.join(DIMENSIONS)}"
            )
        for name in ("width", "text_width"):
            width = getattr(self, name)
            if width is not None and (width < 1 or width % self.heads):
                raise ValueError(f"self.{name} = {width}, expected a multiple of {self.heads = }")

    @property
    def words_width(self) -> int:
        """The text tower's d."""
        return self.width if self.text_width is None else self.text_width
