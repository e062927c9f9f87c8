"""Writes cases.json: expressions for the calculator and what Python makes of them.

    python3 make_cases.py > cases.json                        the saved cases
    python3 make_cases.py --fuzz 50000 --seed 7 --run DRIVER  compares random expressions with a program that reads one
                                                              per line and prints "=RESULT" or "none"

The reference below follows the calculator's rules as the documentation of nanochat's tool states them, on top of
Python's own eval. `expected` additionally holds the deviations that README.md lists.
"""
import argparse
import ast
import io
import json
import pathlib
import platform
import random
import subprocess
import sys
import tokenize
import warnings

ARITHMETIC = set("0123456789*+-/.() ")
TEXT = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'\"()._ ")
BLOCKED = ("__ import exec eval compile open file input raw_input globals locals vars dir "
           "getattr setattr delattr hasattr").split()
MAX_LENGTH = 4096


def python_value(expression):
    """Python's value under the tool's rules; None where it refuses or fails."""
    bare = expression.replace(",", "")
    if set(bare) <= ARITHMETIC:
        if "**" in bare:
            return None
    elif not set(bare) <= TEXT or any(word in bare.lower() for word in BLOCKED) or ".count(" not in bare:
        return None
    try:
        return eval(bare, {"__builtins__": {}}, {})
    except Exception:
        return None


def counts_letters(bare):
    """Whether a text expression has a supported form: plain literals, lower, upper, count."""
    body = ast.parse(bare.strip(), mode="eval").body
    if not (isinstance(body, ast.Call) and isinstance(body.func, ast.Attribute) and body.func.attr == "count"):
        return False

    def supported(node):
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str)
        return (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.keywords
                and supported(node.func.value) and all(supported(a) for a in node.args)
                and (node.func.attr, len(node.args)) in {("lower", 0), ("upper", 0), ("count", 1)})

    strings = [t.string for t in tokenize.generate_tokens(io.StringIO(bare.strip()).readline)
               if t.type == tokenize.STRING]
    return supported(body) and all(s[0] in "'\"" for s in strings)


def expected(expression):
    """The result's text, or None: Python's, less the deviations."""
    value = python_value(expression)
    if value is None or len(expression) > MAX_LENGTH:
        return None
    bare = expression.replace(",", "")
    if set(bare) <= ARITHMETIC:
        if not isinstance(value, (int, float)):  # () and ...
            return None
    elif not counts_letters(bare):
        return None
    try:
        return str(value)
    except ValueError:  # more than 4300 digits
        return None


def random_number(rng):
    kind = rng.randrange(12)
    if kind < 5:
        return str(rng.randrange(100))
    digits = "".join(rng.choice("0123456789") for _ in range(rng.choice([1, 2, 5, 15, 16, 17, 18, 25, 60, 310, 400])))
    more = "".join(rng.choice("0123456789") for _ in range(rng.choice([1, 2, 5, 17, 40])))
    if kind == 5:
        return "0" * rng.randrange(1, 4)
    if kind == 6:
        return digits
    if kind == 7:
        return digits + "."
    if kind == 8:
        return "." + digits
    if kind == 9:
        return "0." + "0" * rng.choice([3, 4, 5, 300, 307, 320, 324, 340]) + more
    if kind == 10:
        return "1" + "0" * rng.choice([14, 15, 16, 17, 22, 23, 300, 308, 309]) + rng.choice(["", ".", ".0"])
    return digits[:8] + "." + more


def random_arithmetic(rng, depth=0):
    kind = rng.randrange(10)
    if depth > 4 or kind < 2:
        return random_number(rng)
    if kind == 2:
        return rng.choice("+-") + random_arithmetic(rng, depth + 1)
    if kind == 3:
        return "(" + random_arithmetic(rng, depth + 1) + ")"
    space = rng.choice(["", "", " ", "  "])
    return (random_arithmetic(rng, depth + 1) + space + rng.choice(["+", "-", "*", "/", "//", "*", "/", "//"]) + space
            + random_arithmetic(rng, depth + 1))


def random_literal(rng):
    quote = rng.choice(["'", '"', "'", '"', "'''", '"""'])
    body = "".join(rng.choice(rng.choice(["aAbBr ._()'\"", "aab"])) for _ in range(rng.randrange(8)))
    return quote + body + (quote if rng.random() < 0.95 else "")


def random_text(rng, depth=0):
    text = random_literal(rng)
    kind = rng.randrange(10)
    if depth < 3 and kind == 0:
        text = "(" + random_text(rng, depth + 1) + ")"
    elif kind == 1:
        text += rng.choice(["", " "]) + random_literal(rng)
    elif kind == 2:
        text = rng.choice("rubf") + text
    methods = rng.choice([0, 0, 0, 1, 2])
    return text + "".join(rng.choice([".lower()", ".upper()", " . lower( )"]) for _ in range(methods))


def random_count(rng):
    needle = random_text(rng, 2) if rng.random() < 0.3 else random_literal(rng)
    return rng.choice(["", "", " "]) + random_text(rng) + rng.choice([".count(", ".count( "]) + needle + ")"


def random_expression(rng):
    kind = rng.randrange(8)
    if kind < 3:
        return random_arithmetic(rng)
    if kind == 3:
        return "".join(rng.choice("0123456789*+-/.() ,") for _ in range(rng.randrange(1, 9)))
    text = random_arithmetic(rng) if kind == 4 else random_count(rng)
    if kind != 6:  # one to three characters changed, dropped or added
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(text) + 1)
            letters = "0123456789*+-/.() ," if kind == 4 else "aA'\"()._ ,1"
            text = text[:at] + rng.choice([rng.choice(letters), ""]) + text[at + rng.randrange(2):]
    return text


def constructed():
    """Where rounding, overflow, and the limits on length and depth lie."""
    nines = "9" * 400
    yield from [nines, nines + ".", nines + ".-" + nines + ".", nines + ".//1", "1//" + nines + ".",
                "-1//" + nines + ".", "-" + nines + ".", nines + "./" + nines + ".", "0*" + nines + ".",
                nines + "*" + nines + ".", nines + "/1", nines + "/1.", nines + "+1.", nines + "//1.", "1./" + nines,
                "1/" + nines, "-1/" + nines, nines + "/" + nines[:390], nines + "//" + nines[:390] + "7",
                "-" + nines + "//8" + nines[:30]]
    yield from ["0." + "0" * 323 + "5", "0." + "0" * 323 + "2", "0." + "0" * 323 + "3", "0." + "0" * 400 + "1",
                "-0." + "0" * 400 + "1", "0." + "0" * 310 + "12345"]
    for largest in (2**1024 - 2**970, 2**1024 - 2**970 - 1):  # a half past the largest double, and just below it
        yield from [f"{largest}*1.", f"{largest}/1"]
    for halfway in (2**53 + 1, 2**53 + 3, 2**54 + 2, 2**54 + 6):
        power = 3**80
        yield from [f"{halfway}/1", f"{halfway}*1.", f"{halfway}0/10", f"{halfway * power}/{power}",
                    f"{halfway * power + 1}/{power}", f"{halfway * power - 1}/{power}"]
    yield from [f"{n}/{2**k}" for n, k in ((1, 1022), (7, 1022), (1, 1074), (1, 1075), (3, 1075), (3, 1076),
                                           (2**53 - 1, 1075))]
    yield from [f"1/{2**1075 - 1}", f"{2**1024}//1", f"{2**1023}*2.", f"1{'0' * 308}.*10", f"1{'0' * 308}./.1",
                "9" * 2047 + "*" + "9" * 2048, "9" * 4096, "1" + "0" * 4096, "9" * 4000 + "-" + "9" * 90]
    for depth in (200, 201):
        yield from [left * depth + middle + ")" * depth + right for left, middle, right in
                    (("(", "1", ""), ("1+(", "1", ""), ("(", "'a'", ".count('a')"))]
    yield from ["(" * 4000, "-" * 2000 + "1", "-" * 2001 + "1", "1" + "+1" * 1400, "2" + "*2" * 1500,
                "1" + "/2" * 1080, "'" + "ab" * 2000 + "'.count('ab')", "'a'" + ".lower()" * 400 + ".count('a')"]


def cases(seed):
    rng = random.Random(seed)
    texts = pathlib.Path(__file__).with_name("hand_written.txt").read_text().split("\n")  # the last one is empty
    texts += constructed()
    results, nothing = 0, 0
    while results < 60 or nothing < 30:
        text = random_expression(rng)
        if len(text) > 100:
            continue
        if expected(text) is None and nothing < 30:
            nothing += 1
            texts.append(text)
        elif expected(text) is not None and results < 60:
            results += 1
            texts.append(text)
    seen = dict.fromkeys(texts)
    return [[text, expected(text)] for text in seen]


def fuzz(count, seed, program):
    rng = random.Random(seed)
    texts = [random_expression(rng) for _ in range(count)]
    done = subprocess.run([program], input="\n".join(texts) + "\n", capture_output=True, text=True, check=True)
    differences = results = 0
    for text, got in zip(texts, done.stdout.split("\n")):
        want = expected(text)
        results += want is not None
        if got != ("none" if want is None else "=" + want):
            differences += 1
            print(f"{text!r}: Python {want}, program {got}")
    print(f"{count} expressions, {results} with a result, {differences} differences")
    return differences


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fuzz", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.fuzz:
        sys.exit(1 if fuzz(args.fuzz, args.seed, args.run) else 0)
    saved = {"python": platform.python_version(), "seed": args.seed, "cases": cases(args.seed)}
    head = json.dumps({k: v for k, v in saved.items() if k != "cases"})[:-1]
    lines = ",\n".join(json.dumps(case) for case in saved["cases"])
    print(f'{head}, "cases": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
