// SPDX-License-Identifier: Apache-2.0
//
// A weak answerer that is still set means "not yet answered": answering takes it out first, so that nothing which the
// answer sets off can answer a second time.
#include "protocol/pending.hpp"

#include <cerrno>
#include <utility>

namespace sluice::protocol {

PendingRead::PendingRead(std::weak_ptr<Answerer> answerer, ObjectId object, MessageId message) noexcept
    : answerer_{std::move(answerer)}, object_{object}, message_{message}
{}

PendingRead& PendingRead::operator=(PendingRead&& other) noexcept
{
    if (this != &other) {
        cancel();
        answerer_ = std::move(other.answerer_);
        object_ = other.object_;
        message_ = other.message_;
    }
    return *this;
}

PendingRead::~PendingRead()
{
    cancel();
}

void PendingRead::cancel() noexcept
{
    if (!answerer_.expired()) {
        complete(fail(ErrorKind::kCancelled, "the READ was dropped"));
    }
}

void PendingRead::complete(Result<void> outcome)
{
    const auto answerer = std::exchange(answerer_, {}).lock();
    if (answerer) {
        answerer->answer_read(object_, message_, std::move(outcome));
    }
}

PendingOpen::PendingOpen(std::weak_ptr<Answerer> answerer, ObjectId object, MessageId message) noexcept
    : answerer_{std::move(answerer)}, object_{object}, message_{message}
{}

PendingOpen& PendingOpen::operator=(PendingOpen&& other) noexcept
{
    if (this != &other) {
        reject(Error::from_errno(EIO, "the OPEN was dropped"));
        answerer_ = std::move(other.answerer_);
        object_ = other.object_;
        message_ = other.message_;
    }
    return *this;
}

PendingOpen::~PendingOpen()
{
    if (!answerer_.expired()) {
        reject(Error::from_errno(EIO, "the OPEN was dropped"));
    }
}

void PendingOpen::accept(OpenedBlob blob)
{
    const auto answerer = std::exchange(answerer_, {}).lock();
    if (answerer) {
        answerer->answer_open(object_, message_, std::move(blob));
    }
}

void PendingOpen::reject(Error why)
{
    const auto answerer = std::exchange(answerer_, {}).lock();
    if (answerer) {
        answerer->answer_open(object_, message_, fail(std::move(why)));
    }
}

int errno_of(const Error& error) noexcept
{
    switch (error.kind()) {
    case ErrorKind::kNoSpace:
        return error.code() == ENOMEM || error.code() == EMFILE || error.code() == ENFILE ? error.code() : ENOSPC;
    case ErrorKind::kTimeout:
        return ETIMEDOUT;
    case ErrorKind::kCorrupt:
        return EBADMSG;
    case ErrorKind::kNotFound:
        return error.code() == ENOENT ? ENOENT : ENODATA;
    case ErrorKind::kDenied:
        return EACCES;
    case ErrorKind::kTransient:
    case ErrorKind::kCancelled:
    case ErrorKind::kInvalid:
    case ErrorKind::kUnsupported:
    case ErrorKind::kInternal:
        break;
    }
    return EIO;
}

} // namespace sluice::protocol
