// SPDX-License-Identifier: Apache-2.0
//
// A request is in requests_ from the call to its end. On the wire it is one of the daemon's obligations, in expected_;
// losing the connection empties expected_ and puts every request back in line, behind an OPEN of its blob. A blob is
// opened when the first request needs it, so what nobody reads is not opened again after a restart of the daemon.
#include "lib/session.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace sluice::lib {

namespace {

constexpr milliseconds kFirstDelay{10};
constexpr milliseconds kLongestDelay{500};

bool is_open(std::uint16_t opcode) noexcept
{
    return opcode == SLUICE_WIRE_OPEN_BLOB || opcode == SLUICE_WIRE_OPEN_IMAGE;
}

} // namespace

std::uint32_t Session::fresh_id()
{
    do {
        ++last_id_;
    } while (last_id_ == 0 || requests_.contains(last_id_) || expected_.contains(last_id_) || blobs_.contains(last_id_)
    );
    return last_id_;
}

Session::BlobId Session::add_blob(BlobName name, Adopt adopt)
{
    const auto id = fresh_id();
    blobs_.emplace(id, Blob{std::move(name), std::move(adopt), Open::kNo, 0, false, {}});
    return id;
}

void Session::remove_blob(BlobId id)
{
    const auto at = blobs_.find(id);
    if (at == blobs_.end() || at->second.removed) {
        return;
    }
    end_of_blob(id, -ECANCELED);
    auto& blob = at->second;
    blob.removed = true;
    blob.adopt = nullptr;
    if (blob.state == Open::kAsked) {
        return; // on_open() closes what comes
    }
    if (blob.state == Open::kYes) {
        const auto close = fresh_id();
        notices_.push_back(encode_close(close, blob.object));
        expect(close, SLUICE_WIRE_CLOSE, 0);
    }
    blobs_.erase(at);
}

Session::RequestId Session::add(Request request)
{
    const auto id = fresh_id();
    const auto deadline = request.deadline;
    const auto blob = blobs_.find(request.blob);
    requests_.emplace(id, std::move(request));
    try {
        deadlines_.emplace(deadline, id);
        if (blob != blobs_.end()) {
            blob->second.requests.insert(id);
        }
        unsent_.push_back(id);
    } catch (...) { // out of memory: the asker goes, so nothing may be left that would call it
        forget(id);
        throw;
    }
    return id;
}

void Session::forget(RequestId id) noexcept
{
    const auto at = requests_.find(id);
    deadlines_.erase({at->second.deadline, id});
    if (const auto blob = blobs_.find(at->second.blob); blob != blobs_.end()) {
        blob->second.requests.erase(id);
    }
    requests_.erase(at);
}

Session::RequestId Session::greet(TimePoint deadline, bool patience, Done done)
{
    return add({Kind::kGreet, false, patience, 0, 0, 0, deadline, std::move(done)});
}

Session::RequestId Session::open(BlobId blob, TimePoint deadline, Done done)
{
    return add({Kind::kOpen, false, true, blob, 0, 0, deadline, std::move(done)});
}

Session::RequestId Session::read(BlobId blob, std::uint64_t offset, std::uint64_t length, TimePoint deadline, Done done)
{
    return add({Kind::kRead, false, true, blob, offset, length, deadline, std::move(done)});
}

void Session::end(RequestId id, int status)
{
    const auto at = requests_.find(id);
    assert(at != requests_.end());
    const auto done = std::move(at->second.done);
    forget(id);
    done(status);
}

void Session::end_of_blob(BlobId id, int status)
{
    const auto at = blobs_.find(id);
    while (at != blobs_.end() && !at->second.requests.empty()) {
        const auto first = at->second.requests.begin();
        if (!cancel(*first, status)) {
            at->second.requests.erase(first);
        }
    }
}

bool Session::cancel(RequestId id, int status)
{
    const auto at = requests_.find(id);
    if (at == requests_.end()) {
        return false;
    }
    if (at->second.sent && expected_.contains(id)) {
        const auto cancel = fresh_id();
        notices_.push_back(encode_cancel(cancel, id));
        expect(cancel, SLUICE_WIRE_CANCEL, 0);
    }
    end(id, status);
    return true;
}

void Session::cancel_all(int status)
{
    while (!requests_.empty()) {
        (void)cancel(requests_.begin()->first, status);
    }
}

void Session::expire(TimePoint now)
{
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        const auto first = deadlines_.begin();
        if (!cancel(first->second, -ETIMEDOUT)) {
            deadlines_.erase(first);
        }
    }
}

std::optional<TimePoint> Session::wake_at() const
{
    std::optional<TimePoint> at;
    if (!deadlines_.empty()) {
        at = deadlines_.begin()->first;
    }
    if (wants_connection()) {
        at = at ? std::min(*at, connect_at_) : connect_at_;
    }
    return at;
}

void Session::connected()
{
    linked_ = true;
    greeted_ = false;
    hello_sent_ = false;
}

void Session::disconnected(TimePoint now, int error)
{
    linked_ = false;
    greeted_ = false;
    delay_ = delay_ == milliseconds{0} ? kFirstDelay : std::min(delay_ * 2, kLongestDelay);
    connect_at_ = now + delay_;
    expected_.clear();
    notices_.clear();
    outgoing_.reset();
    unsent_.clear();
    std::erase_if(blobs_, [](const auto& entry) { return entry.second.removed; });
    for (auto& [id, blob] : blobs_) {
        blob.state = Open::kNo;
    }
    std::vector<RequestId> hopeless;
    for (auto& [id, request] : requests_) {
        request.sent = false;
        unsent_.push_back(id); // in the order in which they were asked
        if (!request.patience) {
            hopeless.push_back(id);
        }
    }
    for (const auto id : hopeless) {
        end(id, error);
    }
}

void Session::expect(std::uint32_t id, std::uint16_t opcode, BlobId blob)
{
    expected_.insert_or_assign(id, Expected{opcode, blob});
}

const Bytes* Session::next()
{
    if (!linked_) {
        return nullptr;
    }
    if (!outgoing_) {
        if (!greeted_) {
            if (hello_sent_) {
                return nullptr;
            }
            const auto id = fresh_id();
            expect(id, SLUICE_WIRE_HELLO, 0);
            outgoing_ = encode_hello(id);
            hello_sent_ = true;
        } else if (!notices_.empty()) {
            outgoing_ = std::move(notices_.front());
            notices_.pop_front();
        } else {
            outgoing_ = next_request();
        }
    }
    return outgoing_ ? &*outgoing_ : nullptr;
}

void Session::sent()
{
    outgoing_.reset();
}

std::optional<Bytes> Session::next_request()
{
    while (!unsent_.empty() && expected_.size() < limits_.requests) {
        const auto id = unsent_.front();
        unsent_.pop_front();
        const auto at = requests_.find(id);
        if (at == requests_.end() || at->second.kind == Kind::kGreet || at->second.sent) {
            continue;
        }
        auto& request = at->second;
        auto& blob = blobs_.at(request.blob);
        if (blob.state == Open::kAsked) {
            continue; // on_open() brings it back
        }
        if (blob.state == Open::kNo) {
            const auto open = fresh_id();
            blob.state = Open::kAsked;
            expect(open, blob.name.is_image ? SLUICE_WIRE_OPEN_IMAGE : SLUICE_WIRE_OPEN_BLOB, request.blob);
            return encode_open(open, blob.name);
        }
        if (request.kind == Kind::kRead) {
            request.sent = true;
            expect(id, SLUICE_WIRE_READ, request.blob);
            return encode_read(id, blob.object, request.offset, request.length);
        }
        end(id, 0); // an open() of what is open
    }
    return std::nullopt;
}

bool Session::received(std::span<const std::byte> bytes, UniqueFd fd, bool fd_lost)
{
    const auto answer = decode_answer(bytes);
    if (!answer) {
        return false;
    }
    const auto node = expected_.extract(answer->id);
    if (node.empty() || node.mapped().opcode != answer->opcode) {
        return false;
    }
    if (answer->opcode == SLUICE_WIRE_HELLO) {
        return on_hello(*answer);
    }
    delay_ = milliseconds{0}; // it does answer: the next loss of the connection is a new one
    if (is_open(answer->opcode)) {
        return on_open(node.mapped().blob, *answer, std::move(fd), fd_lost);
    }
    if (answer->opcode == SLUICE_WIRE_READ && requests_.contains(answer->id)) {
        end(answer->id, answer->status);
    }
    return true;
}

void Session::end_greetings(int status, bool patient_ones)
{
    std::vector<RequestId> greetings;
    for (const auto& [id, request] : requests_) {
        if (request.kind == Kind::kGreet && (patient_ones || !request.patience)) {
            greetings.push_back(id);
        }
    }
    for (const auto id : greetings) {
        end(id, status);
    }
}

bool Session::on_hello(const Answer& answer)
{
    if (answer.status == -EACCES || answer.status == -EPROTONOSUPPORT) {
        cancel_all(answer.status); // asking again would not change it
        return false;
    }
    if (answer.status != 0) { // too busy: tried again later, for those who wait
        end_greetings(answer.status, false);
        return false;
    }
    greeted_ = true;
    limits_ = answer.limits;
    end_greetings(0, true);
    return true;
}

void Session::queue_unsent(const Blob& blob)
{
    for (auto at = blob.requests.rbegin(); at != blob.requests.rend(); ++at) {
        if (!requests_.at(*at).sent) {
            unsent_.push_front(*at); // they have waited; some may be in there for a second time now
        }
    }
}

bool Session::on_open(BlobId id, const Answer& answer, UniqueFd fd, bool fd_lost)
{
    const auto at = blobs_.find(id);
    assert(at != blobs_.end() && at->second.state == Open::kAsked);
    auto& blob = at->second;
    blob.state = Open::kNo;
    if (answer.status != 0) {
        end_of_blob(id, answer.status);
    } else if (!fd && !fd_lost) {
        return false;
    } else if (const int refused = blob.removed ? -ECANCELED : blob.adopt(answer.opened, std::move(fd)); refused != 0) {
        end_of_blob(id, refused);
        const auto close = fresh_id();
        notices_.push_back(encode_close(close, answer.opened.object));
        expect(close, SLUICE_WIRE_CLOSE, 0);
    } else {
        blob.state = Open::kYes;
        blob.object = answer.opened.object;
        if (blob.name.is_image) { // what the reference stands for may change; the blob does not
            blob.name = BlobName{digest_text(answer.opened.digest), false, 0, 0};
        }
        queue_unsent(blob);
    }
    if (blob.removed) {
        blobs_.erase(at);
    }
    return true;
}

} // namespace sluice::lib
