// SPDX-License-Identifier: Apache-2.0
// Precompiled for tests, see base/pch/common.hpp.
#pragma once

#include "base/pch/common.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
