"""lineage.py: how often a function has run in one chain of invocations."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invokeasync_wsgi import lineage

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
OTHER = "arn:aws:lambda:us-east-1:123456789012:function:g"
#: What stands for them in a header: the first eight hex digits of the ARN's SHA-256.
F, G = "9fa5c9e6", "c43a1b0f"
ROOT = "Root=1-5e1b4151-5ac6c58dc39a6b6ae5ba4b1a"


def extend(trace_id: str | None, function_arn: str = ARN) -> str:
    return lineage.extend(trace_id, function_arn, root="Root=new")


@pytest.mark.parametrize(
    ("trace_id", "count"),
    [
        pytest.param(None, 0, id="no header"),
        pytest.param("", 0, id="an empty one"),
        pytest.param(ROOT, 0, id="no lineage"),
        pytest.param(f"{ROOT};Lineage={F}:5", 5, id="at the end"),
        pytest.param(f"Lineage={F}:5;{ROOT}", 5, id="in front"),
        pytest.param(f"{ROOT};Lineage={F}:5;Sampled=0", 5, id="in between"),
        pytest.param(f"{ROOT}; Lineage={F}:5; Sampled=0", 5, id="with spaces"),
        pytest.param(f"{ROOT};lineage={F}:5", 5, id="as AWS's answers spell it"),
        pytest.param(f"{ROOT};Lineage=00000000:9|{F}:5|{G}:1", 5, id="others are in it"),
        pytest.param(f"{ROOT};Lineage=00000000:9", 0, id="only others are"),
        pytest.param(f"{ROOT};Lineage={F}:99999", 99_999, id="very many"),
        pytest.param(f"{ROOT};Lineage={F}", 0, id="no number"),
        pytest.param(f"{ROOT};Lineage={F}:", 0, id="an empty number"),
        pytest.param(f"{ROOT};Lineage={F}:-5", 0, id="a negative one"),
        pytest.param(f"{ROOT};Lineage={F}:٥", 0, id="another script's digit"),
        pytest.param(f"{ROOT};Lineage={F}:{'9' * 5000}", 0, id="a number that is none"),
        pytest.param(f"{ROOT};Lineage={F}:5:5", 0, id="one more number"),
        pytest.param(f"{ROOT};Lineage={F.upper()}:5", 0, id="upper case"),
        pytest.param(f"{ROOT};Lineage=;|:", 0, id="nothing in it"),
        pytest.param(f"{ROOT};MyLineage={F}:5", 0, id="somebody's own part"),
    ],
)
def test_the_runs_of_a_function_stand_in_the_header(trace_id: str | None, count: int) -> None:
    assert lineage.runs(trace_id, ARN) == count


@pytest.mark.parametrize(
    ("trace_id", "extended"),
    [
        pytest.param(None, f"Root=new;Lineage={F}:1", id="no header"),
        pytest.param(ROOT, f"{ROOT};Lineage={F}:1", id="the first run"),
        pytest.param(f"{ROOT};Lineage={F}:1", f"{ROOT};Lineage={F}:2", id="another run"),
        pytest.param(
            f"{ROOT};Lineage={G}:3", f"{ROOT};Lineage={G}:3|{F}:1", id="after another function"
        ),
        pytest.param(
            f"{ROOT};Lineage={F}:2|{G}:3", f"{ROOT};Lineage={G}:3|{F}:3", id="the latest is last"
        ),
        pytest.param(
            f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=1;Self=1-2-3",
            f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=1;Self=1-2-3;Lineage={F}:1",
            id="what others wrote stays",
        ),
        pytest.param(
            f"{ROOT};Lineage={F}:1;Sampled=0",
            f"{ROOT};Sampled=0;Lineage={F}:2",
            id="also behind the lineage",
        ),
        pytest.param(
            f"Lineage={F}:1;{ROOT}", f"{ROOT};Lineage={F}:2", id="also when it came first"
        ),
        pytest.param(f"Lineage={F}:1", f"Lineage={F}:2", id="nothing else"),
    ],
)
def test_a_handler_passes_on_one_more_run_of_its_function(
    trace_id: str | None, extended: str
) -> None:
    assert extend(trace_id) == extended


def test_what_awss_own_services_count_stays() -> None:
    """The form that function URLs answer with since 2024: ``Lineage=1:<hash>:<count>``."""
    assert "1:68fd508a:5" in extend(f"{ROOT};Parent=1;Sampled=0;Lineage=1:68fd508a:5")


def test_nobody_reads_the_functions_name_in_it() -> None:
    assert "secret" not in lineage.extend(None, f"{ARN}:secret", root="Root=1")


def test_however_long_a_chain_gets_the_header_stays_short() -> None:
    trace_id = ROOT
    for number in range(1000):
        trace_id = extend(trace_id, f"{ARN}{number}")
    assert len(trace_id) < 500
    assert lineage.runs(trace_id, f"{ARN}999") == 1


def test_in_a_loop_of_several_functions_each_is_counted() -> None:
    trace_id: str | None = None
    arns = [f"{ARN}{number}" for number in range(30)]
    for _ in range(16):
        for arn in arns:
            trace_id = extend(trace_id, arn)
    assert [lineage.runs(trace_id, arn) for arn in arns] == [16] * 30


#: Parts as they are, and as they must not be.
PARTS = st.one_of(
    st.sampled_from([ROOT, "Sampled=0", f"Lineage={F}:7", f"lineage={G}:1|{F}:2", "", " ", "="]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
)


@given(st.lists(PARTS, max_size=6).map(";".join))
def test_whatever_the_header_is_each_run_counts_one(trace_id: str) -> None:
    before = lineage.runs(trace_id, ARN), lineage.runs(trace_id, OTHER)
    extended = extend(trace_id)
    assert lineage.runs(extended, ARN) == before[0] + 1
    assert lineage.runs(extended, OTHER) == before[1]
    assert len(re.findall("(?:^|;)\\s*lineage=", extended, re.IGNORECASE)) == 1


@given(st.lists(st.sampled_from("abcdef"), max_size=60))
def test_counting_is_that_of_a_list(names: list[str]) -> None:
    trace_id: str | None = None
    for name in names:
        trace_id = extend(trace_id, name)
    for name in "abcdef":
        assert lineage.runs(trace_id, name) == names.count(name)
