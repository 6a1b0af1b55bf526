// SPDX-License-Identifier: Apache-2.0
#include "tools/publish/blob_file.hpp"

#include "base/text.hpp"
#include "tools/publish/chunk_index.hpp"
#include "tools/publish/erofs_head.hpp"
#include "trust/blob_annotations.hpp"
#include "trust/hasher.hpp"
#include "trust/merkle_builder.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <functional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::tools {

namespace {

constexpr std::size_t kPiece = 1024 * 1024;

Failure cancelled()
{
    return fail(ErrorKind::kCancelled, "publishing was stopped");
}

Result<std::uint64_t> size_of(int fd, std::string_view what)
{
    struct stat status {};

    if (::fstat(fd, &status) != 0) {
        return fail_errno(errno, what);
    }
    return static_cast<std::uint64_t>(status.st_size);
}

Result<void> write_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset)
{
    while (!bytes.empty()) {
        const auto count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, "write temporary file (is $TMPDIR full?)");
        }
        bytes = bytes.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

// Hands the file's bytes to `take`, in order.
Result<void> read_all(int fd, const std::function<Result<void>(std::span<const std::byte>, std::uint64_t)>& take)
{
    std::vector<std::byte> piece(kPiece);
    for (std::uint64_t offset = 0;;) {
        const auto count = ::pread(fd, piece.data(), piece.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, "read image");
        }
        if (count == 0) {
            return {};
        }
        const auto bytes = std::span{piece}.first(static_cast<std::size_t>(count));
        if (auto taken = take(bytes, offset); !taken) {
            return taken;
        }
        offset += bytes.size();
    }
}

Result<void> pad(int fd)
{
    const auto size = size_of(fd, "temporary file");
    if (!size) {
        return fail(size.error());
    }
    // An empty device still is one block: a tree needs data, and a cookie a size.
    const auto blocks = std::max<std::uint64_t>(1, (*size + kBlockSize - 1) / kBlockSize);
    if (::ftruncate(fd, static_cast<off_t>(blocks * kBlockSize)) != 0) {
        return fail_errno(errno, "pad temporary file");
    }
    return {};
}

Result<Digest> digest_of_front(int fd, std::uint64_t size)
{
    trust::Hasher hasher;
    auto hashed = read_all(fd, [&](std::span<const std::byte> bytes, std::uint64_t offset) -> Result<void> {
        if (offset < size) {
            hasher.update(bytes.first(std::min<std::uint64_t>(bytes.size(), size - offset)));
        }
        return {};
    });
    if (!hashed) {
        return fail(hashed.error());
    }
    return hasher.finish();
}

/// A tag may be the digest of the blob that we publish, or that of the file as it was given; the latter is looked at
/// only where a tag makes it matter.
Result<std::vector<erofs::Device>>
describe_devices(const std::vector<BlobFile>& blobs, const std::vector<erofs::DeviceSlot>& slots)
{
    const bool tagged =
        std::any_of(slots.begin(), slots.end(), [](const erofs::DeviceSlot& slot) { return slot.tag_digest(); });
    std::vector<erofs::Device> devices;
    for (const auto& blob : blobs) {
        erofs::Device device{blob.name, blob.data_size, {blob.digest}, std::nullopt};
        if (tagged) {
            const auto digest = digest_of_front(blob.fd->get(), blob.given_size);
            if (!digest) {
                return fail(digest.error(), printable(blob.name));
            }
            device.digests.push_back(*digest);
        }
        if (const auto own = ErofsHead::read(blob.fd->get(), blob.name)) { // most devices are no images
            device.uuid = own->uuid();
        }
        devices.push_back(std::move(device));
    }
    return devices;
}

/// The same content gives the same UUID.
Result<void> set_uuid_from_content(int fd, ErofsHead& head)
{
    head.set_uuid({});
    if (auto written = head.write(fd); !written) {
        return written;
    }
    trust::Hasher hasher;
    auto hashed = read_all(fd, [&](std::span<const std::byte> bytes, std::uint64_t) {
        hasher.update(bytes);
        return Result<void>{};
    });
    if (!hashed) {
        return hashed;
    }
    erofs::Uuid uuid{};
    std::copy_n(hasher.finish().bytes().begin(), uuid.size(), uuid.begin());
    uuid[6] = (uuid[6] & std::byte{0x0f}) | std::byte{0x80}; // RFC 9562, version 8: our own way to make it
    uuid[8] = (uuid[8] & std::byte{0x3f}) | std::byte{0x80};
    head.set_uuid(uuid);
    return {};
}

} // namespace

std::map<std::string, std::string> BlobFile::annotations() const
{
    return {
        {trust::kHashOffsetAnnotation, std::to_string(data_size)},
        {trust::kRootDigestAnnotation, root.to_string()},
        {trust::kBlockSizeAnnotation, std::to_string(kBlockSize)},
        {trust::kIndexRangeAnnotation, fmt::format("{}:{}", index.begin(), index.end())},
        {trust::kIndexDigestAnnotation, index_digest.to_string()},
    };
}

Result<std::shared_ptr<UniqueFd>> open_blob_file(const std::filesystem::path& file)
{
    auto fd = std::make_shared<UniqueFd>(kAdoptFd, ::open(file.c_str(), O_RDWR | O_CLOEXEC));
    if (!*fd) {
        return fail_errno(errno, printable(file.string()));
    }
    return fd;
}

Result<std::shared_ptr<UniqueFd>>
copy_to_blob_file(const std::filesystem::path& from, const std::filesystem::path& to, const WorkerReporter& reporter)
{
    const auto name = printable(from.string());
    const UniqueFd in{kAdoptFd, ::open(from.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!in) {
        return fail_errno(errno, name);
    }

    struct stat status {};

    if (::fstat(in.get(), &status) != 0) {
        return fail_errno(errno, name);
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not a regular file", name));
    }
    const auto total = static_cast<std::uint64_t>(status.st_size);
    auto out = std::make_shared<UniqueFd>(kAdoptFd, ::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!*out) {
        return fail_errno(errno, to.string());
    }
    std::uint64_t done = 0;
    while (done < total) {
        const auto count = ::copy_file_range(
            in.get(), nullptr, out->get(), nullptr, std::min<std::uint64_t>(total - done, 64 * kPiece), 0
        );
        if (count <= 0) {
            break; // not between these file systems, or the file has shrunk: the plain copy finds out
        }
        done += static_cast<std::uint64_t>(count);
        if (!reporter.report(done, total)) {
            return cancelled();
        }
    }
    if (done < total) {
        auto copied = read_all(in.get(), [&](std::span<const std::byte> bytes, std::uint64_t offset) -> Result<void> {
            if (!reporter.report(offset, std::max(total, offset))) {
                return cancelled();
            }
            return write_all(out->get(), bytes, offset);
        });
        if (!copied) {
            return fail(copied.error(), name);
        }
    }
    return out;
}

Result<BlobFile> seal_blob(std::shared_ptr<UniqueFd> fd, const WorkerReporter& reporter)
{
    const auto given_size = size_of(fd->get(), "temporary file");
    if (!given_size) {
        return fail(given_size.error());
    }
    if (auto padded = pad(fd->get()); !padded) {
        return fail(padded.error());
    }
    const auto data_size = size_of(fd->get(), "temporary file");
    if (!data_size) {
        return fail(data_size.error());
    }
    trust::Hasher whole;
    trust::MerkleBuilder builder;
    ChunkIndexBuilder chunks;
    auto hashed = read_all(fd->get(), [&](std::span<const std::byte> bytes, std::uint64_t offset) -> Result<void> {
        whole.update(bytes);
        builder.update(bytes);
        chunks.update(bytes);
        return reporter.report(offset + bytes.size(), *data_size) ? Result<void>{} : cancelled();
    });
    if (!hashed) {
        return fail(hashed.error());
    }
    const auto tree = builder.finish();
    chunks.update(tree.bytes);
    const auto index = chunks.finish();
    const auto index_offset = *data_size + tree.bytes.size();
    whole.update(tree.bytes);
    whole.update(index);
    if (auto written = write_all(fd->get(), tree.bytes, *data_size); !written) {
        return fail(written.error());
    }
    if (auto written = write_all(fd->get(), index, index_offset); !written) {
        return fail(written.error());
    }
    BlobFile blob;
    blob.fd = std::move(fd);
    blob.digest = whole.finish();
    blob.size = index_offset + index.size();
    blob.given_size = *given_size;
    blob.data_size = *data_size;
    blob.root = tree.root;
    blob.index = {index_offset, blob.size};
    blob.index_digest = trust::sha256(index);
    return blob;
}

Result<std::string> finish_image(int fd, const std::string& name, const std::vector<BlobFile>& devices, bool keep_uuid)
{
    auto head = ErofsHead::read(fd, name);
    if (!head) {
        return fail(head.error());
    }
    const auto known = describe_devices(devices, head->slots());
    if (!known) {
        return fail(known.error());
    }
    if (const auto right = erofs::check_devices(head->slots(), *known, erofs::UnknownTag::kRefuse); !right) {
        return fail(right.error(), printable(name));
    }
    std::string note;
    if (const auto pair = erofs::find_exchangeable(head->slots(), *known)) {
        note = fmt::format(
            "{}: nothing in its device table tells {} and {} apart; if they are swapped, files read wrong",
            printable(name),
            printable((*known)[pair->first].name),
            printable((*known)[pair->second].name)
        );
    }
    for (unsigned i = 0; i < devices.size(); ++i) {
        head->set_device(i, devices[i].digest, devices[i].data_size / kBlockSize);
    }
    if (!keep_uuid) {
        if (auto set = set_uuid_from_content(fd, *head); !set) {
            return fail(set.error());
        }
    }
    if (!keep_uuid || !devices.empty()) {
        if (auto written = head->write(fd); !written) {
            return fail(written.error());
        }
    }
    return note;
}

} // namespace sluice::tools
