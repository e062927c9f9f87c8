#!/usr/bin/env python3
"""The page of a history in a real browser: a plot for each series with its points, steps and the release; nothing is loaded, no
error is logged, hostile texts stay texts."""
import json
import os
import subprocess
import tempfile
from pathlib import Path

from chromium_opens_report import FRAMES, SAMPLE, opened

STEP = 9  # the first slower run
EVIL = "</script><img src=x onerror=document.title='gone'>\"'<!--<script>&\x1b"

PROBE = """
<script>
window.addEventListener('load', () => setTimeout(() => parent.postMessage(JSON.stringify({
  images: document.images.length, scripts: document.scripts.length, width: innerWidth,
  dark: matchMedia('(prefers-color-scheme: dark)').matches, scrolls: document.documentElement.scrollWidth,
  plots: [...document.querySelectorAll('figure')].map((figure, i) => ({
    caption: figure.querySelector('figcaption').textContent, words: figure.textContent,
    drawn: figure.querySelector('canvas').dataset.drawn,
    sets: Object.fromEntries(drawn[i].data.datasets.map((set) => [set.label, set.data.map(({x, y}) => [x, y])]))})),
}), '*'), 100));
</script>
</body>"""


def kvproof(*words, folder):
    subprocess.run([os.environ["KVPROOF"], "history", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def record_of(day):
    """The sample's valid cases on one more day; from STEP on the engine's time per token is 8 % longer."""
    record = json.loads(SAMPLE.read_text())
    record.update(started=f"2026-10-{day + 1:02}T10:00:00Z", cases=record["cases"][:2])
    record["kvproof"].update(dirty=False, commit=f"{day:02}" + "a" * 38)
    record["cases"][1]["id"] = EVIL
    for case in record["cases"]:
        tpot = case["paths"]["engine"]["metrics"]["tpot_ns"]
        tpot["median"] *= (1.08 if day >= STEP else 1) * (1 + 0.002 * (day * 7 % 5 - 2))
    return record


def written(scratch):
    """The page as the program writes it, and the probe in it."""
    folder = Path(scratch)
    for day in range(15):
        (folder / f"{day:02}.json").write_text(json.dumps(record_of(day)))
    kvproof("add", "h.jsonl", *[f"{day:02}.json" for day in range(3)], "--release", EVIL, folder=folder)
    kvproof("add", "h.jsonl", *[f"{day:02}.json" for day in range(3, 15)], folder=folder)
    kvproof("report", "h.jsonl", "--against", EVIL, "--out", "trend.html", folder=folder)
    page = folder / "trend.html"
    text = page.read_text()
    assert text.count("</body>") == text.count("<style>") == 1
    page.write_text(text.replace("</body>", PROBE).replace("<style>", FRAMES + "<style>"))
    return page


def near(found, expected):
    return abs(found - expected) <= 1e-3 * expected


with tempfile.TemporaryDirectory() as scratch:
    page = written(scratch)
    for dark, width in ((False, 1280), (True, 390)):
        answer = opened(page, scratch, dark, width)
        assert answer["images"] == 0 and answer["scripts"] == 5, answer["scripts"]  # ours and the probe's two
        assert len(answer["plots"]) == 4, len(answer["plots"])
        for plot in answer["plots"]:
            runs, drawn = plot["sets"]["run"], int(plot["drawn"].split()[0])
            points = sum(y is not None for pairs in plot["sets"].values() for _, y in pairs)
            assert len(runs) == 15 and drawn == points, (plot["drawn"], points)
            slower = "tpot" in plot["caption"]
            assert ("step" in plot["sets"]) == slower and ("SLOWER" in plot["words"]) == slower, plot["words"]
            release = next(pairs for label, pairs in plot["sets"].items() if label.startswith("release </script>"))
            assert release == runs[:3], release
            if slower:
                assert {x for x, _ in plot["sets"]["step"]} == {STEP - 0.5}, plot["sets"]["step"]
                assert f"near commit {STEP:02}aaaaaa of 2026-10-{STEP + 1:02}" in plot["words"], plot["words"]
                levels = plot["sets"]["level between steps"]
                assert near(levels[3][1] / levels[0][1], 1.08), levels
        print(f"{'dark' if dark else 'light'}, {width} pixels: 4 plots drawn, the step where it was planted")
