// SPDX-License-Identifier: Apache-2.0
//
// Image references: what is taken must print as itself, and must be fit for a URL's path.
#include "fetcher/reference.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice::fetcher;
    const std::string_view text{static_cast<const char*>(static_cast<const void*>(data)), size};
    const auto reference = Reference::parse(text);
    if (!reference) {
        return 0;
    }
    const auto again = Reference::parse(reference->to_string());
    const auto repository = Repository::parse(reference->repository.to_string());
    if (!again || *again != *reference || !repository || *repository != reference->repository) {
        std::abort();
    }
    if (!reference->repository.is_layout() &&
        (reference->repository.registry + reference->repository.name).find_first_of(" ?#%\\\"\r\n") !=
            std::string::npos) {
        std::abort();
    }
    return 0;
}
