// SPDX-License-Identifier: Apache-2.0
#include "daemon/authorities.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>
#include <stdexcept>

namespace sluice::daemon {
namespace {

TEST(Authorities, ADamagedBundleOfTheSystemsKeepsNobodyFromStarting)
{
    const test::TempDir directory;
    EXPECT_FALSE(authorities({}, directory.write("empty.crt", "")));
    EXPECT_FALSE(authorities({}, directory.write("damaged.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n")));
    EXPECT_FALSE(authorities({}, directory.path() / "missing.crt"));
    EXPECT_FALSE(authorities({}, {}));
}

TEST(Authorities, WhatTheConfigurationNamesHasToBeRight)
{
    const test::TempDir directory;
    const std::filesystem::path empty = directory.write("empty.crt", "");
    EXPECT_THROW((void)authorities(empty, {}), std::runtime_error);
    EXPECT_THROW((void)authorities(directory.path() / "missing.crt", empty), std::runtime_error);
}

} // namespace
} // namespace sluice::daemon
