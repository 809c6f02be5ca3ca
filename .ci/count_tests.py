"""Prints what CI's last line says: tests that passed and failed, from the reports of all runs of pytest in a directory.

Usage: count_tests.py DIRECTORY EXIT_CODE. A test that was run once more stands in a report once for each try, and a
test that fails and then cannot be cleared away stands there twice: it is one test.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

directory, code = Path(sys.argv[1]), int(sys.argv[2])
passed = failed = 0
for report in sorted(directory.glob("junit-*.xml")):
    tests: dict[tuple[str | None, str | None], set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        said = tests.setdefault((case.get("classname"), case.get("name")), set())
        said.update(found.tag for found in case)
    for said in tests.values():
        if said & {"failure", "error"}:
            failed += 1
        elif "skipped" not in said:
            passed += 1
print(f"{passed} passed, {failed or int(code != 0)} failed")
