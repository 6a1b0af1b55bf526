// SPDX-License-Identifier: Apache-2.0
#include "tools/publish/temp_tree.hpp"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>

namespace sluice::tools {

Result<TempTree> TempTree::make()
{
    const char* chosen = std::getenv("TMPDIR"); // NOLINT(concurrency-mt-unsafe): nobody sets the environment
    const std::string base = chosen != nullptr && *chosen != '\0' ? chosen : "/var/tmp";
    std::string pattern = base + "/sluice-publish-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) {
        return fail_errno(errno, "temporary directory in " + base);
    }
    return TempTree{std::filesystem::absolute(pattern)};
}

TempTree::TempTree(TempTree&& other) noexcept : path_{std::exchange(other.path_, {})} {}

TempTree& TempTree::operator=(TempTree&& other) noexcept
{
    if (this != &other) {
        remove();
        path_ = std::exchange(other.path_, {});
    }
    return *this;
}

TempTree::~TempTree()
{
    remove();
}

void TempTree::remove() noexcept
{
    if (!path_.empty()) {
        std::error_code ignored; // what is left lies in a directory for temporary files
        std::filesystem::remove_all(path_, ignored);
    }
}

} // namespace sluice::tools
