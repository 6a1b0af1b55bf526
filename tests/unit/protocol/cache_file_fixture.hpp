// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "protocol/cookie_path.hpp"
#include "protocol/prepopulate.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/protocol/recording_handler.hpp"

#include <filesystem>
#include <string>
#include <sys/xattr.h>

namespace sluice::protocol {

/// A cache directory, and one blob's backing file in it once it is populated.
class CacheFileTest : public test::FdLeakTest {
protected:
    [[nodiscard]] Prepopulation::Target target(std::uint64_t size = 2 * kBlockSize) const
    {
        return {dir_.path(), dir_.path() / "private", "erofs,dom0", "blob", size};
    }

    [[nodiscard]] std::filesystem::path place() const { return dir_.path() / cookie_path("erofs,dom0", "blob"); }

    static void set_attribute(const std::filesystem::path& path, const std::string& value)
    {
        ASSERT_EQ(::lsetxattr(path.c_str(), kCacheXattr, value.data(), value.size(), 0), 0);
    }

    void populate() const
    {
        auto filling = Prepopulation::begin(target());
        ASSERT_TRUE(filling.has_value()) << filling.error().text();
        auto data = filled(2 * kBlockSize, 7);
        ASSERT_TRUE(filling->file()->write(0, data.bytes()).has_value());
        const auto committed = filling->commit();
        ASSERT_TRUE(committed.has_value()) << committed.error().text();
    }

    test::TempDir dir_;
};

} // namespace sluice::protocol
