// SPDX-License-Identifier: Apache-2.0
//
// The two obligations. A weak answerer that is still set means "not yet answered": answering takes it out first, so
// that nothing which the answer sets off can answer a second time.
#include "protocol/device.hpp"

#include <cassert>
#include <cerrno>
#include <utility>

namespace sluice::protocol {

PendingRead::PendingRead(std::weak_ptr<Answerer> answerer, ObjectId object, MessageId message) noexcept
    : answerer_{std::move(answerer)}, object_{object}, message_{message}
{}

PendingRead& PendingRead::operator=(PendingRead&& other) noexcept
{
    if (this != &other) {
        complete();
        answerer_ = std::move(other.answerer_);
        object_ = other.object_;
        message_ = other.message_;
    }
    return *this;
}

PendingRead::~PendingRead()
{
    complete();
}

void PendingRead::complete()
{
    const auto answerer = std::exchange(answerer_, {}).lock();
    if (answerer) {
        answerer->answer_read(object_, message_);
    }
}

PendingOpen::PendingOpen(std::weak_ptr<Answerer> answerer, ObjectId object, MessageId message) noexcept
    : answerer_{std::move(answerer)}, object_{object}, message_{message}
{}

PendingOpen& PendingOpen::operator=(PendingOpen&& other) noexcept
{
    if (this != &other) {
        reject(EIO);
        answerer_ = std::move(other.answerer_);
        object_ = other.object_;
        message_ = other.message_;
    }
    return *this;
}

PendingOpen::~PendingOpen()
{
    reject(EIO);
}

void PendingOpen::accept(std::uint64_t size)
{
    const auto answerer = std::exchange(answerer_, {}).lock();
    if (answerer) {
        answerer->answer_open(object_, message_, size);
    }
}

void PendingOpen::reject(int code)
{
    assert(code >= 1 && code <= 4095);
    const auto answerer = std::exchange(answerer_, {}).lock();
    if (answerer) {
        answerer->answer_open(object_, message_, fail_errno(code, "rejected"));
    }
}

} // namespace sluice::protocol
