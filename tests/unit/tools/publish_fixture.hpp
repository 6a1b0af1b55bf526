// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"
#include "fetcher/image_source.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/tools/memory_source.hpp"
#include "tests/unit/trust/test_keys.hpp"
#include "tools/publish/publish.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>

namespace sluice::tools {

struct CommandResult {
    int status = -1;
    std::string output; ///< standard output and error
};

/// Runs a command of the test's own through the shell.
inline CommandResult run_shell(const std::string& command)
{
    CommandResult result;
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r"); // NOLINT(cert-env33-c): nothing foreign goes into it
    if (pipe == nullptr) {
        return result;
    }
    std::array<char, 512> piece{};
    while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) {
        result.output += piece.data();
    }
    result.status = ::pclose(pipe);
    return result;
}

/// A place to publish to, a source tree, and $TMPDIR in a directory that must be empty after each test.
class PublishFixture : public ::testing::Test {
protected:
    void SetUp() override
    {
        if (run_shell("command -v mkfs.erofs").status != 0) {
            GTEST_SKIP() << "mkfs.erofs is not installed";
        }
        std::filesystem::create_directory(temp());
        ::setenv("TMPDIR", temp().c_str(), 1); // NOLINT(concurrency-mt-unsafe): before any worker runs
        (void)dir_.write_private("key.pem", trust::test_keys::kP256Private);
        (void)dir_.write("key.pub", trust::test_keys::kP256Public);
        (void)dir_.write("tree/small", "hello\n");
        std::string big(3'000'000, '\0');
        for (std::size_t i = 0; i < big.size(); ++i) {
            big[i] = static_cast<char>(i * 31 + i / 977);
        }
        (void)dir_.write("tree/sub/big", big);
        std::filesystem::create_symlink("small", tree() / "link");
    }

    void TearDown() override
    {
        if (std::filesystem::exists(temp())) {
            EXPECT_TRUE(std::filesystem::is_empty(temp())) << "temporary files are left";
        }
        ::unsetenv("TMPDIR"); // NOLINT(concurrency-mt-unsafe)
    }

    [[nodiscard]] std::filesystem::path temp() const { return dir_.path() / "tmp"; }

    [[nodiscard]] std::filesystem::path tree() const { return dir_.path() / "tree"; }

    [[nodiscard]] PublishOptions options(InputKind kind, const std::filesystem::path& path) const
    {
        PublishOptions result;
        result.reference = "registry.example:5000/team/app:1";
        result.key = dir_.path() / "key.pem";
        result.architecture = "amd64";
        PublishInput input;
        input.kind = kind;
        input.path = path;
        result.inputs.push_back(input);
        return result;
    }

    [[nodiscard]] PublishOptions from_tree() const { return options(InputKind::kDirectory, tree()); }

    [[nodiscard]] Result<PublishReport> run(const PublishOptions& what)
    {
        WorkerPool workers{2};
        const PublishContext context{loop_, workers, target_, target_};
        auto report = test::run_task(loop_, publish(context, what, [this](const std::string& phase, auto, auto) {
                                         if (phases_.empty() || phases_.back() != phase) {
                                             phases_.push_back(phase);
                                         }
                                     }));
        return report ? std::move(*report) : fail(ErrorKind::kInternal, "the task did not end");
    }

    [[nodiscard]] PublishReport publish_or_fail(const PublishOptions& what)
    {
        auto report = run(what);
        EXPECT_TRUE(report) << report.error().text();
        return report ? std::move(*report) : PublishReport{};
    }

    /// The parsed document under a tag or digest of the target.
    [[nodiscard]] Json document(const std::string& tag_or_digest) const
    {
        return Json::parse(target_.manifests.at(tag_or_digest));
    }

    /// A layer's blob as a file.
    [[nodiscard]] std::filesystem::path blob_file(const Digest& digest, const std::string& name) const
    {
        return dir_.write(name, target_.blobs.at(digest.to_string()));
    }

    test::TempDir dir_;
    EventLoop loop_;
    MemorySource target_;
    std::vector<std::string> phases_;
};

} // namespace sluice::tools
