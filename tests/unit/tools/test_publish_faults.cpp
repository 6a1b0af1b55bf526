// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/tools/publish_fixture.hpp"
#include "tools/publish/subprocess.hpp"
#include "trust/simple_signing.hpp"

#include <csignal>
#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

namespace sluice::tools {
namespace {

using ::testing::HasSubstr;

class PublishFaultsTest : public PublishFixture {
protected:
    [[nodiscard]] std::string refusal(const PublishOptions& what, ErrorKind kind)
    {
        const auto report = run(what);
        EXPECT_FALSE(report);
        if (report) {
            return "published";
        }
        EXPECT_EQ(report.error().kind(), kind) << report.error().text();
        return report.error().text();
    }
};

TEST_F(PublishFaultsTest, WrongOptionsAreFoundBeforeAnythingIsDone)
{
    auto what = from_tree();
    what.reference = "registry.example/app@sha256:" + std::string(64, 'a');
    EXPECT_THAT(refusal(what, ErrorKind::kInvalid), HasSubstr("publish to a tag"));
    what = from_tree();
    what.inputs.clear();
    EXPECT_THAT(refusal(what, ErrorKind::kInvalid), HasSubstr("nothing to publish"));
    what = from_tree();
    what.key = dir_.path() / "none.pem";
    EXPECT_THAT(refusal(what, ErrorKind::kNotFound), HasSubstr("none.pem"));
    what = from_tree();
    what.separate_data = true;
    EXPECT_THAT(refusal(what, ErrorKind::kInvalid), HasSubstr("chunk size"));
    what.chunk_size = 5000;
    EXPECT_THAT(refusal(what, ErrorKind::kInvalid), HasSubstr("power of two"));
    what = from_tree();
    what.mkfs_options = {"--blobdev=/dev/null"};
    EXPECT_THAT(refusal(what, ErrorKind::kInvalid), HasSubstr("--blobdev"));
    EXPECT_TRUE(target_.steps.empty());
    EXPECT_TRUE(phases_.empty());
    EXPECT_FALSE(parse_layer_media_type("tar"));
    EXPECT_EQ(*parse_layer_media_type("containerd-2.3"), LayerMediaType::kContainerd23);
}

TEST_F(PublishFaultsTest, WhatMkfsSaysIsPartOfTheError)
{
    auto what = from_tree();
    what.mkfs_options = {"--no-such-option"};
    EXPECT_THAT(refusal(what, ErrorKind::kInternal), HasSubstr("no-such-option"));
    EXPECT_TRUE(target_.steps.empty());
}

TEST_F(PublishFaultsTest, MissingAndWrongInputsAreNamed)
{
    EXPECT_THAT(
        refusal(options(InputKind::kDirectory, dir_.path() / "nowhere"), ErrorKind::kNotFound), HasSubstr("nowhere")
    );
    EXPECT_THAT(
        refusal(options(InputKind::kDirectory, dir_.path() / "key.pem"), ErrorKind::kInvalid),
        HasSubstr("not a directory")
    );
    EXPECT_THAT(
        refusal(options(InputKind::kErofs, dir_.path() / "nowhere"), ErrorKind::kNotFound), HasSubstr("nowhere")
    );
    EXPECT_THAT(
        refusal(options(InputKind::kErofs, dir_.path() / "key.pem"), ErrorKind::kInvalid),
        HasSubstr("key.pem: not an EROFS image")
    );
    EXPECT_THAT(refusal(options(InputKind::kErofs, tree()), ErrorKind::kInvalid), HasSubstr("not a regular file"));
}

TEST_F(PublishFaultsTest, AFailedPushLeavesTheTagAlone)
{
    for (const auto* step : {"blob", "bytes", "put digest"}) {
        target_.fail_at = step;
        EXPECT_THAT(refusal(from_tree(), ErrorKind::kTransient), HasSubstr("failed as told")) << step;
        EXPECT_EQ(target_.manifests.count("1"), 0U) << step;
    }
    target_.fail_at.clear();
    EXPECT_TRUE(run(from_tree()));
    EXPECT_EQ(target_.manifests.count("1"), 1U);
}

TEST_F(PublishFaultsTest, ADamagedSignatureManifestIsNotOverwritten)
{
    const auto report = publish_or_fail(from_tree());
    const auto tag = trust::signature_tag(report.digest);
    target_.manifests[tag] = "{}";
    EXPECT_THAT(refusal(from_tree(), ErrorKind::kInvalid), HasSubstr(tag));
    EXPECT_EQ(target_.manifests[tag], "{}");
}

TEST_F(PublishFaultsTest, StoppingItKillsMkfsAndRemovesTemporaryFiles)
{
    const auto fds = test::count_open_fds();
    {
        WorkerPool workers{1};
        TaskScope scope{loop_};
        bool packing = false;

        struct Ignore {
            static Task<void> result(Task<Result<PublishReport>> task) { (void)co_await task; }
        };

        const PublishContext context{loop_, workers, target_};
        scope.spawn(Ignore::result(publish(context, from_tree(), [&](const std::string& phase, auto, auto) {
            packing = phase == "pack layer 1";
        })));
        ASSERT_TRUE(test::run_until(loop_, [&] { return packing; }));
        loop_.run_once(milliseconds{100}); // somewhere on its way
        scope.cancel_all();
    }
    while (loop_.run_once(milliseconds{0})) {
    }
    EXPECT_TRUE(target_.manifests.empty());
    EXPECT_EQ(test::count_open_fds(), fds);
}

using SubprocessTest = test::FdLeakTest;

Result<void> run_one(const std::vector<std::string>& argv, const std::vector<std::string>& environment = {})
{
    EventLoop loop;
    const auto result = test::run_task(loop, run_program(loop, argv, environment));
    return result ? *result : fail(ErrorKind::kInternal, "the task did not end");
}

TEST_F(SubprocessTest, SucceedsOnStatusZeroOnly)
{
    EXPECT_TRUE(run_one({"true"}));
    const auto failed = run_one({"sh", "-c", "echo one >&2; echo two >&2; exit 3"});
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().text(), "sh: exit status 3: one; two");
    const auto killed = run_one({"sh", "-c", "kill -9 $$"});
    ASSERT_FALSE(killed);
    EXPECT_THAT(killed.error().text(), HasSubstr("ended by signal 9"));
}

TEST_F(SubprocessTest, KeepsOnlyTheEndOfALongTaleOfWoe)
{
    const auto failed =
        run_one({"sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1"});
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().text(), HasSubstr("line 19999"));
    EXPECT_LT(failed.error().text().size(), 8000U);
}

TEST_F(SubprocessTest, SetsTheEnvironmentAndNamesAMissingProgram)
{
    EXPECT_TRUE(run_one(
        {"sh", "-c", "test \"$SLUICE_A\" = b && test \"$HOME\" = /nowhere && test -n \"$PATH\""},
        {"SLUICE_A=b", "HOME=/nowhere"}
    ));
    const auto missing = run_one({"sluice-no-such-program"});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
    EXPECT_THAT(missing.error().text(), HasSubstr("sluice-no-such-program"));
}

TEST_F(SubprocessTest, DestroyingTheTaskKillsTheProgram)
{
    const test::TempDir dir;
    const auto pid_file = dir.path() / "pid";
    EventLoop loop;
    {
        TaskScope scope{loop};

        struct Ignore {
            static Task<void> result(Task<Result<void>> task) { (void)co_await task; }
        };

        // The name appears with its content in it.
        const auto script = "echo $$ > " + pid_file.string() + ".new; mv " + pid_file.string() + ".new " +
                            pid_file.string() + "; exec sleep 1000";
        std::vector<std::string> argv{"sh", "-c", script};
        scope.spawn(Ignore::result(run_program(loop, std::move(argv), {})));
        ASSERT_TRUE(test::run_until(loop, [&] { return std::filesystem::exists(pid_file); }));
    }
    int pid = 0;
    std::ifstream{pid_file} >> pid;
    ASSERT_GT(pid, 0);
    EXPECT_EQ(::kill(pid, 0), -1) << "it is still there";
}

} // namespace
} // namespace sluice::tools
