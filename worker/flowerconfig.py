"""Flower's configuration: `celery -A worker.app flower --conf=worker/flowerconfig.py`, with the path to this file.

Flower runs this file; a name in it that is also an option of Flower sets that option. `FLOWER_BASIC_AUTH`,
`FLOWER_READ_ONLY` and `FLOWER_PORT` are settings of Lectern. Every other `FLOWER_...` variable is Flower's own and wins
over what stands here, and an option on the command line wins over both.
"""

import sys

from flower.options import default_options
from flower.views.monitor import Metrics
from tornado.web import authenticated

from shared.settings import EXAMPLES, child_environment, load_settings
from worker.task_view import show_task

BAD_CONFIGURATION = 2

# Flower reads its variables before this file, so that a plain assignment here would win over them.
OURS = {
    # Flower's default is every network of the machine.
    "address": "127.0.0.1",
    # The history is there again after a restart. A process that is killed loses what it saw in these milliseconds.
    "persistent": True,
    "state_save_interval": 10_000,
    # The tasks of many whole ingests: a shard is up to 50 pages. All are written at each save, 1 MB in 0.1 seconds.
    "max_tasks": 5_000,
    # A worker that has died stays in sight for an hour; each restart of a container leaves a name behind.
    "purge_offline_workers": 3_600,
    "tasks_columns": "name,kwargs,state,received,runtime,worker,uuid",
}

_settings = load_settings()
_environment = child_environment({})
_is_set_by_owner = {name: bool(_environment.get(f"FLOWER_{name.upper()}")) for name in OURS}
globals().update({name: value for name, value in OURS.items() if not _is_set_by_owner[name]})

format_task = show_task
port = _settings.flower_port
read_only = _settings.flower_read_only
basic_auth = [user.get_secret_value() for user in _settings.flower_basic_auth]

# With `auth`, people log in at a provider (OAuth) instead.
if not basic_auth and not default_options.auth:
    sys.stderr.write(
        "FLOWER_BASIC_AUTH: is missing, and Flower would be open to everybody who can reach it; "
        f"for example FLOWER_BASIC_AUTH={EXAMPLES['FLOWER_BASIC_AUTH']}\n"
    )
    sys.exit(BAD_CONFIGURATION)

# Flower serves them to everybody. /healthcheck stays open: it says OK and nothing else.
Metrics.get = authenticated(Metrics.get)
