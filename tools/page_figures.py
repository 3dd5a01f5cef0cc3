"""The figures of the built pages: sharp, loaded as the reader comes near them, and with panels below each other on a phone."""

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

DPI = 110
"""Dots per inch at which figures are shown; a picture says in its header how many it has."""
PHONE = "(max-width: 600px)"
"""Where the narrow version is shown; custom styles change there too."""
MOST = 256
"""Colours of a palette; a dozen or three are enough for lines with smooth edges, fields and text."""
OFF, MOST_OFF, FURTHEST = 16, 0.01, 32
"""Two colours are nearly alike where no part of them differs by more levels; the share of pixels that may have none like theirs; and how
far off one of these may be, so that a thin line keeps its colour."""
SHARPNESS = 1.5
"""Pixels of a narrow version for each at which it is shown, as in ``trajlib.plots``; a phone makes it smaller."""
HEAVY = 40_000
"""Bytes beyond which a picture is kept with three quarters of its pixels each way."""
FIGURE = re.compile(
    r'<figure class="align-default"(?P<anchor> tabindex="0" id="[^"]*">\s*)'
    r'<img (?P<words>[^>]*?src="(?P<file>[^"]+\.png)"[^>]*?)(?P<size>\s*style="(?:width|height): [^"]*")?(?P<end>\s*/?>)'
)


def palette(picture: bytes) -> bytes:
    """The same picture with few colours, where that is smaller; on white, where it is transparent. A heavy one becomes less sharp."""
    with Image.open(io.BytesIO(picture)) as image:
        if image.mode == "P":
            return picture
        flat = on_white(image)
        dpi = image.info.get("dpi", (DPI, DPI))[0]
    packed = saved(flat, dpi)
    if len(packed) > HEAVY and dpi > 1.4 * DPI:
        share = 0.75
        flat = flat.resize((round(share * flat.width), round(share * flat.height)), Image.Resampling.LANCZOS)
        packed = saved(flat, share * dpi)
    return min(packed, picture, key=len)


def on_white(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")


def saved(flat: Image.Image, dpi: float) -> bytes:
    packed = io.BytesIO()
    few(flat).save(packed, "PNG", optimize=True, dpi=(dpi, dpi))
    return packed.getvalue()


def few(flat: Image.Image) -> Image.Image:
    """With a palette: the colours that cover most of the picture, as they are, and of those that are nearly alike only one."""
    pixels = np.asarray(flat).astype(int)
    packed, which, count = np.unique(pixels @ (1 << 16, 1 << 8, 1), return_inverse=True, return_counts=True)
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    closest, palette = np.zeros(len(colours), dtype=np.uint8), []
    distance, off = np.full((2, len(colours)), np.inf)  # of each colour from the closest of the palette
    while len(palette) < MOST:
        alone = count * (off > OFF)
        if alone.sum() <= MOST_OFF * which.size:
            alone = count * (off > FURTHEST)
        if not alone.any():
            break
        away = np.abs(colours - colours[alone.argmax()])
        nearer = (away**2).sum(axis=1) < distance
        closest[nearer], distance[nearer], off[nearer] = len(palette), (away[nearer] ** 2).sum(1), away[nearer].max(1)
        palette.append(colours[alone.argmax()])
    done = Image.fromarray(closest[which].reshape(flat.height, flat.width), "P")
    done.putpalette(np.array(palette).ravel().tolist())
    return done


def webp(picture: bytes) -> bytes:
    """A narrow version, which browsers alone show, as WebP: a fifth smaller than PNG, without loss beyond that of the palette."""
    with Image.open(io.BytesIO(picture)) as image:
        if image.format == "WEBP":
            return picture
        packed = io.BytesIO()
        few(on_white(image)).convert("RGB").save(packed, "WEBP", lossless=True, quality=60, method=4)
    return packed.getvalue()


def narrow_versions(executed: Path) -> dict[str, bytes]:
    """The narrow versions of the figures in a folder of executed notebooks, by the names of the files of the wide ones."""
    found = {}
    for notebook in executed.rglob("*.ipynb"):
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", ()):
                if narrow := output.get("metadata", {}).get("image/png", {}).get("narrow"):
                    wide = base64.b64decode("".join(output["data"]["image/png"]))
                    found[f"{hashlib.sha256(wide).hexdigest()}.png"] = base64.b64decode(narrow)
    return found


def size(picture: Path) -> str:
    """Width and height at which a picture is shown, as attributes; WebP does not say how sharp it is."""
    with Image.open(picture) as image:
        share = 1 / SHARPNESS if image.format == "WEBP" else DPI / image.info.get("dpi", (DPI, DPI))[0]
        return f'width="{round(image.width * share)}" height="{round(image.height * share)}"'


def with_light_figures(page: str, folder: Path, narrow: dict[str, bytes]) -> str:
    """Figures are loaded as the reader comes near them, in a place kept for them, and on a phone in their narrow version.

    A figure that has none is marked ``tl-wide``: on a phone it scrolls in its box.
    """

    def marked(found: re.Match) -> str:
        wide = folder / found["file"]
        img = f'<img loading="lazy" {size(wide)} {found["words"]}{found["end"]}'
        if wide.name not in narrow:
            return f'<figure class="align-default tl-wide"{found["anchor"]}{img}'
        slim = wide.with_name(f"narrow-{wide.stem}.webp")
        slim.write_bytes(webp(narrow[wide.name]))
        source = f'<source media="{PHONE}" srcset="{found["file"][: -len(wide.name)]}{slim.name}" {size(slim)}>'
        return f'<figure class="align-default"{found["anchor"]}<picture>{source}{img}</picture>'

    return FIGURE.sub(marked, page)
