// SPDX-License-Identifier: Apache-2.0
#include "protocol/cookie_path.hpp"
#include "protocol/file_removal.hpp"
#include "protocol/prepopulate.hpp"
#include "tests/support/fake_kernel.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <cerrno>
#include <filesystem>
#include <thread>

namespace sluice::protocol {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVolume = "erofs,sluice";

class FileRemovalTest : public test::FdLeakTest {
protected:
    void SetUp() override
    {
        FdLeakTest::SetUp();
        kernel_ = std::make_unique<test::FakeKernel>(dir_.path());
        device_ = UniqueFd{kAdoptFd, kernel_->io().open_device()};
        ASSERT_EQ(kernel_->io().write(device_.get(), "dir " + dir_.path().string()), 0);
        ASSERT_EQ(kernel_->io().write(device_.get(), "bind ondemand"), 0);
    }

    void TearDown() override
    {
        device_.reset();
        kernel_.reset();
        FdLeakTest::TearDown();
    }

    fs::path add(const std::string& cookie)
    {
        auto made = Prepopulation::begin({dir_.path(), dir_.path() / "own", kVolume, cookie, kBlockSize});
        EXPECT_TRUE(made && made->commit());
        return dir_.path() / cookie_path(kVolume, cookie);
    }

    /// On a thread of its own, as they have to be.
    Result<void> cull(const fs::path& file)
    {
        Result<void> outcome;
        std::thread{[&] { outcome = cull_file(kernel_->io(), device_.get(), file); }}.join();
        return outcome;
    }

    test::TempDir dir_;
    std::unique_ptr<test::FakeKernel> kernel_;
    UniqueFd device_;
};

TEST_F(FileRemovalTest, TheKernelRemovesWhatItDoesNotUseAndNobodysDirectoryChanges)
{
    const auto file = add("blob");
    const auto here = fs::current_path();
    EXPECT_TRUE(cull(file));
    EXPECT_FALSE(fs::exists(file));
    EXPECT_EQ(kernel_->commands().back(), "cull Dblob");
    EXPECT_EQ(fs::current_path(), here);
    EXPECT_TRUE(cull(file)) << "it is not there any more, as was wanted";
}

TEST_F(FileRemovalTest, WhatAMountUsesOrIsAboutToUseStays)
{
    const auto file = add("blob");
    const auto object = kernel_->open_object(kVolume, "blob");
    const auto refused = cull(file);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), EBUSY);
    EXPECT_TRUE(fs::exists(file));
    kernel_->close(object);
    EXPECT_TRUE(cull(file));
    EXPECT_FALSE(fs::exists(file));
}

TEST_F(FileRemovalTest, WithoutAKernelItIsJustAFileAndItsAbsenceNoError)
{
    const auto file = add("blob");
    EXPECT_TRUE(remove_file(file));
    EXPECT_FALSE(fs::exists(file));
    EXPECT_TRUE(remove_file(file));
    const auto directory = add("other").parent_path();
    EXPECT_FALSE(remove_file(directory)) << "only files are removed";
}

TEST_F(FileRemovalTest, TheKernelsThatACullHarmsAreKnown)
{
    EXPECT_TRUE(has_harmless_cull("6.12.57"));
    EXPECT_TRUE(has_harmless_cull("6.1.0-38-amd64"));
    EXPECT_FALSE(has_harmless_cull("6.19.0"));
    EXPECT_FALSE(has_harmless_cull("6.19.13-generic"));
    EXPECT_TRUE(has_harmless_cull("6.19.14"));
    EXPECT_TRUE(has_harmless_cull("7.0.1"));
}

} // namespace
} // namespace sluice::protocol
