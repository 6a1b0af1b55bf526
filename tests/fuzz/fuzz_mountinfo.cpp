// SPDX-License-Identifier: Apache-2.0
// Mount tables: the kernel's, but mount points and sources in them are anybody's.
#include "tools/layer_usage.hpp"
#include "tools/mount_table.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
{
    const std::string text(data, data + size);
    const auto table = sluice::tools::parse_mountinfo(text);
    if (!table) {
        return 0;
    }
    for (const auto& entry : *table) {
        for (const auto& dir : sluice::tools::overlay_lower_dirs(entry)) {
            if (dir.empty()) {
                std::abort();
            }
        }
    }
    for (const auto& layer : sluice::tools::find_layers("/run/sluice/layers", {*table, *table})) {
        if (layer.name.empty() || layer.name.find('/') != std::string::npos || layer.used == layer.used_by.empty()) {
            std::abort();
        }
    }
    return 0;
}
