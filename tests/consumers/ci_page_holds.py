#!/usr/bin/env python3
"""What harness/gate/CI.md and the workflows say holds: PyYAML reads the workflows, each kvproof command uses commands and
flags that its --help has, links lead somewhere, configs load, and what runs within seconds is run, with the exit codes and
findings that the page quotes."""
import os
import re
import shlex
import subprocess
import sys
import tempfile

try:
    import yaml
except ImportError:
    print("skipped: no PyYAML")
    sys.exit(77)

KVPROOF = os.path.abspath(os.environ["KVPROOF"])
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PAGE = "harness/gate/CI.md"
CALLED, OWN = ".github/workflows/kvproof-ci.yml", ".github/workflows/ci.yml"
ACTIONS = {"actions/checkout@v4", "actions/cache@v4", "actions/upload-artifact@v4"}
PLANTING = "subject"  # scripts in a program's place get this command's arguments
LONGEST = 120  # seconds of one block


def read(path):
    with open(os.path.join(TOP, path)) as f:
        return f.read()


def blocks(text):
    """(section, language, content, what is quoted behind it) of each fenced block."""
    found = []
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        title = section.split("\n", 1)[0]
        for match in re.finditer(r"^```(\w+)\n(.*?)^```\n((?:\n(?:    [^\n]*\n)+)?)", section, re.M | re.S):
            found.append((title, match[1], match[2], [line.strip() for line in match[3].splitlines() if line.strip()]))
    return found


# Commands

HELP = {}


def help_of(command):
    if command not in HELP:
        done = subprocess.run([KVPROOF] + ([command] if command else []) + ["--help"], capture_output=True, text=True)
        assert done.returncode == 0, f"kvproof {command} --help ended with {done.returncode}: there is no such command"
        HELP[command] = done.stdout
    return HELP[command]


def flags_of(command):
    """{flag: whether it takes a value}"""
    return {match[1]: bool(match[2]) for match in re.finditer(r"^  (?:-h,)?(--[\w-]+)( \S+)?(?=  |$)", help_of(command), re.M)}


def subcommands():
    return set(re.findall(r"^  (\w+)  ", help_of("").split("Subcommands:")[1], re.M))


def check_command(command, arguments, where):
    """arguments: the text behind it, as the shell gets it."""
    assert command in subcommands(), f"{where}: kvproof has no command {command}"
    known = flags_of(command)
    for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", arguments):
        assert flag in known, f"{where}: kvproof {command} has no flag {flag}; it has {sorted(known)}"
    for flag, behind in re.findall(r"(?<![\w-])(--[a-z][\w-]*)[ \t]+(\S+)", arguments):
        assert known[flag] or behind.startswith(("-", "$")), f"{where}: {flag} of kvproof {command} takes no value, got {behind}"
    if command in ("baseline", "history"):
        action = arguments.split()[0] if arguments.split() else ""
        actions = re.search(r"^  ACTION +(.*)$", help_of(command), re.M)[1]
        assert not action or action in re.split(r", | or ", actions), f"{where}: kvproof {command} has no action {action}"


def check_script(script, where):
    """Every kvproof in a shell script. Returns how many there are."""
    script = script.replace("\\\n", " ")
    count = 0
    for match in re.finditer(r"(?:build/)?\bkvproof (\"\$@\"|[a-z]+)([^\n|;&>]*)", script):
        planting = match[1] == '"$@"'
        check_command(PLANTING if planting else match[1], match[2].split("\\n")[0] if planting else match[2], where)
        count += 1
    for target in re.findall(r"(?:^|&&|;)\s*make ([a-z-]+)", script, re.M):
        assert re.search(rf"^{target}:", read("Makefile"), re.M), f"{where}: the Makefile has no {target}"
    return count


def scripts_of(node):
    """Every run: and script: of a YAML document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("run", "script", "before_script"):
                if isinstance(value, (str, list)):
                    yield from [value] if isinstance(value, str) else value
                    continue
            yield from scripts_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from scripts_of(value)


def check_prose(text):
    """What stands in backticks: commands, flags of some command, targets of make."""
    everything = set().union(*(flags_of(command) for command in subcommands()))
    for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        if code.startswith("kvproof "):
            _, command, *rest = code.split(" ", 2)
            check_command(command, "".join(rest), PAGE)
        elif code.startswith("make "):
            check_script(code, PAGE)
        elif code.startswith("--"):
            flag = code.split()[0]
            assert flag in everything, f"{PAGE}: no command has {flag}"


def check_links(text):
    def anchors(path):
        titles = re.findall(r"^#+ (.*)$", read(path), re.M)
        return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}

    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(PAGE), file)) if file else PAGE
        assert os.path.exists(os.path.join(TOP, path)), f"{PAGE}: {target}: there is no {path}"
        assert not anchor or anchor in anchors(path), f"{PAGE}: {target}: {path} has no such heading"


# Workflows


def check_steps(steps, where):
    ids = {step["id"] for step in steps if "id" in step}
    for step in steps:
        assert ("uses" in step) != ("run" in step), f"{where}: a step has either uses or run: {step}"
        if "uses" in step:
            assert step["uses"] in ACTIONS, f"{where}: {step['uses']} is none of {sorted(ACTIONS)}"
    for used in re.findall(r"\bsteps\.([\w-]+)\.", str(steps)):
        assert used in ids, f"{where}: no step has the id {used}"


def inputs_of(workflow):
    return workflow[True]["workflow_call"]["inputs"]  # YAML 1.1 reads the key "on" as true


def check_workflow(workflow, where):
    jobs = workflow["jobs"]
    assert workflow["permissions"] == {"contents": "read"}, where
    for name, job in jobs.items():
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(jobs), f"{where}: {name} needs a job that is not there"
        if "uses" in job:
            assert job["uses"] == "./" + CALLED, f"{where}: {name} uses {job['uses']}"
            unknown = set(job.get("with", {})) - set(inputs_of(yaml.safe_load(read(CALLED))))
            assert not unknown, f"{where}: {CALLED} has no input {unknown}"
        else:
            check_steps(job["steps"], where)
    return sum(check_script(script, where) for script in scripts_of(workflow))


def check_inputs(page):
    """The page's table has the inputs that there are, with their defaults; all of them are used."""
    text = read(CALLED)
    inputs = inputs_of(yaml.safe_load(text))
    rows = re.search(r"^\| input \|.*?\n\n", page, re.M | re.S)[0].splitlines()[2:]
    table = {row.split("|")[1].strip(" `"): row.split("|")[2].strip() for row in rows if row}
    assert set(table) == set(inputs), f"{PAGE}: inputs {sorted(table)}, {CALLED} has {sorted(inputs)}"
    for name, one in inputs.items():
        default = one["default"]
        shown = "empty" if default == "" else str(default).lower() if isinstance(default, bool) else f"`{default}`"
        assert table[name].startswith(shown), f"{PAGE}: default of {name}: {table[name]}, {CALLED} has {shown}"
    used = set(re.findall(r"\binputs\.([\w-]+)", text))
    assert used == set(inputs), f"{CALLED}: declared and not used, or the other way round: {used ^ set(inputs)}"


# What is run


def shell(script, folder, environment=None):
    done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=folder, text=True, timeout=LONGEST,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})})
    return done.returncode, done.stdout


def make_repository(folder, config):
    """What the page's commands find at the top of the repository."""
    os.makedirs(os.path.join(folder, "configs"))
    os.makedirs(os.path.join(folder, "build"))
    os.symlink(KVPROOF, os.path.join(folder, "build", "kvproof"))
    os.symlink(os.path.join(TOP, "configs", "checkpoints"), os.path.join(folder, "configs", "checkpoints"))
    for path in ("configs/ci.yaml", "configs/prove_compare.yaml", "results/baselines/ci.json", ".gitignore"):
        os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
        with open(os.path.join(folder, path), "w") as f:
            f.write(read(path))
    with open(os.path.join(folder, "configs", "gate.yaml"), "w") as f:
        f.write(config)
    code, said = shell("git init -q -b main . && git config user.name Nobody && git config user.email nobody@localhost && "
                       "git commit -q --allow-empty -m one && git commit -q --allow-empty -m two", folder)
    assert code == 0, said


def findings(lines):
    """Quoted lines without their measured numbers: texts to look for."""
    return [re.split(r" of \d| at \d", line)[0].split("FAILS")[-1].strip() for line in lines if line.startswith("FAILS")]


def run_block(title, script, quoted, folder):
    code, said = shell(script, folder)
    ends = [int(line.split()[-1].rstrip(".")) for line in quoted if line.startswith("Exit code")]
    expected = ends[0] if ends else 0
    assert code == expected, f"{PAGE}, {title}: exit code {code}, expected {expected} of\n{script}{said[-2000:]}"
    for text in findings(quoted):
        assert text in said, f"{PAGE}, {title}: nothing said \"{text}\" of\n{script}{said[-2000:]}"


def too_long(script):
    """What times two programs, or builds one: only its words are checked."""
    return any(word in script for word in ("--base-binary", "--base-ref", "merge", "make "))


def run_called_workflow(folder):
    """The scripts of the reusable workflow's own steps."""
    steps = {step["name"]: step for step in yaml.safe_load(read(CALLED))["jobs"]["kvproof-ci"]["steps"] if "name" in step}
    find, drop, gate = steps["Find the base"], steps["Keep the base's alone"], steps["kvproof ci"]
    output = os.path.join(folder, "output")
    code, said = shell(find["run"], folder, {"BASE_REF": "HEAD~1", "GITHUB_OUTPUT": output})
    with open(output) as f:
        assert code == 0 and re.fullmatch(r"commit=[0-9a-f]{40}\n", f.read()), said
    assert shell(find["run"], folder, {"BASE_REF": "nowhere", "GITHUB_OUTPUT": output})[0] != 0
    programs = os.path.join(folder, ".cache/kvproof/programs")
    for name in ("aa-Release", "bb-Release"):
        os.makedirs(os.path.join(programs, name))
    code, said = shell(drop["run"], folder, {"HOME": folder, "BASE_REF": "bb"})
    assert code == 0 and os.listdir(programs) == ["bb-Release"], said
    history = steps["Add to the history"]
    plain = dict.fromkeys(gate["env"], "") | {"HOME": folder, "XDG_CACHE_HOME": "", "CONFIG": "configs/gate.yaml"}
    summary = os.path.join(folder, "step.md")
    code, said = shell(gate["run"], folder, plain | {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": summary, "STRICT": "yes"})
    assert code == 0 and os.path.getsize(summary) > 0, said[-2000:]
    assert os.path.exists(os.path.join(folder, "results/runs/ci/ci.json"))
    code, said = shell(history["run"], folder, {"HISTORY": "kept/history.jsonl"})
    assert code == 0 and os.path.getsize(os.path.join(folder, "results/runs/ci/trend.html")) > 0, said
    with open(os.path.join(folder, "kept/history.jsonl")) as f:
        assert len(f.readlines()) == 2, said  # a line for each case
    code, said = shell(gate["run"], folder, plain | {"BASELINE": "edited.json", "GITHUB_ACTIONS": "true", "REPORT_TIMES": "yes"})
    assert code == 4 and "edited.json" in said, (code, said[-2000:])  # it comes with a later block
    code, said = shell(gate["run"], folder, plain | {"BASE_REF": "nowhere"})
    assert code == 4 and "no such commit" in said, (code, said[-2000:])


def main():
    page = read(PAGE)
    check_links(page)
    check_prose(page)
    check_inputs(page)
    count = sum(check_workflow(yaml.safe_load(read(path)), path) for path in (CALLED, OWN))
    assert count >= 1, "the workflows run no kvproof"
    config, fragments, scripts = None, [], []
    for title, language, content, quoted in blocks(page):
        where = f"{PAGE}, {title}"
        if language in ("bash", "sh"):
            count += check_script(content, where)
            scripts.append((title, content, quoted))
            continue
        document = yaml.safe_load(content)
        if isinstance(document, dict) and "checkpoints" in document:
            assert config is None, f"{where}: a second config"
            config = content
        elif isinstance(document, dict) and set(document) == {"ci"}:
            fragments.append(document)
        elif isinstance(document, dict) and "jobs" in document:
            count += check_workflow(document, where)
        else:  # steps of a workflow, or another system's file
            if isinstance(document, list):
                check_steps(document, where)
            count += sum(check_script(script, where) for script in scripts_of(document))
    assert config and len(fragments) == 1 and count >= 20, (bool(config), fragments, count)

    with tempfile.TemporaryDirectory() as folder:
        make_repository(folder, config)
        for fragment in fragments:
            words = " ".join("--set " + shlex.quote(f"ci.{key}={yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}")
                             for key, value in fragment["ci"].items())
            code, said = shell(f"build/kvproof plan configs/gate.yaml {words}", folder)
            assert code == 0, said
        ran = 0
        for title, script, quoted in scripts:
            if too_long(script):
                continue
            run_block(title, script, quoted, folder)
            if title == "First set-up":
                run_called_workflow(folder)
            ran += 1
        assert ran >= 7, ran
    print(f"{count} kvproof commands of the page and the workflows are accepted; {ran} blocks of the page and the gate's step ran")


main()
