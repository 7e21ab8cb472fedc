"""The small shell: walks the tree of `syntax` with the commands of `commands`."""

from __future__ import annotations

import asyncio
import fnmatch
import re
from collections.abc import Awaitable, Callable, Sequence

from terrarium.runtime.simulated import commands, syntax
from terrarium.runtime.simulated.process import Exited, Process


class _Jump(Exception):
    """`break` and `continue`; `levels` loops are left still."""

    def __init__(self, word: str, levels: int) -> None:
        super().__init__(word)
        self.word = word
        self.levels = levels


SPECIAL = frozenset(
    {
        ":",
        "cd",
        "exit",
        "export",
        "set",
        "unset",
        "break",
        "continue",
        "trap",
        "wait",
        "exec",
        "eval",
        "read",
        "shift",
        ".",
    }
)


class Shell:
    """Runs scripts in one process. `arguments` are $0, $1 …"""

    def __init__(self, process: Process, arguments: Sequence[str] = ("sh",)) -> None:
        self.process = process
        self.arguments = list(arguments)
        self.status = 0
        self.exit_on_error = False
        self.trace = False
        self._background: list[asyncio.Task[int]] = []

    async def run(self, text: str) -> int:
        """The exit status of a script; a syntax error is told as the shell tells it, status 2."""
        try:
            script = syntax.parse(text)
        except syntax.ShellSyntaxError as error:
            self.process.output(2, f"{self.arguments[0]}: {error}\n")
            return 2
        try:
            await self._script(script)
        except Exited as exited:
            self.status = exited.code
        finally:
            for task in self._background:
                task.cancel()
        return self.status

    async def line(self, text: str) -> int:
        """One line of an interactive shell; `Exited` passes through."""
        try:
            await self._script(syntax.parse(text))
        except syntax.ShellSyntaxError as error:
            self.process.output(2, f"{self.arguments[0]}: {error}\n")
            self.status = 2
        return self.status

    async def _script(self, script: syntax.Script) -> int:
        for item in script.items:
            if item.background:
                self._background.append(asyncio.ensure_future(self._forked(item)))
                self.status = 0
                continue
            await self._and_or(item)
        return self.status

    async def _forked(self, item: syntax.AndOr) -> int:
        shell = Shell(self.process.child(self.process.output, self.process.input), self.arguments)
        try:
            return await shell._and_or(item)
        except Exited as exited:
            return exited.code

    async def _and_or(self, item: syntax.AndOr) -> int:
        await self._pipeline(item.first)
        last = item.first
        for operator, pipeline in item.rest:
            if (self.status == 0) == (operator == "&&"):
                await self._pipeline(pipeline)
                last = pipeline
        if self.exit_on_error and self.status != 0 and not last.negated and not item.rest:
            raise Exited(self.status)
        return self.status

    async def _pipeline(self, pipeline: syntax.Pipeline) -> int:
        if len(pipeline.commands) == 1:
            await self._command(pipeline.commands[0])
        else:
            await self._piped(pipeline.commands)
        if pipeline.negated:
            self.status = int(self.status == 0)
        return self.status

    async def _piped(self, parts: Sequence[syntax.Command]) -> None:
        """One after the other: what a command printed is the next one's input."""
        outer, text = self.process, self.process.input
        for number, command in enumerate(parts):
            last = number == len(parts) - 1
            caught: list[str] = []

            def catch(stream: int, piece: str, caught: list[str] = caught) -> None:
                if stream == 1:
                    caught.append(piece)
                else:
                    outer.output(stream, piece)

            self.process = outer.child(outer.output if last else catch, text)
            try:
                await self._command(command)
            finally:
                outer.moment, outer.sleeps = self.process.moment, self.process.sleeps
                self.process = outer
            text = "".join(caught)

    async def _command(self, command: syntax.Command) -> None:
        if isinstance(command, syntax.Simple):
            await self._simple(command)
        elif isinstance(command, syntax.If):
            for condition, body in command.branches:
                if await self._condition(condition):
                    self.status = 0
                    await self._script(body)
                    return
            self.status = 0
            if command.otherwise is not None:
                await self._script(command.otherwise)
        elif isinstance(command, syntax.For):
            await self._for(command)
        elif isinstance(command, syntax.Loop):
            await self._redirected(command.redirects, lambda: self._loop(command))
        else:
            await self._redirected(command.redirects, lambda: self._script(command.body))

    async def _condition(self, script: syntax.Script) -> bool:
        strict, self.exit_on_error = self.exit_on_error, False
        try:
            return await self._script(script) == 0
        finally:
            self.exit_on_error = strict

    async def _loop(self, loop: syntax.Loop) -> int:
        rounds, slept = 0, self.process.sleeps
        while await self._condition(loop.condition) != loop.until:
            if await self._body(loop.body):
                break
            rounds += 1
            if rounds % 16 == 0:
                # A loop that never sleeps must not hold up the world, and takes time as a busy one would.
                await asyncio.sleep(0)
                if slept == self.process.sleeps:
                    self.process.moment = max(self.process.moment, self.process.machine.clock.time())
                slept = self.process.sleeps
        else:
            self.status = 0
        return self.status

    async def _for(self, command: syntax.For) -> None:
        words = [w for word in command.words for w in await self._expand(word)] or self.arguments[1:]
        for word in words:
            self.process.environment[command.name] = word
            if await self._body(command.body):
                break

    async def _body(self, body: syntax.Script) -> bool:
        """True when the loop is to be left."""
        try:
            await self._script(body)
        except _Jump as jump:
            if jump.levels > 1:
                raise _Jump(jump.word, jump.levels - 1) from None
            return jump.word == "break"
        return False

    async def _simple(self, command: syntax.Simple) -> None:
        words = [w for word in command.words for w in await self._expand(word)]
        values = {name: await self._text(word) for name, word in command.assignments}
        if not words:
            self.process.environment.update(values)
            self.status = 0
            return
        if self.trace:
            self.process.output(2, "+ " + " ".join(words) + "\n")

        async def run() -> int:
            return await self._call(words, values)

        await self._redirected(command.redirects, run)

    async def _redirected(self, redirects: Sequence[syntax.Redirect], run: Callable[[], Awaitable[int]]) -> None:
        process = self.process
        if not redirects:
            self.status = await run()
            return
        targets: dict[int, str | int | None] = {}
        input_text = process.input
        for redirect in redirects:
            target = process.path(await self._text(redirect.target)) if redirect.target else ""
            if redirect.operator == "<":
                found = process.machine.read(target)
                if found is None and target != "/dev/null":
                    process.output(2, f"{self.arguments[0]}: can't open {target}: no such file\n")
                    self.status = 1
                    return
                input_text = found or ""
                continue
            append = redirect.operator.endswith(">>")
            streams = {"2>": (2,), "2>>": (2,), "&>": (1, 2), "2>&1": (2,)}.get(redirect.operator, (1,))
            if redirect.operator == "2>&1":
                targets[2] = targets.get(1, 1)
            elif redirect.operator in (">&2", "1>&2"):
                targets[1] = 2
            else:
                for stream in streams:
                    targets[stream] = target
                if not append and not target.startswith("/dev/"):
                    process.machine.write(target, "")

        def output(stream: int, text: str) -> None:
            target = targets.get(stream, stream)
            if isinstance(target, int):
                process.output(target, text)
            elif target in ("/dev/stdout", "/dev/stderr", "/proc/1/fd/1", "/proc/1/fd/2"):
                process.output(2 if target.endswith(("stderr", "2")) else 1, text)
            elif target is not None and target != "/dev/null":
                process.machine.write(target, text, True)

        self.process = process.child(output, input_text)
        try:
            self.status = await run()
        finally:
            process.moment, process.folder = self.process.moment, self.process.folder
            process.sleeps = self.process.sleeps
            self.process = process

    async def _call(self, words: list[str], values: dict[str, str]) -> int:
        name, arguments = words[0], words[1:]
        process = self.process
        if name in SPECIAL:
            process.environment.update(values)
            self.status = await self._special(name, arguments)
            return self.status
        if values:
            process = process.child(process.output, process.input)
            process.environment = {**self.process.environment, **values}
        self.status = await run_command(process, words)
        self.process.moment, self.process.sleeps = process.moment, process.sleeps
        return self.status

    async def _special(self, name: str, arguments: list[str]) -> int:
        process = self.process
        if name == "exit":
            raise Exited(int(arguments[0]) & 255 if arguments and arguments[0].isdigit() else self.status)
        if name in ("break", "continue"):
            raise _Jump(name, int(arguments[0]) if arguments else 1)
        if name == "cd":
            process.folder = process.path(arguments[0] if arguments else process.environment.get("HOME", "/"))
        elif name == "export":
            for argument in arguments:
                key, equals, value = argument.partition("=")
                if equals:
                    process.environment[key] = value
        elif name == "unset":
            for argument in arguments:
                process.environment.pop(argument, None)
        elif name == "set":
            for argument in arguments:
                if argument[:1] in "+-":
                    on = argument[0] == "-"
                    self.exit_on_error = on if "e" in argument[1:] else self.exit_on_error
                    self.trace = on if "x" in argument[1:] else self.trace
        elif name == "trap":
            if any(a in ("TERM", "SIGTERM", "15") for a in arguments):
                process.machine.handles_term = True
        elif name == "wait":
            for task in self._background:
                self.status = await task
            self._background = []
            return self.status
        elif name == "exec":
            if arguments:
                raise Exited(await self._call(arguments, {}))
        elif name == "eval":
            return await self.line(" ".join(arguments))
        elif name == "read":
            line, newline, process.input = process.input.partition("\n")
            if not line and not newline:
                return 1
            if arguments:
                process.environment[arguments[-1]] = line
        return 0

    # -- expansion --------------------------------------------------------------------------------------------------

    async def _text(self, word: syntax.Word) -> str:
        return "".join([await self._part(part) for part in word])

    async def _expand(self, word: syntax.Word) -> list[str]:
        """Fields of a word: unquoted expansions are split, and patterns are matched against files."""
        fields: list[str] = []
        open_field = False
        for part in word:
            text = await self._part(part)
            if part.kind == "text" or part.quoted:
                if part.kind == "param" and part.text == "@" and part.quoted:
                    fields += self.arguments[1:]
                    open_field = bool(self.arguments[1:])
                    continue
                if open_field:
                    fields[-1] += text
                else:
                    fields.append(text)
                open_field = True
                continue
            pieces = text.split()
            if text[:1].isspace():
                open_field = False
            for number, piece in enumerate(pieces):
                if number == 0 and open_field:
                    fields[-1] += piece
                else:
                    fields.append(piece)
                open_field = True
            if text[-1:].isspace():
                open_field = False
        plain = all(not p.quoted for p in word)
        if plain and len(fields) == 1 and any(c in fields[0] for c in "*?["):
            return self._matches(fields[0]) or fields
        return fields

    def _matches(self, pattern: str) -> list[str]:
        folder, _, last = pattern.rpartition("/")
        names = (
            self.process.machine.listing(self.process.path(folder or ("/" if pattern.startswith("/") else "."))) or []
        )
        prefix = pattern[: len(pattern) - len(last)]
        return [prefix + name for name in names if fnmatch.fnmatchcase(name, last)]

    async def _part(self, part: syntax.Part) -> str:
        if part.kind == "text":
            return part.text
        if part.kind == "arith":
            return str(await self._arithmetic(part.text))
        if part.kind == "command":
            return await self._substitute(part.text)
        return await self._parameter(part.text)

    async def _substitute(self, text: str) -> str:
        caught: list[str] = []

        def catch(stream: int, piece: str) -> None:
            if stream == 1:
                caught.append(piece)
            else:
                self.process.output(stream, piece)

        inner = self.process.child(catch, self.process.input)
        inner.environment = dict(self.process.environment)
        self.status = await Shell(inner, self.arguments).run(text)
        self.process.moment, self.process.sleeps = inner.moment, inner.sleeps
        return "".join(caught).rstrip("\n")

    async def _parameter(self, text: str) -> str:
        if text.startswith("#") and len(text) > 1:
            return str(len(self._value(text[1:]) or ""))
        match = re.match(r"([A-Za-z_]\w*|[0-9?$!#@*])(.*)", text, re.DOTALL)
        if match is None:
            return ""
        name, rest = match[1], match[2]
        value = self._value(name)
        if not rest:
            return value or ""
        operator = re.match(r":?[-=+?]|##?|%%?", rest)
        if operator is None:
            return value or ""
        word = rest[operator.end() :]
        sign = operator[0]
        if sign[0] in "#%":
            return _trim(value or "", sign, word)
        empty = value is None or (sign.startswith(":") and not value)
        fallback = await self._text(syntax._Scanner(f'"{word}"').run()[0].word) if word else ""
        if sign[-1] == "+":
            return "" if empty else fallback
        if not empty:
            return value or ""
        if sign[-1] == "=":
            self.process.environment[name] = fallback
        if sign[-1] == "?":
            self.process.output(2, f"{self.arguments[0]}: {name}: {fallback or 'parameter not set'}\n")
            raise Exited(2)
        return fallback

    def _value(self, name: str) -> str | None:
        if name == "?":
            return str(self.status)
        if name == "$":
            return "1"
        if name == "#":
            return str(len(self.arguments) - 1)
        if name in "@*":
            return " ".join(self.arguments[1:])
        if name.isdigit():
            return self.arguments[int(name)] if int(name) < len(self.arguments) else None
        if name == "RANDOM":
            return str(int(self.process.moment * 1000) % 32768)
        return self.process.environment.get(name)

    async def _arithmetic(self, text: str) -> int:
        expanded = re.sub(r"\$\{?(\w+)\}?", r"\1", text)

        def value(match: re.Match[str]) -> str:
            found = self._value(match[0]) or "0"
            return found if re.fullmatch(r"-?\d+", found) else "0"

        numbers = re.sub(r"[A-Za-z_]\w*", value, expanded)
        return commands.arithmetic(numbers)


def _trim(value: str, sign: str, pattern: str) -> str:
    cuts = range(len(value) + 1)
    if sign[0] == "#":
        order = cuts if sign == "#" else reversed(cuts)
        return next((value[i:] for i in order if fnmatch.fnmatchcase(value[:i], pattern)), value)
    order = reversed(cuts) if sign == "%" else cuts
    return next((value[:i] for i in order if fnmatch.fnmatchcase(value[i:], pattern)), value)


SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})


async def run_command(process: Process, words: Sequence[str]) -> int:
    """Runs one program by its name; 127 with the shell's text when nobody knows it."""
    name = words[0].rsplit("/", 1)[-1]
    if name in SHELLS:
        return await _run_shell(process, list(words))
    program = commands.COMMANDS.get(name)
    if program is None:
        process.output(2, f"sh: {words[0]}: not found\n")
        return 127
    return await program(process, list(words[1:]))


async def _run_shell(process: Process, words: list[str]) -> int:
    options = words[1:]
    shell = Shell(process, [words[0]])
    while options and options[0].startswith("-") and options[0] != "-":
        flags = options.pop(0)[1:]
        shell.exit_on_error = shell.exit_on_error or "e" in flags
        shell.trace = shell.trace or "x" in flags
        if "c" in flags:
            if not options:
                process.output(2, f"{words[0]}: -c requires an argument\n")
                return 2
            shell.arguments = options[1:] or [words[0]]
            return await shell.run(options[0])
    if options:
        text = process.machine.read(process.path(options[0]))
        if text is None:
            process.output(2, f"{words[0]}: can't open '{options[0]}': No such file or directory\n")
            return 2
        shell.arguments = options
        return await shell.run(text)
    return await shell.run(process.input)
