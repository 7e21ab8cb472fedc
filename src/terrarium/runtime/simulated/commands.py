"""The programs of a simulated container, each a small coroutine over a `Process`; the table is at the end."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from terrarium.runtime.simulated import network
from terrarium.runtime.simulated.output import fail, out, unescape
from terrarium.runtime.simulated.process import Process

Program = Callable[[Process, list[str]], Awaitable[int]]


_OPERATIONS: Mapping[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: int(a / b) if b else 0,
    ast.Mod: lambda a, b: a - b * int(a / b) if b else 0,
    ast.LShift: lambda a, b: a << min(b, 64),
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_COMPARISONS: Mapping[type, Callable[[int, int], bool]] = {
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def arithmetic(text: str) -> int:
    """The value of an integer expression; 0 for what is none."""
    try:
        return _number(ast.parse(text.strip() or "0", mode="eval").body)
    except (SyntaxError, KeyError, ValueError, RecursionError):
        return 0


def _number(node: ast.expr) -> int:
    if isinstance(node, ast.Constant):
        return int(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _number(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        return _OPERATIONS[type(node.op)](_number(node.left), _number(node.right))
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return int(_COMPARISONS[type(node.ops[0])](_number(node.left), _number(node.comparators[0])))
    raise ValueError(ast.dump(node))


async def echo(process: Process, arguments: list[str]) -> int:
    newline, escapes = True, False
    while arguments and re.fullmatch(r"-[neE]+", arguments[0]):
        flags = arguments.pop(0)
        newline = newline and "n" not in flags
        escapes = escapes or "e" in flags
    text = " ".join(arguments)
    return out(process, (unescape(text) if escapes else text) + ("\n" if newline else ""))


async def printf(process: Process, arguments: list[str]) -> int:
    if not arguments:
        return fail(process, "printf: usage: printf FORMAT [ARG...]", 2)
    form, values = unescape(arguments[0]), arguments[1:]
    while True:
        text, used = _format(form, values)
        process.output(1, text)
        values = values[used:]
        if not values or not used:
            return 0


def _format(form: str, values: list[str]) -> tuple[str, int]:
    used = 0

    def one(match: re.Match[str]) -> str:
        nonlocal used
        kind = match[2]
        if kind == "%":
            return "%"
        value = values[used] if used < len(values) else ""
        used += 1
        if kind in "dix":
            number = int(value) if re.fullmatch(r"[-+]?\d+", value) else 0
            return f"%{match[1]}{'d' if kind == 'i' else kind}" % number
        if kind == "f":
            return f"%{match[1]}f" % float(value or 0)
        return f"%{match[1]}s" % (unescape(value) if kind == "b" else value)

    return re.sub(r"%([-0-9.+ ]*)([sdixfb%])", one, form), used


_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


async def sleep(process: Process, arguments: list[str]) -> int:
    if not arguments:
        return fail(process, "sleep: missing operand")
    total = 0.0
    for argument in arguments:
        match = re.fullmatch(r"(\d*\.?\d+)([smhd]?)", argument)
        if argument in ("infinity", "inf"):
            total = float("inf")
        elif match is None:
            return fail(process, f"sleep: invalid number '{argument}'")
        else:
            total += float(match[1]) * _UNITS[match[2]]
    await process.sleep(total)
    return 0


async def true(process: Process, arguments: list[str]) -> int:
    return 0


async def false(process: Process, arguments: list[str]) -> int:
    return 1


async def date(process: Process, arguments: list[str]) -> int:
    now = datetime.fromtimestamp(process.moment, UTC)
    form = next((a[1:] for a in arguments if a.startswith("+")), None)
    if form is None:
        if any(a in ("-Iseconds", "-Is", "--iso-8601=seconds") for a in arguments):
            return out(process, now.strftime("%Y-%m-%dT%H:%M:%S+00:00\n"))
        if any(a in ("-I", "--iso-8601") for a in arguments):
            return out(process, now.strftime("%Y-%m-%d\n"))
        return out(process, now.strftime("%a %b %e %H:%M:%S UTC %Y\n"))
    form = form.replace("%s", str(int(process.moment))).replace("%N", f"{now.microsecond * 1000:09d}")
    return out(process, now.strftime(form) + "\n")


async def env(process: Process, arguments: list[str]) -> int:
    return out(process, "".join(f"{k}={v}\n" for k, v in process.environment.items()))


async def printenv(process: Process, arguments: list[str]) -> int:
    if not arguments:
        return await env(process, arguments)
    found = [process.environment[a] for a in arguments if a in process.environment]
    process.output(1, "".join(f"{v}\n" for v in found))
    return int(len(found) != len(arguments))


async def hostname(process: Process, arguments: list[str]) -> int:
    machine = process.machine
    return out(process, f"{machine.ip if '-i' in arguments else machine.host_name}\n")


def _inputs(process: Process, name: str, files: list[str]) -> tuple[list[str], int]:
    """The texts of files, or the input when there are none."""
    if not files or files == ["-"]:
        return [process.input], 0
    texts, code = [], 0
    for file in files:
        text = "" if file == "/dev/null" else process.machine.read(process.path(file))
        if text is None:
            folder = process.machine.listing(process.path(file)) is not None
            code = fail(
                process,
                f"{name}: {'read error: Is a directory' if folder else f'''can't open '{file}': No such file or directory'''}",
            )
        else:
            texts.append(text)
    return texts, code


async def cat(process: Process, arguments: list[str]) -> int:
    texts, code = _inputs(process, "cat", [a for a in arguments if not a.startswith("-") or a == "-"])
    if texts:
        process.output(1, "".join(texts))
    return code


def _count(arguments: list[str], default: int) -> tuple[int, list[str]]:
    rest, count, at = [], default, 0
    while at < len(arguments):
        argument = arguments[at]
        if argument == "-n" and at + 1 < len(arguments):
            at += 1
            count = int(arguments[at].lstrip("+-") or 0)
        elif re.fullmatch(r"-n?\d+", argument):
            count = int(argument.lstrip("-n"))
        else:
            rest.append(argument)
        at += 1
    return count, rest


async def head(process: Process, arguments: list[str]) -> int:
    count, rest = _count(arguments, 10)
    texts, code = _inputs(process, "head", [a for a in rest if not a.startswith("-")])
    for text in texts:
        process.output(1, "".join(text.splitlines(True)[:count]))
    return code


async def tail(process: Process, arguments: list[str]) -> int:
    count, rest = _count(arguments, 10)
    texts, code = _inputs(process, "tail", [a for a in rest if not a.startswith("-")])
    for text in texts:
        process.output(1, "".join(text.splitlines(True)[-count:] if count else []))
    if any(a in ("-f", "-F") for a in rest):
        await process.sleep(float("inf"))
    return code


async def ls(process: Process, arguments: list[str]) -> int:
    code = 0
    for path in [a for a in arguments if not a.startswith("-")] or ["."]:
        where = process.path(path)
        names = process.machine.listing(where)
        if names is None and process.machine.read(where) is not None:
            names = [path]
        if names is None:
            code = fail(process, f"ls: {path}: No such file or directory")
        elif names:
            process.output(1, "".join(f"{n}\n" for n in names))
    return code


async def pwd(process: Process, arguments: list[str]) -> int:
    return out(process, process.folder + "\n")


async def seq(process: Process, arguments: list[str]) -> int:
    numbers = [int(a) for a in arguments if re.fullmatch(r"-?\d+", a)]
    if not 1 <= len(numbers) <= 3:
        return fail(process, "seq: invalid number of arguments")
    first, step, last = {1: (1, 1, numbers[0]), 2: (numbers[0], 1, numbers[-1])}.get(
        len(numbers), (numbers[0], numbers[1] if len(numbers) > 1 else 1, numbers[-1])
    )
    if step == 0:
        return fail(process, "seq: increment is 0")
    return out(process, "".join(f"{n}\n" for n in range(first, last + (1 if step > 0 else -1), step)))


async def test(process: Process, arguments: list[str]) -> int:
    if arguments and arguments[-1] == "]":
        arguments = arguments[:-1]
    return int(not _holds(process, arguments))


_NUMERIC: Mapping[str, Callable[[int, int], bool]] = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-lt": operator.lt,
    "-le": operator.le,
    "-gt": operator.gt,
    "-ge": operator.ge,
}


def _holds(process: Process, words: list[str]) -> bool:
    for joint, both in (("-o", any), ("-a", all)):
        if joint in words:
            at = words.index(joint)
            return both((_holds(process, words[:at]), _holds(process, words[at + 1 :])))
    if words and words[0] == "!":
        return not _holds(process, words[1:])
    if len(words) == 3:
        left, sign, right = words
        if sign in _NUMERIC:
            numbers = [int(w) if re.fullmatch(r"\s*-?\d+\s*", w) else 0 for w in (left, right)]
            return _NUMERIC[sign](*numbers)
        return {"=": left == right, "==": left == right, "!=": left != right}.get(sign, False)
    if len(words) == 2:
        sign, value = words
        machine, path = process.machine, process.path(value)
        text = machine.read(path)
        folder = machine.listing(path) is not None
        return {
            "-n": bool(value),
            "-z": not value,
            "-f": text is not None,
            "-e": text is not None or folder,
            "-s": bool(text),
            "-d": folder and text is None,
            "-r": text is not None or folder,
            "-w": text is not None or folder,
        }.get(sign, False)
    return bool(words and words[0])


async def grep(process: Process, arguments: list[str]) -> int:
    flags = "".join(a[1:] for a in arguments if re.fullmatch(r"-[a-zA-Z]+", a))
    rest = [a for a in arguments if not re.fullmatch(r"-[a-zA-Z]+", a)]
    if not rest:
        return fail(process, "grep: usage: grep [-ivqc] PATTERN [FILE...]", 2)
    try:
        pattern = re.compile(re.escape(rest[0]) if "F" in flags else rest[0], re.IGNORECASE if "i" in flags else 0)
    except re.error:
        return fail(process, f"grep: bad regex '{rest[0]}'", 2)
    texts, _ = _inputs(process, "grep", rest[1:])
    lines = [line for text in texts for line in text.splitlines()]
    found = [line for line in lines if bool(pattern.search(line)) != ("v" in flags)]
    if "o" in flags:
        found = [m[0] for line in found for m in pattern.finditer(line)]
    if "c" in flags:
        process.output(1, f"{len(found)}\n")
    elif "q" not in flags and found:
        process.output(1, "".join(f"{line}\n" for line in found))
    return int(not found)


async def wc(process: Process, arguments: list[str]) -> int:
    texts, code = _inputs(process, "wc", [a for a in arguments if not a.startswith("-")])
    text = "".join(texts)
    counts = {"l": text.count("\n"), "w": len(text.split()), "c": len(text.encode())}
    wanted = "".join(a[1:] for a in arguments if a.startswith("-")) or "lwc"
    process.output(1, " ".join(str(counts[k]) for k in "lwc" if k in wanted) + "\n")
    return code


async def identity(process: Process, arguments: list[str]) -> int:
    if "-u" in arguments or "-g" in arguments:
        return out(process, "0\n")
    return out(process, "uid=0(root) gid=0(root) groups=0(root)\n")


async def whoami(process: Process, arguments: list[str]) -> int:
    return out(process, "root\n")


async def uname(process: Process, arguments: list[str]) -> int:
    if "-a" in arguments:
        return out(process, f"Linux {process.machine.host_name} 6.1.0 #1 SMP x86_64 Linux\n")
    return out(
        process,
        {"-m": "x86_64", "-r": "6.1.0", "-n": process.machine.host_name}.get("".join(arguments), "Linux") + "\n",
    )


async def make_folder(process: Process, arguments: list[str]) -> int:
    for path in (a for a in arguments if not a.startswith("-")):
        process.machine.files.setdefault(process.path(path).rstrip("/") + "/.keep", "")
    return 0


async def touch(process: Process, arguments: list[str]) -> int:
    for path in (a for a in arguments if not a.startswith("-")):
        process.machine.write(process.path(path), "", True)
    return 0


async def remove(process: Process, arguments: list[str]) -> int:
    code = 0
    force = any(a.startswith("-") and "f" in a for a in arguments)
    for path in (a for a in arguments if not a.startswith("-")):
        where = process.path(path)
        gone = [p for p in process.machine.files if p == where or p.startswith(where.rstrip("/") + "/")]
        for known in gone:
            del process.machine.files[known]
        if not gone and not force:
            code = fail(process, f"rm: can't remove '{path}': No such file or directory")
    return code


async def tee(process: Process, arguments: list[str]) -> int:
    for path in (a for a in arguments if not a.startswith("-")):
        process.machine.write(process.path(path), process.input, "-a" in arguments)
    return out(process, process.input)


async def listing_of_processes(process: Process, arguments: list[str]) -> int:
    return out(process, "PID   USER     TIME  COMMAND\n    1 root      0:00 sh\n")


async def kill(process: Process, arguments: list[str]) -> int:
    return 0


async def forever(process: Process, arguments: list[str]) -> int:
    """A server or anything else that runs until it is stopped."""
    await process.sleep(float("inf"))
    return 0


COMMANDS: Mapping[str, Program] = {
    "[": test,
    "cat": cat,
    "curl": network.curl,
    "date": date,
    "dig": network.dig,
    "echo": echo,
    "env": env,
    "false": false,
    "grep": grep,
    "egrep": grep,
    "head": head,
    "hostname": hostname,
    "id": identity,
    "kill": kill,
    "ls": ls,
    "mkdir": make_folder,
    "nslookup": network.nslookup,
    "pause": forever,
    "printenv": printenv,
    "printf": printf,
    "ps": listing_of_processes,
    "pwd": pwd,
    "rm": remove,
    "seq": seq,
    "sleep": sleep,
    "tail": tail,
    "tee": tee,
    "test": test,
    "touch": touch,
    "true": true,
    "uname": uname,
    "wc": wc,
    "wget": network.wget,
    "whoami": whoami,
}
