"""The figures of the built pages: sharp, loaded as the reader comes near them, and with panels below each other on a phone."""

import base64
import hashlib
import io
import json
import re
from pathlib import Path

from PIL import Image

DPI = 110
"""Dots per inch at which figures are shown; a picture says in its header how many it has."""
PHONE = "(max-width: 600px)"
"""Where the narrow version is shown; custom styles change there too."""
COLOURS = 64
"""Of a palette: enough for lines with smooth edges and for text, and half the size of all colours."""
FIGURE = re.compile(
    r'<figure class="align-default"(?P<anchor> tabindex="0" id="[^"]*">\s*)'
    r'<img (?P<words>[^>]*?src="(?P<file>[^"]+\.png)"[^>]*?)(?P<size>\s*style="(?:width|height): [^"]*")?(?P<end>\s*/?>)'
)


def palette(picture: bytes) -> bytes:
    """The same picture with few colours, where that is smaller; on white, where it is transparent."""
    with Image.open(io.BytesIO(picture)) as image:
        if image.mode == "P":
            return picture
        flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")
        dpi = image.info.get("dpi", (DPI, DPI))
    packed = io.BytesIO()
    few = flat.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(packed, "PNG", optimize=True, dpi=dpi)
    return min(packed.getvalue(), picture, key=len)


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
    """Width and height at which a picture is shown, as attributes."""
    with Image.open(picture) as image:
        share = DPI / image.info.get("dpi", (DPI, DPI))[0]
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
        slim = wide.with_name(f"narrow-{wide.name}")
        slim.write_bytes(palette(narrow[wide.name]))
        source = f'<source media="{PHONE}" srcset="{found["file"][: -len(wide.name)]}{slim.name}" {size(slim)}>'
        return f'<figure class="align-default"{found["anchor"]}<picture>{source}{img}</picture>'

    return FIGURE.sub(marked, page)
