"""What is measured: shapes × dtype × threads, and in each of these groups the same list of work."""
from dataclasses import dataclass

SHAPES = {"d4": "d4,vocab_size=2048", "d12": "d12", "d20": "d20"}  # specs of --synthetic; d4 as small as a demo's model
PROMPT = {"d4": 128, "d12": 512, "d20": 512}  # tokens of a prefill
STEPS = {"d4": 24, "d12": 6, "d20": 4}  # decode steps of a block; the first is not counted
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
THREADS = (1, 2)
DEPTHS = (0, 128, 512, 1536)
ROWS, ROWS_DEPTH = 8, 128


@dataclass(frozen=True)
class Group:
    """What one set of engines, loaded together, runs."""
    shape: str
    dtype: str  # a key of DTYPES
    threads: int

    @property
    def id(self):
        return f"{self.shape}/{self.dtype}/t{self.threads}"

    @property
    def spec(self):
        return SHAPES[self.shape]


@dataclass(frozen=True)
class Cell:
    """One row of the table. kind "prefill": `tokens` into an empty cache; "decode": one more token behind `depth` others, in each of
    `rows` rows."""
    group: Group
    kind: str
    tokens: int = 1
    depth: int = 0
    rows: int = 1

    @property
    def work(self):
        if self.kind == "prefill":
            return f"pp{self.tokens}"
        return f"tg@{self.depth}" + (f"x{self.rows}" if self.rows > 1 else "")

    @property
    def id(self):
        return f"{self.group.id}/{self.work}"

    @property
    def role(self):
        """Which engines of a group run it: "one" row, or "rows"."""
        return "rows" if self.rows > 1 else "one"

    @property
    def steps(self):
        return STEPS[self.group.shape] if self.kind == "decode" else 1


def cells_of(group):
    """In the order that they run: depths ascend, so that one cache grows through them."""
    return [Cell(group, "prefill", tokens=PROMPT[group.shape]), *(Cell(group, "decode", depth=depth) for depth in DEPTHS),
            Cell(group, "decode", depth=ROWS_DEPTH, rows=ROWS)]


def groups(shapes):
    return [Group(shape, dtype, threads) for shape in shapes for dtype in DTYPES for threads in THREADS]


def bytes_differ(ours, theirs, allowed=0.01):
    """Whether a peer reads another amount of matrices than we do: a sentence, or None where they are within `allowed` of ours."""
    if abs(theirs - ours) <= allowed * ours:
        return None
    return (f"matrices of {theirs} bytes a token, ours have {ours}: {100 * (theirs / ours - 1):+.2f} %, at most ±{100 * allowed:g} % "
            "is the same work")
