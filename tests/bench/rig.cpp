// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/rig.hpp"

#include "base/text.hpp"
#include "tests/support/fake_registry.hpp"
#include "trust/hasher.hpp"
#include "trust/merkle_builder.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <future>
#include <random>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::bench {

namespace {

constexpr std::size_t kPiece = 1U << 20;

void check(bool good, const std::string& what)
{
    if (!good) {
        throw std::runtime_error{what};
    }
}

daemon::BlobInfo make_blob(const std::filesystem::path& file, std::uint64_t size)
{
    std::ofstream out{file, std::ios::binary};
    std::mt19937_64 engine{42}; // NOLINT(cert-msc51-cpp): the same blob each time
    std::vector<std::uint64_t> words(kPiece / 8);
    trust::MerkleBuilder builder;
    for (std::uint64_t at = 0; at < size; at += kPiece) {
        for (auto& word : words) {
            word = engine();
        }
        const auto bytes = std::as_bytes(std::span{words});
        builder.update(bytes);
        out << as_text(bytes);
    }
    const auto tree = builder.finish();
    out << as_text(tree.bytes);
    check(out.flush().good(), "cannot write the blob");
    daemon::BlobInfo blob;
    blob.erofs_size = size;
    blob.tree_offset = size;
    blob.blob_size = size + tree.bytes.size();
    blob.root = tree.root;
    blob.digest = trust::sha256(tree.bytes); // only a name here
    return blob;
}

fetcher::RegistryOptions plain_http(const std::string& host, const std::vector<std::string>& others)
{
    fetcher::RegistryOptions options;
    options.insecure = {host};
    options.insecure.insert(options.insecure.end(), others.begin(), others.end());
    return options;
}

protocol::DeviceConfig device_config(const std::filesystem::path& dir)
{
    protocol::DeviceConfig config;
    config.cache_dir = dir;
    return config;
}

test::FakeKernelOptions direct()
{
    test::FakeKernelOptions options;
    options.direct_io = true;
    options.keep_commands = false;
    return options;
}

/// Processor time of the calling thread.
double thread_seconds()
{
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::uint64_t resident_bytes()
{
    std::ifstream statm{"/proc/self/statm"};
    std::uint64_t total = 0;
    std::uint64_t resident = 0;
    statm >> total >> resident;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace

Server::Server(const std::filesystem::path& directory, std::uint64_t data_size, unsigned delay_us)
{
    const auto file = directory / "blob";
    blob_ = make_blob(file, data_size);
    std::array<int, 2> pipe{};
    check(::pipe(pipe.data()) == 0, "pipe");
    child_ = ::fork();
    check(child_ >= 0, "fork");
    if (child_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_TIMERSLACK, 1UL);
        ::prctl(PR_SET_NAME, "server"); // for profiles
        test::FakeRegistry registry{&trust::sha256};
        registry.set_delay(std::chrono::microseconds{delay_us});
        registry.add_blob_file(blob_.digest, UniqueFd{kAdoptFd, ::open(file.c_str(), O_RDONLY)}, blob_.blob_size);
        const auto host = registry.host() + "\n";
        [[maybe_unused]] const auto told = ::write(pipe[1], host.data(), host.size());
        ::pause();
        ::_exit(0);
    }
    std::array<char, 64> text{};
    const auto count = ::read(pipe[0], text.data(), text.size());
    check(count > 0, "the server did not start");
    host_ = trim({text.data(), static_cast<std::size_t>(count)});
    ::close(pipe[0]);
    ::close(pipe[1]);
    blob_.repositories = {host_ + "/bench"};
}

Server::~Server()
{
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
}

std::string Server::url() const
{
    return fmt::format("http://{}/v2/bench/blobs/{}", host_, blob_.digest.to_string());
}

void Server::hang() const
{
    ::kill(child_, SIGSTOP);
}

Rig::Rig(const Server& server, const daemon::FillPolicy& policy, const std::vector<std::string>& others)
    : kernel_{dir_.path(), direct()}
    , policy_{policy}
    , sources_{loop_, plain_http(server.host(), others), buffers_, &trust::sha256}
    , mirrors_{loop_, [this](const std::string& where) -> fetcher::BlobSource& { return sources_.blobs(where); }}
    , services_{loop_, workers_, mirrors_, nullptr, counters_, tree_budget_}
    , blobs_{services_, policy_}
    , device_{loop_, kernel_.io(), device_config(dir_.path()), descriptors_}
    , objects_{daemon::ObjectService::Parts{
          services_,
          blobs_,
          catalogue_,
          [this] { return device_.capabilities(); },
          [](const Error& why) { throw std::runtime_error{why.text()}; }}}
{
    const auto started = device_.start(objects_);
    check(started.has_value(), started ? "" : started.error().text());
    object_ = open(server.blob());
}

Rig::~Rig()
{
    device_.stop();
}

test::FakeObjectPtr Rig::open(const daemon::BlobInfo& blob)
{
    catalogue_.add(blob);
    auto object = kernel_.open_object("erofs,sluice", daemon::cookie_of(blob));
    turn_until([&] { return kernel_.state(object) == test::FakeObjectState::kOpen; });
    return object;
}

void Rig::read_from_one_that_hangs(const Server& server, const Plan& plan)
{
    const auto object = open(server.blob());
    const auto first = kernel_.read(object, {0, kBlockSize}); // which brings the hash tree, too
    turn_until([&] { return kernel_.done(first); });
    check(kernel_.result(first) == 0, "the server was to hang later");
    server.hang();
    const auto before = counters_.reads;
    std::size_t sent = 0;
    for (const auto& ranges : plan) {
        for (const auto& range : ranges) {
            (void)kernel_.read(object, range);
            ++sent;
        }
    }
    turn_until([&] { return counters_.reads >= before + sent; });
}

void Rig::turn_until(const std::function<bool()>& done)
{
    while (!done()) {
        loop_.run_once(milliseconds{5});
    }
}

Outcome Rig::run(const Plan& plan)
{
    const auto reader = [this] {
        return [this](ByteRange range) { return kernel_.read_blocking(object_, range) == 0; };
    };
    auto outcome = std::async(std::launch::async, [&] { return bench::run(plan, reader); });
    const auto before = thread_seconds();
    turn_until([&] { return outcome.wait_for(milliseconds{0}) == std::future_status::ready; });
    loop_seconds_ = thread_seconds() - before;
    return outcome.get();
}

std::uint64_t Rig::resident_with_all_in_flight(const Plan& plan)
{
    std::vector<test::FakeRequestPtr> requests;
    for (const auto& ranges : plan) {
        for (const auto& range : ranges) {
            requests.push_back(kernel_.read(object_, range));
        }
    }
    std::uint64_t most = 0;
    turn_until([&] {
        most = std::max(most, resident_bytes());
        return std::ranges::all_of(requests, [&](const auto& request) { return kernel_.done(request); });
    });
    return most;
}

} // namespace sluice::bench
