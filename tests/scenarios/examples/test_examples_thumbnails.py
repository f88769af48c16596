"""examples/thumbnails, on pictures made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image


def make_pictures(folder: Path) -> None:
    folder.mkdir()
    for number in range(12):
        picture = Image.new("RGB", (400 + 40 * number, 300), (20 * number, 100, 200))
        picture.save(folder / f"wide-{number:02}.{'png' if number % 3 else 'jpg'}")
    Image.new("RGBA", (50, 900), (0, 200, 0, 128)).save(folder / "tall.png")
    turned = Image.new("RGB", (600, 300), (200, 0, 0))
    exif = turned.getexif()
    exif[0x0112] = 6  # orientation: held upright; Exif 2.3, section 4.6.4
    turned.save(folder / "upright.jpg", exif=exif)


def test_a_folder_of_pictures_becomes_a_folder_of_thumbnails(project: Any, tmp_path: Path) -> None:
    make_pictures(tmp_path / "pictures")
    project.start_worker("-A", "thumbnails", "-c", "2")
    done = project.run("python", "thumbnails.py", str(tmp_path / "pictures"), str(tmp_path / "small"))
    assert done.stdout.endswith("14 of 14 thumbnails\n")
    small = sorted((tmp_path / "small").iterdir())
    assert len(small) == 14  # and no unfinished ones
    for path in small:
        with Image.open(path) as image:
            assert image.format == "JPEG"
            assert max(image.size) == 256
    with Image.open(tmp_path / "small" / "upright.jpg.jpg") as image:
        assert image.size == (128, 256)
    with Image.open(tmp_path / "small" / "wide-00.jpg.jpg") as image:
        assert image.size == (256, 192)


def test_what_is_no_picture_is_reported_at_once_and_harms_no_other(project: Any, tmp_path: Path) -> None:
    make_pictures(tmp_path / "pictures")
    (tmp_path / "pictures" / "notes.jpg").write_text("not a picture")
    project.start_worker("-A", "thumbnails", "-c", "1")
    done = project.run("python", "thumbnails.py", str(tmp_path / "pictures"), str(tmp_path / "small"), code=1)
    assert done.stdout.endswith("14 of 15 thumbnails\n")
    assert done.stderr.startswith("notes.jpg: cannot identify image file")
    assert "UnidentifiedImageError" in project.run("faena", "-A", "thumbnails", "dead", "list").stdout
