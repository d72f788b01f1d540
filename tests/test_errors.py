"""Every refusal has a case whose words are kept, in an ``errors.json`` of a folder of tests."""

import ast
import doctest
import re

from kept_errors import PACKAGE, all_kept

# No words for a user: what a command ends with after its sentence, what a subclass has to write.
WITHOUT_WORDS = {"NotImplementedError", "typer.Exit"}
# What the package tells itself: a column that is left out, a method that is broken off.
PASSED_ON = {"LeftOut", "BrokenOffError"}
# What no input brings about, and why.
OUT_OF_REACH = {
    "cli/errors.py _stop": "passes on an error of elsewhere, for whoever looks for its place",
    "cli/signals.py _Signals.answer": "a signal, which ends the process that it comes to",
}


def raised_in(tree):
    """Qualified name of a function -> its raise statements, but for those that pass one on."""
    found = {}

    def visit(node, names):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                visit(child, [*names, child.name, "<locals>"])
            elif isinstance(child, ast.ClassDef):
                visit(child, [*names, child.name])
            else:
                if isinstance(child, ast.Raise) and child.exc is not None:
                    own = names[:-1] if names[-1:] == ["<locals>"] else names
                    found.setdefault(".".join(own), []).append(child)
                visit(child, names)

    visit(tree, [])
    return found


def words_of(node):
    """A pattern of what a raise statement says, or None: whatever its function says."""
    call = node.exc
    if not isinstance(call, ast.Call):
        return None
    patterns = [pattern for pattern in map(pattern_of, call.args) if pattern is not None]
    return max(patterns, key=len, default=None)


def pattern_of(node):
    match node:
        case ast.Constant(value=str() as text):
            return re.escape(text)
        case ast.JoinedStr(values=values):
            return "".join(pattern_of(value) or ".*" for value in values)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return (pattern_of(left) or ".*") + (pattern_of(right) or ".*")
    return None


def in_examples(tree):
    """What the examples of a module's docstrings raise, which their own run compares."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = [ast.get_docstring(n) for n in ast.walk(tree) if isinstance(n, documented)]
    examples = [one for doc in docs if doc for one in doctest.DocTestParser().get_examples(doc)]
    return [one.exc_msg for one in examples if one.exc_msg is not None]


def without_a_case(source, place, kept):
    """Lines of the raise statements of a module that no kept text is of."""
    tree = ast.parse(source)
    shown = in_examples(tree)
    for function, nodes in raised_in(tree).items():
        texts = kept.get(f"{place} {function}", [])
        for node in nodes:
            raised = ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
            if raised in WITHOUT_WORDS | PASSED_ON or f"{place} {function}" in OUT_OF_REACH:
                continue
            words = words_of(node)
            if words is None and texts:
                continue
            if not any(words and re.search(words, text, re.DOTALL) for text in (*texts, *shown)):
                yield node.lineno


def test_every_refusal_has_a_case():
    kept = all_kept()
    missing = []
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE).as_posix()
        lines = without_a_case(file.read_text("utf-8"), place, kept)
        missing += [f"jaxmtl/{place}:{line}" for line in lines]
    assert not missing, f"{len(missing)} refusals without a case:\n" + "\n".join(missing)
