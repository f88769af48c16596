"""Thumbnails of a folder of pictures, made by as many processes as the machine has.

Start a worker in this folder, then send a folder of pictures:

    faena worker -A thumbnails
    python thumbnails.py ~/Pictures /tmp/thumbnails
"""

import os
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from faena import Faena

PICTURES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp"}

app = Faena("thumbnails")


@app.task(
    autoretry_for=(OSError,),  # a network drive that is away for a moment
    dont_autoretry_for=(UnidentifiedImageError, FileNotFoundError),  # will be no picture, or no file, next time either
    retry_backoff=True,
    max_retries=3,
    soft_time_limit=30,
)
def make_thumbnail(picture: str, thumbnail: str, size_px: int = 256) -> dict[str, Any]:
    """Write a thumbnail of `picture`. Running it twice does no harm: the file is replaced as a whole."""
    unfinished = f"{thumbnail}.{os.getpid()}.part"
    with Image.open(picture) as image:
        width, height = image.size
        image.draft("RGB", (size_px * 2, size_px * 2))  # a large JPEG is not decoded at its full size
        small = ImageOps.exif_transpose(image)  # as the camera was held
        small.thumbnail((size_px, size_px))
        small.convert("RGB").save(unfinished, "JPEG", quality=85)
    os.replace(unfinished, thumbnail)
    return {"thumbnail": thumbnail, "from": [width, height], "to": list(small.size)}


def send_folder(pictures: Path, thumbnails: Path) -> int:
    """Send every picture of a folder, in one go, and report each as it is done. Returns how many failed."""
    thumbnails.mkdir(parents=True, exist_ok=True)
    found = sorted(path for path in pictures.iterdir() if path.suffix.lower() in PICTURES)
    sent = app.send_many(
        make_thumbnail.s(str(path.resolve()), str((thumbnails / f"{path.name}.jpg").resolve())) for path in found
    )
    names = {result.id: path.name for result, path in zip(sent, found, strict=True)}
    failed = 0
    for result in sent.as_completed(timeout=600):
        if result.successful():
            made = result.get()
            print(f"{names[result.id]}: {made['from']} -> {made['to']}")
        else:
            failed += 1
            print(f"{names[result.id]}: {result.result}", file=sys.stderr)
    print(f"{len(found) - failed} of {len(found)} thumbnails")
    return failed


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python {sys.argv[0]} PICTURES THUMBNAILS")
    sys.exit(1 if send_folder(Path(sys.argv[1]), Path(sys.argv[2])) else 0)
