// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_state.hpp"

#include "base/log.hpp"
#include "protocol/fuse_mount.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <type_traits>
#include <unistd.h>

namespace sluice::protocol {

namespace {

using Layout = FuseStateLayout;

static_assert(std::is_standard_layout_v<Layout> && std::is_trivially_copyable_v<Layout>);

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

/// Objects of the core are numbered with 32 bits.
constexpr std::uint64_t kLastHandle = std::numeric_limits<std::uint32_t>::max();

Result<std::string> boot_id()
{
    std::string id;
    if (!std::getline(std::ifstream{"/proc/sys/kernel/random/boot_id"}, id) ||
        id.size() >= Layout::Header{}.boot.size()) {
        return fail(ErrorKind::kInternal, "/proc/sys/kernel/random/boot_id cannot be read");
    }
    return id;
}

template <std::size_t N>
std::string_view text_in(const std::array<char, N>& memory) noexcept
{
    return {memory.data(), ::strnlen(memory.data(), N)};
}

bool is_name(std::string_view name) noexcept
{
    return name.size() == Layout::kNameDigits && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// The kernel's `unique` in a slot.
std::uint64_t& unique_in(Layout::Slot& slot) noexcept
{
    auto* at = slot.data() + offsetof(fuse_in_header, unique);
    return *static_cast<std::uint64_t*>(static_cast<void*>(at));
}

Failure broken(std::string_view what)
{
    return fail(ErrorKind::kInvalid, fmt::format("the state of the FUSE connection is broken: {}", what));
}

} // namespace

FuseState::FuseState(UniqueFd memory, Layout* layout) noexcept : memory_{std::move(memory)}, layout_{layout} {}

FuseState::FuseState(FuseState&& other) noexcept
    : memory_{std::move(other.memory_)}
    , layout_{std::exchange(other.layout_, nullptr)}
    , places_{std::move(other.places_)}
    , free_places_{std::move(other.free_places_)}
{}

FuseState::~FuseState()
{
    if (layout_ != nullptr) {
        ::munmap(layout_, sizeof *layout_);
    }
}

Result<FuseState> FuseState::map(UniqueFd memory)
{
    auto* address = ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    if (address == MAP_FAILED) { // NOLINT(*-int-to-ptr,*-cstyle-cast): the system's macro
        return fail_errno(errno, "mapping the state of the FUSE connection");
    }
    FuseState state{std::move(memory), static_cast<Layout*>(address)};
    // From the notes to the end: what the kernel and the loop write for each request.
    const auto begin = offsetof(Layout, notes);
    if (::mlock(static_cast<std::byte*>(address) + begin, sizeof(Layout) - begin) != 0) {
        log::warning(
            "fuse: the memory of the requests cannot be locked, and may have to be swapped in before one is answered; "
            "raise LimitMEMLOCK= or give CAP_IPC_LOCK: {}",
            Error::from_errno(errno, "mlock").text()
        );
    }
    return state;
}

Result<FuseState> FuseState::create(const std::filesystem::path& directory)
{
    const auto boot = boot_id();
    if (!boot) {
        return fail(boot.error());
    }
    UniqueFd memory{kAdoptFd, ::memfd_create("sluice-fuse", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    const auto begin = offsetof(Layout, notes);
    if (!memory || ::ftruncate(memory.get(), sizeof(Layout)) != 0 ||
        ::fallocate(memory.get(), 0, begin, sizeof(Layout) - begin) != 0 ||
        ::fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) {
        return fail_errno(errno, "making the state of the FUSE connection");
    }
    auto state = map(std::move(memory));
    if (!state) {
        return state;
    }
    auto& header = state->layout_->header;
    if (directory.native().size() >= header.directory.size()) {
        return fail_errno(ENAMETOOLONG, directory.string());
    }
    header.magic = Layout::kMagic;
    header.version = Layout::kVersion;
    boot->copy(header.boot.data(), boot->size());
    directory.native().copy(header.directory.data(), directory.native().size());
    if (auto read = state->read_openings(); !read) {
        return fail(read.error());
    }
    return state;
}

Result<FuseState> FuseState::adopt(UniqueFd memory)
{
    struct stat info {};

    const int seals = ::fcntl(memory.get(), F_GET_SEALS);
    if (::fstat(memory.get(), &info) != 0 || seals < 0 || (seals & kSeals) != kSeals) {
        return broken("it is not sealed");
    }
    // The version stands in the same place in all versions; sizes differ.
    Layout::Header head{};
    const auto front = offsetof(Layout::Header, names);
    if (::pread(memory.get(), &head, front, 0) != static_cast<ssize_t>(front) || head.magic != Layout::kMagic) {
        return broken("it is something else");
    }
    if (head.version != Layout::kVersion || info.st_size != off_t{sizeof(Layout)}) {
        return fail(
            ErrorKind::kUnsupported,
            fmt::format(
                "the state of the FUSE connection has version {}, and this sluiced knows version {}",
                head.version,
                Layout::kVersion
            )
        );
    }
    auto state = map(std::move(memory));
    if (!state) {
        return state;
    }
    if (auto checked = state->check(); !checked) {
        return fail(checked.error());
    }
    if (auto read = state->read_openings(); !read) {
        return fail(read.error());
    }
    return state;
}

Result<void> FuseState::check() const
{
    const auto boot = boot_id();
    if (!boot) {
        return fail(boot.error());
    }
    const auto& header = layout_->header;
    if (text_in(header.boot) != *boot) {
        return broken("it is from before a reboot");
    }
    if (header.names > Layout::kNames || header.last_handle > kLastHandle) {
        return broken("its counters");
    }
    if (!directory().is_absolute() || !is_fuse_generation(directory().filename().native())) {
        return broken("its directory");
    }
    for (std::uint32_t i = 0; i < header.names; ++i) {
        if (!is_name({layout_->names[i].data(), Layout::kNameDigits})) {
            return broken("a name");
        }
    }
    return {};
}

Result<void> FuseState::read_openings()
{
    for (std::size_t i = Layout::kOpenings; i-- > 0;) {
        const auto& opening = layout_->openings[i];
        if (opening.handle == 0) {
            free_places_.push_back(i);
        } else if (opening.handle > layout_->header.last_handle || name_of(opening.node).empty() ||
                   !places_.emplace(opening.handle, i).second) {
            return broken("an opening");
        }
    }
    return {};
}

std::filesystem::path FuseState::directory() const
{
    return text_in(layout_->header.directory);
}

std::optional<std::uint64_t> FuseState::add_name(std::string_view name)
{
    auto& count = layout_->header.names;
    if (!is_name(name) || count == Layout::kNames) {
        return std::nullopt;
    }
    name.copy(layout_->names[count].data(), name.size());
    // Behind the name itself, wherever this process dies.
    std::atomic_ref{count}.store(count + 1, std::memory_order_release);
    return kFuseRoot + count;
}

std::size_t FuseState::names() const noexcept
{
    return layout_->header.names;
}

std::string_view FuseState::name_of(std::uint64_t node) const noexcept
{
    const auto index = node - kFuseRoot - 1;
    if (node <= kFuseRoot || index >= names()) {
        return {};
    }
    return {layout_->names[index].data(), Layout::kNameDigits};
}

std::optional<std::uint64_t> FuseState::take_handle() noexcept
{
    auto& last = layout_->header.last_handle;
    if (last == kLastHandle) {
        return std::nullopt;
    }
    return ++last;
}

bool FuseState::add_opening(Opening opening)
{
    if (free_places_.empty()) {
        return false;
    }
    const auto place = free_places_.back();
    free_places_.pop_back();
    auto& record = layout_->openings[place];
    record.node = opening.node;
    std::atomic_ref{record.handle}.store(opening.handle, std::memory_order_release);
    places_.emplace(opening.handle, place);
    return true;
}

bool FuseState::remove_opening(std::uint64_t handle)
{
    const auto place = places_.extract(handle);
    if (place.empty()) {
        return false;
    }
    layout_->openings[place.mapped()].handle = 0;
    free_places_.push_back(place.mapped());
    return true;
}

std::optional<std::uint64_t> FuseState::node_of(std::uint64_t handle) const
{
    const auto place = places_.find(handle);
    return place == places_.end() ? std::nullopt : std::optional{layout_->openings[place->second].node};
}

std::vector<FuseState::Opening> FuseState::openings() const
{
    std::vector<Opening> all;
    for (const auto& [handle, place] : places_) {
        all.push_back({handle, layout_->openings[place].node});
    }
    return all;
}

bool FuseState::in_use(std::size_t index) const noexcept
{
    return std::atomic_ref{unique_in(layout_->slots[index])}.load(std::memory_order_acquire) != 0;
}

void FuseState::clear(std::size_t index) noexcept
{
    // The notes first: a slot that is free has none.
    layout_->notes[index] = {};
    std::atomic_ref{unique_in(layout_->slots[index])}.store(0, std::memory_order_release);
}

std::vector<std::size_t> FuseState::slots_in_use() const
{
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < Layout::kSlots; ++i) {
        if (in_use(i)) {
            found.push_back(i);
        }
    }
    return found;
}

TimePoint FuseState::note_arrival(std::size_t index, TimePoint now) noexcept
{
    auto& arrival = layout_->notes[index].arrival;
    const auto count = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
    if (arrival <= 0 || arrival > count) {
        arrival = count;
    }
    return TimePoint{std::chrono::duration_cast<SteadyClock::duration>(std::chrono::nanoseconds{arrival})};
}

void FuseState::note_handle(std::size_t index, std::uint64_t handle) noexcept
{
    layout_->notes[index].handle = handle;
}

std::uint64_t FuseState::noted_handle(std::size_t index) const noexcept
{
    const auto handle = layout_->notes[index].handle;
    return handle <= layout_->header.last_handle ? handle : 0;
}

} // namespace sluice::protocol
