// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_message.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::protocol {

namespace {

/// Requests that nobody sleeps on directly (readahead, and all that loop devices read), which the kernel keeps going at
/// once. Its default of 12 would let a slow registry hold up readers that want something else. There are slots for
/// more.
constexpr std::uint16_t kBackgroundMax = 1024;
constexpr std::uint32_t kReadaheadMax = 1U << 20;

/// With this, the smallest that the kernel takes, it is content with buffers of FUSE_MIN_READ_BUFFER.
constexpr std::uint32_t kWriteMax = 4096;

/// The first minor version whose FUSE_INIT is answered with the struct of today. Linux 3.15.
constexpr std::uint32_t kOldestMinor = 23;

/// Never FUSE_PASSTHROUGH: it gives the file system a stacking depth, and EROFS then refuses its files.
constexpr std::uint32_t kWanted =
    FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_AUTO_INVAL_DATA | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES;

/// A name means one content for ever, and what may be opened is asked at the opening: the kernel need not ask again.
constexpr std::uint64_t kForLong = 86400;

constexpr std::size_t kNameMax = 255;

/// The front of `bytes` as a T; nothing where they are too few.
template <typename T>
std::optional<T> front(std::span<const std::byte> bytes) noexcept
{
    if (bytes.size() < sizeof(T)) {
        return std::nullopt;
    }
    T value{};
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

Failure cut(const char* what)
{
    return fail(ErrorKind::kInvalid, fmt::format("a FUSE message is cut: {}", what));
}

Result<void> parse_body(FuseMessage& message, std::span<const std::byte> body)
{
    switch (message.operation) {
    case FUSE_LOOKUP: {
        const auto* text = static_cast<const char*>(static_cast<const void*>(body.data()));
        const std::string_view all{text, body.size()};
        const auto end = all.find('\0');
        if (end != std::string_view::npos && end <= kNameMax) {
            message.name = all.substr(0, end);
        }
        return {};
    }
    case FUSE_READ:
    case FUSE_READDIR: {
        const auto read = front<fuse_read_in>(body);
        if (!read) {
            return cut("READ");
        }
        message.handle = read->fh;
        message.offset = read->offset;
        message.size = read->size;
        return {};
    }
    case FUSE_RELEASE: {
        const auto release = front<fuse_release_in>(body);
        if (!release) {
            return cut("RELEASE");
        }
        message.handle = release->fh;
        return {};
    }
    case FUSE_INIT: {
        // The kernel's grows at its end from version to version.
        const auto offer = front<FuseOffer>(body);
        if (!offer) {
            return cut("INIT");
        }
        message.offer = *offer;
        return {};
    }
    default:
        return {};
    }
}

fuse_attr describe(const FuseFile& file) noexcept
{
    fuse_attr attributes{};
    attributes.ino = file.inode;
    attributes.blksize = 4096;
    if (file.inode == kFuseRoot) {
        attributes.mode = S_IFDIR | 0500U;
        attributes.nlink = 2;
    } else {
        attributes.mode = S_IFREG | 0400U;
        attributes.nlink = 1;
        attributes.size = file.size;
        attributes.blocks = file.size / 512;
    }
    return attributes;
}

} // namespace

Result<FuseMessage> parse_fuse_message(std::span<const std::byte> bytes)
{
    const auto head = front<fuse_in_header>(bytes);
    if (!head) {
        return cut("its head");
    }
    const bool is_long = head->len > kFuseKept;
    if (head->unique == 0 || head->len < sizeof *head || bytes.size() < std::min<std::size_t>(head->len, kFuseKept)) {
        return fail(
            ErrorKind::kInvalid, fmt::format("a FUSE message says that it has {} bytes, of {}", head->len, bytes.size())
        );
    }
    FuseMessage message;
    message.operation = head->opcode;
    message.unique = head->unique;
    message.node = head->nodeid;
    const auto kept = bytes.first(is_long ? kFuseKept : head->len);
    if (auto parsed = parse_body(message, kept.subspan(sizeof *head)); !parsed) {
        return fail(parsed.error());
    }
    return message;
}

std::uint64_t unique_of_fuse_message(std::span<const std::byte> bytes) noexcept
{
    const auto head = front<fuse_in_header>(bytes);
    return head ? head->unique : 0;
}

bool expects_answer(std::uint32_t operation) noexcept
{
    return operation != FUSE_FORGET && operation != FUSE_BATCH_FORGET && operation != FUSE_INTERRUPT &&
           operation != FUSE_NOTIFY_REPLY;
}

std::optional<fuse_init_out> answer_offer(const FuseOffer& offer) noexcept
{
    if (offer.major < FUSE_KERNEL_VERSION || (offer.major == FUSE_KERNEL_VERSION && offer.minor < kOldestMinor)) {
        return std::nullopt;
    }
    fuse_init_out answer{};
    // A kernel with a higher major version takes this as a request to begin again with ours.
    answer.major = FUSE_KERNEL_VERSION;
    answer.minor = FUSE_KERNEL_MINOR_VERSION;
    answer.max_readahead = std::min(offer.max_readahead, kReadaheadMax);
    answer.flags = offer.flags & kWanted;
    answer.max_background = kBackgroundMax;
    answer.congestion_threshold = kBackgroundMax;
    answer.max_write = kWriteMax;
    answer.time_gran = 1;
    answer.max_pages = static_cast<std::uint16_t>(kFuseReadMax / static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
    return answer;
}

fuse_entry_out make_entry(const FuseFile& file) noexcept
{
    fuse_entry_out entry{};
    entry.nodeid = file.inode;
    entry.entry_valid = kForLong;
    entry.attr_valid = kForLong;
    entry.attr = describe(file);
    return entry;
}

fuse_attr_out make_attributes(const FuseFile& file) noexcept
{
    fuse_attr_out attributes{};
    attributes.attr_valid = kForLong;
    attributes.attr = describe(file);
    return attributes;
}

fuse_open_out make_opened(std::uint64_t handle) noexcept
{
    fuse_open_out opened{};
    opened.fh = handle;
    // EROFS caches what it reads. A cache of ours below it would hold everything twice, and was measured to be slower.
    // Metadata goes through the file's page cache all the same, and may stay: the bytes of a blob never change.
    opened.open_flags = FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE | FOPEN_NOFLUSH;
    return opened;
}

fuse_statfs_out make_statistics() noexcept
{
    fuse_statfs_out statistics{};
    statistics.st.namelen = kNameMax;
    statistics.st.bsize = 512;
    return statistics;
}

bool FuseListing::add(std::string_view name, std::uint64_t inode, bool directory, std::uint64_t next)
{
    const auto before = bytes_.size();
    const auto size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name.size());
    if (before + size > room_) {
        return false;
    }
    fuse_dirent head{};
    head.ino = inode;
    head.off = next;
    head.namelen = static_cast<std::uint32_t>(name.size());
    head.type = (directory ? S_IFDIR : S_IFREG) >> 12U;
    bytes_.resize(before + size);
    std::memcpy(bytes_.data() + before, &head, FUSE_NAME_OFFSET);
    name.copy(bytes_.data() + before + FUSE_NAME_OFFSET, name.size());
    return true;
}

} // namespace sluice::protocol
