// SPDX-License-Identifier: Apache-2.0
// What most files of the libraries include, precompiled in clang's builds. Nobody includes it: g++'s builds go without,
// and so every file names what it needs.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>
