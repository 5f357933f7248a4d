"""When a flow is well, from what its processes report."""

from dataclasses import replace

import pytest

from schemas.flow_status import ENDED, SILENCE, STOPPED, FlowStatus, members_of, problem_of

NOW = 1_700_000_000_000
FIRST = FlowStatus(0, 2, "one", 11, started=NOW - 60_000, beat=NOW - 1_000)
SECOND = FlowStatus(1, 2, "two", 22, started=NOW - 59_000, beat=NOW - 2_000)
ENDING = [replace(each, state=ENDED, code=0, beat=NOW - 3_600_000) for each in (FIRST, SECOND)]


@pytest.mark.parametrize(
    ("statuses", "problem"),
    [
        ([FIRST, SECOND], ""),
        (ENDING, ""),
        ([ENDING[0], replace(ENDING[1], state=STOPPED)], ""),  # which the other asked to end with it
        ([], "no flow has reported to this store: start it"),
        ([FIRST], "1 of 2 processes of the flow have reported: start all of them"),
        (
            [FIRST, replace(SECOND, beat=NOW - SILENCE - 1_000)],
            "process 1 (pid 22 on two) has not reported for 16 s: it was killed, or it is frozen",
        ),
        ([replace(each, state=STOPPED, code=0) for each in (FIRST, SECOND)], "the flow was stopped: start it again"),
        ([FIRST, replace(SECOND, state=STOPPED, code=75)], "process 1 (pid 22 on two) ended with exit code 75"),
    ],
)
def test_what_is_wrong(statuses: list[FlowStatus], problem: str) -> None:
    assert problem_of(statuses, NOW) == problem


def test_rows_of_a_flow_of_more_processes_count_no_more() -> None:
    alone = FlowStatus(0, 1, "one", 33, started=NOW - 1_000, beat=NOW)
    assert members_of([alone, SECOND]) == [alone]
    assert problem_of([alone, replace(SECOND, beat=0)], NOW) == ""


def test_a_status_reads_back() -> None:
    assert FlowStatus.from_json(FIRST.to_json()) == FIRST
