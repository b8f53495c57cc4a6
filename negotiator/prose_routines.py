"""Routines under documents without schemas: a model reads the prose and writes all of them."""

from negotiator.clock import Deadline
from negotiator.code_writing import CodeRefused, compiles, require_sandbox, write_prose_receiver, write_prose_sender
from negotiator.engine import Engine
from negotiator.errors import ModelMisspoke
from negotiator.fitting import Half
from negotiator.interpret import Interpreter
from negotiator.jsonvalue import JsonValue
from negotiator.ledger import Account
from negotiator.negotiation import Objection
from negotiator.routines import ENTRY_WHOLE, Direction, Routine
from negotiator.task import Task, Tool


async def written_for_prose(
    engine: Engine,
    half: Half,
    what: Task | Tool,
    samples: list[JsonValue],
    account: Account,
    deadline: Deadline,
) -> Routine | tuple[Objection, ...]:
    """A sender's two functions for a task, or a receiver's one for a tool; what stands in the way, if anything.

    `samples` are inputs of the task that came before.
    """
    whole = isinstance(what, Tool)
    entries = (ENTRY_WHOLE,) if whole else (half.entry("into"), half.entry("back"))

    async def trial(source: str) -> str | None:
        return await compiles(engine, source, entries)

    interpreter = Interpreter(engine.model, account, deadline)
    try:
        await require_sandbox(engine)
        if isinstance(what, Tool):
            source = await write_prose_receiver(interpreter, trial, document=half.document, tool=what)
        else:
            seen = [*samples, *half.shown_examples("into")]
            source = await write_prose_sender(interpreter, trial, document=half.document, task=what, samples=seen)
    except (CodeRefused, ModelMisspoke) as error:
        return (Objection(kind="unclear", detail=f"no routine could be written: {error}"[:300]),)
    return Routine(
        protocol_hash=half.document.hash,
        role=half.role,
        kind="code",
        key_digest=half.key_digest,
        into=Direction() if whole else Direction(entry=half.entry("into")),
        back=Direction() if whole else Direction(entry=half.entry("back")),
        source=source,
        tool=half.tool,
        whole=whole,
        made_by=engine.model.name,
    )
