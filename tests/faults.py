"""Faults: what may stand in the place of what a function computes, drawn at random from the files of some rooms."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).resolve().parents[1] / "src/fiducial"

SWAPPED = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,), ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,), ast.Mod: (ast.Mult,), ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,),
    ast.And: (ast.Or,), ast.Or: (ast.And,),
}  # fmt: skip
"""Which operators stand in for which."""


class Mutant(NamedTuple):
    """One fault: from which line to which, what stood there and stands there now, and the whole module with it."""

    room: str
    path: Path
    lines: tuple[int, int]
    change: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return f"{self.path.relative_to(SOURCES)}: {self.change}"


def sites(tree: ast.Module) -> list[tuple[ast.AST, ast.AST, ast.AST]]:
    """Return what functions compute, what may stand in its place, and the statement it is in.

    Annotations and texts for people (f-strings, what is raised) are passed over.
    """
    found: list[tuple[ast.AST, ast.AST, ast.AST]] = []
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    waiting: list[tuple[ast.AST, ast.AST]] = [(line, line) for function in functions for line in function.body]
    while waiting:
        node, statement = waiting.pop()
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.JoinedStr | ast.Raise):
            found += [(node, other, statement) for other in faults(node)]
            inside = [child for child in ast.iter_child_nodes(node) if child is not getattr(node, "annotation", None)]
            waiting += [(child, child if isinstance(child, ast.stmt) else statement) for child in inside]
    return found


def faults(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in a node's place: another comparison, sum, number, connective, or value returned."""
    if isinstance(node, ast.Compare):
        for other in SWAPPED[type(node.ops[0])]:
            yield ast.Compare(node.left, [other(), *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.BinOp):
        for other in SWAPPED.get(type(node.op), ()):
            yield ast.BinOp(node.left, other(), node.right)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(SWAPPED[type(node.op)][0](), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield ast.Constant(node.value * 1.5 if node.value and type(node.value) is float else node.value + 1)
    elif isinstance(node, ast.Return) and node.value and not isinstance(node.value, ast.Constant):
        yield ast.Return(ast.Constant(None))


def mutant(room: str, path: Path, number: int) -> Mutant:
    """Return the mutant of a file with a number."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    node, other, statement = sites(tree)[number]
    before = ast.unparse(statement).split("\n")
    exchange = ast.NodeTransformer()
    exchange.visit = lambda one: other if one is node else exchange.generic_visit(one)  # type: ignore[method-assign]
    tree = ast.fix_missing_locations(exchange.visit(tree))
    after = ast.unparse(other if node is statement else statement).split("\n")
    was, now = next((a.strip(), b.strip()) for a, b in zip(before, after, strict=False) if a != b)
    same = next((k for k, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
    change = "  =>  ".join(text[max(0, same - 60) :][:120] for text in (was, now))
    return Mutant(room, path, (statement.lineno, max(statement.lineno, node.end_lineno)), change, tree)


def drawn(rooms: Mapping[str, Sequence[str]], each: int, seed: int) -> list[Mutant]:
    """Draw some mutants from every room, each as likely as any other of its room.

    Args:
        rooms: for each its files, as patterns below ``src/fiducial``.
        each: how many from each.
        seed: of the draw.
    """
    chosen = []
    for room, patterns in rooms.items():
        paths = [path for pattern in patterns for path in sorted(SOURCES.glob(pattern))]
        pool = [(p, k) for p in paths for k in range(len(sites(ast.parse(p.read_text(encoding="utf-8")))))]
        chosen += [(room, *one) for one in random.Random(f"{seed} {room}").sample(pool, each)]
    return [mutant(room, path, number) for room, path, number in chosen]
