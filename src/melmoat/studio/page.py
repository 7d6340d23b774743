"""The page: Gradio's parts around :mod:`melmoat.studio.session`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like, traverse

from melmoat import data
from melmoat.audio import AudioError
from melmoat.errors import MelmoatError, one_line
from melmoat.server.decoding import Decoder
from melmoat.studio import links, recipe, showing
from melmoat.studio.choices import MOST_STEPS, STRONGEST, WEAKEST, attack_spec
from melmoat.studio.links import LARGEST_SEED, Form
from melmoat.studio.session import Asked, Finished, Session, Stopped, Ticket

OFTEN = 0.2  # seconds between two looks at a run
KEPT = 1800  # seconds for which an upload is kept
VISITORS = 64  # most visitors whose last result is kept in memory
MOST_TICKETS = 1000
UNCHANGED = [gr.skip()] * 7
log = logging.getLogger("melmoat.server")


def examples() -> dict[str, Path]:
    """The speech that ships, by what is said in it."""
    return {
        f"{cut.supervisions[0].text} ({cut.supervisions[0].speaker})": Path(
            cut.recording.sources[0].source
        )
        for cut in data.load("demo")
    }


class Blocks(gr.Blocks):
    """Gradio's, but it fetches nothing: Gradio would download a recording that a request names by
    its address."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *others: Any) -> Any:
        """The values of a request.

        Raises:
            gr.Error: one of them is such an address.
        """
        traverse(inputs, _uploaded, is_file_obj_with_meta)
        return await super().preprocess_data(block_fn, inputs, *others)


def _uploaded(file: dict[str, Any]) -> None:
    if is_http_url_like(file["path"]):
        raise gr.Error("this page fetches no addresses; upload the file", print_exception=False)


class Page:
    """One page for all its visitors.

    Args:
        session: computes.
        decoder: reads recordings in processes of its own.
    """

    def __init__(self, session: Session, decoder: Decoder) -> None:
        self.session, self.decoder = session, decoder
        self._examples = examples()
        self.tickets: dict[str, Ticket] = {}  # by visitor
        self.blocks = self._blocks()

    def _blocks(self) -> Any:
        bounds = self.session.bounds
        with Blocks(title="melmoat studio", delete_cache=(KEPT, KEPT)) as blocks:
            gr.HTML(showing.head(bounds))
            last = gr.State(None, time_to_live=KEPT)
            with gr.Row():
                with gr.Column(min_width=300):
                    name, file = next(iter(self._examples.items()))
                    example = gr.Dropdown(
                        list(self._examples), value=name, label="Example", filterable=False
                    )
                    speech = gr.Audio(
                        str(file),
                        sources=["upload", "microphone"],
                        type="filepath",
                        label="Speech: record or upload",
                        editable=False,
                        buttons=["download"],
                        elem_id="speech",
                    )
                with gr.Column(min_width=300):
                    model = self._choice("models", "Recognizer")
                    attack = self._choice("attacks", "Attack")
                    target = gr.Textbox(
                        label="Target text (empty: any error will do)",
                        placeholder="STOP",
                        max_lines=1,
                        max_length=100,
                    )
                    db = gr.Slider(
                        STRONGEST,
                        WEAKEST,
                        20,
                        step=1,
                        label="Strength: SNR in dB (lower: a louder perturbation)",
                    )
                with gr.Column(min_width=300):
                    defense = self._choice("defenses", "Defense")
                    adaptive = gr.Checkbox(True, label="The attacker knows the defense")
                    steps = gr.Slider(1, MOST_STEPS, 50, step=1, label="Steps")
                    seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=LARGEST_SEED)
            with gr.Row():
                start = gr.Button("Attack", variant="primary", elem_id="start")
                stop = gr.Button("Stop", elem_id="stop")
                control = gr.Button(
                    "Same loudness, random noise", interactive=False, elem_id="control"
                )
            status = gr.HTML(elem_id="status")
            result = gr.HTML(elem_id="result")
            with gr.Column(visible=False) as repeat:
                again = gr.HTML()
                plain: dict[str, Any] = {
                    "interactive": False,
                    "wrap_lines": True,
                    "show_line_numbers": False,
                    "lines": 1,
                }
                # no language: Gradio's colours of one cannot be read on white
                shell = gr.Code(label="Commands", **plain)
                script = gr.Code(label="Python", **plain)
            asked = [speech, example, model, attack, target, db, steps, defense, adaptive, seed]
            shown = [status, result, repeat, again, shell, script, last, control]
            at_once: dict[str, Any] = {
                "concurrency_id": "work",
                "concurrency_limit": bounds.at_once,
                "show_progress": "hidden",
                "api_visibility": "private",
            }
            quick: dict[str, Any] = {"queue": False, "api_visibility": "private"}
            start.click(self.wait, None, [status], **quick).then(
                self.attack, asked, shown, **at_once
            )
            control.click(self.wait, None, [status], **quick).then(
                self.control, [last], shown, **at_once
            )
            stop.click(self.stop, None, [status], show_progress="hidden", **quick)
            blocks.unload(self.leave)
            blocks.load(self.linked, None, [status, *asked], **quick)
            example.input(self.example, [example], [speech], **quick)
            for other in (speech.upload, speech.stop_recording, speech.clear):
                other(lambda: None, None, [example], **quick)
        blocks.queue(
            max_size=bounds.waiting,
            default_concurrency_limit=bounds.at_once,
            api_open=False,
        )
        blocks.state_session_capacity = VISITORS
        return blocks

    def _choice(self, kind: str, label: str) -> Any:
        offer = self.session.offer
        first = getattr(offer, kind)[0]
        return gr.Dropdown(offer.titled(kind), value=first, label=label, filterable=False)

    def example(self, name: str | None) -> str | None:
        """The file of an example."""
        return None if name is None else str(self._examples[name])

    def linked(self, request: gr.Request) -> list[Any]:
        """The form as a link sets it; what it leaves open, or sets wrong, stays."""
        ask, wrong = links.asked(request.query_params, self.session.offer, self._examples)
        said = showing.message("; ".join(wrong), failed=True) if wrong else gr.skip()
        speech = self.example(ask["example"]) if "example" in ask else gr.skip()
        names = [field.name for field in fields(Form)]
        return [said, speech, *(ask.get(name, gr.skip()) for name in names)]

    def wait(self, request: gr.Request) -> str:
        """Take a ticket for this visitor's next run; one before it ends."""
        self.leave(request)
        ticket = self.tickets[request.session_hash] = self.session.ticket()
        while len(self.tickets) > MOST_TICKETS:  # of runs that found no place in the queue
            del self.tickets[next(iter(self.tickets))]
        return showing.progress(ticket)

    def stop(self, request: gr.Request) -> str:
        """End this visitor's run at its next step, or before it begins."""
        running = request.session_hash in self.tickets
        self.leave(request)
        return showing.message("Stopping." if running else "Nothing is running.")

    def leave(self, request: gr.Request) -> None:
        """The visitor has gone, or wants something else."""
        if ticket := self.tickets.get(request.session_hash):
            ticket.stop()

    async def attack(
        self,
        path: str | None,
        example: str | None,
        model: str,
        attack: str,
        target: str,
        db: float,
        steps: float,
        defense: str,
        adaptive: bool,
        seed: float,
        request: gr.Request,
    ) -> AsyncIterator[list[Any]]:
        """Attack, with progress; the parts of the page that change."""
        ticket = self._ticket(request)
        form = Form(
            example, model, attack, target or "", db, steps, defense, adaptive, int(seed or 0)
        )

        def work() -> Finished:
            self.session.offer.check("attacks", attack)
            spec = attack_spec(attack, db, int(steps), form.target)
            asked = Asked(model, defense, spec, adaptive, int(form.seed))
            return self.session.run(speech, asked, ticket, notes)

        try:
            path = path or self.example(example)
            if path is None:
                raise AudioError("record something, upload a file, or pick an example first")
            name = Path(path).name
            with Path(path).open("rb") as file:
                recording, said = await self.decoder(file, name)
            notes = [f"{name}: {note}" for note in said]
            speech = self.session.speech(recording, name)
        except Exception as error:
            self._done(request, ticket)
            yield _failure(error)
            return
        yield [showing.progress(ticket), *_nothing()]
        async for parts in self._watched(work, ticket, request, showing.repeating(form.query())):
            yield parts

    async def control(self, last: Finished | None, request: gr.Request) -> AsyncIterator[list[Any]]:
        """Add the control to the last run."""
        ticket, finished = self._ticket(request), last
        if finished is None:
            self._done(request, ticket)
            yield _failure(MelmoatError("attack something first; this adds noise as loud as that"))
            return
        again = partial(self.session.with_noise, finished, ticket)
        async for parts in self._watched(again, ticket, request):
            yield parts

    def _ticket(self, request: gr.Request) -> Ticket:
        ticket = self.tickets.setdefault(request.session_hash, self.session.ticket())
        ticket.start()
        return ticket

    def _done(self, request: gr.Request, ticket: Ticket) -> None:
        """End ``ticket``, also if the visitor has left while it was in work."""
        ticket.stop()
        if self.tickets.get(request.session_hash) is ticket:
            del self.tickets[request.session_hash]

    async def _watched(
        self,
        work: Callable[[], Finished],
        ticket: Ticket,
        request: gr.Request,
        again: Any = UNCHANGED[0],
    ) -> AsyncIterator[list[Any]]:
        """Run ``work`` in a thread, and show how far it is.

        Args:
            again: how to repeat it; as it was, if it is not given.
        """
        running = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            while not running.done():
                yield [showing.progress(ticket), *UNCHANGED]
                await asyncio.wait([running], timeout=OFTEN)
            spent, finished = ticket.spent, running.result()
        except Stopped:
            yield [showing.message("Stopped."), *UNCHANGED]
            return
        except Exception as error:
            yield _failure(error)
            return
        finally:
            self._done(request, ticket)
            await asyncio.wait([running])  # only then its place is free
        yield [
            showing.message(f"Done in {spent:.1f} s."),
            showing.result(finished),
            gr.Column(visible=True),
            again,
            recipe.commands(finished),
            recipe.python(finished),
            finished,
            gr.Button(interactive=True),
        ]


def _nothing() -> list[Any]:
    """The page without a result, because an old one would be taken for the new one's."""
    return ["", gr.Column(visible=False), "", "", "", None, gr.Button(interactive=False)]


def _failure(error: Exception) -> list[Any]:
    """An error of the visitor's as it is; any other is in the log, and the page says that much."""
    if not isinstance(error, MelmoatError | MemoryError):
        log.error("a run failed: %s", one_line(error), exc_info=error)
        error = MelmoatError("this run failed; the reason is in the log of the page")
    return [showing.message(one_line(error), failed=True), *UNCHANGED]
