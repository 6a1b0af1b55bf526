// SPDX-License-Identifier: Apache-2.0
#include "protocol/system_probe.hpp"
#include "tests/support/fake_kernel.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace sluice::protocol {
namespace {

namespace fs = std::filesystem;

class SystemProbeTest : public test::FdLeakTest {
protected:
    void SetUp() override
    {
        FdLeakTest::SetUp();
        (void)dir_.write("proc/filesystems", "nodev\tproc\n\text4\n\terofs\n");
        fs::create_directories(dir_.path() / "boot");
    }

    std::vector<ProbeResult> probe(const test::FakeKernelOptions& options)
    {
        test::FakeKernel kernel{dir_.path(), options};
        auto results = probe_cachefiles(kernel.io(), config());
        std::ranges::move(probe_common(config()), std::back_inserter(results));
        return results;
    }

    [[nodiscard]] ProbeConfig config() const
    {
        return {dir_.path(), "sluice", dir_.path() / "proc", dir_.path() / "boot"};
    }

    static ProbeResult result(const std::vector<ProbeResult>& results, const std::string& name)
    {
        const auto at = std::ranges::find(results, name, &ProbeResult::name);
        EXPECT_NE(at, results.end()) << name;
        return at == results.end() ? ProbeResult{} : *at;
    }

    void process(const std::string& pid, const std::string& command, const fs::path& link)
    {
        (void)dir_.write("proc/" + pid + "/comm", command + "\n");
        fs::create_directories(dir_.path() / "proc" / pid / "fd");
        fs::create_symlink(link, dir_.path() / "proc" / pid / "fd" / "5");
    }

    test::TempDir dir_;
};

TEST_F(SystemProbeTest, AGoodMachinePassesEverything)
{
    for (const auto& one : probe({})) {
        EXPECT_EQ(one.status, ProbeStatus::kOk) << to_line(one);
        EXPECT_TRUE(one.advice.empty());
    }
}

TEST_F(SystemProbeTest, TheModeIsProbedWithoutBindingAnything)
{
    test::FakeKernel kernel{dir_.path()};
    const auto results = probe_cachefiles(kernel.io(), config());
    EXPECT_EQ(result(results, "ondemand").status, ProbeStatus::kOk);
    EXPECT_FALSE(kernel.bound());
}

TEST_F(SystemProbeTest, AKernelWithoutTheModeFails)
{
    const auto mode = result(probe({.ondemand = false}), "ondemand");
    EXPECT_EQ(mode.status, ProbeStatus::kFailed);
    EXPECT_NE(mode.advice.find("CONFIG_CACHEFILES_ONDEMAND"), std::string::npos);
}

TEST_F(SystemProbeTest, AKernelWithoutRestoreIsAWarning)
{
    EXPECT_EQ(result(probe({.restore = false}), "restore").status, ProbeStatus::kWarning);
}

TEST_F(SystemProbeTest, ABusyDeviceNamesItsHolder)
{
    process("812", "cachefilesd", "/dev/cachefiles");
    process("900", "sluiced", "anon_inode:[cachefiles]");
    process("901", "innocent", "/dev/null");
    const auto busy = result(probe({.open_error = EBUSY}), "busy");
    EXPECT_EQ(busy.text, "/dev/cachefiles is held by cachefilesd (pid 812), sluiced (pid 900)");
}

TEST_F(SystemProbeTest, EachOpenErrorHasItsOwnAdvice)
{
    EXPECT_EQ(explain_open_error(ENOENT, {}).name, "device");
    EXPECT_EQ(explain_open_error(EACCES, {}).name, "permission");
    EXPECT_EQ(explain_open_error(EPERM, {}).name, "permission");
    EXPECT_EQ(explain_open_error(EBUSY, {}).name, "busy");
    for (const int code : {ENOENT, ENODEV, EPERM, EACCES, EBUSY, EIO, ENOMEM}) {
        const auto explained = explain_open_error(code, {});
        EXPECT_EQ(explained.status, ProbeStatus::kFailed);
        EXPECT_FALSE(explained.advice.empty());
    }
}

TEST_F(SystemProbeTest, EachBindErrorHasItsOwnAdvice)
{
    for (const int code : {EINVAL, ENOENT, ENOTDIR, EOPNOTSUPP, EROFS, ENOBUFS, EBUSY, ERANGE}) {
        const auto explained = explain_bind_error(code, "/cache");
        EXPECT_EQ(explained.status, ProbeStatus::kFailed);
        EXPECT_FALSE(explained.advice.empty());
        EXPECT_EQ(explained.text.find("/cache") != std::string::npos, code != EINVAL);
    }
    const auto error = to_error(explain_bind_error(EOPNOTSUPP, "/cache"), EOPNOTSUPP);
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_EQ(error.code(), EOPNOTSUPP);
}

TEST_F(SystemProbeTest, AResultIsOneLine)
{
    EXPECT_EQ(
        to_line({"erofs", ProbeStatus::kOk, "the kernel has EROFS", ""}), "ok    erofs        the kernel has EROFS"
    );
    EXPECT_EQ(to_line({"busy", ProbeStatus::kFailed, "held", "stop it"}), "FAIL  busy         held -> stop it");
}

TEST_F(SystemProbeTest, ReadsKernelConfigurations)
{
    const std::string config =
        "CONFIG_CACHEFILES=m\n# CONFIG_CACHEFILES_ONDEMAND is not set\nCONFIG_EROFS_FS_ONDEMAND=y\n";
    EXPECT_EQ(kernel_option(config, "CONFIG_CACHEFILES"), 'm');
    EXPECT_EQ(kernel_option(config, "CONFIG_CACHEFILES_ONDEMAND"), 'n');
    EXPECT_EQ(kernel_option(config, "CONFIG_EROFS_FS_ONDEMAND"), 'y');
    EXPECT_FALSE(kernel_option(config, "CONFIG_EROFS_FS").has_value());
    EXPECT_FALSE(kernel_option("", "CONFIG_EROFS_FS").has_value());
}

TEST_F(SystemProbeTest, FindsFilesystemsByWholeName)
{
    EXPECT_TRUE(lists_filesystem("nodev\ttmpfs\n\terofs\n", "erofs"));
    EXPECT_TRUE(lists_filesystem("nodev\ttmpfs\n\terofs", "tmpfs"));
    EXPECT_FALSE(lists_filesystem("nodev\tmyerofs\n\terofs2\n", "erofs"));
    (void)dir_.write("proc/filesystems", "\text4\n");
    EXPECT_EQ(result(probe({}), "erofs").status, ProbeStatus::kWarning);
}

TEST_F(SystemProbeTest, JudgesFilesystemsByTheirMagic)
{
    EXPECT_EQ(judge_filesystem(0xef53, "/c").status, ProbeStatus::kOk);
    EXPECT_EQ(judge_filesystem(0x58465342, "/c").status, ProbeStatus::kOk);
    EXPECT_EQ(judge_filesystem(0x9123683e, "/c").status, ProbeStatus::kWarning);
    EXPECT_EQ(judge_filesystem(0x01021994, "/c").status, ProbeStatus::kFailed);
    EXPECT_EQ(judge_filesystem(0x794c7630, "/c").status, ProbeStatus::kFailed);
    EXPECT_EQ(judge_filesystem(0xe0f5e1e2, "/c").status, ProbeStatus::kFailed);
    EXPECT_EQ(judge_filesystem(0x12345, "/c").status, ProbeStatus::kWarning);
}

TEST_F(SystemProbeTest, ACacheDirectoryThatIsNotThereOrCannotServeFails)
{
    const auto absent = probe_cache_dir(dir_.path() / "absent");
    ASSERT_EQ(absent.size(), 1U);
    EXPECT_EQ(absent[0].status, ProbeStatus::kFailed);
    const auto on_proc = probe_cache_dir("/proc");
    EXPECT_TRUE(std::ranges::any_of(on_proc, [](const auto& one) { return one.status == ProbeStatus::kFailed; }));
}

} // namespace
} // namespace sluice::protocol
