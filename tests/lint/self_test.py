#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each check finds a planted fault, and nothing in a tree without one."""
import contextlib
import io
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import check_coroutines  # noqa: E402
import check_files  # noqa: E402
import check_includes  # noqa: E402
import check_matrix  # noqa: E402
import check_packages  # noqa: E402
import check_pairs  # noqa: E402
import run_tool  # noqa: E402

LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"
HEADER = LICENCE + "#pragma once\n"


class Tree(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        for folder in ("base", "protocol", "cache", "lib", "daemon"):
            self.write(f"{folder}/a.hpp", HEADER)
        self.write("lib/sluice.h", LICENCE)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def faults_of(self, check, path, text):
        self.write(path, text)
        return [fault for fault in check.check(self.root) if fault.startswith(path)]


class Includes(Tree):
    def assert_fault(self, path, include):
        self.assertEqual(len(self.faults_of(check_includes, path, LICENCE + include + "\n")), 1, (path, include))

    def assert_fine(self, path, include):
        self.assertEqual(self.faults_of(check_includes, path, LICENCE + include + "\n"), [], (path, include))

    def test_arrows(self):
        self.assert_fault("protocol/x.cpp", '#include "cache/a.hpp"')
        self.assert_fault("cache/x.cpp", '#  include "daemon/a.hpp"')
        self.assert_fault("base/x.cpp", '#include "protocol/a.hpp"')
        self.assert_fault("tools/x.cpp", '#include "daemon/a.hpp"')
        self.assert_fault("tests/unit/cache/test_x.cpp", '#include "protocol/a.hpp"')
        self.assert_fine("daemon/x.cpp", '#include "cache/a.hpp"')
        self.write("fetcher/image_target.hpp", "")
        self.assert_fine("tools/x.cpp", '#include "fetcher/image_target.hpp"')
        self.assert_fault("daemon/image/x.cpp", '#include "fetcher/image_target.hpp"')
        self.assert_fine("cache/x.cpp", '#include "base/a.hpp"')
        self.assert_fine("tests/unit/cache/test_x.cpp", '#include "cache/a.hpp"')
        self.assert_fine("tests/integration/test_x.cpp", '#include "daemon/a.hpp"')

    def test_rooms_of_the_daemon(self):
        for room in ("blob", "image"):
            self.write(f"daemon/{room}/b.hpp", "")
        self.assert_fine("daemon/image/x.cpp", '#include "daemon/blob/b.hpp"')
        self.assert_fine("daemon/x.cpp", '#include "daemon/image/b.hpp"')
        self.assert_fault("daemon/blob/x.cpp", '#include "daemon/image/b.hpp"')
        self.assert_fault("daemon/blob/x.cpp", '#include "daemon/a.hpp"')
        self.assert_fault("daemon/attic/x.cpp", '#include "daemon/blob/b.hpp"')

    def test_of_lib_only_the_c_header(self):
        self.assert_fault("cache/x.cpp", '#include "lib/a.hpp"')
        self.assert_fine("cache/x.cpp", '#include "lib/sluice.h"')
        self.assert_fine("lib/x.cpp", '#include "lib/a.hpp"')

    def test_own_headers_are_named_by_folder(self):
        self.assert_fault("cache/x.cpp", '#include "a.hpp"')
        self.assert_fault("cache/x.cpp", '#include "cache/not-there.hpp"')

    def test_fences(self):
        for header in ("systemd/sd-event.h", "sqlite3.h", "curl/curl.h", "openssl/evp.h", "microhttpd.h", "CLI/CLI.hpp",
                       "nlohmann/json.hpp", "tl/expected.hpp", "gtest/gtest.h", "benchmark/benchmark.h"):
            self.assert_fault("protocol/x.cpp", f"#include <{header}>")
        self.assert_fault("cache/x.cpp", "#include <linux/cachefiles.h>")
        self.assert_fine("cache/x.cpp", "#include <sqlite3.h>")
        self.assert_fine("tests/unit/cache/test_x.cpp", "#include <gtest/gtest.h>")
        self.assert_fine("tests/unit/cache/test_x.cpp", "#include <sqlite3.h>")
        self.assert_fault("tests/unit/cache/test_x.cpp", "#include <curl/curl.h>")
        self.assert_fine("tests/support/fake.cpp", "#include <openssl/ssl.h>")
        self.assert_fine("protocol/x.cpp", "#include <fmt/format.h>")
        self.assert_fine("protocol/x.cpp", "#include <vector>")

    def test_mutexes(self):
        for header in ("mutex", "shared_mutex", "condition_variable"):
            self.assert_fault("cache/x.cpp", f"#include <{header}>")
            self.assert_fault("tests/support/x.cpp", f"#include <{header}>")
            self.assert_fine("base/mutex.hpp", f"#include <{header}>")


class Coroutines(unittest.TestCase):
    def faults(self, body, head="Task<int> f(EventLoop& loop, std::string name)"):
        return check_coroutines.check_text("x.cpp", head + "\n{\n" + body + "\n}\n")

    def assert_fault(self, *text):
        self.assertEqual(len(self.faults(*text)), 1, text)

    def assert_fine(self, *text):
        self.assertEqual(self.faults(*text), [], text)

    def test_one_await_a_statement(self):
        for body in ("co_await f(a);", "(void)co_await f(a);", "auto x = co_await f(std::move(a));", "const int x = co_await f(a, b);",
                     "x = co_await f(a);", "job->x_ = co_await f(a);", "const auto& x = co_await f(a);",
                     "const Result<std::vector<int>> x = co_await f(a);", "co_await sleep_for(loop, milliseconds{1});",
                     "if (a) {\n    co_await f(a);\n}", "case A::kOne:\n    co_await f(a);", "// return co_await f(a);"):
            self.assert_fine(body)
        for body in ("co_return co_await f(a);", "return co_await f(a);", "if (co_await f(a)) {}", "while (!co_await f(a)) {}",
                     "g(co_await f(a));", "auto x = g(co_await f(a));", "X x{co_await f(a)};", "auto x = 1 + co_await f(a);",
                     "auto x = *co_await f(a);", "*x = co_await f(a);", "auto x = a ? co_await f(a) : b;", "if (a) co_await f(a);",
                     "for (auto& x : co_await f(a)) {}"):
            self.assert_fault(body)

    def test_named_arguments(self):
        for body in ("auto x = co_await f(Range{0, 1});", "co_await f({0, 1});", "auto x = co_await pool.run(loop, [] { return 1; });"):
            self.assert_fault(body)

    def test_references(self):
        for parameter in ("std::string name", "EventLoop& loop", "Job* job", "std::reference_wrapper<const Job> job", "Task<int> inner",
                          "std::function<void(const Job&)> done", "std::map<int, const char*> names", "const char* file = here()"):
            self.assert_fine("co_return 1;", f"Task<Result<int>> A::f(int a, {parameter})")
        for parameter in ("const std::string& name", "std::string const& name", "Job&& job", "std::string_view name", "const Job &job",
                          "std::span<const std::byte> bytes", "std::optional<std::string_view> name"):
            self.assert_fault("co_return 1;", f"Task<Result<int>> A::f(int a, {parameter}, int b)")
            self.assertEqual(len(check_coroutines.check_text("x.hpp", f"    [[nodiscard]] Task<void> f(\n        {parameter}\n    );\n")), 1)

    def test_lambdas(self):
        self.assert_fault("auto g = [a]() -> Task<void> { co_await f(a); };")
        self.assert_fault("auto g = [&](int b) mutable -> Task<int> { if (b) { co_return 1; } };")
        self.assert_fault("x[1] = [this] { co_return; };")
        self.assert_fine("auto g = [](int a) -> Task<void> { co_await f(a); };")
        self.assert_fine("auto g = [a] { return f(a); };\nco_await g();")
        self.assert_fine("int y[3];\ny[a](1) = 1;\n{\n    co_await f(y);\n}")
        self.assert_fine("run([&] { struct A { static Task<void> f(int a) { co_await g(a); } }; });")

    def test_place(self):
        self.assertTrue(self.faults("int a;\n/* two\nlines */ co_return co_await f(a);")[0].startswith("x.cpp:5: "))


class Pairs(Tree):
    def faults(self, path, text):
        return self.faults_of(check_pairs, path, LICENCE + text)

    def test_names(self):
        self.write("cache/store.hpp", HEADER)
        own = '#include "cache/store.hpp"\n'
        self.assertEqual(self.faults("cache/store.cpp", own), [])
        self.assertEqual(self.faults("cache/store_open.cpp", '#include "base/a.hpp"\n' + own), [])
        self.assertEqual(len(self.faults("cache/store.cpp", '#include "base/a.hpp"\n' + own)), 1)
        self.assertEqual(len(self.faults("cache/open_store.cpp", own)), 1)
        self.assertEqual(len(self.faults("cache/storekeeper.cpp", own)), 1)
        self.assertEqual(self.faults("cache/main.cpp", "int main()\n{}\n"), [])
        self.assertEqual(self.faults("tests/unit/cache/test_store.cpp", own), [])
        self.assertEqual(len(self.faults("tests/support/fake.cpp", own)), 1)
        self.assertEqual(self.faults("lib/sluice_error.cpp", '#include "lib/sluice.h"\n'), [])


class Files(Tree):
    def test_size(self):
        self.assertTrue(self.faults_of(check_files, "base/x.cpp", LICENCE + "\n" * 400))
        self.assertFalse(self.faults_of(check_files, "base/x.cpp", LICENCE + "\n" * 399))
        self.assertTrue(self.faults_of(check_files, "base/x.hpp", HEADER + "\n" * 199))
        self.assertFalse(self.faults_of(check_files, "base/x.hpp", HEADER + "\n" * 198))

    def test_licence(self):
        self.assertTrue(self.faults_of(check_files, "base/x.cpp", "int x;\n"))
        self.assertTrue(self.faults_of(check_files, "base/meson.build", "lib = 1\n"))
        self.assertTrue(self.faults_of(check_files, "try", "#!/usr/bin/env bash\necho\n"))
        self.assertFalse(self.faults_of(check_files, "try", "#!/usr/bin/env bash\n" + LICENCE.replace("//", "#")))

    def test_examples_fit_a_terminal(self):
        page = "text that is as long as it likes, {}\n\n```\n{}\n```\n"
        self.assertFalse(self.faults_of(check_files, "man/x.1.scd", page.format("x" * 200, "x" * 69)))
        self.assertTrue(self.faults_of(check_files, "man/x.1.scd", page.format("", "x" * 70)))
        self.assertTrue(self.faults_of(check_files, "man/x.1.scd", page.format("", "\t" + "x" * 62)))

    def test_guard(self):
        self.assertTrue(self.faults_of(check_files, "base/x.hpp", LICENCE + "int x;\n"))

    def test_marks(self):
        for mark in ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"):
            self.assertTrue(self.faults_of(check_files, "base/x.cpp", f"{LICENCE}// {mark}: later\n"), mark)
        self.assertFalse(self.faults_of(check_files, "base/x.cpp", LICENCE + "// todos and hacks are words too\n"))

    def test_clean_tree(self):
        self.assertEqual(check_files.check(self.root) + check_includes.check(self.root), [])


class Packages(Tree):
    def faults(self, listing, page):
        self.write("packaging/apt-packages", listing)
        self.write("docs/dependencies.md", page)
        return check_packages.check(self.root)

    def test_agreement(self):
        self.assertEqual(self.faults("# a\ng++ build it compiles\n", "`g++`"), [])
        self.assertEqual(len(self.faults("g++ build it compiles\n", "nothing")), 1)
        self.assertEqual(len(self.faults("g++\n", "`g++`")), 1)
        self.assertEqual(len(self.faults("g++ build it compiles\n", "| `g++`, `gone` | why, and `not this` |\n")), 1)
        self.assertEqual(len(self.faults("g++ build one\ng++ test two\n", "`g++`")), 1)


class Matrix(Tree):
    def faults(self, cells):
        self.write("tests/vm/meson.build", "guest_matrix = {\n    # name\n    'one': [60, ['6.1'], ['6.12']],\n}\n"
                   "cache_disks = {\n    'cache-disk xfs': [['6.1'], []],\n}\n")
        self.write("tests/native/meson.build", "foreach name : ['two']\n")
        self.write("docs/testing.md", "\n".join(["| stage |", "| --- |", "| `x` |", "", "| scenario | native | 6.12 | 6.1 | why |",
                                                 "| --- | --- | --- | --- | --- |", *cells]))
        return check_matrix.check(self.root)

    def test_agreement(self):
        rows = ["| `one` | | n | x | all |", "| `two` | x | | | us |", "| `cache-disk xfs` | | | x | disks |"]
        self.assertEqual(self.faults(rows), [])
        self.assertEqual(len(self.faults(rows[1:])), 2)
        self.assertEqual(len(self.faults([*rows[:2], "| `cache-disk xfs` | x | | x | disks |"])), 1)
        self.assertEqual(len(self.faults([*rows, "| `three` | x | | | gone |"])), 1)
        self.assertEqual(len(self.faults(["| `one` | | x | x | all |", *rows[1:]])), 2)


class Tools(Tree):
    def result(self, tool, path, text):
        self.write(".clang-format", "BasedOnStyle: LLVM\n")
        self.write(path, text)
        with contextlib.redirect_stdout(io.StringIO()):
            return run_tool.run(tool, self.root)

    @unittest.skipUnless(shutil.which("clang-format"), "clang-format is not installed")
    def test_clang_format(self):
        self.assertEqual(self.result("clang-format", "base/x.cpp", LICENCE + "int x;\n"), 0)
        self.assertEqual(self.result("clang-format", "base/x.cpp", LICENCE + "int   x ;\n"), 1)

    @unittest.skipUnless(shutil.which("shellcheck"), "shellcheck is not installed")
    def test_shellcheck(self):
        self.assertEqual(self.result("shellcheck", "try", "#!/usr/bin/env bash\necho hello\n"), 0)
        self.assertEqual(self.result("shellcheck", "try", '#!/usr/bin/env bash\ncd "$1"\n'), 1)


if __name__ == "__main__":
    unittest.main()
