"""The scheduler with a million calls on a thousand fake engines: `python -m benchmarks.simulation`. No processes."""

from __future__ import annotations

import argparse
import resource
import time

from nbcluster.testing.many_calls import ManyCalls

REPORTS = 10
"""Lines that are printed."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.simulation", description="is memory flat?")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--engines", type=int, default=1000)
    parser.add_argument("--outstanding", type=int, default=20_000, help="calls that have not ended, at most")
    parser.add_argument("--deaths", type=int, default=100, help="engines that are killed on the way")
    parser.add_argument("--plain", action="store_true", help="calls without inputs in place of binary trees")
    return parser.parse_args()


def resident() -> float:
    """MB of memory that this process has now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 1e6


def main() -> int:
    """Run, and print what is remembered after each tenth; 1 when the last half needed more than the first."""
    asked = arguments()
    many = ManyCalls(asked.engines, seconds=0.001, trees=not asked.plain)
    print("     calls   remembered  scheduler MB  process MB   peak MB   µs of CPU a call")
    sizes = []
    for _ in range(REPORTS):
        begun, before = time.process_time(), many.done
        many.run(asked.calls // REPORTS, asked.outstanding, deaths=asked.deaths // REPORTS)
        cost = (time.process_time() - begun) / (many.done - before) * 1e6
        sizes.append(many.size() / 1e6)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(
            f"{many.done:>10,} {len(many.scheduler.calls):>12,} {sizes[-1]:>13.2f} {resident():>11.1f} "
            f"{peak:>9.1f} {cost:>18.1f}",
            flush=True,
        )
    is_flat = max(sizes[REPORTS // 2 :]) <= 1.1 * max(sizes[: REPORTS // 2])
    print(
        f"{asked.calls:,} calls on {asked.engines:,} engines, at most {many.largest:,} remembered at a time"
    )
    print("memory is flat" if is_flat else "memory grew")
    return int(not is_flat)


if __name__ == "__main__":
    raise SystemExit(main())
