// SPDX-License-Identifier: Apache-2.0
//
// The ways in which the fake kernel misbehaves.
#include "tests/support/fake_kernel.hpp"

#include <array>
#include <cerrno>
#include <utility>

namespace sluice::test {

void FakeKernel::send_raw(std::span<const std::byte> bytes)
{
    const MutexLock lock{state_->mutex};
    state_->send_bytes(bytes, FakeKernelState::Kind::kRaw);
}

void FakeKernel::force_next_object_id(std::uint32_t id)
{
    const MutexLock lock{state_->mutex};
    state_->next_object = id;
}

void FakeKernel::fail_read(int code)
{
    const MutexLock lock{state_->mutex};
    const std::array marker{static_cast<std::byte>(code)};
    state_->send_bytes(marker, FakeKernelState::Kind::kError);
}

void FakeKernel::wake_for_nothing()
{
    const MutexLock lock{state_->mutex};
    state_->send_bytes({}, FakeKernelState::Kind::kNothing);
}

void FakeKernel::fail_command(const std::string& prefix, int code)
{
    const MutexLock lock{state_->mutex};
    if (code == 0) {
        state_->failing_commands.erase(prefix);
    } else {
        state_->failing_commands[prefix] = code;
    }
}

void FakeKernel::on_busy(std::function<void()> hook)
{
    const MutexLock lock{state_->mutex};
    state_->busy_hook = std::move(hook);
}

void FakeKernel::on_pwrite(std::function<std::int64_t(std::uint64_t, std::size_t)> hook)
{
    const MutexLock lock{state_->mutex};
    state_->pwrite_hook = std::move(hook);
}

void FakeKernel::set_free_per_cent(int per_cent)
{
    const MutexLock lock{state_->mutex};
    state_->free_per_cent = per_cent;
}

void FakeKernel::kill_cache()
{
    const MutexLock lock{state_->mutex};
    state_->die(EIO);
}

void FakeKernel::hang_up()
{
    const MutexLock lock{state_->mutex};
    state_->kernel_end.reset();
}

} // namespace sluice::test
