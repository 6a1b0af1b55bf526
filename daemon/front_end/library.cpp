// SPDX-License-Identifier: Apache-2.0
#include "daemon/front_end/library.hpp"

#include "base/text.hpp"
#include "daemon/image/blob_records.hpp"
#include "fetcher/reference.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <grp.h>

namespace sluice::daemon {

std::filesystem::path library_socket(const Config& config)
{
    return config.library_socket.value_or(config.control_socket.parent_path() / "blobs.sock");
}

Result<std::string> find_part(
    const std::map<std::string, cache::ImageRecord>& images,
    const std::string& reference,
    std::uint32_t layer,
    std::uint32_t device
)
{
    const auto parsed = fetcher::Reference::parse(reference);
    if (!parsed) {
        return fail(ErrorKind::kInvalid, parsed.error().text(), EINVAL);
    }
    const auto found = images.find(parsed->to_string());
    const auto* part =
        found != images.end() && layer < found->second.layers.size() ? &found->second.layers[layer] : nullptr;
    if (part == nullptr || device > part->devices.size()) {
        return fail(
            ErrorKind::kNotFound,
            fmt::format("{}: no layer {}, device {} of a registered image", printable(reference), layer, device),
            ENOENT
        );
    }
    return cookie_of(device == 0 ? part->blob : part->devices[device - 1]);
}

Result<std::unique_ptr<protocol::LibraryFrontEnd>> make_library_front_end(
    EventLoop& loop,
    WorkerPool& workers,
    const Config& config,
    const Catalogue& catalogue,
    const std::map<std::string, cache::ImageRecord>& images,
    FdStore& descriptors
)
{
    protocol::LibraryFrontEnd::Config front_end;
    front_end.socket = library_socket(config);
    for (const auto& name : config.library_groups) {
        const auto* group = ::getgrnam(name.c_str()); // NOLINT(concurrency-mt-unsafe): only the loop asks
        if (group == nullptr) {
            return fail(ErrorKind::kNotFound, fmt::format("library-group: there is no group \"{}\"", name));
        }
        front_end.groups.push_back(group->gr_gid);
    }
    protocol::SocketNames names;
    names.find_blob = [&catalogue](const Digest& digest) -> Result<std::string> {
        const auto blob = catalogue.find_digest(digest);
        return blob ? Result<std::string>{cookie_of(**blob)} : fail(blob.error());
    };
    names.find_part = [&images](const std::string& reference, std::uint32_t layer, std::uint32_t part) {
        return find_part(images, reference, layer, part);
    };
    return std::make_unique<protocol::LibraryFrontEnd>(
        loop, workers, std::move(front_end), std::move(names), descriptors
    );
}

Json describe_library(const Config& config)
{
    return {{"socket", library_socket(config).string()}, {"groups", config.library_groups}};
}

} // namespace sluice::daemon
