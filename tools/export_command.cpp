// SPDX-License-Identifier: Apache-2.0
#include "tools/export_command.hpp"

#include "base/text.hpp"
#include "tools/blob_watch.hpp"
#include "tools/progress.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <system_error>
#include <unistd.h>

namespace sluice::tools {

namespace {

struct Part {
    std::uint32_t layer = 0;
    std::uint32_t device = 0;
    LibraryBlob blob;
};

std::string find_library_socket(ControlApi& daemon, const ExportRequest& request)
{
    if (!request.library_socket.empty()) {
        return request.library_socket;
    }
    if (const auto status = daemon.call("GET", "/v1/status")) {
        const Json* library = json_member(*status, "library");
        const auto* socket = library == nullptr ? nullptr : json_string(*library, "socket");
        if (socket != nullptr && socket->starts_with('/')) {
            return *socket;
        }
    }
    return (std::filesystem::path{request.control_socket}.parent_path() / "blobs.sock").string();
}

Result<LibraryClient> connect(const std::string& socket)
{
    sluice_options options = SLUICE_OPTIONS_INIT;
    options.socket_path = socket.c_str();
    sluice_client* client = nullptr;
    const int status = sluice_connect(&options, &client);
    if (status == -EACCES) {
        return fail_errno(EACCES, fmt::format("{}: only root and members of a library-group may read blobs", socket));
    }
    if (status != 0) {
        return fail_errno(-status, fmt::format("cannot reach sluiced at {} (is it running?)", socket));
    }
    return LibraryClient{client};
}

/// Nothing where the image has no such part.
Result<std::optional<Part>>
open_part(sluice_client& client, const std::string& reference, std::uint32_t layer, std::uint32_t device)
{
    sluice_blob* blob = nullptr;
    const int status = sluice_image_open(&client, reference.c_str(), layer, device, &blob);
    if (status == -ENOENT) {
        return std::nullopt;
    }
    if (status != 0) {
        return fail_errno(-status, fmt::format("{}: layer {}, device {}", printable(reference), layer, device));
    }
    return std::optional{Part{layer, device, LibraryBlob{blob}}};
}

Result<std::vector<Part>> open_parts(sluice_client& client, const ExportRequest& request)
{
    std::vector<Part> parts;
    for (auto layer = request.layer.value_or(0);; ++layer) {
        for (std::uint32_t device = 0;; ++device) {
            auto part = open_part(client, request.reference, layer, device);
            if (!part) {
                return fail(part.error());
            }
            if (!*part) {
                if (device == 0) {
                    return parts;
                }
                break;
            }
            parts.push_back(std::move(**part));
        }
        if (request.layer) {
            return parts;
        }
    }
}

std::filesystem::path file_of(const ExportRequest& request, const Part& part, bool into_directory)
{
    if (!into_directory) {
        return request.target;
    }
    return request.target / (part.device == 0 ? fmt::format("layer-{}.erofs", part.layer)
                                              : fmt::format("layer-{}.device-{}", part.layer, part.device));
}

/// Whether it is one of those by which the daemon says that bytes could not be had.
bool is_of_a_read(const Error& error) noexcept
{
    return error.code() == EIO || error.code() == EBADMSG || error.code() == ENODATA || error.code() == EACCES;
}

/// What the daemon knows of why a blob could not be read.
Error with_reason(ControlApi& daemon, const Error& error, const std::string& digest)
{
    if (const auto blobs = is_of_a_read(error) ? daemon.call("GET", "/v1/blobs") : fail(error)) {
        const auto* blob = find_blob(*blobs, digest);
        if (const auto reason = blob == nullptr ? std::string{} : last_error_of(*blob); !reason.empty()) {
            return Error{error.kind(), fmt::format("{}: {}", error.text(), reason), error.code()};
        }
    }
    return error;
}

} // namespace

Result<std::vector<ExportedFile>> run_export(ControlApi& daemon, const ExportRequest& request)
{
    const auto registered = daemon.call("POST", "/v1/images", Json{{"reference", request.reference}});
    const auto socket = find_library_socket(daemon, request);
    const auto client = connect(socket);
    if (!client) {
        return fail(registered ? client.error() : registered.error());
    }
    auto parts = open_parts(**client, request);
    if (!parts) {
        return fail(registered ? parts.error() : registered.error());
    }
    if (parts->empty()) {
        return registered ? fail(
                                ErrorKind::kNotFound,
                                fmt::format("{}: it has no layer {}", request.reference, request.layer.value_or(0))
                            )
                          : fail(registered.error());
    }
    std::error_code ignored;
    const bool into_directory = std::filesystem::is_directory(request.target, ignored);
    if (parts->size() > 1 && !into_directory) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "{} has {} blobs: name a directory that exists, or choose with --layer a layer without extra devices",
                request.reference,
                parts->size()
            )
        );
    }
    ProgressLine line{STDERR_FILENO};
    std::vector<ExportedFile> files;
    for (const auto& part : *parts) {
        const auto file = file_of(request, part, into_directory);
        const auto label = file.filename().string();
        const auto progress = [&](std::uint64_t done, std::uint64_t total) { line.show(label, done, total); };
        auto exported = export_blob(**client, *part.blob, file, progress);
        if (!exported) {
            return fail(with_reason(daemon, exported.error(), sluice_blob_digest(part.blob.get())));
        }
        files.push_back({file, part.layer, part.device, std::move(*exported)});
    }
    return files;
}

Json to_json(const ExportRequest& request, const std::vector<ExportedFile>& files)
{
    Json rows = Json::array();
    for (const auto& file : files) {
        rows.push_back(
            {{"file", file.file.string()},
             {"layer", file.layer},
             {"device", file.device},
             {"digest", file.blob.digest},
             {"size", file.blob.size},
             {"reused", file.blob.reused}}
        );
    }
    return {{"reference", request.reference}, {"files", std::move(rows)}};
}

std::string format_exported(const std::vector<ExportedFile>& files)
{
    std::string text;
    for (const auto& file : files) {
        const auto reused =
            file.blob.reused == 0 ? "" : fmt::format(", {} were there already", format_size(file.blob.reused));
        text += fmt::format("{}: {}{}\n", file.file.string(), format_size(file.blob.size), reused);
    }
    return text;
}

} // namespace sluice::tools
