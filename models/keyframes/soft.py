"""Selection that a loss can pass back through; serves training, also joint with the detector."""

import torch
from torch import Tensor


def soft_select(
    utilities: Tensor,
    spans: Tensor,
    *,
    temperature: float = 0.1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One frame of every span: hard forwards, a softmax over the span backwards.

    The straight-through Gumbel softmax (Jang et al., ICLR 2017, section 2.2): with a generator,
    a frame is drawn in proportion to `exp(utility / temperature)`; without, the best is taken.
    `values @ weights.T` keeps the selected columns of a matrix, `weights.T[spans]` lays them over
    the time that they stand for.

    Args:
        utilities: (N,) float32, how good a key frame each would be.
        spans: (N,) int64, number of the span that each frame is of, 0 … K - 1, none left out.
        temperature: of the softmax, in units of the utilities.
        generator: of the noise.

    Returns:
        (K, N) float32; each row is 1 at the selected frame and 0 elsewhere.

    Raises:
        ValueError: another shape.
    """
    if utilities.ndim != 1 or utilities.shape != spans.shape:
        raise ValueError(f"{utilities.shape = }, {spans.shape = }, expected (N,) twice")
    logits = utilities / temperature
    if generator is not None:
        # Drawn on the CPU, where the generator is; 0 and 1 have no finite logarithm twice.
        uniform = torch.rand(logits.shape, generator=generator).clamp(1e-6, 1 - 1e-6)
        logits = logits - torch.log(-torch.log(uniform)).to(logits)
    count = int(spans.max()) + 1 if len(spans) else 0
    inside = spans[None, :] == torch.arange(count, device=spans.device)[:, None]  # (K, N)
    shares = torch.softmax(logits.masked_fill(~inside, -torch.inf), dim=1)  # (K, N)
    hard = torch.zeros_like(shares).scatter_(1, shares.argmax(dim=1, keepdim=True), 1.0)
    return hard + shares - shares.detach()  # the values of `hard`, the gradient of `shares`
