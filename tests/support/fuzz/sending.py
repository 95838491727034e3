"""Sends cases over TCP, and tells what was wrong with their answers."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tests.support.fuzz.answers import HEAD_LIMIT_BYTES, Answer, BadAnswerError, read_answer
from tests.support.fuzz.cases import Case
from tests.support.fuzz.checks import fault

NO_ANSWER: Final = "closed without an answer"
NO_END: Final = "neither answered nor closed in time"
Verdict = str | None  # what was wrong
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Sender:
    """One at a time: a batch of framed cases on a connection that is kept, or any other case on one of its own."""

    def __init__(self, host: str, port: int, patience_s: float, statuses: Counter[int] | None = None) -> None:
        self._address = host, port
        self._statuses = Counter() if statuses is None else statuses  # of HTTP, of all that was answered
        self._patience_s = patience_s  # for each answer, and for the end of a connection
        self._kept: Connection | None = None

    async def send_batch(self, cases: Sequence[Case]) -> list[Verdict]:
        """Send framed cases, one behind the other without waiting, and return a verdict on each.

        A server may close after an answer; those that come after it are then NO_ANSWER. Raises OSError where nobody
        listens.
        """
        reader, writer = self._kept or await self._connect()
        self._kept = None
        verdicts: list[Verdict] = []
        answer: Answer | None = None
        try:
            writer.write(b"".join(case.data for case in cases))
            for case in cases:
                async with asyncio.timeout(self._patience_s):
                    answer = await read_answer(reader, is_head=case.is_head)
                if answer is None:
                    break
                self._statuses[answer.status] += 1
                verdicts.append(fault(case, answer))
                if answer.closes:
                    break
        except TimeoutError:
            verdicts.append(NO_END)
        except BadAnswerError as error:
            verdicts.append(str(error))
        except OSError:
            answer = None
        if len(verdicts) == len(cases) and answer is not None and not answer.closes:
            self._kept = reader, writer
        else:
            writer.close()
        return verdicts + [NO_ANSWER] * (len(cases) - len(verdicts))

    async def send_alone(self, case: Case) -> Verdict:
        """Send a case on a connection of its own, close the writing side, and judge all that comes until the end."""
        reader, writer = await self._connect()
        try:
            async with asyncio.timeout(self._patience_s):
                writer.write(case.data)
                writer.write_eof()
                if case.is_http2:
                    while await reader.read(HEAD_LIMIT_BYTES):
                        pass
                    return None
                while answer := await read_answer(reader, is_head=case.is_head):
                    self._statuses[answer.status] += 1
                    if found := fault(case, answer):
                        return found
        except TimeoutError:
            return NO_END
        except BadAnswerError as error:
            return None if b"HEAD" in case.data else str(error)  # a HEAD behind other requests
        except OSError:
            return None  # a server may cut off what is no HTTP
        finally:
            writer.close()
        return None

    def close(self) -> None:
        """Close the kept connection."""
        if self._kept is not None:
            with suppress(OSError):
                self._kept[1].close()
            self._kept = None

    async def _connect(self) -> Connection:
        async with asyncio.timeout(self._patience_s):
            return await asyncio.open_connection(*self._address, limit=HEAD_LIMIT_BYTES)
