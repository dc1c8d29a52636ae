"""
The command line: words to values, one call into `auditor.app`, values to words.

Standard output holds the document that was asked for and nothing else; everything said beside it goes to
standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from auditor import __version__
from auditor.model.diagnostic import Diagnostic, Level, did_you_mean

if TYPE_CHECKING:
    from auditor.app import Job
    from auditor.app.logs import LogFormat, LogLevel
    from auditor.model.verdict import Report

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED: Final = 130

FORMATS: Final = (
    "junit", "json", "text", "html", "markdown", "sarif", "github", "csv", "ctrf", "oscal",
)  # fmt: skip
"""The formats of reports, said here since the help must not wait for the reports; a test compares."""

_EPILOG: Final = """\
Exit codes: 0 all is well; 1 the job could not be done, or a check could not be decided; 2 it was done and
found something; 3 only `fmt --check`; 130 interrupted. 1 beats 2, and one line says why.
"""


class Commands(click.Group):
    """A group that suggests the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command by name; `apply` is `check`."""
        name = "check" if args[0] == "apply" else args[0]
        if name not in self.commands:
            hint = did_you_mean(args[0], self.commands)
            raise click.UsageError(f'There is no command "{args[0]}"; {hint or "see auditor --help"}', ctx)
        return super().resolve_command(ctx, [name, *args[1:]])


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (without the program's name) and return its exit code."""
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        result = main.main(words, prog_name="auditor", standalone_mode=False, obj=words)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 1
    except click.UsageError as error:
        _usage_error(error)
        return 1
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("auditor: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:  # noqa: BLE001  # the last place where a bug can be told from a finding
        import traceback

        traceback.print_exc()
        click.echo(
            "auditor: This is a bug of the auditor; please report it with the lines above (exit 1)", err=True
        )
        return 1
    return result if isinstance(result, int) else 0


def _usage_error(error: click.UsageError) -> None:
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
    click.echo(f"Error: {error.format_message()}", err=True)
    if error.ctx is not None:
        click.echo(f"Help: {error.ctx.command_path} --help", err=True)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=_EPILOG,
)
@click.version_option(__version__, message="auditor %(version)s")
def main() -> None:
    """
    Prove how a PingOne tenant behaves.

    Policies in YAML say what must hold; they become SCIM queries, PingOne is read, the answers are judged,
    and the verdicts are JUnit XML. What can not be read completely or decided is an error, never a pass.

    \b
    First steps:   auditor init my-audit && cd my-audit && auditor check --simulate
    Before a run:  auditor validate, auditor plan
    The main job:  auditor check
    """  # noqa: D301  # \b is click's mark for a paragraph that is not wrapped


# Options that several commands share


def _shared(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_chdir = click.option(
    "--chdir", metavar="DIR", default=".", help="Folder of the project (default: the current one)."
)

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON with a format_version.")

_project = _shared(
    _chdir,
    click.option(
        "--environment",
        "environments",
        metavar="NAME",
        multiple=True,
        help="Environment of the project; repeatable.",
    ),
    click.option(
        "--var",
        "variables",
        metavar="[PACK.]NAME=VALUE",
        multiple=True,
        help="Value of a variable; repeatable.",
    ),
    click.option(
        "--var-file",
        "variable_files",
        metavar="FILE",
        multiple=True,
        help="YAML file of variables; repeatable.",
    ),
    click.option(
        "--allow-host",
        "allow_hosts",
        metavar="HOST",
        multiple=True,
        help="Host that may be asked beside PingOne's.",
    ),
)

_policies = _shared(click.argument("paths", nargs=-1, metavar="[PATH | pack:NAME]..."), _project)

_planning = _shared(
    click.option("--as-of", metavar="INSTANT", help="Instant that windows count from (default: now)."),
    click.option(
        "--pushdown",
        type=click.Choice(["proven", "documented", "range"]),
        default="documented",
        show_default=True,
        help="What the server may filter; the verdicts are the same.",
    ),
    click.option(
        "--no-merge",
        "merge",
        flag_value=False,
        default=True,
        type=bool,
        help="One query for each check, to see what sharing saves.",
    ),
    click.option(
        "--stats", metavar="FILE", help="JSON report of an earlier run, whose counts the plan reckons with."
    ),
    click.option(
        "--framework",
        "frameworks",
        metavar="NAME",
        multiple=True,
        help="Only checks that speak to a framework such as soc2, and a report by its criteria; repeatable.",
    ),
    click.option(
        "--records",
        metavar="KIND=FILE",
        multiple=True,
        help="Judge given records instead of a tenant's; repeatable.",
    ),
)


_selection = _shared(
    click.option(
        "--check", "checks", metavar="ID", multiple=True, help="Only this check, or PACK/ID; repeatable."
    ),
    click.option(
        "--tag", "tags", metavar="TAG", multiple=True, help="Only checks with this tag; repeatable."
    ),
    click.option(
        "--control",
        "controls",
        metavar="FRAMEWORK[:ID]",
        multiple=True,
        help="Only checks with this control, such as soc2:CC6.1; repeatable.",
    ),
)

_waiving = _shared(
    click.option(
        "--no-waivers",
        "waivers",
        flag_value=False,
        default=True,
        type=bool,
        help="Judge as if nothing were waived.",
    ),
    click.option(
        "--strict-waivers", is_flag=True, help="Exit 2 also for waivers that are expired or unused."
    ),
)

_simulated = _shared(
    click.option("--seed", default=1, show_default=True, help="Seed of the simulated tenant."),
    click.option("--events", default=5_000, show_default=True, help="Events of its last 30 days."),
    click.option("--activities", metavar="FILE", help="Serve the events of a file as they are instead."),
)


_watched = _shared(
    click.option("--quiet", "-q", is_flag=True, help="Say nothing beside the document but errors."),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="What is told on standard error (default: info; warning beside a live view, and by the doctor).",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How it is told: lines of text, or a JSON object a line.",
    ),
)


_NO_POLICIES: Final[dict[str, Any]] = {
    "paths": (),
    "environments": (),
    "variables": (),
    "variable_files": (),
    "allow_hosts": (),
}
"""What a command says of policies that has nothing to do with any."""


def _job(
    *,
    chdir: str,
    environments: tuple[str, ...],
    variables: tuple[str, ...],
    variable_files: tuple[str, ...],
    allow_hosts: tuple[str, ...],
    paths: tuple[str, ...] = (),
    **more: Any,
) -> Job:
    from auditor.app import Job

    return Job(
        folder=Path(chdir),
        environ=dict(os.environ),
        paths=paths,
        environments=environments,
        variables=_in_order(variables, variable_files),
        allow_hosts=allow_hosts,
        **more,
    )


def _in_order(variables: tuple[str, ...], files: tuple[str, ...]) -> list[tuple[str, str]]:
    """
    Return the options `--var` and `--var-file` in the order of the command line, in which the later wins.

    Click keeps the order within an option only, so the words themselves are looked at again.
    """
    left = {"--var": list(variables), "--var-file": list(files)}
    ordered: list[tuple[str, str]] = []
    for word in _words():
        option = word.partition("=")[0]
        if left.get(option):
            ordered.append((option, left[option].pop(0)))
    return ordered + [(option, text) for option, texts in left.items() for text in texts]


def _words() -> list[str]:
    return list(click.get_current_context().find_root().obj or ())


# Output


def _color(stream: Any) -> bool:
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _width(stream: Any) -> int:
    import shutil

    return (
        shutil.get_terminal_size((100, 24)).columns
        if stream.isatty()
        else int(os.environ.get("COLUMNS") or 100)
    )


def _look(*, err: bool = False) -> dict[str, Any]:
    stream = sys.stderr if err else sys.stdout
    return {"width": _width(stream), "color": _color(stream)}


def _out(text: str) -> None:
    click.echo(text, nl=False, color=True)


def _err(text: str) -> None:
    click.echo(text, nl=False, err=True, color=True)


def _show_problems(problems: Sequence[Diagnostic]) -> None:
    if problems:
        from auditor.reporter import render_diagnostics

        _err(render_diagnostics(problems, **_look(err=True)))


def _mistakes(problems: Sequence[Diagnostic], *, as_json: bool = False) -> NoReturn:
    """Show mistakes, for programs too where they asked for a document, and end with exit code 1."""
    if as_json:
        from auditor import app

        _out(app.diagnostics_document(tuple(problems)))
    _show_problems(problems)
    count = sum(problem.level is Level.ERROR for problem in problems)
    noun = "mistake" if count == 1 else "mistakes"
    click.echo(f"auditor: {count} {noun}; nothing was asked of any tenant (exit 1)", err=True)
    raise click.exceptions.Exit(1)


# Commands


@main.command()
@_policies
@_json
def validate(as_json: bool, **options: Any) -> int:
    """Find all mistakes that can be found offline."""
    from auditor import app

    checked = app.valid(_job(**options))
    if as_json:
        _out(app.diagnostics_document(checked.diagnostics))
        return 1 if checked.value is None else 0
    if checked.value is None:
        _mistakes(checked.diagnostics)
    _show_problems(checked.diagnostics)
    number, packs = checked.value.checks, ", ".join(checked.value.packs)
    _out(f"Valid: {number} {'check' if number == 1 else 'checks'} in {packs}.\n")
    return 0


@main.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@_chdir
@click.option(
    "--check", "only_check", is_flag=True, help="Write nothing; exit 3 where a file is not canonical."
)
@click.option("--diff", "show_diff", is_flag=True, help="Show what changes.")
@_json
def fmt(as_json: bool, paths: tuple[str, ...], chdir: str, only_check: bool, show_diff: bool) -> int:
    """Rewrite YAML files in canonical form, comments kept."""
    from auditor import app

    checked = app.format_files(Path(chdir), paths)
    _show_problems(checked.diagnostics)
    changed = [found for found in checked.value or () if found.changed]
    for found in changed:
        if not only_check:
            try:
                app.save(found)
            except OSError as error:
                raise click.ClickException(f"{found.file}: {error.strerror or error}") from None
        if not as_json:
            _out(found.diff() if show_diff else f"{found.file}\n")
    if as_json:
        _out(app.formatted_document(checked.value or (), checked.diagnostics))
    if checked.errors:
        return 1
    if changed and only_check:
        noun = "file is" if len(changed) == 1 else "files are"
        click.echo(f"auditor: {len(changed)} {noun} not canonical (exit 3)", err=True)
        return 3
    return 0


@main.command()
@click.option(
    "--records", metavar="KIND=FILE", multiple=True, required=True, help="Given records; repeatable."
)
def console(records: tuple[str, ...]) -> int:
    """
    Try SCIM filters and JMESPath on given records.

    Lines come from the terminal or from a pipe: echo 'length(@)' | auditor console --records activities=FILE
    """
    from auditor import app

    opened = app.Console.open(records)
    if opened.value is None:
        _mistakes(opened.diagnostics)
    interactive = sys.stdin.isatty()
    if interactive:
        import readline  # noqa: F401  # line editing and history for input()

        click.echo(opened.value.banner, err=True)
    for line in _lines(interactive=interactive):
        if line.strip() == "quit":
            break
        if line.strip():
            _out(opened.value.answer(line, **_look()))
    return 0


def _lines(*, interactive: bool) -> Iterator[str]:
    """Yield lines as they are typed or piped, to the end of the input."""
    if not interactive:
        yield from (line.rstrip("\n") for line in sys.stdin)
        return
    while True:
        try:
            yield input("> ")
        except EOFError:
            click.echo("", err=True)
            return


@main.command()
@_policies
@_selection
@_planning
@click.option("--out", metavar="FILE", help="Write the plan to a file, as JSON.")
@click.option("--probe", is_flag=True, help="Ask for one page of each query, to tell what all of them take.")
@click.option("--roles", is_flag=True, help="Print the least roles that it needs instead.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 where a window is not covered.")
@_json
def plan(
    as_json: bool, out: str | None, probe: bool, roles: bool, detailed_exitcode: bool, **options: Any
) -> int:
    """
    Say exactly what a run would ask.

    Nothing is asked for that, but one page of each query with --probe.
    """
    from auditor import app

    checked = (app.plan_with_probes if probe else app.plan)(_job(**options))
    if checked.value is None:
        _mistakes(checked.diagnostics, as_json=as_json)
    _show_problems(checked.diagnostics)
    made = checked.value.plan
    document = app.plan_document(made)
    if out is not None:
        try:
            app.write(Path(out), document)
        except OSError as error:
            raise click.ClickException(
                f"The plan can not be written to {out}: {error.strerror or error}"
            ) from None
    if roles:
        _out(app.roles_document(made) if as_json else app.roles_text(made, **_look()))
    else:
        _out(document if as_json else app.plan_text(made, probed=probe, **_look()))
    gaps = [query.id for query in made.queries if query.coverage and not query.coverage.covered]
    if gaps and detailed_exitcode:
        click.echo(f"auditor: {len(gaps)} of {len(made.queries)} windows are not covered (exit 2)", err=True)
        return 2
    return 0


@main.command()
@_policies
@_selection
@click.option(
    "--require-least-privilege",
    is_flag=True,
    help="Make it an error (exit 2) where a worker application may do more than is needed.",
)
@_watched
@_json
def doctor(
    as_json: bool,
    require_least_privilege: bool,
    quiet: bool,
    log_level: LogLevel | None,
    log_format: LogFormat,
    **options: Any,
) -> int:
    """
    Find out whether a run could read what is planned.

    Asked for are a token, one small read of every planned endpoint, and the roles of the worker application
    itself: what is missing, and what is too much. No verdict comes of it.
    """
    from auditor import app

    job = _job(**options)
    with app.watching(job, quiet=quiet, level=log_level or "warning", form=log_format):
        checked = app.examine(job, require_least_privilege=require_least_privilege)
    found = checked.value
    if found is None:
        _mistakes(checked.diagnostics, as_json=as_json)
    _out(app.examination_document(found) if as_json else app.examination_text(found, **_look()))
    click.echo(f"auditor: {found.exit_reason} (exit {found.exit_code})", err=True)
    return found.exit_code


@main.command()
@click.argument("name", metavar="[CHECK]", required=False)
@_policies
@_selection
@_planning
@_json
def explain(name: str | None, as_json: bool, **options: Any) -> int:
    """
    Explain one check before a run.

    Told is what is asked for it, what is judged here, and which fields it reads.

    CHECK is the id of a check, alone, as PACK/CHECK, or as ENVIRONMENT/PACK/CHECK. With --check, --tag or --control
    instead, every check that is selected is explained.
    """
    from auditor import app

    if any(options[each] for each in ("checks", "tags", "controls")):
        options["paths"] = (*([name] if name is not None else []), *options["paths"])
        name = None
    elif name is None and not options["frameworks"]:
        raise click.UsageError(
            "Name a check, or select some with --check, --tag or --control.", click.get_current_context()
        )
    checked = app.explain(_job(**options), name)
    if checked.value is None:
        _mistakes(checked.diagnostics, as_json=as_json)
    _show_problems(checked.diagnostics)
    if as_json:
        _out(app.explanations_document(checked.value))
    else:
        _out("\n".join(app.explanation_text(found, **_look()) for found in checked.value))
    return 0


@main.command()
@_policies
@_selection
@_planning
def graph(**options: Any) -> int:
    """Draw which checks rest on which queries (Mermaid)."""
    from auditor import app

    checked = app.plan(_job(**options))
    if checked.value is None:
        _mistakes(checked.diagnostics)
    _show_problems(checked.diagnostics)
    _out(app.graph_text(checked.value.plan))
    return 0


_reading = _shared(
    click.option(
        "--rate",
        "rates",
        metavar="KIND=N/s",
        multiple=True,
        help="Requests a second of a resource kind or rate group; repeatable.",
    ),
    click.option(
        "--max-requests", type=click.IntRange(min=1), metavar="N", help="Stop cleanly after N requests."
    ),
    click.option("--max-duration", metavar="DURATION", help="Stop cleanly after a time such as 10m."),
)

_ending = _shared(
    click.option(
        "--sign-key",
        metavar="FILE",
        help="Sign the run with an Ed25519 key (PEM), as an in-toto attestation.",
    ),
    click.option("--baseline", metavar="RUN", help="Fail only on what that run did not find."),
)

_gate = _shared(
    click.option(
        "--fail-on",
        type=click.Choice(["info", "low", "medium", "high", "critical"]),
        show_default="low",
        help="Least severity of a failed check that gives exit code 2.",
    ),
    click.option(
        "--soft-fail",
        is_flag=True,
        help="Exit 0 where checks failed; what could not be done or decided is 1 as always.",
    ),
)

_reporting = _shared(
    click.option(
        "--report",
        "reports",
        metavar="FORMAT=PATH",
        multiple=True,
        help=f"Write a report ({', '.join(FORMATS)}); - is standard output; repeatable.",
    ),
    click.option(
        "--privacy",
        type=click.Choice(["ids", "full", "pseudonym"]),
        help="Personal fields in every report as identifiers, in full, or as keyed pseudonyms.",
    ),
    click.option(
        "--junit-flavor",
        type=click.Choice(["strict", "gitlab", "azure", "jenkins"]),
        default="strict",
        show_default=True,
        help="Whom the JUnit report is for.",
    ),
    _json,
)


@main.command()
@_policies
@_selection
@_planning
@click.option("--simulate", is_flag=True, help="Ask the built-in simulator instead of a tenant.")
@_simulated
@_reading
@click.option(
    "--evidence",
    type=click.Choice(["full", "violations", "digest"]),
    default="full",
    show_default=True,
    help="What is kept of the run: everything, all but the pages, or digests alone.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="latest",
    metavar="[RUN]",
    help="Go on with a run that came to no good end, by itself the latest run.",
)
@_ending
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Judge large files of --records in at most N processes (default: one for each core).",
)
@click.option(
    "--engine",
    type=click.Choice(["compiled", "reference"]),
    default="compiled",
    show_default=True,
    help="Evaluate expressions by this program, or by plain jmespath, to compare the verdicts.",
)
@_watched
@_waiving
@_gate
@_reporting
def check(simulate: bool, seed: int, events: int, activities: str | None, **options: Any) -> int:
    """
    Read, judge and report: the main job. Also called apply.

    Instead of policies, PATH may be a plan of `auditor plan --out`, which is then run as it was shown, or refused.
    """
    from auditor import app

    _refuse_beside_resume()
    simulation = app.Simulation(seed=seed, events=events, activities=activities) if simulate else None
    return _check(simulation=simulation, **options)


_OF_A_RUN: Final = (
    "paths", "environments", "variable_files", "checks", "tags", "controls", "as_of", "pushdown", "merge",
    "stats", "frameworks", "records", "simulate", "seed", "events", "activities", "evidence", "engine",
)  # fmt: skip
"""What a run was begun with, and goes on with."""


def _refuse_beside_resume() -> None:
    """
    Refuse what would have no effect on a run that goes on.

    Raises:
        click.UsageError: something is given that the run has of its own.
    """
    ctx = click.get_current_context()
    if ctx.params["resume"] is None:
        return
    for option in ctx.command.params:
        name = option.name or ""
        told = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if name in _OF_A_RUN and told and ctx.params[name] not in ((), None):
            named = f'"{ctx.params["paths"][0]}"' if name == "paths" else option.opts[0]
            raise click.UsageError(
                f"A run that goes on has its own policies and options; leave out {named}. A run is named"
                " directly behind --resume: auditor check --resume RUN",
                ctx,
            )


@main.command()
@click.argument("run", metavar="[RUN]", default="latest")
@_chdir
@click.option(
    "--var", "variables", metavar="[PACK.]NAME=VALUE", multiple=True, help="Value of a sensitive variable."
)
@click.option("--allow-host", "allow_hosts", metavar="HOST", multiple=True, help="Host beside PingOne's.")
@_reading
@_ending
@_watched
@_waiving
@_gate
@_reporting
def resume(run: str, **options: Any) -> int:
    """
    Go on with a run that was interrupted, stopped or cut off.

    Only what is missing is asked for. RUN is the id of a run or its folder, by itself the latest run.
    """
    return _check(resume=run, paths=(), environments=(), variable_files=(), **options)


_RUN: Final = _shared(
    click.argument("run", metavar="[RUN]", default="latest"),
    _chdir,
)


@main.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", default="latest")
@_chdir
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How it is told.",
)
@click.option(
    "--privacy",
    type=click.Choice(["ids", "full"]),
    help="Personal fields as identifiers or in full (default: in full, as identifiers in Markdown).",
)
@_json
def diff(as_json: bool, old: str, new: str, chdir: str, form: Any, privacy: Any) -> int:
    """
    Compare two runs: what is new, persists or is gone.

    Gone is what was fixed, or has aged out: it lies before what the newer run looked at.
    OLD and NEW are ids of runs or their folders; NEW is the latest by itself. Exit 2 where something is new.
    """
    from auditor import app

    compared = app.compare(_job(**_NO_POLICIES, chdir=chdir), old, new)
    if compared.value is None:
        _mistakes(compared.diagnostics, as_json=as_json)
    form = "json" if as_json else form
    _out(app.comparison_text(compared.value, form, privacy=privacy, **_look()))
    click.echo(f"auditor: {compared.value.exit_reason} (exit {compared.value.exit_code})", err=True)
    return compared.value.exit_code


@main.command()
@_chdir
@click.option(
    "--last", type=click.IntRange(min=1), default=10, show_default=True, help="How many runs to look at."
)
@_json
def history(as_json: bool, chdir: str, last: int) -> int:
    """Show what the latest runs said of each check."""
    from auditor import app

    found = app.history(_job(**_NO_POLICIES, chdir=chdir), last)
    if found.value is None:
        _mistakes(found.diagnostics, as_json=as_json)
    _show_problems(found.diagnostics)
    _out(app.history_text(found.value, as_json=as_json, **_look()))
    return 1 if found.errors else 0


@main.command()
@_RUN
@_waiving
@_gate
@_reporting
def replay(as_json: bool, run: str, **options: Any) -> int:
    """
    Judge what a run received again, offline.

    The verdicts are the run's, or it is said which are not. RUN is the id of a run or its folder, by itself the latest.
    """
    from auditor import app

    options["reports"] = _asked_for(as_json, options["reports"])
    job = _job(**{**_NO_POLICIES, **options})
    replayed = app.replay(job, run)
    if replayed.value is None:
        _mistakes(replayed.diagnostics, as_json=as_json)
    return _told(replayed.value, job)


@main.command()
@_RUN
@click.option(
    "--framework",
    "frameworks",
    metavar="NAME",
    multiple=True,
    help="Show it by the criteria of a framework such as soc2; repeatable.",
)
@_gate
@_reporting
def report(as_json: bool, run: str, **options: Any) -> int:
    """
    Show the report of a run again, in any format.

    RUN is the id of a run or its folder, by itself the latest. The exit code is 0 once it is shown; with --fail-on or
    --soft-fail it is what the run counts as by them.
    """
    from auditor import app

    gates = any(_is_given(name) for name in ("fail_on", "soft_fail"))

    options["reports"] = _asked_for(as_json, options["reports"])
    job = _job(**{**_NO_POLICIES, **options})
    found = app.report(job, run, gates=gates)
    if found.value is None:
        _mistakes(found.diagnostics, as_json=as_json)
    if gates:
        return _told(found.value, job)
    _tell(found.value, job)
    return 0


@main.command()
@click.argument("name", metavar="[FILE | RUN]", default="latest")
@_chdir
@_json
def show(as_json: bool, name: str, chdir: str) -> int:
    """
    Show a saved plan, a JSON report, or a run.

    FILE is a plan of `auditor plan --out` or a report of `--report json=FILE`; RUN is the id of a run or its folder,
    by itself the latest.
    """
    from auditor import app
    from auditor.model.plan import Plan

    job = _job(**_NO_POLICIES, chdir=chdir)
    found = app.show(job, name)
    if found.value is None:
        _mistakes(found.diagnostics, as_json=as_json)
    if isinstance(found.value, Plan):
        _out(app.plan_document(found.value) if as_json else app.plan_text(found.value, **_look()))
    else:
        _out(app.document(found.value, "json" if as_json else "text", job, **_look()))
    return 0


def _is_given(option: str) -> bool:
    """Tell whether an option stands on the command line."""
    from click.core import ParameterSource

    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT


def _asked_for(as_json: bool, reports: tuple[str, ...]) -> tuple[str, ...]:
    return (*reports, "json=-") if as_json else reports


def _check(
    as_json: bool, quiet: bool, log_level: LogLevel | None, log_format: LogFormat, **options: Any
) -> int:
    from auditor import app

    options["reports"] = _asked_for(as_json, options["reports"])
    job = _job(**options)
    with app.watching(job, quiet=quiet, level=log_level, form=log_format) as on_event:
        report = app.check(job, on_event)
        if log_format == "json":  # then nothing else stands beside the objects
            app.log_end(report)
    if log_format == "json":
        _tell(report, job, quiet=True)
        return report.exit_code
    return _told(report, job, quiet=quiet)


def _tell(report: Report, job: Job, *, quiet: bool = False) -> None:
    """Write the document that was asked for to standard output, else the report for people."""
    from auditor import app

    asked_for = next((text.partition("=")[0] for text in job.reports if text.endswith("=-")), None)
    if asked_for is not None and asked_for in app.formats():
        _out(app.document(report, asked_for, job))
        if not quiet:
            _err(app.document(report, "text", job, **_look(err=True)))
    else:
        _out(app.document(report, "text", job, **_look()))


def _told(report: Report, job: Job, *, quiet: bool = False) -> int:
    """Tell a report and what it counts as, and return the exit code."""
    _tell(report, job, quiet=quiet)
    if not quiet and report.root_digest is not None:
        click.echo(f"Evidence: run {report.run_id}, {report.root_digest}", err=True)
    _say_exit(report)
    return report.exit_code


@main.command()
@click.argument("run", metavar="[RUN]", default="latest")
@_chdir
@click.option("--digest", metavar="SHA256", help="The root digest that a report names.")
@click.option(
    "--key", "key_file", metavar="FILE", help="The public key (PEM) that the run has to be signed with."
)
@_json
def verify(as_json: bool, run: str, chdir: str, digest: str | None, key_file: str | None) -> int:
    """
    Find any byte of a run that is not as it was left.

    RUN is the id of a run or its folder, by itself the latest.
    """
    from auditor import app

    verified = app.verify(_job(**_NO_POLICIES, chdir=chdir), run, digest, key_file)
    if verified.value is None:
        _mistakes(verified.diagnostics, as_json=as_json)
    _out(verified.value.document() if as_json else verified.value.text())
    return 2 if verified.value.differences else 0


@main.command("sign-off")
@click.argument("run", metavar="[RUN]", default="latest")
@_chdir
@click.option("--reviewer", metavar="NAME", required=True, help="Who has reviewed the run.")
@click.option("--note", metavar="TEXT", default="", help="What the reviewer says of it.")
@click.option(
    "--sign-key", "key_file", metavar="FILE", required=True, help="The reviewer's Ed25519 key (PEM)."
)
def sign_off(run: str, chdir: str, reviewer: str, note: str, key_file: str) -> int:
    """
    Add a reviewer's signed statement to a run.

    RUN is the id of a run or its folder, by itself the latest. The statement is about the root digest, so about
    every byte.
    """
    from auditor import app

    signed = app.sign_off(
        _job(**_NO_POLICIES, chdir=chdir), run, reviewer=reviewer, note=note, key_file=key_file
    )
    if signed.value is None:
        _mistakes(signed.diagnostics)
    found = signed.value
    _out(
        f"{reviewer} signed off run {found.run_id}, {found.root_digest}\n  {found.file}, key {found.key_id}\n"
    )
    return 0


def _records_of(*, needs_check: bool) -> Callable[[F], F]:
    return _shared(
        click.argument("run", metavar="[RUN]", default="latest"),
        _chdir,
        click.option(
            "--check", metavar="ID", required=needs_check, help="ID, PACK/ID or ENVIRONMENT/PACK/ID."
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(["csv", "ndjson"]),
            default="csv",
            show_default=True,
            help="A table, or records as they were received.",
        ),
        click.option("--out", metavar="PATH", help="Write here instead."),
    )


@main.command()
@_records_of(needs_check=False)
@click.option(
    "--population", is_flag=True, help="Every record that the check examined, as without any option."
)
@click.option(
    "--redact", "fields", metavar="FIELDS", help="Fields such as actors.user.name, with commas between."
)
def export(
    run: str, chdir: str, check: str | None, form: Any, out: str | None, population: bool, fields: str | None
) -> int:
    """
    Write what a check examined, or a run that can be shared.

    With --check and --population, every record that the check examined, as a document. With --redact, a second run
    in which pseudonyms stand for what some fields hold. RUN is the id of a run or its folder, by itself the latest.
    """
    from auditor import app

    job = _job(**_NO_POLICIES, chdir=chdir)
    if fields is not None and check is None and not population:
        redacted = app.redact(job, run, [field.strip() for field in fields.split(",")], out)
        if redacted.value is None:
            _mistakes(redacted.diagnostics)
        found = redacted.value
        _out(f"{found.folder}\n")
        click.echo(f"Evidence: {found.values} values have pseudonyms, {found.root_digest}", err=True)
        return 0
    if check is None or fields is not None:
        raise click.UsageError(
            "Say either --check ID --population, or --redact FIELDS.", click.get_current_context()
        )
    return _exported(app.export(job, run, check, form), out)


@main.command()
@_records_of(needs_check=True)
@click.option(
    "--size", type=click.IntRange(min=1), default=25, show_default=True, help="How many records to draw."
)
@click.option(
    "--seed", metavar="TEXT", required=True, help="What the sample is drawn with: any text or number."
)
def sample(run: str, chdir: str, check: str, form: Any, out: str | None, size: int, seed: str) -> int:
    """
    Draw a sample of what a check of a run examined.

    RUN is the id of a run or its folder, by itself the latest. The same run and seed give the same sample anywhere.
    """
    from auditor import app

    job = _job(**_NO_POLICIES, chdir=chdir)
    return _exported(app.sample(job, run, check, form, size=size, seed=seed), out)


def _exported(exported: Any, out: str | None) -> int:
    """Write exported records, and say what they are."""
    from auditor import app

    if exported.value is None:
        _mistakes(exported.diagnostics)
    found = exported.value
    if out is None:
        _out(found.document)
    else:
        try:
            app.write(Path(out), found.document)
        except OSError as error:
            raise click.ClickException(f"{out} can not be written: {error.strerror or error}") from None
    click.echo(
        f"{found.records} of {found.population} records that {found.check} examined; the SHA-256 of this document is "
        f"{found.digest}\nEvidence: run {found.run_id}, {found.root_digest}",
        err=True,
    )
    return 0


@main.command()
@_chdir
@click.option(
    "--older-than", metavar="DURATION", required=True, help="Take away runs that started longer ago, as 400d."
)
@click.option("--dry-run", is_flag=True, help="Only say which.")
@_json
def prune(as_json: bool, chdir: str, older_than: str, dry_run: bool) -> int:
    """Take away the folders of old runs."""
    from auditor import app

    pruned = app.prune(_job(**_NO_POLICIES, chdir=chdir), older_than, only_say=dry_run)
    if pruned.value is None:
        _mistakes(pruned.diagnostics, as_json=as_json)
    _show_problems(pruned.diagnostics)
    if as_json:
        _out(app.pruned_document(pruned.value, pruned.diagnostics, only_said=dry_run))
    else:
        _out("".join(f"{run}\n" for run in pruned.value))
    number, verb = len(pruned.value), "would be" if dry_run else "were"
    click.echo(f"auditor: {number} {'run' if number == 1 else 'runs'} {verb} taken away", err=True)
    return 1 if pruned.errors else 0


def _say_exit(report: Report) -> None:
    click.echo(f"auditor: {report.exit_reason} (exit {report.exit_code})", err=True)


@main.group(cls=Commands)
def waiver() -> None:
    """Failures that somebody answers for: waivers.yaml."""


@waiver.command("list")
@_project
@click.option(
    "--stats",
    metavar="FILE",
    help="JSON report of a run that tells what is unused (default: the latest run).",
)
@_json
def list_waivers(as_json: bool, **options: Any) -> int:
    """Show which waivers are active, expiring, expired, unused or not begun."""
    from auditor import app

    checked = app.waivers(_job(**options))
    if as_json:
        _out(app.waivers_document(checked.value or (), checked.diagnostics))
        return 1 if checked.value is None else 0
    if checked.value is None:
        _mistakes(checked.diagnostics)
    _show_problems(checked.diagnostics)
    _out(app.waivers_text(checked.value, **_look()))
    return 0


@waiver.command("lint")
@_project
@click.option("--base", metavar="REV", help="Tell what has been added or extended since a revision of git.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 where a waiver was added or extended.")
@click.option("--strict-waivers", is_flag=True, help="Exit 2 where a waiver has expired.")
@_json
def lint_waivers(
    as_json: bool, base: str | None, detailed_exitcode: bool, strict_waivers: bool, **options: Any
) -> int:
    """Find all mistakes in waivers, and with --base what a change adds or extends."""
    from auditor import app

    job = _job(**options)
    checked = app.lint_waivers(job)
    changed = app.waiver_changes(job, base) if base is not None and checked.value is not None else None
    problems = (*checked.diagnostics, *(changed.diagnostics if changed else ()))
    if as_json:
        _out(app.waivers_document(checked.value or (), problems, changed.value if changed else None))
    if checked.value is None or (changed is not None and changed.value is None):
        if as_json:
            return 1
        _mistakes(problems)
    changes = changed.value or () if changed else ()
    if not as_json:
        _show_problems(problems)
        _out(f"Valid: {_counted(len(checked.value), 'waiver')}.\n")
        if base is not None:
            _out(app.waiver_changes_text(changes, since=base, **_look()))
    wider = sum(change.effect in ("added", "extended") for change in changes)
    expired = sum(standing.state == "expired" for standing in checked.value)
    if wider and detailed_exitcode:
        click.echo(f"auditor: {_counted(wider, 'waiver')} added or extended (exit 2)", err=True)
        return 2
    if expired and strict_waivers:
        click.echo(f"auditor: {_counted(expired, 'waiver')} expired (exit 2)", err=True)
        return 2
    return 0


@waiver.command("add")
@click.argument("name", metavar="NAME")
@_project
@click.option("--check", required=True, metavar="PACK/ID", help="The check whose violations it covers.")
@click.option("--reason", required=True, metavar="TEXT", help="Why they are accepted.")
@click.option("--approved-by", required=True, metavar="WHO", help="Who accepts them.")
@click.option("--ticket", required=True, metavar="ID", help="Where that is written down.")
@click.option("--where", metavar="FILTER", help="SCIM filter on the violating record.")
@click.option(
    "--record", "records", metavar="ID", multiple=True, help="Make it a disposition of a record; repeatable."
)
@click.option("--starts", metavar="DATE", help="First day in UTC (default: today).")
@click.option("--expires", metavar="DATE|DURATION", help="Last day in UTC, or how long from today: 30d.")
def add_waiver(name: str, **options: Any) -> int:
    """
    Add a waiver to waivers.yaml, comments kept.

    It is an exception until a day (--expires), or a disposition of records that have been reviewed (--record).
    """
    from auditor import app

    keys = ("check", "reason", "approved_by", "ticket", "where", "records", "starts", "expires")
    given = {key: options.pop(key) for key in keys}
    job = _job(**options)
    try:
        added = app.add_waiver(job, app.NewWaiver(name=name, environments=job.environments, **given))
    except OSError as error:
        raise click.ClickException(f"waivers.yaml: {error.strerror or error}") from None
    if added.value is None:
        _mistakes(added.diagnostics)
    _show_problems(added.diagnostics)
    _out(f'added "{name}" to waivers.yaml\n')
    return 0


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _on_mutation(number: int, total: int, check: str) -> None:
    """Say on a terminal, in one line that is gone afterwards, which check is being changed."""
    if sys.stderr.isatty() and _color(sys.stderr):
        told = f"changing {check} ({number} of {total})"[: _width(sys.stderr) - 1]
        click.echo(f"\r\x1b[2K{told}" + ("\r\x1b[2K" if number == total else ""), nl=False, err=True)


@main.command(name="test")
@click.argument("paths", nargs=-1, metavar="[PATH | pack:NAME]...")
@_chdir
@click.option("--filter", "name_filter", metavar="TEXT", default="", help="Only tests whose name holds this.")
@click.option(
    "--coverage", is_flag=True, help="Tell what of each check no test shows; exit 2 where there is any."
)
@click.option(
    "--mutate", is_flag=True, help="Change the checks, and tell what no test notices; exit 2 likewise."
)
@click.option(
    "--report",
    "reports",
    metavar="FORMAT=PATH",
    multiple=True,
    help="Write a report of the tests (junit, json); - is standard output; repeatable.",
)
@_json
def test_policies(
    paths: tuple[str, ...],
    chdir: str,
    name_filter: str,
    reports: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> int:
    """
    Run the tests of policies: *.test.yaml beside them.

    Each test gives records and says what verdict they must get. PATH is a folder, a policy file, or a file of
    tests; without one, those of the project's own policies run.
    """
    from auditor import app
    from auditor.reporter import tests

    job = app.TestJob(
        folder=Path(chdir), environ=dict(os.environ), paths=paths, filter=name_filter, **options
    )
    targets = app.test_targets((*reports, *(["json=-"] if as_json else [])))
    if targets.value is None or targets.errors:
        _mistakes(targets.diagnostics)
    report = app.run_tests(job, _on_mutation)
    written = app.write_test_reports(report, targets.value)
    if written.errors:
        _mistakes(written.diagnostics)
    is_document = written.value is not None
    if report.results:
        (_err if is_document else _out)(tests.render(report, **_look(err=is_document)))
    if written.value is not None:
        _out(written.value)
    _show_problems(report.problems)
    click.echo(f"auditor: {report.exit_reason} (exit {report.exit_code})", err=True)
    return report.exit_code


_from_run = click.option(
    "--from-run", metavar="RUN", help="Learn from what a run received: its id, its folder, or latest."
)


@main.command()
@click.argument("folder", default=".", metavar="[FOLDER]")
@_from_run
@click.option(
    "--environment",
    "environments",
    metavar="NAME",
    multiple=True,
    help="Of a run of several environments, the one to learn from.",
)
def init(folder: str, from_run: str | None, environments: tuple[str, ...]) -> int:
    """
    Write a project that runs at once against the simulator.

    With --from-run its variables are those that the run suggests, which hold once somebody has decided on them.
    """
    from auditor import app

    changed = {}
    if from_run is not None:
        policies = {"chdir": ".", "paths": ("pack:pingone-activity",), "environments": environments}
        options = {**_NO_POLICIES, **policies}
        suggested = app.suggest(_job(**options), from_run=from_run)
        if suggested.value is None:
            _mistakes(suggested.diagnostics)
        changed["auditor.vars.yaml"] = app.suggestions_text(suggested.value)
    try:
        written = app.init(Path(folder), changed)
    except OSError as error:
        raise click.ClickException(f"{error.filename or folder}: {error.strerror or error}") from None
    for name in written:
        _out(f"wrote {Path(folder) / name}\n")
    go = "" if folder == "." else f"cd {folder} && "
    step = (
        "auditor check --simulate" if from_run is None else "decide in auditor.vars.yaml, then auditor check"
    )
    _out(f"\nNext: {go}{step}\n")
    return 0


@main.command()
@_policies
@click.option("--records", metavar="KIND=FILE", multiple=True, help="Records to learn from; repeatable.")
@_from_run
@click.option(
    "--as-of", metavar="INSTANT", help="Instant that windows count from (default: the newest record)."
)
@_json
def suggest(as_json: bool, from_run: str | None, **options: Any) -> int:
    """
    Suggest values of variables from what a tenant shows.

    Nothing is changed and every value is commented out: what is printed can become auditor.vars.yaml once somebody
    has decided on each value.
    """
    from auditor import app

    if bool(options["records"]) is (from_run is not None):
        raise click.UsageError("Give either --records KIND=FILE or --from-run RUN.")
    checked = app.suggest(_job(**options), from_run=from_run)
    if checked.value is None:
        _mistakes(checked.diagnostics, as_json=as_json)
    _show_problems(checked.diagnostics)
    _out(app.suggestions_text(checked.value, as_json=as_json))
    return 0


@main.command()
@click.argument("name", required=False)
@_json
def schema(name: str | None, as_json: bool) -> int:
    """
    Show the vocabulary of policies.

    NAME is a resource kind, `functions`, `frameworks` or one of these, or a document: policy, project, framework,
    resource, test, waivers, report, plan, test-report.
    """
    from auditor import app

    try:
        _out(app.schema(name, as_json=as_json, **_look()))
    except KeyError:
        hint = did_you_mean(str(name), app.schema_names())
        raise click.ClickException(f'There is no schema "{name}"; {hint}') from None
    return 0


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option("--port", default=8765, show_default=True, help="Port to listen on; 0 takes a free one.")
@_simulated
@click.option("--as-of", metavar="INSTANT", help="The simulator's clock at its start (default: now).")
@click.option(
    "--hot-span",
    metavar="DURATION",
    default="14d",
    show_default=True,
    help="Age up to which events are served.",
)
@click.option(
    "--fault",
    "faults",
    metavar="NAME[=VALUE][@PATH][xN]",
    multiple=True,
    help="Misbehave; repeatable. `--fault help` lists them.",
)
@click.option(
    "--role",
    "roles",
    metavar="NAME",
    multiple=True,
    help="Predefined role of the worker application, which else may read everything; repeatable.",
)
def simulate(seed: int, events: int, activities: str | None, **options: Any) -> int:
    """Run a PingOne on a loopback port, until it is interrupted."""
    from auditor import app

    if "help" in options["faults"]:
        _out("".join(f"{name:24} {what}\n" for name, what in app.faults().items()))
        return 0
    simulation = app.Simulation(seed=seed, events=events, activities=activities)
    problems = app.simulate(app.SimulatorJob(simulation=simulation, **options), announce=_out)
    if problems:
        _mistakes(problems)
    return 0


@main.command()
def version() -> int:
    """Print the version."""
    _out(f"auditor {__version__}\n")
    return 0
