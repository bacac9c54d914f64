"""A report as an HTML page."""

from __future__ import annotations

import functools
import itertools
import re

import numpy as np
import pytest

from meta_gan.report import Report
from meta_gan.report.figures import picture
from meta_gan.report.sections import NULL
from tests.report.reports import JUDGES, ROWS, Page, content, gallery

SCORED = (*ROWS, "one image repeated", "wrong class")


def html(found, galleries):
    """The page of a report's JSON object."""
    return Report.from_dict(found).to_html(galleries)


def galleries(rows=SCORED, classes=("a", "b", "c"), **options):
    """A gallery for each row, each of different noise."""
    return {row: gallery(classes, seed=place, **options) for place, row in enumerate(rows)}


@functools.cache
def usual():
    """The page of the usual report with all pictures."""
    return html(content(), galleries())


def small():
    """A report with a single plot, because plots take most of the time."""
    return content(judges=("proto-a",), models=())


@pytest.mark.parametrize("models", [(), ("mine",), ("mine", "other")])
def test_tags_are_balanced_and_ids_are_unique(models):
    page = Page(html(content(models=models), galleries()))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.all("a")} <= set(ids)


def test_nothing_is_loaded_and_nothing_runs():
    text = usual()
    page = Page(text)
    without_pictures = re.sub(r'"data:image/png;base64,[^"]*"', "", text)
    assert not re.search(r"https?:|//|@import|javascript:|url\((?!#)|data:(?!;)", without_pictures)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    sources = [value for _, a in page.tags for name, value in a.items() if name in ("src", "href", "xlink:href")]
    assert sources and all(value.startswith(("data:image/png;base64,", "#")) for value in sources)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy


def test_headings_are_in_order():
    page = Page(usual())
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    parts = page.within("h2")
    assert parts == [
        *("Protocol", "Scores", "What the columns mean", "Rows", "Floor", "Learning speed", "Samples"),
        *("Nearest support images", "Models", "Judges", "Times"),
    ]
    assert page.within("nav", "a") == parts
    assert page.within("h1") == page.within("title") == ["few-shot-28, task A: omniglot28.npz"]


def test_every_row_and_judge_is_shown():
    page = Page(usual())
    named = page.within("tbody", "th", "bdi")
    assert all(named.count(row) >= len(JUDGES) + 1 for row in SCORED)
    assert all(page.within("h3").count(f"Judge {judge}") == 2 for judge in JUDGES)
    assert all(page.within("figcaption", "bdi").count(judge) == 2 for judge in JUDGES)
    assert len(page.all("table")) == 2 + 1 + 1 + 2 + 2 + 1 + 2
    assert all({"scope"} <= set(head) for head in page.all("th"))


def test_numbers_by_hand():
    text = html(content(), {})
    assert '<td class="n"><bdi>.22</bdi> <small>(.20–.24)</small></td>' in text
    assert '<td class="n"><bdi>-.005</bdi> <small>(-.025 to .015)</small></td>' in text
    assert f"<code>{'ab' * 32}</code>" in text
    assert "support\u00a0" not in text and "support closeness\u00a0→\u00a01</th>" in text


def test_nulls_are_dashes():
    found = content()
    found["rows"]["copy"]["proto-a"]["energy_distance"] = None
    found["models"]["mine"] |= {"weights_sha256": None, "stability": None}
    text = html(found, galleries())
    assert f'<tr><th scope="row"><bdi>copy</bdi></th><td class="n"><bdi>{NULL}</bdi></td>' in text
    assert f"<code>{NULL}</code>" in text and "None" not in text and "nan" not in re.sub(r'"data:[^"]*"', "", text)


@pytest.mark.parametrize(("form", "count"), [("quick", 2), ("full", 0)])
def test_the_quick_form_is_announced(form, count):
    text = html(content(form=form), {})
    assert text.count("QUICK FORM: not a result to publish") == count
    assert Page(text).within("header", "strong") == ["QUICK FORM: not a result to publish"][:count]


def test_names_are_escaped_everywhere():
    name = "<b>&\"'</script>"
    found = content(judges=(name,), models=(name,), rows=("oracle", name))
    found["protocol"] |= {"data": name, "notes": [name]}
    found["row_info"][name]["what"] = name
    found["models"][name]["training"] = {name: name}
    found["times"]["machine"] = name
    text = html(found, {name: gallery((name, "日本語"))})
    page = Page(text)
    assert "<b>" not in text and "</script" not in text
    for around in (("th",), ("h3",), ("figcaption",), ("li",), ("dd",), ("text",), ("h1",), ("title",), ("td",)):
        assert any(name in found for found in page.within(*around)), around
    assert {f"samples of {name}", f"nearest pairs of {name}"} <= {div.get("aria-label") for div in page.all("div")}
    assert any(image["alt"].startswith(f"generated image of {name}") for image in page.all("img"))
    assert "日本語" in page.within("li", "bdi")


@pytest.mark.parametrize("channels", [1, 3])
def test_sheets_hold_support_and_samples(channels):
    shown = galleries(rows=("copy", "wrong class"), shape=(8, 6, channels))
    images = Page(html(small(), shown)).images()
    for row, found in shown.items():
        for kind, count in (("support", 2), ("samples", 3)):
            sheet = images[f"{row}, {kind}: 3 classes, a row each of {count} images"]
            np.testing.assert_array_equal(sheet, picture(found[kind]))
            np.testing.assert_array_equal(sheet[10:18, 8:14], found[kind][1, 1])


def test_rows_of_a_sheet_are_as_high_as_its_images():
    page = Page(html(small(), {"copy": gallery(("first", "second"), shape=(28, 28, 1), pairs=0)}))
    (sheet,) = [div for div in page.all("div") if div.get("class") == "sheet"]
    assert sheet["style"] == "--row:30px"
    assert [item["title"] for item in page.all("li") if "title" in item] == ["first", "second"]
    sizes = [(image["width"], image["height"]) for image in page.all("img")]
    assert sizes == [(str(count * 30 - 2), str(2 * 30 - 2)) for count in (2, 3)]
    assert page.within("div", "span")[:2] == ["support", "samples"]


def test_small_images_are_enlarged_by_a_whole_factor():
    image, _ = Page(html(small(), {"copy": gallery(("a",), shape=(8, 8, 1), pairs=0)})).all("img")
    assert (image["width"], image["height"]) == (str(3 * (2 * 10 - 2)), "24")


def test_nearest_pairs_come_closest_first_and_copies_are_marked():
    shown = gallery(("a", "b", "c"), pairs=3)
    text = html(small(), {"mine": shown})
    page = Page(text)
    said = [found for found in page.within("li", "span") if re.fullmatch(r"[\d.]+", found)]
    assert said == ["1", "2", "3"] and page.within("li", "strong") == ["copy"]
    assert text.count('<li class="copy">') == 1
    assert page.within("h3", "small") == ["copies: 1 of the 3 shown"]
    nearest = shown["nearest"][-1]
    pair = page.images()["generated image of c, and the support image nearest to it, a copy"]
    np.testing.assert_array_equal(pair, picture([[nearest["generated"], nearest["support"]]]))


def test_a_row_without_pairs_or_classes():
    empty = {**gallery(("a",), pairs=0), "classes": [], "support": np.zeros((1, 0, 8, 8, 1), np.uint8)}
    page = Page(html(small(), {"mine": empty}))
    assert not page.all("img") and page.within("h3", "small") == [NULL]


def test_galleries_follow_the_order_of_the_rows_and_may_be_absent():
    page = Page(html(small(), dict(reversed(galleries().items()))))
    assert [found for found in page.within("figcaption", "bdi") if found in SCORED] == list(SCORED)
    assert "Samples" not in Page(html(small(), {})).within("h2")


def test_the_key_of_the_curves_names_every_line():
    page = Page(html(content(models=("mine", "other")), {}))
    assert page.within("ul", "li", "bdi") == ["mine", "other", "oracle", "copy", "shift", "affine"]
    assert [svg["aria-hidden"] for svg in page.all("svg") if svg.get("class") == "swatch"] == ["true"] * 6
    assert sum("steps" in svg.get("aria-label", "") for svg in page.all("svg")) == len(JUDGES)


def test_the_page_fits_small_screens_and_both_schemes():
    text = usual()
    page = Page(text)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert "color-scheme: light dark" in text and "prefers-color-scheme: dark" in text
    assert "image-rendering: pixelated" in text
    boxes = [div for div in page.all("div") if div.get("class") == "scroll"]
    # Everything that may be wider than the screen scrolls in its own box, also by keyboard.
    assert len(boxes) == len(page.all("table")) + 2 * len(SCORED)
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)
    assert all(image["alt"] for image in page.all("img"))


def test_same_arguments_same_bytes():
    assert html(content(), galleries()) == usual()


def test_a_large_report_stays_small():
    rows = (*ROWS, *(f"model {place}" for place in range(4)))
    names = [f"class {place}" for place in range(16)]
    # Sparse pixels compress about as well as drawings.
    shown = galleries((*rows, *SCORED[-2:]), names, shots=5, samples=10, shape=(28, 28, 1), pairs=16)
    for found in shown.values():
        for key in ("support", "samples"):
            found[key] = np.where(found[key] > 220, found[key], 0)
    assert len(shown) == 12 and len(html(content(rows=rows), shown)) < 3e6


def test_a_missing_key_of_the_report_is_named():
    lacking = content()
    del lacking["models"]["mine"]["algorithm"]
    with pytest.raises(ValueError, match=r"'report.models.mine' must have the key 'algorithm'"):
        html(lacking, {})


@pytest.mark.parametrize("key", ["classes", "support", "samples", "nearest"])
def test_a_missing_key_of_a_gallery_is_named(key):
    lacking = gallery(("a",))
    del lacking[key]
    with pytest.raises(ValueError, match=rf"'galleries.copy' must have the key '{key}'. Received: \["):
        html(content(), {"copy": lacking})


@pytest.mark.parametrize("key", ["class", "generated", "support", "distance", "copy"])
def test_a_missing_key_of_a_pair_is_named(key):
    lacking = gallery(("a",))
    del lacking["nearest"][1][key]
    with pytest.raises(ValueError, match=rf"'galleries.copy.nearest.1' must have the key '{key}'"):
        html(content(), {"copy": lacking})


def test_a_gallery_of_no_row_is_refused():
    with pytest.raises(ValueError, match=r"'galleries' must be of rows of the report. Received: 'nobody'"):
        html(content(), {"nobody": gallery(("a",))})


@pytest.mark.parametrize(
    "block",
    [
        np.zeros((2, 3, 8, 8, 1), np.float32),
        np.zeros((3, 3, 8, 8, 1), np.uint8),
        np.zeros((2, 3, 8, 8, 2), np.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((2, 0, 8, 8, 1), np.uint8),
    ],
)
@pytest.mark.parametrize("key", ["support", "samples"])
def test_other_arrays_are_refused(key, block):
    shown = {**gallery(("a", "b")), key: block}
    message = rf"'galleries.copy.{key}' must be uint8\[2, n, height, width, 1 or 3\]. Received: {block.dtype}\["
    with pytest.raises(ValueError, match=message):
        html(content(), {"copy": shown})


def test_other_pairs_are_refused():
    shown = gallery(("a", "b"))
    shown["nearest"][0]["generated"] = np.zeros((8, 8), np.uint8)
    with pytest.raises(
        ValueError, match=r"'galleries.copy.nearest.0.generated' must be uint8\[height, width, 1 or 3\]"
    ):
        html(content(), {"copy": shown})
