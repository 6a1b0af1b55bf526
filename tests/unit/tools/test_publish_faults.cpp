// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/tools/publish_fixture.hpp"
#include "tools/publish/subprocess.hpp"
#include "trust/hasher.hpp"
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
    what.key = dir_.write("open.pem", trust::test_keys::kP256Private);
    EXPECT_THAT(refusal(what, ErrorKind::kDenied), HasSubstr("chmod 600"));
    what.key = dir_.write_private("encrypted.pem", trust::test_keys::kP256Encrypted);
    EXPECT_THAT(refusal(what, ErrorKind::kDenied), HasSubstr("needs its passphrase"));
    what = from_tree();
    what.separate_data = true;
    EXPECT_THAT(refusal(what, ErrorKind::kInvalid), HasSubstr("--separate-data needs --chunksize"));
    what.chunk_size = 5000;
    EXPECT_THAT(refusal(what, ErrorKind::kInvalid), HasSubstr("power of two"));
    what = from_tree();
    what.architecture = "foo/bar";
    EXPECT_THAT(refusal(what, ErrorKind::kInvalid), HasSubstr("architecture 'foo/bar'"));
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
    EXPECT_EQ(
        refusal(what, ErrorKind::kInternal),
        tree().string() + ": mkfs.erofs: exit status 1: unrecognized option '--no-such-option'"
    );
    EXPECT_TRUE(target_.steps.empty());
}

TEST(SummariseErrors, KeepsWhatMattersAndNothingElse)
{
    EXPECT_EQ(
        summarise_errors(
            "<E> erofs: Cannot find a valid compressor foo\n<E> erofs: \tCould not format the device : [Error 22]\n\n",
            "mkfs.erofs"
        ),
        "Cannot find a valid compressor foo; Could not format the device : [Error 22]"
    );
    EXPECT_EQ(summarise_errors("mkfs.erofs: bad\nusage: [options]\n -d#  level\n", "mkfs.erofs"), "bad");
    EXPECT_EQ(summarise_errors("tar: one\ntar: two\n", "tar"), "one; two");
    EXPECT_EQ(summarise_errors("1\n2\n3\n4\n5\n6\n7\n8\n", "sh"), "1; 2; 3; ...; 7; 8");
    EXPECT_EQ(summarise_errors("usage: x\n", "sh"), "it wrote no reason");
    EXPECT_EQ(summarise_errors("a\x1b[31mb\n", "sh"), "a\\x1b[31mb") << "nothing for a terminal to obey";
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

/// An EROFS image that refers to two devices of 2 and of 3 blocks, and those.
class PublishDevicesTest : public PublishFaultsTest {
protected:
    void SetUp() override
    {
        PublishFaultsTest::SetUp();
        put(1024, "\xe2\xe1\xf5\xe0");
        put(1036, "\x0c");
        put(1060, "\x0a"); // blocks
        put(1104, "\x08"); // has a device table
        put(1110, "\x02"); // devices
        put(1112, "\x09"); // slot
        put(1152 + 64, "\x02");
        put(1280 + 64, "\x03");
        a_ = dir_.write("a.data", std::string(2 * 4096, 'a'));
        b_ = dir_.write("b.data", std::string(3 * 4096, 'b'));
    }

    void put(std::size_t at, std::string_view bytes) { image_.replace(at, bytes.size(), bytes); }

    [[nodiscard]] PublishOptions with(std::vector<std::filesystem::path> devices)
    {
        auto what = options(InputKind::kErofs, dir_.write("image.erofs", image_));
        what.inputs[0].devices = std::move(devices);
        return what;
    }

    std::string image_ = std::string(10 * 4096, '\0');
    std::filesystem::path a_;
    std::filesystem::path b_;
};

TEST_F(PublishDevicesTest, DevicesThatAreSwappedOrCutShortAreNotSigned)
{
    EXPECT_THAT(refusal(with({b_, a_}), ErrorKind::kInvalid), HasSubstr("image.erofs: device 2 ("));
    const auto cut = dir_.write("cut.data", std::string(4096, 'a'));
    EXPECT_THAT(refusal(with({cut, b_}), ErrorKind::kInvalid), HasSubstr("cut.data) has 4096 bytes"));
    EXPECT_THAT(refusal(with({a_}), ErrorKind::kInvalid), HasSubstr("2 extra devices, and there is 1"));
    EXPECT_TRUE(target_.steps.empty());
    EXPECT_TRUE(publish_or_fail(with({a_, b_})).notes.empty());
}

TEST_F(PublishDevicesTest, TagsOfTheGivenFilesOrOfTheirPublishedBlobsTellEqualSizesApart)
{
    const auto c = dir_.write("c.data", std::string(2 * 4096, 'c'));
    put(1280 + 64, "\x02");
    const auto untold = publish_or_fail(with({a_, c}));
    ASSERT_EQ(untold.notes.size(), 1U);
    EXPECT_THAT(untold.notes[0], HasSubstr("swapped"));
    const auto given = [](char byte) { return trust::sha256(as_byte_span(std::string(2 * 4096, byte))).hex(); };
    put(1152, given('a'));
    put(1280, given('c'));
    EXPECT_TRUE(publish_or_fail(with({a_, c})).notes.empty());
    EXPECT_THAT(refusal(with({c, a_}), ErrorKind::kInvalid), HasSubstr("give the devices in the order"));
    EXPECT_THAT(refusal(with({a_, b_}), ErrorKind::kInvalid), HasSubstr("b.data) is not the device"));
    put(1152, untold.layers[0].digest.hex()); // as exported from what is published
    put(1280, untold.layers[1].digest.hex());
    EXPECT_TRUE(publish_or_fail(with({a_, c})).notes.empty());
    EXPECT_THAT(refusal(with({c, a_}), ErrorKind::kInvalid), HasSubstr("give the devices in the order"));
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

        const PublishContext context{loop_, workers, target_, target_};
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
