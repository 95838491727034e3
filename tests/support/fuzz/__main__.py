"""`python -m tests.support.fuzz HOST:PORT --seed N --count N`: black-box, against whatever serves the platform's port.

The platform that it is sent to gets real commands: give it one of its own. Ends with 1 where something was found.
"""

import argparse
import asyncio
import sys
import time

import uvloop

from tests.support.fuzz.generator import Generator
from tests.support.fuzz.minimise import minimise
from tests.support.fuzz.run import Options, Outcome, fuzz
from tests.support.fuzz.sending import Sender

_SHOWN_BYTES = 4000


def main() -> int:
    """Run, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.fuzz", description=__doc__)
    parser.add_argument("address", help="HOST:PORT")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--pid", type=int, action="append", default=[], help="a process whose memory is watched")
    parser.add_argument("--growth-mib", type=float, default=64.0, help="by how much that may grow after the warm-up")
    parser.add_argument("--patience-s", type=float, default=20.0, help="how long an answer may take")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="only write the bytes of this case, to stdout")
    arguments = parser.parse_args()
    if arguments.show is not None:
        sys.stdout.buffer.write(Generator(arguments.seed).case(arguments.show).data)
        return 0
    host, _, port = arguments.address.rpartition(":")
    options = Options(
        host=host,
        port=int(port),
        seed=arguments.seed,
        count=arguments.count,
        patience_s=arguments.patience_s,
        pids=tuple(arguments.pid),
        growth_mib=arguments.growth_mib,
    )
    outcome = uvloop.run(_run(options))
    return 0 if outcome.is_good else 1


async def _run(options: Options) -> Outcome:
    sys.stdout.write(f"seed {options.seed}, {options.count} cases\n")
    outcome = await fuzz(options)
    sys.stdout.write("\n".join([*summary(outcome), *await reproductions(outcome)]) + "\n")
    return outcome


def summary(outcome: Outcome) -> list[str]:
    """Return what was sent and found, in lines."""
    sent = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.sent.items()))
    rate = outcome.sent.total() / outcome.elapsed_s
    lines = [f"{sent} in {outcome.elapsed_s:.1f} s, {rate:,.0f} a second"]
    lines.append("answers: " + ", ".join(f"{count} × {status}" for status, count in sorted(outcome.statuses.items())))  # noqa: RUF001
    if outcome.grown_mib is not None:
        lines.append(f"memory grew by {outcome.grown_mib:.1f} MiB; the bound is {outcome.options.growth_mib:.0f}")
    lines.append("the server serves" if outcome.serves else "the server does NOT serve any more")
    lines += [f"{count} × {kind}: {fault}" for (kind, fault), count in outcome.counts.most_common()]  # noqa: RUF001
    return lines


async def reproductions(outcome: Outcome) -> list[str]:
    """Return each fault's first case, made as short as it fails in the same way, in lines."""
    sender = Sender(outcome.options.host, outcome.options.port, min(3.0, outcome.options.patience_s))
    lines = []
    for (kind, fault), cases in outcome.faults.items():
        numbers = ", ".join(str(case.index) for case in cases)
        try:
            async with asyncio.timeout(60):
                data = await minimise(sender, cases[0], fault)
        except (OSError, TimeoutError):
            data = cases[0].data
        lines.append(f"{kind}: {fault} (seed {outcome.options.seed}, cases {numbers}):\n    {data[:_SHOWN_BYTES]!r}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
