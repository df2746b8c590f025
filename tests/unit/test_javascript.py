from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ingestion.site.javascript import MAX_CHARACTERS, UNKNOWN, NotReadable, Object, read_exported

#: Characters: enough to tell time in proportion from time that grows with the square.
LONG = 80_000


@pytest.mark.parametrize(
    "text",
    [
        "export default {url: 'u', n: [1, 'b', true]}",
        "module.exports = {url: 'u', n: [1, 'b', true]};",
        'module.exports = {\'url\': "u", "n": [1, `b`, true,],}',
        "const config = {url: 'u', n: [1, 'b', true]}\nexport default config",
        "const config: Config = {url: 'u', n: [1, 'b', true]};\n\nexport default config;",
        "const config: Record<string, {a: string}> = {url: 'u', n: [1, 'b', true]} as const\nmodule.exports = config",
        "export default {url: 'u', n: [1, 'b', true]} satisfies Config<A, B>;",
        "const config = {url: 'u', n: [1, 'b', true]};\nexport = config;",
        "const url = 'u', b = 'b'; const n = [1, b, true]; module.exports = {url, n}",
        "const base = {url: 'x', n: [1, 'b', true]}; export default {...base, url: 'u'}",
        "export default async function create(): Promise<Config> {\n  const u = 'u';\n"
        "  if (dev) { return {url: 'no'} }\n  return {url: u, n: [1, 'b', true]};\n}",
        "const u = process.env.URL ?? 'u'; module.exports = {url: u, n: [1, process.env.B || 'b', true]}",
        "async function create() { return {url: 'u', n: [1, 'b', true]} }\nmodule.exports = create;",
        "module.exports = async () => { return {url: 'u', n: [1, 'b', true]} };",
        "export default (): Config => ({url: 'u', n: [1, 'b', true]});",
        "const create = () => { return {url: 'u', n: [1, 'b', true]} }; module.exports = create",
        "// {url: 'no'}\n/* module.exports = {} */\nexport default { /* ' */ url: ('u'), // \"\n n: [1, 'b', true] }",
        "import x from 'y'\nimport type {C} from 'z'\nconst r = /[/'\"{]/g\n"
        "export default {url: 'u', n: [1, 'b', true]}",
    ],
)
def test_a_config_is_read_however_it_is_written(text: str) -> None:
    assert read_exported(text) == {"url": "u", "n": [1, "b", True]}


def test_what_would_have_to_be_run_is_unknown_and_its_neighbours_are_read() -> None:
    config = read_exported(
        """
        const {host} = require('./host');
        module.exports = {
          call: f({a: 1}), member: process.env.URL, either: process.env.URL || f(), sum: 'a' + 'b',
          condition: c ? {} : [],
          template: `a ${b(`}'`)} c`, arrow: (a) => ({b: a}), lambda: a => a, made: new Date(), imported: host,
          regex: /[,}]/, method() { return {a: 1} }, async load() {}, get x() { return 1 },
          list: [f(), ...more, 'last'],
          division: 4 / 2, negative: -2, hex: 0x1f, float: 1.5e3, nothing: null, missing: undefined,
          resolved: require.resolve('./sidebars.js'), last: 'read',
        }
        """
    )
    read = {key: value for key, value in config.items() if value is not UNKNOWN}
    assert read == {
        "list": [UNKNOWN, UNKNOWN, "last"], "negative": -2, "hex": 31, "float": 1500.0, "nothing": None,
        "missing": None, "resolved": "./sidebars.js", "last": "read",
    }  # fmt: skip
    assert set(config) - set(read) == {
        "call", "member", "either", "sum", "condition", "template", "arrow", "lambda", "made", "imported", "regex",
        "method", "load", "x", "division",
    }  # fmt: skip


def test_a_key_that_a_spread_may_bring_is_unknown_rather_than_missing() -> None:
    config = read_exported("export default {...imported, a: 1}")
    assert isinstance(config, Object)
    assert (config.value("a"), config.value("b")) == (1, UNKNOWN)
    assert read_exported("export default {a: 1, ['b' + c]: 2}").value("z") is UNKNOWN
    assert read_exported("export default {a: 1}").value("z") is None


def test_escapes_in_strings_mean_what_they_mean() -> None:
    assert read_exported(r"""export default {a: '\'\u00e9\x41\u{1F600}\n\\', b: "it's", c: `\``}""") == {
        "a": "'éA\U0001f600\n\\", "b": "it's", "c": "`",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "exports nothing"),
        ("const a = {url: 'u'}", "exports nothing"),
        ("export default", "not an object"),
        ("export default make({url: 'u'})", "not an object"),
        ("module.exports = 'text'", "not an object"),
        ("export default {a: [1}", "not closed"),
        ("export default {a: 1", "not closed"),
        ("export default a; const a = b; const b = a", "not an object"),
        ("x" * (MAX_CHARACTERS + 1), "larger than"),
    ],
)
def test_a_text_that_exports_no_object_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(NotReadable, match=reason):
        read_exported(text)


_PIECES = st.sampled_from(
    ["export default ", "module.exports = ", "const a = ", "const b: T = ", "function ", "async ", "return ", "=>", "a",
     "b", "{", "}", "[", "]", "(", ")", ",", ":", ";", "...", "'", '"', "`", "${", "/", "//", "/*", "*/", "\\", "\n",
     " ",
     "<", ">", "=", "-", "1", "0x", ".", "?", "as ", "satisfies ", "require.resolve(", "\ud800", "é", "\0", "_"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=300), st.lists(_PIECES, max_size=120).map("".join)))
def test_whatever_the_text_nothing_but_its_own_error_is_raised(text: str) -> None:
    for written in (text, f"export default {{{text}}}"):
        with suppress(NotReadable):
            assert isinstance(read_exported(written), Object)


@pytest.mark.parametrize(
    "repeated",
    ["{a:", "[", "(", "'\\", "'\"`", "=/[", "/*", "${`", "a,", "x as y ", "...a,", "return ", "const a: ", "<", "-",
     "\\'", "function f", "export default ", "a(", "}", "async "],
)  # fmt: skip
@pytest.mark.parametrize("start", ["", "export default {a: `", "export default {a: b as "])
def test_reading_takes_time_in_proportion_to_the_text(start: str, repeated: str) -> None:
    text = (start + repeated * LONG)[:LONG]
    started = time.monotonic()
    with suppress(NotReadable):
        read_exported(text)
    # A fifth of a second suffices; what is quadratic takes minutes.
    assert time.monotonic() - started < 10


def test_constants_that_stand_for_constants_do_not_multiply() -> None:
    chain = "".join(f"const a{n} = [a{n + 1}, a{n + 1}];" for n in range(5000))
    copies = "const o = {" + ",".join(f"k{n}: 1" for n in range(5000)) + "};"
    started = time.monotonic()
    read_exported(f"{chain}{copies}export default {{a: a0, {'...o,' * 20_000}}}")
    assert time.monotonic() - started < 10
