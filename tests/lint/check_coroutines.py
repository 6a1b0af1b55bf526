#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HACKING.md's rules about coroutines: the forms that g++ 12 miscompiles, and those whose references dangle."""
import bisect
import pathlib
import re
import sys

sys.dont_write_bytecode = True
import sources  # noqa: E402

NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-zA-Z_])\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL,
)
KEYWORD = re.compile(r"\bco_(await|return|yield)\b")
# What may stand before co_await in its statement: nothing, a cast to void, a new variable, an assignment to an old one.
BEFORE_AWAIT = re.compile(r"(\(void\)|(const )?[\w:<>, *]*\bauto&{0,2} \w+ = |[\w:<>, *&]+ \w+ = |[\w.>\-]+ = )?")
TASK_FUNCTION = re.compile(r"\bTask<")
CLASS_HEAD = re.compile(r"\b(struct|class|union)\b[^;{}()]*$")
# These refer to what the caller has, without a sign of it.
VIEW = re.compile(r"\b(std::)?(string_view|span<|FunctionRef<)")


def blank(text):
    """The text with comments and literals replaced by spaces of the same length, so that places stay what they are."""
    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group())
    return NOT_CODE.sub(spaces, text)


def matching(text, at, pair):
    """The place of the bracket that closes the one at `at`; -1 when there is none."""
    depth = 0
    for place in range(at, len(text)):
        if text[place] == pair[0]:
            depth += 1
        elif text[place] == pair[1]:
            depth -= 1
            if depth == 0:
                return place
    return -1


def split(parameters):
    """A parameter list, cut at the commas that are not inside of brackets."""
    depth, start, parts = 0, 0, []
    for place, letter in enumerate(parameters):
        depth += letter in "(<{["
        depth -= letter in ")>}]" and parameters[place - 1] != "-"
        if letter == "," and depth == 0:
            parts.append(parameters[start:place])
            start = place + 1
    return [part.strip() for part in [*parts, parameters[start:]] if part.strip()]


def lambdas(text):
    """(captures, first place of the body, last place of the body) of each lambda."""
    for match in re.finditer(r"(?<![\w)\]\[])\s*\[(?!\[)", text):
        at = match.end() - 1
        if re.search(r"\b(?!return|co_return|co_await|case)\w+\s*$|[)\]]\s*$", text[max(0, at - 40):at]):
            continue # a subscript
        close = matching(text, at, "[]")
        head = re.match(r"\s*(<[^{}]*?>)?\s*", text[close + 1:])
        place = close + 1 + head.end()
        if text[place:place + 1] == "(":
            place = matching(text, place, "()") + 1
        body = re.match(r"[^;{}()]*\{", text[place:])
        if close >= 0 and body:
            first = place + body.end() - 1
            yield text[at + 1:close].strip(), first, matching(text, first, "{}")


def enclosing_lambda(text, found, place):
    """The lambda that the keyword at `place` makes a coroutine of; none when a class stands in between."""
    inner = None
    for captures, first, last in found:
        if first < place < last and (inner is None or first > inner[1]):
            inner = (captures, first, last)
    if inner is None:
        return None
    for opened in (match.start() for match in re.finditer(r"\{", text[inner[1] + 1:place])):
        opened += inner[1] + 1
        if matching(text, opened, "{}") > place and CLASS_HEAD.search(text[inner[1] + 1:opened]):
            return None
    return inner


def statement(text, place):
    """What stands before the keyword at `place` in its statement, and what comes after it."""
    start = max(text.rfind(letter, 0, place) for letter in ";{}") + 1
    label = re.match(r"\s*(case (?:[^:]|::)+|default):\s", text[start:place])
    start += label.end() if label else 0
    end = text.find(";", place)
    return re.sub(r"\s+", " ", text[start:place]).lstrip(), text[place:end]


def reference_faults(text):
    """(place, what is wrong) of each parameter by which a coroutine could refer to a temporary."""
    for match in TASK_FUNCTION.finditer(text):
        close = matching(text, match.end() - 1, "<>")
        name = re.match(r"\s*(?:[\w<>]+::)*(\w+)\(", text[close + 1:])
        if close < 0 or not name:
            continue
        opened = close + name.end()
        for parameter in split(text[opened + 1:matching(text, opened, "()")]):
            parameter = parameter.split(" = ")[0]
            if re.match(r"const\b[^&]*&|[^&]*&&|.* const&", parameter) or VIEW.search(parameter):
                yield opened, f'"{parameter}" of {name.group(1)}() may refer to what is gone when the coroutine goes on: take a value, or a pointer or mutable reference to what outlives it'


def check_text(path, original):
    text = blank(original)
    if "Task<" not in text and not KEYWORD.search(text):
        return []
    lines = [match.start() for match in re.finditer("\n", text)]
    found = list(lambdas(text))
    faults = []

    def tell(place, what):
        faults.append(f"{path}:{bisect.bisect_left(lines, place) + 1}: {what}")

    for match in KEYWORD.finditer(text):
        place = match.start()
        if text[:place].endswith("operator "):
            continue
        around = enclosing_lambda(text, found, place)
        if around and around[0]:
            tell(place, f"a lambda that captures ({around[0]}) is a coroutine, and its captures die before it does: write a function")
        if match.group(1) != "await":
            continue
        before, after = statement(text, place)
        braced = "}" in after and "{" not in after[:after.find("}")]
        if braced or not BEFORE_AWAIT.fullmatch(before):
            tell(place, "co_await stands inside an expression, which g++ 12 may miscompile: write auto x = co_await ...; first")
        elif "{" in re.sub(r"\bmilliseconds\{", "(", after):  # a span of time is no aggregate
            tell(place, "a temporary is made in the call that is awaited, which g++ 12 may miscompile: make it a named local first")
    for place, what in reference_faults(text):
        tell(place, what)
    return faults


def check(root):
    faults = []
    for path in sources.code_files(root):
        faults += check_text(path, (pathlib.Path(root) / path).read_text())
    return faults


if __name__ == "__main__":
    wrong = check(sys.argv[1])
    print("\n".join(wrong) or "all coroutines keep the rules")
    sys.exit(1 if wrong else 0)
