// SPDX-License-Identifier: Apache-2.0
//
// What somebody sleeps on until it is answered. Each obligation is a type whose destructor answers, so that no path can
// forget it.
#pragma once

#include "base/digest.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

#include <cstdint>
#include <memory>

namespace sluice::protocol {

class FileHandle;

/// What the core gives to whoever opens a blob.
struct OpenedBlob {
    std::uint64_t size = 0;           ///< bytes that readers see; the same at every opening
    Digest digest;                    ///< of the whole blob, as the manifest names it
    std::shared_ptr<FileHandle> file; ///< the backing file; null for front ends that bring a handle of their own
};

/// How an obligation is paid; implemented by each front end. Called on the loop's thread.
class Answerer {
public:
    Answerer() = default;
    Answerer(const Answerer&) = delete;
    Answerer& operator=(const Answerer&) = delete;
    virtual ~Answerer() = default;

    virtual void answer_open(ObjectId object, MessageId message, Result<OpenedBlob> outcome) = 0;

    /// Success: all of the READ's range, up to the end of the blob, is in the backing file. The error says why it is
    /// not; a front end whose asker cannot be told leaves the hole, which the asker finds by itself.
    virtual void answer_read(ObjectId object, MessageId message, Result<void> outcome) = 0;
};

/// A READ that somebody sleeps on. Answered exactly once on every path: by complete(), or with kCancelled by the
/// destructor. Move-only; belongs to the loop's thread. When the answerer has died (expired), nobody is left to answer.
class PendingRead {
public:
    PendingRead(std::weak_ptr<Answerer> answerer, ObjectId object, MessageId message) noexcept;
    PendingRead(PendingRead&& other) noexcept = default;
    PendingRead& operator=(PendingRead&& other) noexcept;
    PendingRead(const PendingRead&) = delete;
    PendingRead& operator=(const PendingRead&) = delete;
    ~PendingRead();

    void complete(Result<void> outcome);

private:
    void cancel() noexcept;

    std::weak_ptr<Answerer> answerer_;
    ObjectId object_;
    MessageId message_;
};

/// An OPEN that a mount sleeps on, uninterruptibly. Answered exactly once: accept(), reject(), or rejected with EIO by
/// the destructor. Move-only; belongs to the loop's thread.
class PendingOpen {
public:
    PendingOpen(std::weak_ptr<Answerer> answerer, ObjectId object, MessageId message) noexcept;
    PendingOpen(PendingOpen&& other) noexcept = default;
    PendingOpen& operator=(PendingOpen&& other) noexcept;
    PendingOpen(const PendingOpen&) = delete;
    PendingOpen& operator=(const PendingOpen&) = delete;
    ~PendingOpen();

    void accept(OpenedBlob blob);

    void reject(Error why);

private:
    std::weak_ptr<Answerer> answerer_;
    ObjectId object_;
    MessageId message_;
};

/// The errno, 1 to 4095, that tells an asker why: ENOSPC, ETIMEDOUT, EBADMSG (not what was signed), ENODATA (nobody has
/// it), EACCES (the registry or the policy says no), ENOMEM and others that the system gave; EIO for all else.
[[nodiscard]] int errno_of(const Error& error) noexcept;

} // namespace sluice::protocol
