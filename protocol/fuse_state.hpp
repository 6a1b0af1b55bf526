// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "protocol/fuse_message.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::protocol {

/// How the memory of FuseState is laid out. Whoever changes it, or what it means, raises kVersion: a successor of
/// another version then ends the connection instead of misreading it.
struct FuseStateLayout {
    static constexpr std::uint64_t kMagic = 0x6566'7573'6563'756cULL;
#ifdef SLUICE_OTHER_LAYOUT // a test's build, which stands for a later version
    static constexpr std::uint32_t kVersion = 1'000'001;
#else
    static constexpr std::uint32_t kVersion = 1;
#endif

    static constexpr std::size_t kSlots = 4096;
    static constexpr std::size_t kNames = 65536;
    static constexpr std::size_t kOpenings = 16384;
    static constexpr std::size_t kNameDigits = 64;

    struct Header {
        std::uint64_t magic;
        std::uint32_t version;
        std::uint32_t names;       ///< how many of the table are given; the next node id follows from it
        std::uint64_t last_handle; ///< handles are counted, and never given twice
        std::array<char, 40> boot; ///< the kernel's boot id
        std::array<char, 4096> directory;
    };

    struct Opening {
        std::uint64_t handle; ///< 0: free; written last
        std::uint64_t node;
    };

    /// What belongs to a request beside the kernel's own bytes.
    struct Note {
        std::int64_t arrival; ///< nanoseconds of the steady clock, which all processes share; 0: not yet written
        std::uint64_t handle; ///< OPEN: what it is, or was, answered with; 0: not yet chosen
    };

    using Name = std::array<char, kNameDigits>;
    using Slot = std::array<std::byte, kFuseKept>;

    Header header;
    std::array<Name, kNames> names; ///< in the order of their node ids, which begin behind the root's
    std::array<Opening, kOpenings> openings;
    alignas(4096) std::array<Note, kSlots> notes;
    alignas(kFuseKept) std::array<Slot, kSlots> slots; ///< in use while the kernel's `unique` in it is not 0
    std::array<std::byte, FUSE_MIN_READ_BUFFER - kFuseKept> scratch; ///< takes the end of long requests, for nobody
};

/// What a FUSE connection needs to outlive its daemon, in a memfd: its node ids, what is open, and each request that
/// was taken and not yet answered. The kernel writes requests into it directly, so that one that was handed out is
/// never lost, wherever the daemon dies. The loop's thread only, except for what says otherwise.
class FuseState {
public:
    struct Opening {
        std::uint64_t handle;
        std::uint64_t node;
    };

    /// A fresh one, for a file system that is mounted at `directory`. Its memory is there from the beginning, and
    /// locked where that is allowed: a request never fails for want of it.
    [[nodiscard]] static Result<FuseState> create(const std::filesystem::path& directory);

    /// A predecessor's. kUnsupported where it is of another version, kInvalid where it is not what this class writes or
    /// is from before a reboot. Every other error is of this moment.
    [[nodiscard]] static Result<FuseState> adopt(UniqueFd memory);

    FuseState(FuseState&& other) noexcept;
    FuseState& operator=(FuseState&&) = delete;
    FuseState(const FuseState&) = delete;
    FuseState& operator=(const FuseState&) = delete;
    ~FuseState();

    [[nodiscard]] int descriptor() const noexcept { return memory_.get(); }

    /// Where the file system is mounted.
    [[nodiscard]] std::filesystem::path directory() const;

    /// A new node id for a name of 64 digits; nothing when there are no more of them.
    [[nodiscard]] std::optional<std::uint64_t> add_name(std::string_view name);
    [[nodiscard]] std::size_t names() const noexcept;
    /// Empty where no name has that node id. Stays valid.
    [[nodiscard]] std::string_view name_of(std::uint64_t node) const noexcept;

    /// A handle that no opening had before; nothing when they are used up.
    [[nodiscard]] std::optional<std::uint64_t> take_handle() noexcept;

    /// False when the table is full.
    [[nodiscard]] bool add_opening(Opening opening);
    /// False when it was not open.
    bool remove_opening(std::uint64_t handle);
    /// The node of what is open; nothing where the handle is not.
    [[nodiscard]] std::optional<std::uint64_t> node_of(std::uint64_t handle) const;
    [[nodiscard]] std::vector<Opening> openings() const;

    /// The memory of a request; any thread that owns the request.
    [[nodiscard]] std::span<std::byte> slot(std::size_t index) noexcept { return layout_->slots[index]; }

    [[nodiscard]] std::span<std::byte> scratch() noexcept { return layout_->scratch; }

    [[nodiscard]] bool in_use(std::size_t index) const noexcept;
    /// Ends the use of a slot; any thread that owns the request.
    void clear(std::size_t index) noexcept;
    [[nodiscard]] std::vector<std::size_t> slots_in_use() const;

    /// When the request in a slot came; the first caller's `now` where nobody has noted it.
    [[nodiscard]] TimePoint note_arrival(std::size_t index, TimePoint now) noexcept;
    void note_handle(std::size_t index, std::uint64_t handle) noexcept;
    /// 0 where none was noted.
    [[nodiscard]] std::uint64_t noted_handle(std::size_t index) const noexcept;

private:
    FuseState(UniqueFd memory, FuseStateLayout* layout) noexcept;

    [[nodiscard]] static Result<FuseState> map(UniqueFd memory);
    [[nodiscard]] Result<void> check() const;
    [[nodiscard]] Result<void> read_openings();

    UniqueFd memory_;
    FuseStateLayout* layout_;                               ///< shared memory
    std::unordered_map<std::uint64_t, std::size_t> places_; ///< of openings in the table, by handle
    std::vector<std::size_t> free_places_;
};

} // namespace sluice::protocol
