// SPDX-License-Identifier: Apache-2.0
#include "fetcher/layout_files.hpp"

#include "base/json.hpp"
#include "fetcher/manifest.hpp"
#include "fetcher/reference.hpp"

#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr const char* kRefName = "org.opencontainers.image.ref.name";

Json empty_index()
{
    auto index = Json::object();
    index["schemaVersion"] = 2;
    index["mediaType"] = std::string{media_type::kOciIndex};
    index["manifests"] = Json::array();
    return index;
}

Result<Json> read_index(const std::string& path)
{
    const auto text = read_small_file(path, kMaxManifestSize);
    if (!text) {
        if (text.error().kind() == ErrorKind::kNotFound) {
            return empty_index();
        }
        return fail(text.error());
    }
    auto index = parse_json(*text, path, kMaxManifestSize);
    if (index && (!index->is_object() || !index->contains("manifests") || !index->at("manifests").is_array())) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not an index", path));
    }
    return index;
}

const std::string* ref_name(const Json& entry)
{
    const auto* annotations = json_member(entry, "annotations");
    return annotations == nullptr ? nullptr : json_string(*annotations, kRefName);
}

/// Whether `old` makes room for a new entry with this digest and tag.
bool is_replaced(const Json& old, const std::string& digest, const std::string& tag)
{
    const auto* name = ref_name(old);
    if (name != nullptr) {
        return !tag.empty() && *name == tag;
    }
    const auto* old_digest = json_string(old, "digest");
    return old_digest != nullptr && *old_digest == digest;
}

} // namespace

Result<std::string> layout_directory(const std::string& repository)
{
    auto place = Repository::parse(repository);
    if (!place) {
        return fail(std::move(place.error()));
    }
    if (!place->is_layout()) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not an image layout", repository));
    }
    return std::move(place->name);
}

Result<void> read_exactly(int fd, std::span<std::byte> space, std::uint64_t offset)
{
    while (!space.empty()) {
        const auto got = ::pread(fd, space.data(), space.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(errno, "read");
        }
        if (got == 0) {
            return fail(ErrorKind::kCorrupt, "the file has become shorter");
        }
        space = space.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return {};
}

std::string layout_blob_path(const std::string& directory, const Digest& digest)
{
    return fmt::format("{}/blobs/sha256/{}", directory, digest.hex());
}

Result<std::string> read_small_file(const std::string& path, std::size_t limit)
{
    // O_NONBLOCK: whoever put a FIFO there would have us wait for its writer.
    const UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
    if (!fd) {
        return fail_errno(errno, path);
    }

    struct stat status {};

    if (::fstat(fd.get(), &status) != 0) {
        return fail_errno(errno, path);
    }
    if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) > limit) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not a file of at most {} bytes", path, limit));
    }
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const auto got = ::read(fd.get(), text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(errno, path);
        }
        if (got == 0) {
            break;
        }
        size += static_cast<std::size_t>(got);
    }
    text.resize(size);
    return text;
}

Result<UniqueFd> open_layout_blob(const std::string& path, std::uint64_t size)
{
    UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};

    struct stat status {};

    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return fail_errno(errno, path);
    }
    if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != size) {
        return fail(
            ErrorKind::kCorrupt, fmt::format("{}: has {} bytes, its descriptor says {}", path, status.st_size, size)
        );
    }
    return fd;
}

Result<std::unique_ptr<LayoutFile>> LayoutFile::create(const std::string& path)
{
    static std::atomic<unsigned> serial{0};
    auto temporary = fmt::format("{}.{}.{}.tmp", path, ::getpid(), ++serial);
    UniqueFd fd{kAdoptFd, ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)};
    if (!fd) {
        return fail_errno(errno, temporary);
    }
    return std::unique_ptr<LayoutFile>{new LayoutFile{std::move(fd), std::move(temporary), path}};
}

LayoutFile::~LayoutFile()
{
    if (!temporary_.empty()) {
        ::unlink(temporary_.c_str());
    }
}

Result<void> LayoutFile::write(std::span<const std::byte> bytes)
{
    while (!bytes.empty()) {
        const auto put = ::write(fd_.get(), bytes.data(), bytes.size());
        if (put < 0 && errno != EINTR) {
            return fail_errno(errno, temporary_);
        }
        bytes = bytes.subspan(put > 0 ? static_cast<std::size_t>(put) : 0);
    }
    return {};
}

Result<void> LayoutFile::commit()
{
    if (::fsync(fd_.get()) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
        return fail_errno(errno, path_);
    }
    temporary_.clear();
    return {};
}

Result<void> write_whole_file(const std::string& path, std::string_view content)
{
    auto file = LayoutFile::create(path);
    if (!file) {
        return fail(std::move(file.error()));
    }
    auto written = (*file)->write(std::as_bytes(std::span{content.data(), content.size()}));
    return written ? (*file)->commit() : written;
}

Result<void> prepare_layout(const std::string& directory)
{
    std::error_code error;
    std::filesystem::create_directories(directory + "/blobs/sha256", error);
    if (error) {
        return fail_errno(error.value(), directory);
    }
    const auto marker = directory + "/oci-layout";
    if (::access(marker.c_str(), F_OK) == 0) {
        return {};
    }
    return write_whole_file(marker, R"({"imageLayoutVersion":"1.0.0"})");
}

Result<void> add_to_layout_index(const std::string& directory, const LayoutEntry& entry, const std::string& tag)
{
    const UniqueFd lock{kAdoptFd, ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!lock || ::flock(lock.get(), LOCK_EX) != 0) { // against a second publisher; ends with the descriptor
        return fail_errno(errno, directory);
    }
    const auto path = directory + "/index.json";
    auto index = read_index(path);
    if (!index) {
        return fail(std::move(index.error()));
    }
    auto kept = Json::array();
    for (auto& old : index->at("manifests")) {
        if (!is_replaced(old, entry.digest.to_string(), tag)) {
            kept.push_back(std::move(old));
        }
    }
    auto added = Json::object();
    added["mediaType"] = entry.media_type;
    added["digest"] = entry.digest.to_string();
    added["size"] = entry.size;
    if (!entry.artifact_type.empty()) {
        added["artifactType"] = entry.artifact_type;
    }
    if (!tag.empty()) {
        added["annotations"] = Json::object();
        added["annotations"][kRefName] = tag;
    }
    kept.push_back(std::move(added));
    (*index)["manifests"] = std::move(kept);
    return write_whole_file(path, index->dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

} // namespace sluice::fetcher
