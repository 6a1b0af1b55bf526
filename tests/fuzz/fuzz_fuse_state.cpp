// SPDX-License-Identifier: Apache-2.0
//
// A predecessor's state that is not as this version writes it: refused, or used within its bounds. The input is laid
// over what a good one has: its beginning changes the header and two openings, the rest is a note and a request.
#include "protocol/fuse_state.hpp"
#include "tests/fuzz/require.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/mman.h>

namespace {

using namespace sluice;
using namespace sluice::protocol;
using Layout = FuseStateLayout;

/// A good state, and what of it inputs are laid over.
class Subject {
public:
    Subject() : state_{std::move(FuseState::create("/run/sluice/blobs/0a1b2c3d")).value()}
    {
        const auto node = state_.add_name(std::string(Layout::kNameDigits, 'a')).value();
        const auto handle = state_.take_handle().value();
        require(state_.add_opening({handle, node}));
        auto* memory = ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, state_.descriptor(), 0);
        require(memory != MAP_FAILED);
        layout_ = static_cast<Layout*>(memory);
        header_ = layout_->header;
        openings_ = layout_->openings;
        names_ = {layout_->names[0], layout_->names[1]};
    }

    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;

    ~Subject() { ::munmap(layout_, sizeof *layout_); }

    void lay_over(std::span<const std::uint8_t> input)
    {
        layout_->header = header_;
        layout_->openings = openings_;
        std::copy(names_.begin(), names_.end(), layout_->names.begin());
        layout_->notes[0] = {};
        layout_->slots[0] = {};
        change(input, &layout_->header, offsetof(Layout::Header, directory));
        change(input, layout_->openings.data(), 2 * sizeof(Layout::Opening));
        change(input, layout_->notes.data(), sizeof(Layout::Note));
        change(input, layout_->slots.data(), sizeof(Layout::Slot));
    }

    [[nodiscard]] Result<FuseState> adopt() const
    {
        return FuseState::adopt(UniqueFd{kAdoptFd, ::fcntl(state_.descriptor(), F_DUPFD_CLOEXEC, 0)});
    }

private:
    /// Zeros change nothing.
    static void change(std::span<const std::uint8_t>& input, void* memory, std::size_t size)
    {
        auto* bytes = static_cast<std::uint8_t*>(memory);
        const auto count = std::min(size, input.size());
        for (std::size_t i = 0; i < count; ++i) {
            bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ input[i]);
        }
        input = input.subspan(count);
    }

    FuseState state_;
    Layout* layout_ = nullptr;
    Layout::Header header_{};
    decltype(Layout::openings) openings_{};
    std::array<Layout::Name, 2> names_{};
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static Subject subject;
    subject.lay_over({data, size});
    auto state = subject.adopt();
    if (!state) {
        const auto kind = state.error().kind();
        require(kind == ErrorKind::kInvalid || kind == ErrorKind::kUnsupported);
        return 0;
    }
    const auto now = SteadyClock::now();
    for (const auto& opening : state->openings()) {
        require(state->name_of(opening.node).size() == Layout::kNameDigits);
        require(state->node_of(opening.handle) == opening.node);
    }
    for (const auto slot : state->slots_in_use()) {
        require(slot == 0 && state->note_arrival(slot, now) <= now);
        (void)state->noted_handle(slot);
        const auto message = parse_fuse_message(state->slot(slot));
        require(!message || message->unique != 0);
        state->clear(slot);
        require(!state->in_use(slot));
    }
    if (const auto handle = state->take_handle()) {
        require(!state->node_of(*handle));
    }
    if (const auto node = state->add_name(std::string(Layout::kNameDigits, 'b'))) {
        require(state->name_of(*node) == std::string(Layout::kNameDigits, 'b'));
    }
    return 0;
}
