"""What changed and what to do first, in sentences: for somebody who has just woken up. Pure."""

from __future__ import annotations

from datetime import timedelta
from math import isnan

from inferwatch.streams.alerting.wording import clock_time, percent, span
from inferwatch.streams.incidents.contributors import Contributor
from inferwatch.streams.incidents.incident import Incident

NAMED = 3
_CHANGEABLE = ("model", "prompt_version", "prompt_name", "provider")
_MOST_OF_IT = 0.5
_RECENT, _CLOSE = timedelta(hours=6), timedelta(hours=2)
"""A deploy at most this long before an alert may have to do with it; at most this long before is looked at first."""


def what_changed(incident: Incident) -> list[str]:
    """Return what sets the bad rows apart, what was deployed, and what a drift test found."""
    said = list(incident.findings)
    shares = incident.contributions
    if shares is not None and shares.rows:
        carriers = [one for one in shares.segments if one.carries][:NAMED]
        said += [carrier(one) for one in carriers]
        if not carriers and shares.bad:
            looked = ", ".join(dict.fromkeys(one.dimension for one in shares.segments))
            said.append(
                f"No segment stands out: it is spread over all values of {looked}."
                if looked
                else "The rows have no segments that could tell the bad ones from the others."
            )
    since = incident.episode.since
    for one in incident.deploys:
        before = since - one.at
        if before > _RECENT:
            continue
        when = (
            f"{span(before)} before"
            if before > timedelta(0)
            else f"{span(-before)} after it began"
            if before
            else "as it began"
        )
        said.append(f"{one.dimension} {one.value} took over from {one.previous} at {clock_time(one.at)} UTC, {when}.")
    return said


def carrier(one: Contributor) -> str:
    """Return what one segment has to do with it.

    >>> from math import nan
    >>> carrier(Contributor("model", "m-2", 120, 0.97, 0.4, 0.23, 0.2, 0.3, 0.004, 0.01, 110, True))
    'model m-2: 23 % of its 120 rows, 0.4 % elsewhere, 1 % before; 97 % of all bad rows.'
    """
    elsewhere = "" if isnan(one.elsewhere) else f", {percent(one.elsewhere)} elsewhere"
    before = f", {percent(one.before)} before" if not isnan(one.before) else ", not seen before"
    return (
        f"{one.dimension} {one.value}: {percent(one.rate)} of its {one.rows:,} rows{elsewhere}{before}; "
        f"{percent(one.of_bad)} of all bad rows."
    )


def first_steps(incident: Incident) -> list[str]:
    """Return what the rule's author says, and what the numbers suggest."""
    said = [line for line in incident.description.splitlines() if line.strip()]
    shares = incident.contributions
    carriers = [one for one in (shares.segments if shares else ()) if one.carries and one.of_bad >= _MOST_OF_IT]
    deploy = next(
        (one for one in reversed(incident.deploys) if timedelta(0) <= incident.episode.since - one.at <= _CLOSE), None
    )
    if deploy is not None:
        said.append(
            f"{deploy.dimension} {deploy.value} is new since {clock_time(deploy.at)} UTC: try {deploy.previous} again."
        )
    elif (one := next((one for one in carriers if one.dimension in _CHANGEABLE), None)) is not None:
        said.append(f"Most of it is {one.dimension} {one.value}: send its traffic elsewhere, if that is possible.")
    if not said:
        said.append("Read the examples: are they what the number says?")
    return said
