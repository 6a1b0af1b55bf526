// SPDX-License-Identifier: Apache-2.0
// sluiced.conf: whatever is accepted must print to text that reads back as the same configuration, and whatever is
// refused must say why.
#include "daemon/config/config.hpp"
#include "tests/fuzz/require.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
{
    using namespace sluice::daemon;
    const std::string text(data, data + size);
    const auto config = parse_config(text, "fuzzed");
    if (!config) {
        require(!config.error().empty());
        for (const auto& line : config.error()) {
            require(std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c <= '~'; }));
        }
        return 0;
    }
    const auto again = parse_config(print_config(*config), "printed");
    require(again && *again == *config);
    return 0;
}
