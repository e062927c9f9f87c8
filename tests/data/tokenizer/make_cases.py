"""Writes cases.json: what tiktoken and CPython make of hard texts. Run: python make_cases.py (see README.md)."""

import json
import pathlib
import pickle
import platform
import random
import unicodedata

import tiktoken

SEED = 20260703
HERE = pathlib.Path(__file__).parent
DEMO = HERE.parents[2] / "configs/checkpoints/demo-d4/tokenizer/tokenizer.pkl"

NANOCHAT = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,%d}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
PATTERNS = {
    "nanochat": NANOCHAT % 2,
    "three digits": NANOCHAT % 3,
    "contractions after the word": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{M}]*[\p{Ll}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ll)?"
    r"|\p{Lu}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "words": r"(?i:k+)|\w+|[^\w\s]+|\v+",
    "gaps": r"[\p{L}\s]+|\d\D|.$",
    "outside words": r"\W+|[\w']+?\d|^.|[\S\n]+\z",
}

# Texts that go wrong where the pattern, the white space or the case folding is read a little differently.
HARD = [
    "", " ", "  ", "\n", "\r\n", "\r", "\t", "a", " a", "  a", "   a b", "a ", "a  ", "a\n", "a \n b", "a\n\n\n b",
    "\n \n  \n", " \n", "\n ", "\r\n\r\n  x", "a\r\n\r\nb", "!\n\n", "! \n", "!\r\n?", " !", "  !", " !!\n\n a",
    "I'm you're he'd they'll we've it's don't", "I'M YOU'RE HE'D THEY'LL WE'VE IT'S DON'T", "I'M yoU'Re tHey'lL wE'vE",
    "it'\u017f", "it'\u017ft", "'\u017f\u017f", "'\u212a", "\u212ak K k", "kK\u212a\u017fS", "''s", "'s's", " 's", "'",
    "' s", "it\u2019s", "'l", "'v", "'r", "'sx", "s'", "'\u0130", "'\u1e9e", "1", "12", "123", "1234567", " 12", "3.14",
    "1,000,000", "\u0661\u0662\u0663\u0664", "\u0967\u0968\u0969", "\u00b2\u00b3\u00b9", "\u00bd\u2153", "\u2160\u2161",
    "\U0001d7ce\U0001d7cf\U0001d7d0", "a1b2", "x\u00b2", "\u3007", "\u180e", "a\u180eb", " \u180e ", "\u180e\u180e",
    "  \u180e", "\u180e\n", "\u0085", "a\u0085b", "\u0085\u0085a", "\u00a0", "\u00a0\u00a0a", "a\u00a0b", "\u1680a",
    "\u2000\u2001\u200a a", "\u2028\u2029", "a\u2028b", "\u202f1", "\u205f!", "\u3000\u3000x", "\ufeffa", "\u200b",
    "a\u200bb", "\u200c\u200d", "\u2060 ", "\x0b\x0c", "\x0ba", "\x1c\x1f a", "\x00", "\x00\x00a", "\x7f", "e\u0301",
    "\u0301", "\u0301\u0302a", " \u0301", "n\u0303a", "\u0915\u094d\u0937", "\u0e01\u0e33", "\u1100\u1161\u11a8",
    "\u4f60\u597d\u4e16\u754c", "\u3053\u3093 \u306b\u3061", "\U00020000\U0002a6df",
    "\u0627\u0644\u0633\u0644\u0627\u0645 \u0639\u0644\u064a\u0643\u0645", "Stra\u00dfe na\u00efve", "\u01c5\u01c8",
    "\u02b0\u02c6", "\U0001f9d1\u200d\U0001f680", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd!", "\u2764\ufe0f",
    " \U0001f600 \U0001f600\n", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "1\ufe0f\u20e3", "\U000e0067", "<|bos|>",
    "<|user_start|>hi<|user_end|>", "for i in range(10):\n    print(i)\n\n\n\treturn  x", "{\"a\": [1, 2.5e-3]}\r\n",
    "a/b\\c", "_x_ __y", "x-y--z", "...!!!???", "\u00e0\u00e8 \u00c0\u00c8", "\ue000", "\U0010ffff", "\ufffd", "\uffff",
]


def random_text(random_source):
    """Scraps of text that meet in unusual ways; only characters that Unicode 14 (PCRE2 10.42's) has assigned."""
    choose = random_source.choice
    scraps = [
        lambda: choose(SPACES) * choose([1, 1, 2, 3]),
        lambda: choose(["\r\n", "\n", "\r", "\n\r", " \n", "\n  ", " \r\n "]),
        lambda: "'" + choose(["s", "S", "\u017f", "t", "LL", "ll", "Ve", "RE", "m", "D", "k", "\u212a", ""]),
        lambda: "".join(choose(BY_CATEGORY[choose(["Nd", "No", "Nl"])]) for _ in range(random_source.randint(1, 4))),
        lambda: choose(BY_CATEGORY[choose(["Mn", "Mc", "Me", "Cf", "Sk", "Lm"])]),
        lambda: choose(BY_CATEGORY[choose(sorted(BY_CATEGORY))]),
        lambda: "".join(choose("abcdeLSTk 012.,!_-") for _ in range(random_source.randint(1, 6))),
    ]
    return "".join(choose(scraps)() for _ in range(random_source.randint(2, 7)))


# Some of these are not white space.
SPACE_CODES = [*range(9, 14), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, 0x180E, 0x2000, 0x200A, 0x200B]
SPACE_CODES += [0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF]
SPACES = [chr(code) for code in SPACE_CODES]
BY_CATEGORY = {}
for code in range(0x110000):
    category = unicodedata.category(chr(code))
    if category not in ("Cs", "Cn"):
        BY_CATEGORY.setdefault(category, []).append(chr(code))


def encoding(pattern, tokens):
    ranks = {token: rank for rank, token in enumerate(dict.fromkeys(tokens))}
    return tiktoken.Encoding("case", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


SINGLE_BYTES = [bytes([byte]) for byte in range(256)]


def pieces(pattern, text):
    """tiktoken does not show its pieces. Where every substring is a token, each piece is one."""
    data = text.encode()
    substrings = [data[i:j] for i in range(len(data)) for j in range(i + 2, len(data) + 1)]
    whole = encoding(pattern, SINGLE_BYTES + substrings)
    return [whole.decode_single_token_bytes(token).decode() for token in whole.encode_ordinary(text)]


def split_cases(random_source):
    demo = pickle.loads(DEMO.read_bytes())
    texts = [("nanochat", text) for text in HARD]
    texts += [("nanochat", random_text(random_source)) for _ in range(40)]
    for name in list(PATTERNS)[1:]:
        texts += [(name, text) for text in ("a b\u180e c", "it's it'\u017f KELVIN \u212a")]
        texts += [(name, text) for text in ("12345 \u0661\u0662\u0663", "x_\u203f\u0301 y\u200dz")]
        texts += [(name, random_text(random_source)) for _ in range(8)]
    for name, text in texts:
        case = {"pattern": name, "text": text, "pieces": pieces(PATTERNS[name], text)}
        if name == "nanochat":
            case["demo_d4_ids"] = demo.encode_ordinary(text)
        yield case


def merge_cases(random_source):
    """Ranks in random order, as no training would give them: later merges may have lower ranks than earlier ones."""
    for _ in range(6):
        tokens = {bytes(random_source.choices(b"ab ", k=random_source.randint(2, 6))) for _ in range(50)}
        tokens = random_source.sample(sorted(tokens), len(tokens))
        any_text = encoding(r"[\s\S]+", SINGLE_BYTES + tokens)
        texts = ["".join(random_source.choices("ab ", k=random_source.choice([5, 12, 40, 130]))) for _ in range(8)]
        yield {
            "tokens": [token.decode() for token in tokens],
            "texts": [{"text": text, "ids": any_text.encode_ordinary(text)} for text in texts],
        }


def utf8_cases(random_source):
    bytes_at_limits = bytes.fromhex("41 80 8f 90 9f a0 bf c1 c2 df e0 e1 ed ef f0 f1 f4 f5 ff")
    hard = [
        "", "41", "c2", "c280", "c0 80", "e0 80 80", "e0 9f bf", "e0 a0 80", "ed a0 80", "ed 9f bf", "ed bf bf",
        "ef bf bd", "f0 80 80 80", "f0 8f bf bf", "f0 90 80 80", "f4 8f bf bf", "f4 90 80 80", "f0 9f 98",
        "f0 9f 98 41", "e2 82", "e2 82 41", "e2 82 e2 82 ac", "f1 80 80 c2 41", "80 bf", "f5 80 80 80", "ff fe",
        "41 e2 82 ac ff 42 f0 9f",
    ]
    inputs = [bytes.fromhex(text) for text in hard]
    inputs += [bytes(random_source.choices(bytes_at_limits, k=random_source.randint(2, 12))) for _ in range(60)]
    for data in inputs:
        try:
            data.decode()
            first_invalid = None
        except UnicodeDecodeError as error:
            first_invalid = error.start
        yield {"bytes": data.hex(), "text": data.decode(errors="replace"), "first_invalid": first_invalid}


if __name__ == "__main__":
    source = random.Random(SEED)
    cases = {
        "tiktoken": tiktoken.__version__,
        "python": platform.python_version(),
        "unicode": unicodedata.unidata_version,
        "seed": SEED,
        "patterns": PATTERNS,
        "split": list(split_cases(source)),
        "merge": list(merge_cases(source)),
        "utf8": list(utf8_cases(source)),
    }
    lines = []
    for key, value in cases.items():  # a case a line
        rows = "[\n" + ",\n".join(map(json.dumps, value)) + "\n]" if isinstance(value, list) else json.dumps(value)
        lines.append(f"{json.dumps(key)}: {rows}")
    (HERE / "cases.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
