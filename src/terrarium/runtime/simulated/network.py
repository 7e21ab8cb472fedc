"""The programs that talk to others: curl, wget, nslookup, dig."""

from __future__ import annotations

from urllib.parse import urlsplit

from terrarium.runtime.contract import Unreachable
from terrarium.runtime.simulated.output import fail, out, unescape
from terrarium.runtime.simulated.process import Process


async def _fetch(process: Process, url: str) -> tuple[int, bytes, str, int]:
    """Status, body, host and port; raises `Unreachable`."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    host = parts.hostname or ""
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Unreachable("host") from None
    if process.machine.network is None:
        raise Unreachable("host")
    target = "127.0.0.1" if host == "localhost" else host
    if target.startswith("127."):
        target = process.machine.ip
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    status, body = await process.machine.network.fetch(process.machine.namespace, target, port, path)
    return status, body, host, port


_WITH_VALUE = frozenset(
    {
        "-m",
        "-H",
        "-X",
        "-d",
        "-A",
        "-u",
        "--max-time",
        "--connect-timeout",
        "--retry",
        "--header",
        "--request",
        "--data",
        "-T",
        "-t",
        "-U",
        "--timeout",
        "--tries",
    }
)


async def curl(process: Process, arguments: list[str]) -> int:
    flags, urls, target, form = "", [], "", ""
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument in ("-o", "--output"):
            target = rest.pop(0) if rest else ""
        elif argument in ("-w", "--write-out"):
            form = rest.pop(0) if rest else ""
        elif argument in _WITH_VALUE:
            rest = rest[1:]
        elif argument.startswith("--"):
            flags += {"--silent": "s", "--fail": "f", "--head": "I", "--include": "i", "--show-error": "S"}.get(
                argument, ""
            )
        elif argument.startswith("-"):
            flags += argument[1:]
        else:
            urls.append(argument)
    if not urls:
        return fail(process, "curl: try 'curl --help' or 'curl --manual' for more information", 2)
    loud = "s" not in flags or "S" in flags
    code = 0
    for url in urls:
        try:
            status, body, _, _ = await _fetch(process, url)
        except Unreachable as reason:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            if reason.reason == "host":
                text, code = f"curl: (6) Could not resolve host: {parts.hostname}", 6
            else:
                port = parts.port or 80
                text, code = (
                    f"curl: (7) Failed to connect to {parts.hostname} port {port} after 0 ms: Could not connect to server",
                    7,
                )
            if loud:
                process.output(2, text + "\n")
            if form:
                process.output(1, unescape(form.replace("%{http_code}", "000")))
            continue
        if "f" in flags and status >= 400:
            code = 22
            if loud:
                process.output(2, f"curl: (22) The requested URL returned error: {status}\n")
            continue
        text = body.decode(errors="replace")
        if "I" in flags or "i" in flags:
            head_text = f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\nContent-Length: {len(body)}\r\n\r\n"
            text = head_text if "I" in flags else head_text + text
        if target and target != "/dev/null":
            process.machine.write(process.path(target), text)
        elif not target:
            process.output(1, text)
        if form:
            process.output(1, unescape(form.replace("%{http_code}", str(status))))
    return code


_REASONS = {
    200: "OK",
    301: "Moved Permanently",
    302: "Found",
    404: "Not Found",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


async def wget(process: Process, arguments: list[str]) -> int:
    quiet, target, urls, rest = False, "", [], list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument in ("-O", "--output-document") and rest:
            target = rest.pop(0)
        elif argument.startswith("-") and not argument.startswith("--"):
            quiet = quiet or "q" in argument
            if argument.endswith("O-"):
                target = "-"
            elif argument.endswith("O") and rest:
                target = rest.pop(0)
            elif argument in _WITH_VALUE:
                rest = rest[1:]
        elif not argument.startswith("--"):
            urls.append(argument)
    if not urls:
        return fail(process, "wget: missing URL")
    for url in urls:
        try:
            status, body, host, port = await _fetch(process, url)
        except Unreachable as reason:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            if reason.reason == "host":
                return fail(process, f"wget: bad address '{parts.hostname}'")
            return fail(process, f"wget: can't connect to remote host ({parts.hostname}): Connection refused")
        if not quiet:
            process.output(2, f"Connecting to {host} ({host}:{port})\n")
        if status >= 400:
            return fail(process, f"wget: server returned error: HTTP/1.1 {status} {_REASONS.get(status, '')}")
        text = body.decode(errors="replace")
        if target == "-":
            process.output(1, text)
        elif target != "/dev/null":
            name = target or urlsplit(url).path.rsplit("/", 1)[-1] or "index.html"
            process.machine.write(process.path(name), text)
            if not quiet:
                process.output(2, f"saving to '{name}'\n'{name}' saved\n")
    return 0


async def nslookup(process: Process, arguments: list[str]) -> int:
    names = [a for a in arguments if not a.startswith("-")]
    if not names:
        return fail(process, "nslookup: usage: nslookup HOST")
    machine = process.machine
    address = await machine.network.resolve(machine.namespace, names[0]) if machine.network else None
    process.output(1, "Server:\t\t172.20.0.10\nAddress:\t172.20.0.10:53\n\n")
    if address is None:
        process.output(1, f"** server can't find {names[0]}: NXDOMAIN\n\n")
        return 1
    return out(process, f"Name:\t{names[0]}\nAddress: {address}\n\n")


async def dig(process: Process, arguments: list[str]) -> int:
    names = [a for a in arguments if not a.startswith(("-", "+", "@"))]
    machine = process.machine
    address = await machine.network.resolve(machine.namespace, names[0]) if names and machine.network else None
    if "+short" in arguments:
        return out(process, f"{address}\n" if address else "")
    answer = f"\n;; ANSWER SECTION:\n{names[0]}.\t5\tIN\tA\t{address}\n" if address else "\n"
    return out(process, answer)
