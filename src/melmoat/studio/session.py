"""What the page computes: one recording, attacked and defended, with its control.

Every step is what a command would do: the random numbers derive from the seed and the names of the
files (``speech.wav``, ``adversarial.wav``). So the commands of :mod:`melmoat.studio.recipe` give
the same transcripts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from melmoat import attacks, audio, defenses, models
from melmoat.audio import Audio, AudioError, Recording
from melmoat.defenses import NoDefense
from melmoat.devices import CPU
from melmoat.draws import Draws, derive
from melmoat.errors import MelmoatError
from melmoat.file_attacks import Attacked, attack_file
from melmoat.file_jobs import Job
from melmoat.levels import loudest
from melmoat.models import MODELS, Recognizer
from melmoat.models.base import comparison_of, transcribe
from melmoat.models.domain import domain_of, warning
from melmoat.studio.choices import STRONGEST, Offer, attack_spec

SPEECH, ADVERSARIAL, NOISE = "speech.wav", "adversarial.wav", "noise.wav"
SILENT = 1e-3  # of full scale: quieter than -60 dB is a microphone that is off
SHORTEST = 0.3  # seconds


class Stopped(MelmoatError):
    """The run was cancelled."""


@dataclass(frozen=True)
class Bounds:
    """Limits of a page, so that it can stand in public.

    Args:
        longest: most seconds of a recording.
        seconds: most seconds of a run.
        megabytes: most megabytes of an upload.
        waiting: most runs that wait.
        at_once: most runs at once.
    """

    longest: float = 15
    seconds: float = 120
    megabytes: float = 10
    waiting: int = 8
    at_once: int = 1


class Ticket:
    """A run that is in work: how far it is, and the way to end it early.

    Args:
        seconds: after these it is ended.
        clock: returns seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock, self._began = seconds, clock, clock()
        self._stopped = threading.Event()
        self.what, self.done, self.total = "waiting", 0.0, 0.0

    @property
    def spent(self) -> float:
        """Seconds since it began."""
        return self._clock() - self._began

    def start(self) -> None:
        """Begin to count the time; the run may have waited until now."""
        self._began = self._clock()

    def stop(self) -> None:
        """End the run at its next step."""
        self._stopped.set()

    def begin(self, what: str, total: float = 0.0) -> None:
        """Note the next part of the work, of ``total`` steps.

        Raises:
            MelmoatError: as :meth:`tick`.
        """
        self.what, self.done, self.total = what, 0.0, total
        self.tick(0)

    def tick(self, amount: float) -> None:
        """Note steps that were done.

        Raises:
            Stopped: somebody stopped the run.
            MelmoatError: it took too long.
        """
        self.done += amount
        if self._stopped.is_set():
            raise Stopped("stopped")
        if self.spent > self.seconds:
            raise MelmoatError(
                f"the run took longer than {self.seconds:g} s, the limit of this page; take fewer "
                "steps, a shorter recording, or the command line"
            )


@dataclass(frozen=True)
class Asked:
    """A run that is asked for.

    Args:
        attack: whole spec (:func:`melmoat.studio.choices.attack_spec`).
        adaptive: whether the attack is aimed at the recognizer behind the defense, or at the
            recognizer alone.
        seed: of all random draws.
    """

    model: str
    defense: str
    attack: str
    adaptive: bool = True
    seed: int = 0

    @property
    def aimed(self) -> str:
        """The defense of the system that is attacked."""
        return self.defense if self.adaptive else "none"


@dataclass(frozen=True)
class Texts:
    """What is heard in one recording: without the defense, and behind it (None without one)."""

    plain: str
    defended: str | None


@dataclass(frozen=True)
class Finished:
    """A run that is done.

    Attributes:
        clean, adversarial: the recordings; ``defended`` is the adversarial one after the defense,
            None if the defense is none, or is not a function of audio.
        before, after: what is heard in them.
        heard: ``before`` and ``after`` of the system that was attacked.
        wanted: the target, as the recognizer writes it; None if there was none.
        reached: whether the attack did what it wanted.
        snr_db: of the perturbation; None where nothing was changed.
        seconds, passes: what the attack took; passes of the recognizer, None if not counted.
        gradients: whether these passes have gradients.
        notes: what to know about the recording.
        same: what texts are compared after.
        noise, noisy: the control: the speech with random noise of the same SNR, and what is heard.
    """

    asked: Asked
    clean: Audio
    adversarial: Audio
    defended: Audio | None
    before: Texts
    after: Texts
    wanted: str | None
    reached: bool
    snr_db: float | None
    seconds: float
    passes: int | None
    gradients: bool
    notes: tuple[str, ...]
    same: Callable[[str], str] = field(repr=False)
    noise: Audio | None = None
    noisy: Texts | None = None

    @property
    def control(self) -> str | None:
        """The spec of random noise of the same SNR; None where nothing was changed."""
        return None if self.snr_db is None else f"noise:db={self.snr_db:g}"


@dataclass(frozen=True)
class _System:
    """What is attacked: a recognizer, alone and behind a defense."""

    recognizer: Recognizer
    defended: Recognizer | None

    def aimed(self, asked: Asked) -> Recognizer:
        return self.defended if self.defended is not None and asked.adaptive else self.recognizer


class Session:
    """Runs what visitors ask for. Recognizers and defenses are loaded once.

    Args:
        offer: what may be asked.
        bounds: limits.
        device: device to compute on, such as ``cuda``.
    """

    def __init__(self, offer: Offer, bounds: Bounds | None = None, device: str = CPU) -> None:
        self.offer, self.bounds, self.device = offer, bounds or Bounds(), device
        self._models: dict[str, Recognizer] = {}
        self._lock = threading.Lock()

    def load(self) -> None:
        """Load what is chosen at first, and check the spelling of the rest, so that an error comes
        before the first visitor.

        Raises:
            MelmoatError: a spec is unknown, or the first recognizer cannot be loaded.
        """
        offer = self.offer
        for spec in offer.models:
            MODELS.parse(spec)
        for spec in offer.attacks:
            attack_spec(spec, STRONGEST, 1)
        for spec in offer.defenses:
            defenses.build(spec)
        self.model(offer.models[0])

    def model(self, spec: str) -> Recognizer:
        """The recognizer of a spec on the list.

        Raises:
            MelmoatError: it is not on the list, or cannot be loaded.
        """
        self.offer.check("models", spec)
        with self._lock:  # two visitors would load it twice
            if spec not in self._models:
                self._models[spec] = models.load(spec)
            return self._models[spec]

    def ticket(self) -> Ticket:
        """A ticket for one run within the bounds."""
        return Ticket(self.bounds.seconds)

    def speech(self, recording: Recording, name: str) -> Audio:
        """The recording as the run takes it, with 16 bits.

        Raises:
            AudioError: it is too long, too short or silent.
        """
        clean = recording.audio.quantized()
        seconds, longest = float(clean.seconds), self.bounds.longest
        if seconds > longest:
            raise AudioError(f"{name}: {seconds:.1f} s of audio, of which {longest:g} s are taken")
        if seconds < SHORTEST:
            raise AudioError(f"{name}: {seconds:.2f} s of audio; say a few words")
        if float(loudest(clean)) < SILENT:
            raise AudioError(f"{name}: there is no sound in it; is the microphone on?")
        return clean

    def run(
        self, speech: Audio, asked: Asked, ticket: Ticket, notes: Sequence[str] = ()
    ) -> Finished:
        """Attack ``speech``, pass the result through the defense, and hear all of it.

        Args:
            speech: the result of :meth:`speech`.
            notes: what is known about the recording.

        Raises:
            Stopped: the ticket was stopped.
            MelmoatError: something is not on the list, or fails, or takes too long.
        """
        ticket.begin(f"loading {asked.model}")
        system, attack = self._system(asked), attacks.build(asked.attack)
        with TemporaryDirectory() as folder:
            made = self._attack(Path(folder), speech, asked, system, asked.attack, ticket)
            done, adversarial = made
            clean = audio.load(Path(folder) / SPEECH)
        ticket.begin("listening")
        before = self._texts(done.before, clean, SPEECH, asked, system)
        after = self._texts(done.after, adversarial, ADVERSARIAL, asked, system)
        ticket.begin("defending")
        return Finished(
            asked,
            clean,
            adversarial,
            self._defended(adversarial, asked),
            before,
            after,
            done.wanted,
            done.reached,
            done.snr_db,
            done.seconds,
            done.queries,
            attack.access == "white-box",
            (*notes, *_notes(done, asked, system.recognizer)),
            comparison_of(system.aimed(asked)),
        )

    def with_noise(self, finished: Finished, ticket: Ticket) -> Finished:
        """The same run with its control: noise as loud as the perturbation.

        Raises:
            MelmoatError: as for :meth:`run`, or nothing was changed.
        """
        asked, control = finished.asked, finished.control
        if control is None:
            raise MelmoatError("the attack changed nothing, so there is no loudness to compare")
        ticket.begin("adding noise")
        system = self._system(asked)
        with TemporaryDirectory() as folder:
            done, noise = self._attack(
                Path(folder), finished.clean, asked, system, control, ticket, NOISE
            )
        noisy = self._texts(done.after, noise, NOISE, asked, system)
        return replace(finished, noise=noise, noisy=noisy)

    def _system(self, asked: Asked) -> _System:
        recognizer = self.model(asked.model)
        defense = defenses.build(self.offer.check("defenses", asked.defense))
        bare = isinstance(defense, NoDefense)
        return _System(recognizer, None if bare else defense.wrap(recognizer))

    def _attack(
        self,
        folder: Path,
        speech: Audio,
        asked: Asked,
        system: _System,
        spec: str,
        ticket: Ticket,
        name: str = ADVERSARIAL,
    ) -> tuple[Attacked, Audio]:
        """What `melmoat attack speech.wav NAME` does."""
        attack = attacks.build(spec)
        audio.save(folder / SPEECH, speech)
        ticket.begin(f"attacking by {spec.partition(':')[0]}", attack.evaluations)
        job = Job(folder / SPEECH, folder / name, SPEECH)
        aimed = system.aimed(asked)
        hear = partial(attack_file, aimed, system.recognizer, attack, job)
        done = hear(asked.seed, tick=ticket.tick, device=self.device)
        return done, audio.load(folder / name)

    def _texts(self, heard: str, speech: Audio, name: str, asked: Asked, system: _System) -> Texts:
        """``heard`` by the system that was attacked, and what `melmoat transcribe NAME` hears by
        the other."""
        if system.defended is None:
            return Texts(heard, None)
        other = system.recognizer if asked.adaptive else system.defended
        draws = Draws([derive(asked.seed, name)])
        (text,) = transcribe(other, speech.to(self.device), draws)
        return Texts(text, heard) if asked.adaptive else Texts(heard, text)

    def _defended(self, speech: Audio, asked: Asked) -> Audio | None:
        """What `melmoat defend adversarial.wav` writes."""
        front = defenses.function_of_audio(defenses.build(asked.defense))
        if front is None or isinstance(front, NoDefense):
            return None
        draws = Draws([derive(asked.seed, ADVERSARIAL)])
        return defenses.apply(front, speech.to(self.device), draws).to(CPU).quantized()


def _notes(done: Attacked, asked: Asked, recognizer: Recognizer) -> tuple[str, ...]:
    domain = domain_of(recognizer)
    if done.unlike and domain is not None:
        return (warning(asked.model, domain, ["This recording"], 1),)
    return ()
