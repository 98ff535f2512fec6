"""Who may import whom: the table of the design, held against every import statement in the tree."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gateway", "model_server", "model_export", "deploy")
MOST_MODULES = 15  # of a folder, besides its __init__

# Part -> what of the project it may import, besides itself: parts, or single modules. A part is the longest prefix of a
# module's name in this table. A package that names itself wires its parts, and may import them all.
LEAVES = {
    *("gateway.access.key_text", "gateway.call", "gateway.deadline", "gateway.durations", "gateway.errors"),
    "gateway.telemetry",
}

SERVER_LEAVES = {f"model_server.{name}" for name in ("config", "flags", "logs", "messages", "status", "tensors", "wire")}

EXPORT_LEAVES = {f"model_export.{name}" for name in ("errors", "request_examples", "termination", "versions")}
EXPORT = {"model_export.saved_model", "model_export.diagnosis", *EXPORT_LEAVES}
EXPORT_TOOLS = {f"model_export.{name}" for name in ("console", "model_config", "models", "models_dir", "runtime")}

LOG = {"gateway.prediction_log", "gateway.prediction_log.row", "gateway.prediction_log.sinks"}

ROLLOUT = {"gateway.rollout", "gateway.rollout.plan", "gateway.rollout.evidence"}

API = {"gateway.api", "gateway.api.samples", "gateway.codec", "gateway.inference", *LEAVES}
"""What a dialect may import: no other dialect, and no documentation."""

MAY_IMPORT = {
    "gateway.errors": set(),
    "gateway.durations": set(),
    "gateway.deadline": {"gateway.errors"},
    "gateway.call": {"gateway.errors", "gateway.deadline", "gateway.telemetry"},
    "gateway.access.key_text": set(),  # whoever writes something asks it to hide keys
    "gateway.telemetry": {"gateway.access.key_text", "gateway.errors"},
    "gateway.telemetry.reading": set(),
    "gateway.certificates": set(),
    "gateway.locked_file": set(),
    "gateway.serving_tls": {"gateway.certificates"},
    "gateway.server": {"gateway.certificates", *LEAVES},
    "gateway.cache_setting": set(),
    "gateway.container_contract": set(),
    "gateway.settings": {
        "gateway.backend.servers.target",
        "gateway.cache_setting",
        "gateway.container_contract",
        "gateway.serving_tls",
        "gateway.access.limits",
        "gateway.database",
        "gateway.prediction_log",
        "gateway.tracing",
    },
    "gateway.shown_settings": {"gateway.access.key_text", "gateway.settings"},
    "gateway.access.limits": LEAVES,
    "gateway.inference": LEAVES,
    "gateway.inference.batching": {"gateway.inference", *LEAVES},
    "gateway.inference.caching": {"gateway.inference", *LEAVES},
    "gateway.inference.predictor": {"gateway.inference", "gateway.inference.caching", *LEAVES},
    "gateway.inference.example_rows": {"gateway.inference", "gateway.inference.batching", *LEAVES},
    "gateway.backend": {
        "gateway.backend.channel",
        "gateway.backend.text_format",
        "gateway.certificates",
        "gateway.inference",
        "gateway.locked_file",
        "gateway.serving_tls",
        *LEAVES,
    },
    "gateway.backend.channel": {"gateway.serving_tls"},
    "gateway.backend.servers.target": set(),
    "gateway.backend.servers": {
        "gateway.backend",
        "gateway.backend.channel.reasons",
        "gateway.backend.servers.target",
        "gateway.inference",
        "gateway.serving_tls",
        *LEAVES,
    },
    "gateway.backend.text_format": set(),
    "gateway.access": {"gateway.access.limits", "gateway.locked_file", *LEAVES},
    "gateway.codec": {"gateway.inference.dtypes", "gateway.inference.signature", *LEAVES},
    "gateway.api": {"gateway.codec", "gateway.inference", *LEAVES},
    "gateway.api.feedback": {"gateway.api", "gateway.codec", "gateway.prediction_log", "gateway.prediction_log.row", *LEAVES},
    "gateway.api.samples": {"gateway.codec", "gateway.inference"},
    "gateway.api.advice": API,
    "gateway.api.tfserving": {"gateway.api.advice", "gateway.inference.predictor", *API},
    "gateway.api.openinference": {"gateway.api.advice", "gateway.inference.predictor", *API},
    "gateway.api.simple": {"gateway.api.advice", "gateway.inference.predictor", "gateway.inference.example_rows", *API},
    "gateway.api.custom_container": {"gateway.container_contract", *API},
    "gateway.api.docs": {
        *(f"gateway.api.{room}" for room in ("advice", "tfserving", "openinference", "simple", "custom_container")),
        "gateway.container_contract",
        *API,
    },
    "gateway.prediction_log.row": set(),
    "gateway.prediction_log.sinks": {"gateway.database", "gateway.prediction_log.row"},
    "gateway.prediction_log": {"gateway.prediction_log.row", "gateway.prediction_log.sinks", "gateway.inference", *LEAVES},
    "gateway.prediction_log.offline": set(),
    "gateway.prediction_log.offline.tables": {"gateway.prediction_log.offline", "gateway.inference", *LOG},
    "gateway.prediction_log.offline.records": {
        "gateway.prediction_log.offline",
        "gateway.backend",
        "gateway.inference",
        *LOG,
        *LEAVES,
    },
    "gateway.prediction_log.offline.replay": {
        "gateway.prediction_log.offline",
        "gateway.backend",
        "gateway.backend.servers",
        "gateway.backend.servers.target",
        "gateway.inference",
        "gateway.inference.batching",
        "gateway.serving_tls",
        *LEAVES,
    },
    "gateway.prediction_log.offline.drift": {"gateway.prediction_log.offline"},
    "gateway.prediction_log.offline.commands": {
        *(f"gateway.prediction_log.offline{room}" for room in ("", ".tables", ".records", ".replay", ".drift")),
        "gateway.backend.servers.target",
        "gateway.serving_tls",
        "gateway.settings",
        *LOG,
    },
    "gateway.database": set(),
    "gateway.rollout.plan": set(),
    "gateway.rollout.evidence": {"gateway.rollout.plan"},
    "gateway.rollout": {"gateway.rollout.plan", "gateway.rollout.evidence", "gateway.inference", *LEAVES},
    "gateway.rollout.store": {"gateway.database", *ROLLOUT, *LEAVES},
    "gateway.rollout.live": {
        "gateway.access.limits",
        "gateway.inference",
        "gateway.inference.caching.key",  # by which inputs are equal
        "gateway.inference.predictor",
        *ROLLOUT,
        *LEAVES,
    },
    "gateway.rollout.control": {
        "gateway.backend",
        "gateway.backend.servers",
        "gateway.inference",
        "gateway.locked_file",
        "gateway.rollout.live",
        "gateway.rollout.store",
        "gateway.serving_tls",
        *ROLLOUT,
        *LOG,
        *LEAVES,
    },
    "gateway.rollout.commands": {"gateway.rollout.store", "gateway.settings", *ROLLOUT, *LEAVES},
    "gateway.api.console": {"gateway.api", "gateway.api.tfserving", "gateway.inference", *ROLLOUT, *LEAVES},
    "gateway.api.console.recent": {
        "gateway.api",
        "gateway.api.console",
        "gateway.inference",
        "gateway.telemetry.reading",
        *LEAVES,
    },
    "gateway.api.admin": {"gateway.access", "gateway.api", "gateway.rollout.store", *LOG, *ROLLOUT, *LEAVES},
    "gateway.tracing": LEAVES,
    "gateway.tracing.sinks": {"gateway.tracing"},
    "gateway.parts": {
        "gateway.access",
        "gateway.access.limits",
        "gateway.api",
        "gateway.api.admin",
        "gateway.api.console",
        "gateway.api.console.recent",
        "gateway.api.tfserving",
        "gateway.backend",
        "gateway.backend.servers",
        "gateway.backend.servers.target",
        "gateway.database",
        "gateway.inference",
        "gateway.inference.predictor",
        "gateway.prediction_log",
        "gateway.prediction_log.sinks",
        "gateway.rollout.control",
        "gateway.rollout.live",
        "gateway.rollout.store",
        *ROLLOUT,
        "gateway.serving_tls",
        "gateway.settings",
        "gateway.tracing",
        "gateway.tracing.sinks",
        *LEAVES,
    },
    "gateway": {"gateway"},
    **dict.fromkeys(SERVER_LEAVES, SERVER_LEAVES),
    "model_server.session": SERVER_LEAVES,
    "model_server.batching": {"model_server.session", *SERVER_LEAVES},
    "model_server.versions": SERVER_LEAVES,
    "model_server.requests": {"model_server.session", "model_server.versions", *SERVER_LEAVES},
    "model_server.core": {"model_server.session", "model_server.versions", *SERVER_LEAVES},
    "model_server.network": {"model_server.core", "model_server.session", "model_server.requests", *SERVER_LEAVES},
    "model_server": {"model_server"},
    **dict.fromkeys(EXPORT_LEAVES, EXPORT_LEAVES),
    "model_export.diagnosis": EXPORT_LEAVES,
    "model_export.saved_model": {"model_export.diagnosis", *EXPORT_LEAVES},
    "model_export.sampling": EXPORT,
    "model_export.checking": {"model_export.sampling", *EXPORT},
    "model_export.publishing": {"model_export.checking", "model_export.sampling", *EXPORT},
    "model_export.sources": {"model_export.publishing", *EXPORT},
    "model_export.examples": {"model_export.sources", *EXPORT},  # and not the reverse: an example is found by its name
    **dict.fromkeys(EXPORT_TOOLS, EXPORT_LEAVES),
    "model_export.listing": {"model_export.checking", *EXPORT},
    "model_export.rollouts": {"model_export.model_config", "model_export.models_dir", *EXPORT_LEAVES},
    "model_export.commands": {
        *(f"model_export.{room}" for room in ("checking", "listing", "publishing", "rollouts", "sampling", "sources")),
        *EXPORT_TOOLS,
        *EXPORT,
    },
    "model_export": {"model_export"},
    # The runner writes the server's config file: the one message that it needs is loaded without TensorFlow there. A container
    # checks the gateway's settings before it starts anything.
    "deploy": {"gateway.backend", "gateway.settings"},
    "deploy.observability": {"deploy.observability.rows"},
    "deploy.observability.rows": set(),
}

OFFLINE = {f"gateway.prediction_log.offline.{room}" for room in ("tables", "replay", "drift", "commands")}
ROUTES = {"gateway.api.tfserving", "gateway.api.openinference", "gateway.api.simple", "gateway.api.docs"}
MODEL_SERVER = {part for part in MAY_IMPORT if part.split(".")[0] == "model_server"}
MODEL_EXPORT = {part for part in MAY_IMPORT if part.split(".")[0] == "model_export"}

# Third-party package -> the parts that may import it.
HOME = {
    "flask": {"gateway.api", "gateway"},
    "werkzeug": {
        "gateway.api",
        "gateway.api.console",
        "gateway.api.docs",
        "gateway.server",
    },  # in the server for gateway/server/front.py only
    "marshmallow": {
        "gateway.api",
        "gateway.api.admin",
        "gateway.api.openinference",
        "gateway.settings",
        "gateway.cache_setting",
        "gateway.prediction_log",
    },
    "sqlalchemy": {"gateway.database", "gateway.prediction_log.sinks", "gateway.rollout.store"},
    "grpc": {"gateway.backend", "gateway.backend.channel", *MODEL_SERVER},
    "google": {"gateway.backend", *MODEL_SERVER, *MODEL_EXPORT, "deploy"},
    "tensorflow": {"gateway.backend", *MODEL_SERVER, *MODEL_EXPORT},
    "tensorflow_serving": {"gateway.backend", *MODEL_SERVER, *MODEL_EXPORT},
    "gunicorn": {"gateway.server"},
    "httptools": {"gateway.server"},
    "uvloop": {"gateway.server"},
    "prometheus_client": {"gateway.telemetry", "gateway.telemetry.reading", "gateway.api", "gateway", *MODEL_SERVER},
    "orjson": {
        "gateway.codec",
        "gateway.api",
        "gateway.api.admin",
        "gateway.api.console",
        "gateway.api.console.recent",
        *ROUTES,
        "gateway.telemetry",
        "gateway.prediction_log",
        "gateway.tracing.sinks",
        *OFFLINE,
    },
    "opentelemetry": {"gateway.tracing.sinks"},
    "requests": {"gateway.tracing.sinks"},
    "urllib3": {"gateway.tracing.sinks"},
    "redis": {"gateway.access.limits"},
    "cachetools": {"gateway.inference.caching"},
    "flask_swagger_ui": {"gateway.api.docs"},
    "structlog": {"gateway.telemetry", *MODEL_SERVER},
    "click": {
        "gateway",
        "gateway.access",
        "gateway.prediction_log",
        "gateway.prediction_log.offline",
        "gateway.prediction_log.offline.commands",
        "gateway.rollout.commands",
        "model_export",
        "model_export.commands",
        "model_export.console",
        "deploy.observability",
    },
    "PIL": {"deploy.observability"},
    "pyarrow": {"gateway.prediction_log.offline.tables", "gateway.prediction_log.offline.drift"},
}


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def part_of(module: str) -> str:
    return max((part for part in MAY_IMPORT if module == part or module.startswith(part + ".")), key=len)


def imports(path: Path) -> set[str]:
    """Every module that the file imports, as absolute names; a relative import is an error by the linter's rules."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in MODULES else str(node.module))
    return names


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_part_may(module):
    own = part_of(module)
    allowed = MAY_IMPORT[own] | {own}
    for name in imports(MODULES[module]):
        package = name.split(".")[0]
        if package in PACKAGES and not (own in PACKAGES and package in MAY_IMPORT[own]):
            assert allowed & {part_of(name), name}, f"{module} imports {name}"
        homes = HOME.get(name.split(".")[0])
        assert homes is None or own in homes, f"{module} imports {name}, whose home is {sorted(homes)}"


def first_circle(graph: dict[str, set[str]]) -> list[str]:
    """The first path that ends where it began; empty if there is none."""
    done: set[str] = set()

    def visit(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        for following in sorted(graph[node] if node not in done else ()):
            circle = visit(following, [*trail, node])
            if circle:
                return circle
        done.add(node)
        return []

    return next(filter(None, (visit(node, []) for node in sorted(graph))), [])


GRAPH = {module: imports(path) & set(MODULES) for module, path in MODULES.items()}


def test_no_modules_import_each_other_in_a_circle():
    assert first_circle(GRAPH) == []


def test_no_parts_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {part: set() for part in MAY_IMPORT}
    for module, imported in GRAPH.items():
        graph[part_of(module)] |= {part_of(name) for name in imported} - {part_of(module)}
    assert first_circle(graph) == []


def test_a_circle_is_found():
    assert first_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize("package", ["gateway", "model_server", "model_export", "benchmarks", "deploy"])
def test_no_folder_holds_more_modules_than_one_sees_at_a_glance(package):
    for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
        names = sorted(path.stem for path in folder.glob("*.py") if path.name != "__init__.py")
        assert len(names) <= MOST_MODULES, f"{folder.relative_to(ROOT)} holds {len(names)}: {names}"


def test_every_folder_has_a_row():
    folders = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert folders <= set(MAY_IMPORT)


@pytest.mark.parametrize("module", [name for name, path in MODULES.items() if path.name == "__init__.py"])
def test_a_package_file_holds_a_docstring_and_nothing_else(module):
    body = ast.parse(MODULES[module].read_text()).body
    assert len(body) == 1
    assert ast.get_docstring(ast.Module(body, []))


def test_of_the_server_only_the_front_knows_wsgi():
    """Everything else of it sees calls and answers."""
    server = {name: imports(path) for name, path in MODULES.items() if name.startswith("gateway.server")}
    assert {name for name, found in server.items() if any(one.split(".")[0] == "werkzeug" for one in found)} == {
        "gateway.server.front"
    }


def test_only_the_entry_reads_the_environment_and_hands_it_to_the_settings():
    """create_app() does too, for the servers that call it without settings. A WSGI environ is something else."""
    gateway = {name: path for name, path in MODULES.items() if name.startswith("gateway")}
    readers = {name for name, path in gateway.items() if "os" in imports(path) and names_used(path) & {"environ", "getenv"}}
    assert readers == {"gateway.__main__", "gateway.app"}


def names_used(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return names | {node.id for node in nodes if isinstance(node, ast.Name)}


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_the_gateway_loads_no_tensorflow_runtime_and_stays_small():
    report = run_python(
        # Not getrusage: its peak is inherited from the test runner.
        "import gateway.app, sys; status = dict(line.split(':', 1) for line in open('/proc/self/status'));"
        "print('tensorflow.python' in sys.modules, status['VmHWM'])"
    )
    loaded, kilobytes, _ = report.split()
    assert loaded == "False"
    assert int(kilobytes) < 100_000


def test_tensorflow_can_still_be_imported_after_the_gateways_stubs():
    report = run_python(
        "import warnings; warnings.simplefilter('ignore');"
        "import gateway.backend.stubs as stubs; import tensorflow as tf;"
        "print(stubs.TensorProto is type(tf.make_tensor_proto([1.0])))"
    )
    assert report.strip() == "True"
