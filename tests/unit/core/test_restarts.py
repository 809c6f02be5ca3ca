"""How many deaths an engine is forgiven."""

from nbcluster.core.restarts import LIMIT, WINDOW, is_too_many, recent


def test_five_deaths_in_a_minute_are_borne_and_the_sixth_is_not():
    deaths = []
    verdicts = []
    for at in range(6):
        deaths = recent(deaths, float(at))
        verdicts.append(is_too_many(deaths))
    assert verdicts == [False] * LIMIT + [True]


def test_old_deaths_are_forgotten():
    deaths = []
    for at in range(50):
        deaths = recent(deaths, at * WINDOW / LIMIT)
        assert not is_too_many(deaths)
    assert len(deaths) <= LIMIT
