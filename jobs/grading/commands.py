"""The command `grade`."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated

import typer

from jobs.duration_option import duration
from jobs.problems import plainly
from settings import load_settings, start_logging

LEAST = timedelta(seconds=1)
LOW_PRIORITY = 10
"""What is added to the niceness of a grader that runs on, so that it takes what the flow and the page leave."""


def grade_command(
    every: Annotated[str, typer.Option(metavar="DURATION", help="Time between two passes, at least.")] = "1min",
    once: Annotated[bool, typer.Option("--once", help="Make one pass, and print the grades.")] = False,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Days that are graded, the last known ones.")] = 30,
    users: Annotated[int, typer.Option(min=100, help="Users at the most; of more, a sample by hash.")] = 20_000,
) -> None:
    """Grade the scores that the store holds, once event time has passed their horizon and so their labels are known.

    Of each user and day one event and one clock time count. Grades are kept in the table `grades`, by model, at events
    and at clock times, of each day and of all; later passes replace them, so that late events count too. The model of
    ADSTREAMS_CHALLENGER_MODEL is graded beside the one of ADSTREAMS_MODEL at the same moments.
    """
    with plainly("grades that were written stay"):
        settings, pause = load_settings(), duration("--every", every, LEAST)
        if not once:
            os.nice(LOW_PRIORITY)
            start_logging()
        from jobs.grading.grader import grade_once, keep_grading, plan_of  # what grades takes a second to load

        plan = plan_of(settings, days, users)
        if once:
            grade_once(settings, plan)
        else:
            keep_grading(settings, plan, pause)
