"""Test reports as JUnit XML, for what collects them in continuous integration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from terrarium.base.clock import rfc3339
from terrarium.base.diagnostics import Diagnostic, has_errors
from terrarium.engine.testing.assertions import Status
from terrarium.engine.testing.suite import FileReport, RunReport

Render = Callable[[Sequence[Diagnostic]], str]


def document(reports: Sequence[FileReport], render: Render) -> str:
    """The whole file. `render` makes text of diagnostics."""
    out = ['<?xml version="1.0" encoding="UTF-8"?><testsuites>\n']
    for report in reports:
        tally = [r.status for r in report.runs]
        out.append(
            f'  <testsuite name="{_attribute(report.file.path)}" tests="{len(tally)}" skipped="{tally.count(Status.SKIP)}" '
            f'failures="{tally.count(Status.FAIL)}" errors="{tally.count(Status.ERROR)}">\n'
        )
        for index in range(len(report.runs)):
            out.append(_case(report, index, render))
        out.append("  </testsuite>\n")
    out.append("</testsuites>")
    return "".join(out)


def _case(report: FileReport, index: int, render: Render) -> str:
    run = report.runs[index]
    head = f'    <testcase name="{_attribute(run.run.name)}" classname="{_attribute(report.file.path)}"'
    if run.seconds is not None:
        at = rfc3339(datetime.fromtimestamp(int(run.began), UTC))
        head += f' time="{run.seconds:.9f}" timestamp="{at}"'
    inner = _inner(report, run, index, render)
    return f"{head}>{inner}</testcase>\n" if not inner else f"{head}>\n{inner}    </testcase>\n"


def _inner(report: FileReport, run: RunReport, index: int, render: Render) -> str:
    found = run.diagnostics
    match run.status:
        case Status.SKIP:
            cause = next((r for r in reversed(report.runs[:index]) if r.status is Status.ERROR), None)
            if cause is None:
                return _element("skipped", "", "")
            text = (
                f'Previous testcase "{cause.run.name}" ended in error, which caused the remaining tests in the file to be '
                "skipped"
            )
            return _element("skipped", "Testcase skipped due to a previous testcase error", text)
        case Status.FAIL:
            failed = [d for d in found if d.extra == "assert"]
            total = len(run.run.asserts)
            first = failed[0].detail if failed else ""
            word = "including: " if len(failed) > 1 else ""
            message = f"{len(failed)} of {total} assertions failed, {word}{first}" if len(failed) > 1 else first
            rest = [d for d in found if d not in failed]
            return _element("failure", message, render(failed)) + _error_stream(rest, render)
        case Status.ERROR:
            return _element("error", "Encountered an error", render(found))
    return _error_stream(found, render)


def _error_stream(found: Sequence[Diagnostic], render: Render) -> str:
    if not found or has_errors(found):
        return ""
    return f"      <system-err>{_data(render(found))}</system-err>\n"


def _element(name: str, message: str, text: str) -> str:
    given = f' message="{_attribute(message)}"' if message else ""
    return f"      <{name}{given}>{_data(text)}</{name}>\n"


def _data(text: str) -> str:
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>" if text else ""


def _attribute(text: str) -> str:
    for char, name in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ('"', "&#34;"),
        ("'", "&#39;"),
        ("\t", "&#x9;"),
        ("\n", "&#xA;"),
        ("\r", "&#xD;"),
    ):
        text = text.replace(char, name)
    return text
