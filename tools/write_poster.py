"""Writes book/_static/boundary.webp: one deep view of the boundary of trainability, as the explorer in the page colours it.

    nice python tools/write_poster.py    # some minutes

The picture is the library's (`tl.trainability`), the colours are read from the laboratory's palette.js.
"""

import re
from pathlib import Path

import numpy as np
from PIL import Image

import trajlib as tl
from trajlib.boundary import draw, rates

STATIC = Path(__file__).parents[1] / "book" / "_static"
X, Y, WIDTH, STEPS = 1.002, 1.6535, 0.045, 60  # two decades into the edge that the explorer's tour visits
SIZE = 1200, 630  # networks, each a pixel
SHADES = 256


def ramps(palette: str) -> dict[str, np.ndarray]:
    """Colours (256, 3) of both sides, from far from the boundary up to it, as ``ramp`` of palette.js makes them."""
    found = {}
    for name in ("CONVERGES", "ENDS"):
        stops = re.findall(r'"#([0-9a-f]{6})"', re.search(rf"const {name} = \[(.*?)\]", palette, re.DOTALL)[1])
        parts = np.array([[int(stop[at : at + 2], 16) for at in (0, 2, 4)] for stop in stops], dtype=float)
        place = np.arange(SHADES) / (SHADES - 1) * (len(stops) - 1)
        below = np.minimum(len(stops) - 2, place.astype(int))
        mixed = parts[below] + (parts[below + 1] - parts[below]) * (place - below)[:, None]
        found[name] = np.floor(mixed + 0.5).astype(np.uint8)
    return found


def paint(value: np.ndarray, outcome: np.ndarray, palette: str) -> np.ndarray:
    """Colours (..., 3) of pixels: on each side of the boundary by the rank of the value among those of the picture."""
    colours = np.zeros((*value.shape, 3), dtype=np.uint8)
    for name, side in (("CONVERGES", outcome == 1), ("ENDS", (outcome > -2) & (outcome != 1))):
        some = np.abs(value[side])
        known = np.sort(some)
        place = np.searchsorted(known, some, "left") + np.searchsorted(known, some, "right") - 1
        rank = place / (2 * (len(known) - 1)) if len(known) > 1 else np.full(len(some), 0.5)
        colours[side] = ramps(palette)[name][np.floor(rank * (SHADES - 1) + 0.5).astype(int)]
    return colours


def main() -> None:
    net = tl.Perceptron(8, 8, 1, activation="tanh", loss="mean_squared_error", bias=False, scale="mean_field")
    across, up = rates(X, WIDTH, SIZE[0])[:, None], rates(Y, WIDTH * SIZE[1] / SIZE[0], SIZE[1])[None]
    picture = tl.trainability(net, *draw(net, 0), across, up, STEPS)
    value, outcome = picture.value.T[::-1], picture.outcome.T[::-1]
    pixels = paint(value, outcome, (STATIC / "lab" / "palette.js").read_text(encoding="utf-8"))
    image = Image.fromarray(pixels)
    for quality in range(90, 20, -5):
        image.save(STATIC / "boundary.webp", quality=quality, method=6)
        if (STATIC / "boundary.webp").stat().st_size < 250_000:
            break
    print(f"boundary.webp: {(STATIC / 'boundary.webp').stat().st_size} bytes, quality {quality}")


if __name__ == "__main__":
    main()
