"""The simulator of a busy server: it runs the real queue, tree and planner, and what they promise shows."""

from __future__ import annotations

from random import Random

from bench.simulate import GREEDY, Server, Traffic, ideal, report


def simulated() -> Server:
    server = Server(8, 0.1)
    server.serve(Traffic(60, 4, 20, Random(1)))
    return server


def test_every_request_ends_once_and_hardly_anything_is_computed_twice() -> None:
    server = simulated()
    computed = sum(visit.n_prompt - visit.n_cached for visit in server.done)

    assert len({visit.id for visit in server.done}) == len(server.done) > 200
    assert computed <= 1.05 * ideal(server.done)


def test_streams_stay_near_the_step_and_nobody_waits_for_the_greedy_one() -> None:
    server = simulated()
    gaps = [gap for visit in server.done for gap in visit.gaps]
    waits = [visit.first - visit.came for visit in server.done if visit.claim.client != GREEDY]
    greedy = [visit.first - visit.came for visit in server.done if visit.claim.client == GREEDY]

    assert sum(gap <= 0.2 for gap in gaps) > 0.85 * len(gaps)
    assert max(gaps) <= 0.35  # with much in memory even a small step takes longer
    assert sum(waits) / len(waits) < sum(greedy) / len(greedy) / 4


def test_the_same_seed_gives_the_same_figures() -> None:
    assert list(report(simulated(), 0.1)) == list(report(simulated(), 0.1))
