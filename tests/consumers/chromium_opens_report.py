#!/usr/bin/env python3
"""The HTML report in a real browser: every plot is drawn, the numbers are the record's, nothing is loaded, no error is
logged; light and dark, in a wide window and in a phone's."""
import html
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests/data/record/sample.json"
PLOTS = ["steps", "speedup", "gaps", "error", "roofline", "runs"]
NAMES = ["chromium", "chromium-browser", "google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"]
BROWSER = next((found for found in map(shutil.which, NAMES) if found), None)
if not BROWSER:
    print(f"skipped: no browser found, looked for {', '.join(NAMES)}")
    sys.exit(77)

# Without a window there are few frames to wait for; hovering is answered with the next one.
FRAMES = "<script>window.requestAnimationFrame = (then) => setTimeout(() => then(performance.now()), 1);</script>"

# Asks the page as a reader's eyes and hand would: what is on the canvases, what hovering says, whether it scrolls.
PROBE = """
<script>
window.addEventListener('load', () => setTimeout(async () => {
  const values = (place) => [...document.querySelectorAll(`${place} data`)].map((element) => JSON.parse(element.value));
  const answer = {values: values('#cases'), growth: values('#growth'), verdict: document.getElementById('verdict').textContent,
                  scripts: document.scripts.length, images: document.images.length, width: innerWidth, dark: matchMedia('(prefers-color-scheme: dark)').matches,
                  scrolls: document.documentElement.scrollWidth, background: getComputedStyle(document.body).backgroundColor,
                  options: [...document.querySelectorAll('#case option')].map((option) => option.textContent),
                  choice: getComputedStyle(document.getElementById('choice')).display, cases: []};
  const pixels = (canvas) => {
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
    let inked = 0;
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0) { ++inked; seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]); }
    return {inked, colours: seen.size};
  };
  const hover = async (canvas, chart) => {
    const index = chart.data.datasets.findIndex((set) => !set.silent), points = chart.getDatasetMeta(index).data;
    const point = points[points.length >> 1], box = canvas.getBoundingClientRect();
    canvas.dispatchEvent(new MouseEvent('mousemove', {clientX: box.left + point.x, clientY: box.top + point.y, bubbles: true}));
    await new Promise((done) => setTimeout(done, 20));
    return chart.tooltip.opacity > 0 ? chart.tooltip.body.map((part) => part.lines.join()).join() : 'nothing';
  };
  for (let i = 0; i < Math.max(1, answer.options.length); ++i) {
    const select = document.getElementById('case'), plots = {};
    if (answer.options.length) { select.value = String(i); select.dispatchEvent(new Event('change')); }
    for (const figure of document.querySelectorAll('#plots figure')) {
      const canvas = figure.querySelector('canvas');
      plots[figure.id] = {note: figure.querySelector('.note').textContent};
      if (!canvas) continue;
      const chart = drawn.get(figure.id);
      Object.assign(plots[figure.id], canvas.dataset, pixels(canvas), {label: canvas.getAttribute('aria-label'), hover: await hover(canvas, chart),
        sets: chart.data.datasets.map((set) => ({label: set.label, xs: set.data.map((point) => point.x), ys: set.data.map((point) => point.y)})),
        axes: [chart.options.scales.x.title.text, chart.options.scales.y.title.text], types: [chart.options.scales.x.type, chart.options.scales.y.type]});
    }
    answer.cases.push({title: document.getElementById('shown-case').textContent, plots});
  }
  parent.postMessage(JSON.stringify(answer), '*');
}, 100));
</script>
</body>"""


# No window is as narrow as a phone's; a frame can be.
FRAME = """<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<iframe src="{page}" style="width: {width}px; height: 900px; border: 0"></iframe><pre id="probe"></pre>
<script>onmessage = (event) => document.getElementById('probe').textContent = event.data;</script>"""


def chromium(page, scratch, *flags):
    """returns what the browser printed and what it logged"""
    profile = tempfile.mkdtemp(dir=scratch)
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
               "--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={profile}",
               "--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def opened(page, scratch, dark=False, width=1280):
    """returns the probe's answer"""
    frame = Path(scratch) / "frame.html"
    frame.write_text(FRAME.format(page=page.as_uri(), width=width))
    scheme = 0 if dark else 1
    dom, log = chromium(frame, scratch, "--dump-dom", "--window-size=1400,1000", f"--blink-settings=preferredColorScheme={scheme}")
    console = [line for line in log.splitlines() if "CONSOLE" in line]
    assert not console, console
    answer = json.loads(html.unescape(re.search('<pre id="probe">(.*?)</pre>', dom, re.S)[1]))
    assert answer["dark"] == dark and answer["width"] == width, (answer["dark"], answer["width"])
    assert answer["scrolls"] <= width, f"the page scrolls sideways: {answer['scrolls']} of {width} pixels"
    return answer


def written(record, scratch, name):
    """The page as the program writes it, and the probe in it."""
    source, page = Path(scratch) / f"{name}.json", Path(scratch) / f"{name}.html"
    source.write_text(json.dumps(record))
    subprocess.run([os.environ["KVPROOF"], "report", str(source), "--to", "html", "--out", str(page)], check=True, stderr=subprocess.DEVNULL)
    text = page.read_text()
    assert text.count("</body>") == text.count("<style>") == 1
    page.write_text(text.replace("</body>", PROBE).replace("<style>", FRAMES + "<style>"))
    return page


def numbers_of(record):
    """The table's numbers, case by case, row by row."""
    for case in record["cases"]:
        if case["status"] != "ok":
            continue
        for path in ("naive", "engine"):
            metrics = case["paths"][path]["metrics"]
            for name in ("e2e_ns", "ttft_ns", "tpot_ns", "prefill_tok_per_s", "decode_tok_per_s"):
                if metrics[name]:
                    yield metrics[name]["median"]
        for name in ("e2e", "prefill", "decode"):
            if case["speedup"][name]:
                yield case["speedup"][name]["ratio"]


def median(values):
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def robust_line(xs, ys):
    """Slope and intercept as Theil and Sen have them: a second writing of what the program fits."""
    slope = median([(ys[j] - ys[i]) / (xs[j] - xs[i]) for i in range(len(xs)) for j in range(i)])
    return slope, median([y - slope * x for x, y in zip(xs, ys)])


def growth_of(case):
    """What a case's growth is: by path slope, intercept and power, then the break-even and the share of the ceiling."""
    before, samples = case["shape"].get("depth", 0) + case["shape"]["P"], {path: case["paths"][path]["samples"] for path in ("naive", "engine")}
    figures, behind, since = {}, 0, None
    for path, runs in samples.items():
        steps = [median([run["itl_ns"][i] for run in runs]) for i in range(case["shape"]["N"] - 1)]
        depth = [before + i for i in range(len(steps))]
        slope, intercept = robust_line(depth, steps)
        figures[path] = [intercept, slope, robust_line([math.log(x) for x in depth], [math.log(y) for y in steps])[0]]
        figures[path + " took"] = [median([run["ttft_ns"] for run in runs]), *steps]
    for token, (naive, engine) in enumerate(zip(figures["naive took"], figures["engine took"])):
        behind += engine - naive
        since = None if behind >= 0 else since or token + 1
    return figures["naive"], figures["engine"], since, case["speedup"]["e2e"]["ratio"] / case["work"]["ceiling"]


def check_drawn(answer):
    for case in answer["cases"]:
        assert sorted(case["plots"]) == sorted(PLOTS), case
        for name, plot in case["plots"].items():
            where = (case["title"], name, {key: value for key, value in plot.items() if key != "sets"})
            if "drawn" not in plot:
                assert plot["note"], where  # why there is none
                continue
            assert plot["drawn"] == f"{plot['points']} points" and int(plot["points"]) > 0, where
            assert plot["inked"] > 2000 and plot["colours"] > 10, where
            assert plot["hover"] != "nothing" and plot["label"], where
            assert all(plot["axes"]), where


def check_values(record, answer):
    """What the first case's plots were given is what the record holds, in the plots' units."""
    case, plots = record["cases"][0], answer["cases"][0]["plots"]
    sets = {name: {one["label"]: one for one in plot["sets"]} for name, plot in plots.items()}
    samples = {path: case["paths"][path]["samples"] for path in ("naive", "engine")}
    for path, runs in samples.items():
        steps = sets["steps"][path]
        assert steps["xs"] == [case["shape"]["P"] + i for i in range(case["shape"]["N"] - 1)]
        for i, shown in enumerate(steps["ys"]):
            gaps = sorted(run["itl_ns"][i] for run in runs)
            assert abs(shown * 1e6 - (gaps[2] + gaps[3]) / 2) < 1e-3, (path, i)
        every = sorted(gap for run in runs for gap in run["itl_ns"])
        shown = sets["gaps"][f"{path}, {len(every)} gaps"]
        assert [round(x * 1e6) for x in shown["xs"]] == [every[0], *every] and shown["ys"][-1] == 100
        order = [case["paths"][path]["first_call"], *case["paths"][path]["warmup"], *runs]
        assert [round(y * 1e6) for y in sets["runs"][path]["ys"]] == [run["e2e_ns"] for run in order]
    errors = record["verifications"][0]["error_by_position"]
    assert sets["error"][f"logits (L2), {errors['scenario']}"]["ys"] == errors["max_abs"]
    behind = sets["error"]["keys and values (L3)"]  # the exact one is not on a logarithmic axis, the odd one nowhere
    assert (behind["xs"], behind["ys"]) == ([5, 7], [1e-06, 1.5e-06]), behind
    prefill = case["paths"]["engine"]["utilization"]["prefill"]
    assert sets["roofline"]["engine, prefill"]["ys"] == [prefill["flops_per_s"]["median"] / 1e9]
    curve = sets["speedup"]["this case, run up to there"]
    assert abs(curve["ys"][-1] / case["speedup"]["e2e"]["ratio"] - 1) < 1e-3
    positions = sets["speedup"]["positions computed, naive / engine"]
    assert positions["xs"] == curve["xs"] and abs(positions["ys"][-1] / case["work"]["work_ratio"] - 1) < 1e-5
    end = sets["speedup"][f"FLOPs allow {case['work']['ceiling']:.3g}x"]
    assert (end["xs"], end["ys"]) == (curve["xs"][-1:], [case["work"]["ceiling"]])


def check_growth(case, answer, where=0):
    """The lines and the break-even, fitted here a second time, are those that are drawn and written."""
    naive, engine, since, share = growth_of(case)
    close = lambda a, b: abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1)
    written = [naive[0], naive[1], naive[2], since, share, engine[0], engine[1], engine[2]]
    assert len(answer["growth"]) == 8 and all(map(close, answer["growth"], written)), (answer["growth"], written)
    plots, before = answer["cases"][where]["plots"], case["shape"].get("depth", 0) + case["shape"]["P"]
    for path, (intercept, slope, power) in (("naive", naive), ("engine", engine)):
        line = next(one for one in plots["steps"]["sets"] if one["label"].startswith(path + ": "))
        assert line["label"].endswith(f"· n, grows as n^{power:.2f}"), line["label"]
        assert line["xs"][0] == before and line["xs"][-1] == before + case["shape"]["N"] - 2
        assert all(abs(y * 1e6 - (intercept + slope * x)) < 1e-3 for x, y in zip(line["xs"], line["ys"])), path
    for plot, x in (("steps", before + since - 2), ("speedup", before + since)):
        marks = [one["xs"] for one in plots[plot]["sets"] if one["label"] == f"break-even: token {since}"]
        assert marks == ([[x, x]] if x >= before else []), (plot, marks)  # the first token is computed by no step
    assert f"from token {since} on" in plots["steps"]["note"] and f"{100 * share:.2g} % was reached" in plots["speedup"]["note"]


def main():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        record = json.loads(SAMPLE.read_text())
        page = written(record, scratch, "sample")
        for dark, width in ((False, 1280), (True, 1280), (False, 390), (True, 390)):
            answer = opened(page, scratch, dark, width)
            assert answer["values"] == list(numbers_of(record)), "the table's numbers are not the record's"
            assert len(answer["options"]) == 5 and len(answer["cases"]) == 5
            assert all("drawn" in plot for plot in answer["cases"][0]["plots"].values()), answer["cases"][0]
            check_drawn(answer)
            check_values(record, answer)
            check_growth(record["cases"][0], answer)
            assert answer["background"] == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)"), answer["background"]
            print(f"{'dark' if dark else 'light'}, {width} pixels: {sum('drawn' in plot for case in answer['cases'] for plot in case['plots'].values())} plots drawn")
        withheld = answer["cases"][3]["plots"]["speedup"]
        assert "drawn" not in withheld and withheld["note"].startswith("Withheld: the outputs disagree"), withheld

        hostile = json.loads(SAMPLE.read_text())
        evil = "</script><img src=x onerror=document.title='gone'>\"'<!--<script>&\x1b"
        hostile["cases"][0]["id"] = hostile["cases"][0]["shape"]["label"] = hostile["cases"][3]["speedup"]["withheld"] = evil
        hostile["machine"]["cpu_model"] = hostile["verifications"][0]["error_by_position"]["scenario"] = evil
        finding = {"level": "L3", "position": 4, "error": 0.5}
        hostile["verifications"][0].update(verdict="FAIL", outcomes=[{"name": evil, "findings": [finding, {**finding, "error": 0}]}])
        answer = opened(written(hostile, scratch, "hostile"), scratch)
        assert answer["images"] == 0 and answer["scripts"] == 5, answer["scripts"]  # ours and the probe's two
        check_drawn(answer)
        failed = answer["cases"][0]["plots"]["error"]["sets"][-1]
        assert (failed["label"], failed["xs"], failed["ys"]) == ("failed: L3, keys and values", [4], [0.5]), failed
        assert answer["options"][0].startswith("</script><img src=x"), answer["options"]

        deep = json.loads(SAMPLE.read_text())
        deep.update(partial=True, exit_code=130, cases=deep["cases"][:1])
        deep["cases"][0]["shape"].update(depth=512, label="pp6 tg64 @ d512")
        for run in deep["cases"][0]["paths"]["engine"]["samples"]:
            run["ttft_ns"] *= 4  # behind at first: the break-even is a step's
        answer = opened(written(deep, scratch, "deep"), scratch)
        check_drawn(answer)
        check_growth(deep["cases"][0], answer)
        assert answer["cases"][0]["title"] == "demo/france, pp6 tg64 @ d512: AGREE" and "interrupted" in answer["verdict"], answer
        assert answer["growth"][3] > 2, answer["growth"]

        failed = json.loads(SAMPLE.read_text())
        failed["cases"] = failed["cases"][5:]
        answer = opened(written(failed, scratch, "failed"), scratch)
        assert answer["cases"][0]["title"] == "No case ran: there is nothing to draw." and answer["choice"] == "none", answer
        print("hostile texts stay texts; lines fitted here are those drawn, behind a filled cache, too; a run without results is a page")


if __name__ == "__main__":
    main()
