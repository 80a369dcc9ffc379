"""The first steps of a new mesh: a key and a profile, the sample, a first backtest, live quotes, a
trader.

All of it goes through the gateway, as any client's calls do.
"""

from collections.abc import Callable
from pathlib import Path

from mesh.backtest.v1 import backtest_pb2 as pb
from meshclient import profiles, samples
from meshclient.cli.output import Output
from meshclient.cli.progress import run_bar
from meshclient.cli.results import show_result
from meshclient.client import MeshClient
from meshclient.errors import JobFailed, MeshClientError
from meshkit.config import ConfigError
from services.up.config import Config
from services.up.live import FEED, ensure_feed, show_live
from services.up.sample import load
from services.up.secrets import Secrets
from services.up.trading import TRADER, show_trading

PROFILE = "local"
KEY = "api_key"
ANOTHER = "`python -m services.gateway.bootstrap --another` makes one"
FAILED = 1
Say = Callable[[str], None]


async def first_steps(
    config: Config,
    secrets: Secrets,
    first_key: Path,
    *,
    latch_url: str,
    once: bool,
    bare: bool,
    say: Say,
) -> int:
    """Do what has not been done yet, and the main job also when ``once``; return its exit code.

    When ``bare`` there is a key and a profile, and nothing else. ``latch_url`` goes into the
    profile: with it `meshctl halt --direct` works when nothing else does.
    """
    profile = _profile(config, secrets, first_key, latch_url, say)
    if bare:
        return 0
    async with MeshClient(profile) as mesh:
        try:
            if once or not await _succeeded(mesh):
                await load(mesh, say)
                await _main_job(mesh)
                await ensure_feed(mesh)
                say(f"\nThe sample again, as a live source ({FEED}):\n")
                await show_live(mesh)
                say(f"\nThe same strategy as a trader in a sandbox, on a replay ({TRADER}):\n")
                await show_trading(mesh)
                say(NEXT.format(address=config.gateway))
            else:
                await ensure_feed(mesh)
        except JobFailed as error:
            say(f"The backtest did not succeed: {error}")
            return FAILED
        except MeshClientError as error:
            say(f"{error.reason}: {error}")
            return FAILED
    return 0


NEXT = """
Where to look next
  meshctl backtest ls              the runs, this one among them   (.venv/bin/meshctl)
  meshctl backtest show ID         metrics and equity; `tearsheet ID` makes a page of charts
  meshctl strategy ls              the strategies that ship; `strategy add my.py` adds yours
  meshctl data ls                  what the catalog holds; `data import my.csv` adds yours
  meshctl md watch sample-replay EUR/USD.SIM:quotes     live quotes; `md book sample-replay
                                   BTCUSDT-PERP.SIM --watch` an order book
  meshctl trader start SAMPLE-001  the trader goes on; `trader watch SAMPLE-001` shows it, `order
                                   submit` trades by hand, `halt set --all --flatten` stops it all
  meshctl md venues                the venues that feeds can connect to; `md feed add` makes one
  curl http://{address}/v1/info    the same mesh by REST
"""


def _profile(
    config: Config, secrets: Secrets, first_key: Path, latch_url: str, say: Say
) -> profiles.Profile:
    """Return the profile of this mesh; a key that was just made is shown, this once.

    We keep the key beside our other secrets, because the file of profiles is the user's.
    """
    new = first_key.read_text().strip() if first_key.exists() else ""
    if new:
        secrets.put(KEY, new)
    key = secrets.find(KEY)
    if not key:
        raise ConfigError([f"the first API key is lost from {config.data}/secrets.json: {ANOTHER}"])
    wanted = profiles.Profile(PROFILE, config.gateway, key, latch_url=latch_url)
    file = profiles.path(config.own)
    if PROFILE not in profiles.names(config.own) or _written(config) != wanted:
        profiles.write(
            PROFILE,
            config.gateway,
            key,
            latch_url=latch_url,
            default=bool(new),
            env=config.own,
        )
    if new:
        say(f"\nYour API key, shown this once: {new}\nmeshctl finds it in {file}\n")
        first_key.unlink()
    return wanted


def _written(config: Config) -> profiles.Profile:
    """Return the profile as the file has it, whatever the environment says."""
    where = {k: v for k, v in config.own.items() if k in ("MESH_CONFIG", "XDG_CONFIG_HOME")}
    return profiles.load(PROFILE, where)


async def _succeeded(mesh: MeshClient) -> bool:
    return bool(await mesh.backtests.list(states=[pb.BACKTEST_STATE_SUCCEEDED], limit=1))


async def _main_job(mesh: MeshClient) -> None:
    chosen = samples.load()
    out = Output(as_json=False)
    with run_bar(out) as progress:
        run = await mesh.backtests.run(chosen.spec, name=chosen.name, progress=progress)
    show_result(out, run.result)
    out.say(f"backtest {run.backtest_id}")
