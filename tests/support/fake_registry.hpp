// SPDX-License-Identifier: Apache-2.0
//
// A registry on a loopback port that does as it is told: it serves blobs and manifests, asks for credentials,
// redirects, takes uploads, keeps a log of what it was asked, and fails in scripted ways. One thread a connection; fast
// enough for benchmarks.
#pragma once

#include "base/digest.hpp"
#include "base/mutex.hpp"
#include "base/unique_fd.hpp"
#include "tests/support/fake_http.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace sluice::test {

/// What goes wrong with an answer. What is not set stays as it would be.
struct Fault {
    int status = 0;                   ///< instead of an answer, with `headers` and `body`
    std::vector<std::string> headers; ///< further "Name: value" lines
    std::string body;
    std::optional<std::uint64_t> truncate_after; ///< bytes of the body, then the connection is closed
    std::size_t extra = 0;                       ///< bytes more behind the body, counted in Content-Length
    std::optional<std::uint64_t> flip_at;        ///< offset in the body of a byte that comes wrong
    std::optional<std::string> content_range;    ///< another one; empty: none at all
    bool ignore_range = false;                   ///< 200 and the whole blob
    bool no_length = false;                      ///< no Content-Length; the connection's end is the body's
    bool hold = false;                           ///< wait for release()
    bool hang = false;                           ///< wait for the end of the registry
    bool reset_at_end = false;                   ///< the connection's end is a reset
    bool reset = false;                          ///< the connection is reset without an answer
    bool garbage = false;                        ///< something that is no HTTP, then the end of the connection
    std::size_t trickle = 0;                     ///< bytes at a time, with a pause of a few milliseconds between them
};

class FakeRegistry {
public:
    static constexpr unsigned kForever = ~0U;

    /// `sha256` names what is pushed and added; any function will do where no other party computes digests.
    /// `port` 0: any that is free.
    explicit FakeRegistry(Sha256Function sha256, std::uint16_t port = 0);
    FakeRegistry(const FakeRegistry&) = delete;
    FakeRegistry& operator=(const FakeRegistry&) = delete;
    ~FakeRegistry();

    /// "127.0.0.1:port", as in references.
    [[nodiscard]] std::string host() const;

    // Content. Blobs are in every repository.
    Digest add_blob(std::string bytes);
    void add_blob(const Digest& digest, std::string bytes);
    void add_blob_file(const Digest& digest, UniqueFd file, std::uint64_t size);
    /// Under its digest, and under `tag` when that is not empty. Pushed ones appear here too.
    Digest
    add_manifest(const std::string& repository, const std::string& tag, const std::string& type, std::string bytes);
    [[nodiscard]] std::optional<std::string> blob(const Digest& digest) const;
    [[nodiscard]] std::optional<std::string> manifest(const std::string& repository, const std::string& name) const;

    // Behaviour.
    /// The next `times` requests whose path contains `path_part` fail so; scripts for one path are used in order.
    void script(const std::string& path_part, Fault fault, unsigned times = 1);
    void clear_scripts();
    /// Lets all held answers go, and holds no more of them until the next script.
    void release();
    void require_basic(const std::string& user, const std::string& password);
    /// Tokens from /token on this host. With a user, only for who says the password, or has `refresh_token`.
    void require_bearer(const std::string& user = {}, const std::string& password = {});
    void set_token_lifetime(unsigned seconds);
    void revoke_tokens();
    /// GETs of blobs are answered with a 307 to `storage` (another one of these), with `query` behind the URL.
    void redirect_blobs(const FakeRegistry& storage, const std::string& query);
    /// Each answer comes so much later, as over a wire of that round trip. 0 at first.
    void set_delay(std::chrono::microseconds delay);

    // Observation.
    [[nodiscard]] std::vector<FakeHttpRequest> requests() const;
    [[nodiscard]] std::size_t count_requests(const std::string& path_part) const;
    [[nodiscard]] std::size_t connections() const;
    /// How many answers a script has spoilt.
    [[nodiscard]] std::size_t faults_struck() const;
    /// How many requests wait for release().
    [[nodiscard]] std::size_t held() const;

private:
    struct Connection {
        UniqueFd fd;
        std::thread thread;
        bool ended = false;
    };

    struct Script {
        std::string path_part;
        Fault fault;
        unsigned times;
    };

    struct Manifest {
        std::string type;
        std::string bytes;
    };

    struct Answer {
        int status = 200;
        std::vector<std::string> headers;
        FakeContent content;
        ByteRange part; ///< of the content
    };

    void accept_all();
    void serve(Connection& connection);
    [[nodiscard]] bool answer_one(FakeHttpStream& stream, int fd, const FakeHttpRequest& request);
    [[nodiscard]] std::optional<Fault> next_fault(const FakeHttpRequest& request);
    [[nodiscard]] bool wait_out(const Fault& fault);
    [[nodiscard]] bool send_body(FakeHttpStream& stream, const Answer& answer, const Fault& fault);
    void pause() const;

    [[nodiscard]] Answer route(const FakeHttpRequest& request, bool ignore_range);
    [[nodiscard]] Answer route_blob(const FakeHttpRequest& request, const std::string& name, bool ignore_range)
        SLUICE_REQUIRES(mutex_);
    [[nodiscard]] Answer route_manifest(const FakeHttpRequest& request, const std::string& key) SLUICE_REQUIRES(mutex_);
    [[nodiscard]] Answer route_upload(const FakeHttpRequest& request) SLUICE_REQUIRES(mutex_);
    [[nodiscard]] Answer route_token(const FakeHttpRequest& request) SLUICE_REQUIRES(mutex_);
    [[nodiscard]] std::optional<Answer> demand_login(const FakeHttpRequest& request) const SLUICE_REQUIRES(mutex_);

    const Sha256Function sha256_;
    UniqueFd listener_;
    UniqueFd stop_; // eventfd: readable once we end
    std::uint16_t port_ = 0;
    std::atomic<std::chrono::microseconds> delay_{};
    mutable Mutex mutex_;
    Condition changed_;
    std::list<Connection> connections_ SLUICE_GUARDED_BY(mutex_);
    std::size_t accepted_ SLUICE_GUARDED_BY(mutex_) = 0;
    std::size_t struck_ SLUICE_GUARDED_BY(mutex_) = 0;
    std::map<Digest, FakeContent> blobs_ SLUICE_GUARDED_BY(mutex_);
    std::map<std::string, Manifest> manifests_ SLUICE_GUARDED_BY(mutex_); // by "repository/manifests/name"
    std::vector<Script> scripts_ SLUICE_GUARDED_BY(mutex_);
    std::vector<FakeHttpRequest> log_ SLUICE_GUARDED_BY(mutex_);
    std::size_t held_ SLUICE_GUARDED_BY(mutex_) = 0;
    std::uint64_t releases_ SLUICE_GUARDED_BY(mutex_) = 0;
    bool stopping_ SLUICE_GUARDED_BY(mutex_) = false;
    std::string basic_ SLUICE_GUARDED_BY(mutex_); // the Authorization value that is wanted
    bool bearer_ SLUICE_GUARDED_BY(mutex_) = false;
    std::string token_user_ SLUICE_GUARDED_BY(mutex_);
    std::string token_password_ SLUICE_GUARDED_BY(mutex_);
    unsigned token_lifetime_ SLUICE_GUARDED_BY(mutex_) = 300;
    unsigned tokens_made_ SLUICE_GUARDED_BY(mutex_) = 0;
    std::set<std::string> tokens_ SLUICE_GUARDED_BY(mutex_);
    std::string redirect_to_ SLUICE_GUARDED_BY(mutex_); // "http://host"
    std::string redirect_query_ SLUICE_GUARDED_BY(mutex_);
    std::thread acceptor_;
};

} // namespace sluice::test
