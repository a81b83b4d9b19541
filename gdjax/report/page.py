"""The interactive page: one file that needs no network."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import plotly.io
import plotly.offline

from gdjax.doctor import Finding
from gdjax.report import scales, words
from gdjax.report.charts import Chart
from gdjax.report.contents import Contents
from gdjax.sweep.table import Status

TOP = 10
DIVERGED = 50
CONFIG = '{"displayModeBar": false, "responsive": true}'
HANDLING = (
    "In the figures: point at a mark to read it, drag to zoom, double-click to see all again, and "
    "click a family in a legend to hide it."
)
# Nothing may be loaded; plotly compiles its shaders' bindings with eval and saves images as blobs.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:"
)
CSS = """
:root { color-scheme: light dark; --text: #111827; --dim: #6b7280; --line: #e5e7eb; --page: #fff }
@media (prefers-color-scheme: dark) {
  :root { --text: #e5e7eb; --dim: #9ca3af; --line: #374151; --page: #111827 }
}
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; color: var(--text);
  background: var(--page); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.6rem; margin: 0 0 .5rem } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem }
p, figcaption, dt, .dim { color: var(--dim) } p.lead, p.said { color: var(--text) }
p.lead { font-size: 1.1rem } pre { overflow-x: auto; font-size: .85rem }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .75rem }
dt { font-size: .85rem } dd { margin: 0 } figure { margin: 0 } figcaption { font-size: .9rem }
.plot { background: #fff; border-radius: .5rem; margin-top: .5rem; overflow: hidden }
.wide { overflow-x: auto } .whole { white-space: nowrap }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line);
  max-width: 16rem; overflow-wrap: break-word } th { font-weight: 600 }
"""


def render(contents: Contents, charts: Sequence[Chart]) -> str:
    """The whole page."""
    objective = escape(contents.objective.label)
    parts = [f"<h1>Sweep: {objective}</h1>", _lead(contents), _facts(contents), _ranking(contents)]
    parts += [_diagnosis(contents), _widths(contents)]
    if charts:
        parts.append(f'<p class="dim">{HANDLING}</p>')
    for i, chart in enumerate(charts):
        parts.append(f"<section><h2>{escape(chart.title)}</h2><figure>")
        parts.append(f"<figcaption>{escape(chart.caption)}</figcaption>")
        parts.append(f'<div class="plot" id="plot{i}"></div></figure></section>')
    parts.append(_diverged(contents))
    parts.append(f"<script>{plotly.offline.get_plotlyjs()}</script>")
    parts += [f"<script>{_script(i, chart)}</script>" for i, chart in enumerate(charts)]
    body = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="data:,">
<title>Sweep: {objective}</title>
<style>{CSS}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _script(i: int, chart: Chart) -> str:
    figure = plotly.io.to_json(chart.figure, validate=False, engine="json") or ""
    figure = figure.replace("<", "\\u003c")  # it stands in a script
    return f"Plotly.newPlot('plot{i}', {{...{figure}, config: {CONFIG}}});"


def _lead(contents: Contents) -> str:
    best = contents.best
    if best is None:
        return '<p class="lead">There is no best trial: each has a run that diverged.</p>'
    settings = ", ".join(
        f"{escape(scales.label(name))}&nbsp;{scales.number(value)}"
        for name, value in best.settings.items()
    )
    result = f"{escape(contents.objective.label)}&nbsp;{scales.measured(best.mean, best.spread)}"
    lead = f"Best: <b>{escape(best.family)}</b>, {settings}: <b>{result}</b>"
    if contents.result.seeds == 1:
        return f'<p class="lead">{lead}.</p><p>One seed does not tell how sure that is.</p>'
    return (
        f'<p class="lead">{lead} (mean ± standard deviation over {contents.result.seeds} seeds).'
        f"</p><p>{words.sureness(best)}</p>"
    )


def _facts(contents: Contents) -> str:
    """How the sweep was made."""
    result, about = contents.result, contents.result.attributes
    widths = {str(width.runs) for width in contents.widths}
    counts = {status.name.lower(): int((result.status == status).sum()) for status in Status}
    facts = {
        "objective": f"{contents.objective.label}, {about['mode']}imum",
        "runs": f"{result.status.size} ({result.trials} trials × {result.seeds} seeds)",
        "ended": ", ".join(f"{count} {name}" for name, count in counts.items() if count),
        "updates a run": about["steps"],
        "runs side by side": ", ".join(widths) if len(widths) == 1 else None,
        "key": about.get("key"),
        "compiling": _seconds(about.get("compile_seconds")),
        "running": _seconds(about.get("run_seconds")),
    }
    if about.get("run_seconds"):
        facts["runs per second"] = scales.number(result.status.size / about["run_seconds"], 3)
    facts["device"] = about.get("device")
    versions = [f"{n} {about[n]}" for n in ("gdjax", "jax", "optax", "python") if n in about]
    facts["versions"] = ", ".join(versions)
    facts |= {scales.label(n): f"{scales.number(v)}, fixed" for n, v in contents.fixed.items()}
    items = [
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in facts.items()
        if value not in (None, "")
    ]
    return f"<dl>{''.join(items)}</dl>"


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f} s"


def _ranking(contents: Contents) -> str:
    """The best trials; of each family the best, where there are several."""
    ranks = range(min(TOP, len(contents.order)))
    table = f"<h2>Best trials</h2>{_trials(contents, ranks)}"
    if len(contents.families) > 1:
        leaders = [int(np.isin(contents.order, f.rows).argmax()) for f in contents.families]
        table += f"<h2>Best trial of each family</h2>{_trials(contents, sorted(leaders))}"
    return table


def _trials(contents: Contents, ranks: Iterable[int]) -> str:
    """Trials as a table, by their rank from 0."""
    several, rows = len(contents.families) > 1, []
    for rank in ranks:
        trial = int(contents.order[rank])
        cells = [f'<span class="whole">{words.rank(contents.ranks, rank)}</span>', str(trial)]
        cells += [escape(str(contents.result.family[trial]))] if several else []
        cells += [scales.number(contents.result.settings[n][trial]) for n in contents.axes]
        for metric in contents.metrics:
            mean, text = metric.mean[trial], words.at_trial(metric, trial).replace(" ", "&nbsp;")
            cells.append(f'<data value="{mean}">{text}</data>' if mean == mean else "")
        cells.append(str(int(contents.diverged[trial].sum())))
        rows.append(cells)
    head = ["rank", "trial", *(["family"] if several else [])]
    head += [scales.label(name) for name in contents.axes]
    head += [metric.label for metric in contents.metrics] + ["diverged"]
    spread = ", ± standard deviation" if contents.result.seeds > 1 else ""
    known = "; behind a rank is its 95 % interval" if contents.result.seeds > 1 else ""
    used = " Settings are those of the last segment." if contents.lineage is not None else ""
    note = f'<p class="dim">Mean over seeds{spread}; “diverged” counts runs{known}.{used}</p>'
    return _table(head, rows) + note


def _diagnosis(contents: Contents) -> str:
    """What the doctor says of the best trial; where all diverged, of the first one."""
    diagnosis = contents.diagnosis
    if diagnosis is None:
        return ""
    found = "".join(_finding(finding) for finding in diagnosis.findings)
    looked = [f"Looked for: {', '.join(diagnosis.looked_for)}."]
    if diagnosis.not_told:
        looked.append(f"Not told by what was measured: {', '.join(diagnosis.not_told)}.")
    if diagnosis.diverged:
        looked.append(f"{diagnosis.diverged} of its {diagnosis.seeds} runs diverged.")
    note = f'<p class="dim">{escape(" ".join(looked))}</p>'
    which = "the best trial" if contents.best else "the first trial"
    return f"<h2>Diagnosis of {which}</h2>{found or '<p>Nothing found.</p>'}{note}"


def _finding(finding: Finding) -> str:
    said = (
        f"<b>{escape(finding.challenge)}</b>, in {finding.confidence:.0%} of the seeds: "
        f"{scales.number(finding.number)} (threshold {scales.number(finding.threshold)}), "
        f"{escape(finding.meaning[:1].lower() + finding.meaning[1:])}."
    )
    source = f'<span class="dim">Threshold: {escape(finding.source)}.</span>'
    return f'<p class="said">{said} {source}</p><pre>{escape(finding.remedy)}</pre>'


def _widths(contents: Contents) -> str:
    """How many runs each family's programs train side by side, where that differs."""
    if len({width.runs for width in contents.widths}) < 2:
        return ""
    several = len(contents.families) > 1
    tried = any(width.speed == width.speed for width in contents.widths)
    head = [*(["family"] if several else []), "runs side by side", "trials", "their segments"]
    head += ["speed", "compiling"] if tried else []
    rows = []
    for width in contents.widths:
        cells = [escape(width.family.name)] if several else []
        cells += [str(width.runs), str(width.trials), str(width.segments)]
        if tried:
            known = width.speed == width.speed
            seconds = _seconds(width.compile_seconds) or ""
            cells += [f"{width.speed:.2f}", seconds] if known else ["", ""]
        rows.append(cells)
    notes = ["A trial’s bits depend on the width of the program that made each of its segments."]
    if tried:
        notes.append("Speed was measured before, times that of the default width.")
    note = f'<p class="dim">{" ".join(notes)}</p>'
    return f"<h2>Widths</h2>{_table(head, rows)}{note}"


def _diverged(contents: Contents) -> str:
    """Runs that diverged, where there are any."""
    result, several, rows = contents.result, len(contents.families) > 1, []
    runs = contents.divergences
    if not runs:
        return ""
    for run in runs[:DIVERGED]:
        varied = {name: run.settings[name] for name in contents.axes}
        cells = [run.trial, run.seed, *([result.family[run.trial]] if several else [])]
        cells += [words.listed(varied), run.step, run.reason]
        rows.append([escape(str(cell)) for cell in cells])
    counts = [int(contents.diverged[family.rows].sum()) for family in contents.families]
    named = zip(contents.families, counts, strict=True)
    share = ", ".join(f"{escape(family.name)} {count}" for family, count in named if count)
    replaced = sum(run.replaced for run in runs)
    total = f"{sum(counts)} of {result.status.size} runs"
    total += f" ({share})" if several and share else ""
    total += f", and {replaced} whose place a copy took" if replaced else ""
    first = f", the first {DIVERGED} of them here" if len(runs) > DIVERGED else ""
    head = ["trial", "seed", *(["family"] if several else []), "settings", "at update", "reason"]
    return f'<h2>Runs that diverged</h2><p class="dim">{total}{first}.</p>{_table(head, rows)}'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are HTML, its head is text."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )
