#!/usr/bin/env python3
"""GitHub's Markdown parser (cmark-gfm) reads what `kvproof report --to markdown` writes: two tables, and whatever texts a
record holds come out as these texts, never as markup, HTML or a link."""
import html.parser
import json
import os
import shutil
import subprocess
import sys
import tempfile

KVPROOF = os.environ["KVPROOF"]
SAMPLE = os.path.join(os.path.dirname(__file__), "..", "data", "record", "sample.json")
OURS = {"p", "strong", "table", "thead", "tbody", "tr", "th", "td", "br", "h3", "ul", "li", "code", "span", "details", "summary"}
HOSTILE = ["|", "a|b`c|", "\\|", "\\\\|", "`", "``x`", "**b**", "_i_", "~~s~~", "<b>", "<!--", "-->", "</details>", "]]>",
           "&amp;", "&lt;", "[a](http://x.example)", "![a](b)", "[^1]", "http://x.example", "www.x.example", "a@b.example",
           "@all", "#12", ":smile:", "$x$", "# h", "1. x", "12) x", "- x", "+ x", "* x", "> x", "=", "---", "    code", "~~~",
           "| a | b |", "日本語", "\\", "a\\`b", "<script>alert(1)</script>", "\n\n# h", "\x1b[0m"]

if sys.platform == "darwin" and not shutil.which("cmark-gfm"):
    print("skipped: no cmark-gfm")
    sys.exit(77)


class Page(html.parser.HTMLParser):
    """The tags used, the text of each cell, entry of a list and summary."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.entries, self.rows, self.open = set(), [], [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.rows += tag == "tr"
        if tag in ("td", "li"):
            self.open.append([tag, ""])

    def handle_endtag(self, tag):
        if tag in ("td", "li"):
            kind, text = self.open.pop()
            (self.cells if kind == "td" else self.entries).append(text.replace("\u200b", "").strip())

    def handle_data(self, data):
        for each in self.open:
            each[1] += data

    def handle_comment(self, data):
        self.tags.add("<!--")


def page_of(record, scratch):
    file = os.path.join(scratch, "record.json")
    with open(file, "w") as f:
        json.dump(record, f)
    markdown = subprocess.run([KVPROOF, "report", file, "--to", "markdown"], check=True, capture_output=True).stdout
    rendered = subprocess.run(["cmark-gfm", "--unsafe", "-e", "table", "-e", "strikethrough", "-e", "autolink", "-e", "footnotes"],
                              input=markdown, check=True, capture_output=True).stdout
    return Page(rendered.decode())


def visible(text):
    """As the reports write it: nothing in it that a terminal would obey, a backslash doubled."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\x1b", "\\x1b")


def plain(text):
    """Blanks at the ends, and how many stand in a row, are lost in HTML."""
    return " ".join(text.split())


with open(SAMPLE) as f:
    sample = json.load(f)
with tempfile.TemporaryDirectory() as scratch:
    expected = page_of(sample, scratch)
    assert expected.tags <= OURS, expected.tags - OURS
    curves = sum(case.get("shape", {}).get("N", 0) > 32 for case in sample["cases"])  # rows in the table of growth
    assert curves == 1 and expected.rows == 1 + len(sample["cases"]) + 1 + curves
    assert len(expected.cells) == 10 * len(sample["cases"]) + 8 * curves, expected.cells
    assert any(entry.startswith("DISAGREE demo/italy: row 0 parts at step 5") for entry in expected.entries)
    for text in HOSTILE:
        for ends in (False, True):
            record = json.loads(json.dumps(sample))
            put = (lambda old: old + text) if ends else (lambda old: text + old)
            case, warnings = record["cases"][3], record["warnings"]
            case["id"], warnings[0] = put(case["id"]), put(warnings[0])
            case["agreement"]["explanation"] = put(case["agreement"]["explanation"])
            record["cases"][5]["error"]["message"] = put(record["cases"][5]["error"]["message"])
            record["machine"]["os"], record["command"] = put(record["machine"]["os"]), ["kvproof", put("run")]
            page = page_of(record, scratch)
            assert page.tags <= OURS, (text, page.tags - OURS)
            assert page.rows == expected.rows and len(page.cells) == len(expected.cells), (text, page.cells)
            assert len(page.entries) == len(expected.entries), (text, page.entries)
            cells, entries = [plain(cell) for cell in page.cells], [plain(entry) for entry in page.entries]
            assert plain(visible(case["id"])) in cells, (text, cells)
            assert plain(visible(warnings[0])) in entries, (text, entries)
            explanation = plain(visible(case["agreement"]["explanation"]))
            assert any(explanation in entry for entry in entries), (text, entries)
print(f"cmark-gfm read the tables of {len(sample['cases'])} cases; {len(HOSTILE)} hostile texts, in front and behind, stayed texts")
