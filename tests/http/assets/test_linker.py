"""Modules become bundles that do what the modules did."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from relay.http.assets.linker import LinkError, link

MODULES = {
    "js/start.js": """
/** What `import("./a.js")` in a comment says is nothing. */
import { twice, Counter } from "./lib/numbers.js";
import * as texts from "./lib/texts.js";
import {
  again as shout, // a name of its own
} from "./lib/more.js";
import "./lib/effect.js";

const half = 10 / 2; /* a division, and then a regular expression: */
const pattern = /[/*"']+/g;
const text = `a // no comment ${twice(half) /* one */} ${`nested ${"}"}`} "`;
export const result = [text, "x/*'y".replace(pattern, "-"), texts.greeting, shout("a"), Counter.made, globalThis.effects];
export async function later() {
  const { late } = await import("./late.js");
  return late();
}
""",
    "js/lib/numbers.js": """
export function twice(number) { return number * 2; }
export class Counter { static made = 0; }
""",
    "js/lib/texts.js": 'const hello = "http://hello";\nexport { hello as greeting };\nexport const unused = 1;\n',
    "js/lib/more.js": 'export { loud as again } from "./loud.js";\n',
    "js/lib/loud.js": "export const loud = (text) => `${text}!`;\n",
    "js/lib/effect.js": "globalThis.effects = (globalThis.effects ?? 0) + 1;\n",
    "js/late.js": """
import { Counter } from "./lib/numbers.js";
import "./lib/effect.js";
Counter.made += 1;
export function late() { return [Counter.made, globalThis.effects]; }
""",
}


def linked(modules: dict[str, str]) -> dict[str, str]:
    def read(path: str) -> str:
        if path not in modules:
            raise FileNotFoundError(path)
        return modules[path]

    return dict(link("js/start.js", read))


async def test_bundles_do_what_the_modules_did_and_run_each_once(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for name, program in linked(MODULES).items():
        assert "/**" not in program
        (tmp_path / name).write_text(program)
    for path, source in MODULES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source)
    # A bundle exports no names of its entry, which a page does not import: it is asked through the global object.
    (tmp_path / "js-start.js").write_text((tmp_path / "js-start.js").read_text() + "globalThis.start = _5;\n")
    said = []
    for run in (
        'await import("./js-start.js"); const start = globalThis.start;',
        'const start = await import("./js/start.js");',
    ):
        node = await asyncio.create_subprocess_exec(
            shutil.which("node") or "node",
            "--input-type=module",
            "-e",
            f"{run} console.log(JSON.stringify([start.result, await start.later(), await start.later()]));",
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(node.communicate(), 60)
        said.append(json.loads(out))
    assert said[0] == said[1] == [['a // no comment 10 nested } "', "x-y", "http://hello", "a!", 0, 1], [1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("modules", "problem"),
    [
        ({"js/start.js": 'import { a } from "./gone.js";\n'}, "js/gone.js"),
        ({"js/start.js": 'import { a } from "./b.js";\n', "js/b.js": "export const b = 1;\n"}, "exports no a"),
        ({"js/start.js": 'import "./b.js";\n', "js/b.js": 'import "./start.js";\n'}, "imports itself"),
        ({"js/start.js": 'import { a } from "library";\n'}, "not a relative path"),
        ({"js/start.js": "export default 1;\n"}, "export default"),
        ({"js/start.js": "export let a = 1;\n"}, "export let"),
        ({"js/start.js": "const a = import.meta.url;\n"}, "import.meta"),
        ({"js/start.js": 'const a = new URL("./gone.worker.js", import.meta.url);\n'}, "js/gone.worker.js"),
        ({"js/start.js": "const a = `never ends;\n"}, "does not end"),
    ],
)
def test_what_cannot_be_linked_is_an_error_that_says_why(modules: dict[str, str], problem: str) -> None:
    with pytest.raises(LinkError, match=problem):
        linked(modules)


def test_a_worker_has_a_bundle_of_its_own_beside_that_of_the_page() -> None:
    bundles = linked(
        {
            "js/start.js": """
import { shared } from "./shared.js";
export const start = () => new Worker(new URL("./draw.worker.js", import.meta.url), { type: "module", name: shared });
""",
            "js/draw.worker.js": """
import { shared } from "./shared.js";
const DATA = new URL("../vendor/data.wasm", import.meta.url);
postMessage([shared, `${DATA}`]);
""",
            "js/shared.js": 'export const shared = "said by both";\n',
        }
    )
    assert list(bundles) == ["js-start.js", "js-draw.worker.js"]
    assert 'new URL("./js-draw.worker.js", import.meta.url)' in bundles["js-start.js"]
    worker = bundles["js-draw.worker.js"]
    assert "said by both" in worker and "import {" not in worker, "it shares nothing with the page"
    # Bundles are at assets/VERSION/, below the files.
    assert 'new URL("../../vendor/data.wasm", import.meta.url)' in worker
