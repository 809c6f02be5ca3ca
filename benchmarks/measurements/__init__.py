"""What is measured, one file each, with the bars that nbcluster must reach."""

from __future__ import annotations

from benchmarks.measurements import (
    added_engines,
    arrays_kept,
    arrays_pushed,
    arrays_returned,
    arrays_scattered,
    between_hosts,
    cancelled,
    core,
    dask_array,
    graphs,
    grid_search,
    idle,
    import_time,
    interrupts,
    killed_calls,
    kills,
    map_items,
    million,
    one_call,
    one_engine,
    outstanding,
    page,
    printing,
    shared_from,
    start,
    throughput,
    two_engines,
    variable,
    watched,
)
from benchmarks.measurements.base import Measurement

MEASUREMENTS: dict[str, Measurement] = {
    module.MEASUREMENT.name: module.MEASUREMENT
    for module in (
        start,
        added_engines,
        one_engine,
        two_engines,
        printing,
        interrupts,
        kills,
        idle,
        import_time,
        throughput,
        outstanding,
        one_call,
        variable,
        map_items,
        million,
        killed_calls,
        watched,
        page,
        cancelled,
        arrays_pushed,
        arrays_returned,
        arrays_kept,
        arrays_scattered,
        shared_from,
        dask_array,
        grid_search,
        core,
    )
} | {
    measurement.name: measurement
    for measurement in (
        graphs.CHAIN,
        graphs.TREE,
        graphs.DAG,
        between_hosts.MEASUREMENT,
        between_hosts.ENCRYPTED,
        watched.MILLION,
    )
}
