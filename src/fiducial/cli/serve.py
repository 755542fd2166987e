"""``fiducial serve``: what runs here, for programs elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fiducial.cli import common
from fiducial.config import Text, class_value, option
from fiducial.errors import InputError, UnknownNameError
from fiducial.recipes.recipe import takes_device
from fiducial.server.configs import RewardServerConfig

_SERVICES = {"reward": "the masks of completions, for rewards: one frozen segmenter for any number of trainers"}


@dataclass(frozen=True, kw_only=True)
class Reward(RewardServerConfig):
    """Cut the masks of completions for trainers elsewhere, until stopped; requests that run are finished first.

    A trainer's reward takes it as service=http://HOST:PORT. Each image is sent and encoded once; requests about one
    image that wait together are cut together.
    """

    device: str | None = option(None, "cpu, cuda, cuda:1, mps (default: the best there is)", unit="D")
    set: tuple[Text, ...] = option((), "any option of the segmenter: segmenter.multimask=best", unit="OPTION=VALUE")

    def resolved(self) -> Reward:
        """Return these options with what --device and --set say about the segmenter."""
        settings = dict(common.read_settings(self.set, "segmenter.multimask=best"))
        if self.device is not None:
            if not takes_device(self.segmenter):
                name = class_value(type(self.segmenter), "name")
                raise InputError(f"--device: the segmenter {name!r} runs on no device that can be chosen")
            settings["segmenter.device"] = Text(self.device)
        return self.with_settings(settings, "serve reward")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] not in _SERVICES:
        raise UnknownNameError("service", words[0], _SERVICES)
    return _serve_rewards(common.parse(Reward, "serve reward", words[1:]).resolved())


def _serve_rewards(options: Reward) -> int:
    key = options.key()
    from fiducial.server.reward import reward_app
    from fiducial.server.running import Server

    server = Server(reward_app(options.build(), options, key), options.host, options.port)
    name = class_value(type(options.segmenter), "name")
    asks = f", for who has the key in {key.variable}" if key.value else ""
    server.run(lambda: print(f"segmenter {name} at {server.url}{asks} (Ctrl+C stops)", flush=True))
    return 0


def _help() -> str:
    width = max(map(len, _SERVICES))
    lines = [f"  {name:<{width}}  {what}" for name, what in _SERVICES.items()]
    return "\n".join(["usage: fiducial serve SERVICE ...", "", *lines, "", "fiducial serve SERVICE --help tells more."])
